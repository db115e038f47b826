"""`fleet check` on the lab: all green, then faults, each of which turns its own item red alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from deploys.toolchains import row_path
from fleet.plan import view_of
from fleet.target import Target
from lab.api import Lab
from tests.lab.agents import begin, say
from tests.lab.checks import check, red, settles
from tests.lab.runs import fleet
from tests.lab.workers import report

BOSS = "arch-orchestrator"
STAMP = "/usr/lib/icecream/.agentfleet-build"
UNITS = "/etc/systemd/system/agentfleet"
SHUT = """nft add table inet fault
nft add chain inet fault in '{ type filter hook input priority -300; }'
nft add rule inet fault in tcp dport 3284 drop"""
LATE = "#!/bin/sh\\necho 1000000000\\n"
# A daemon that is nobody's, with a name that would paint a terminal and run in a shell.
GUEST = """cat >/root/guest <<'END'
exec iceccd -n home -N "$(printf 'gu\\033[31mest`id`')" \\
    -s {boss} --no-remote -b /tmp/guest -l /dev/null
END
systemd-run --unit=guest sh /root/guest"""
DEAR, NEARLY = "usage=2000/600000", "usage=2000/425000"  # $12 and $8.50, of the $10 of a session


@dataclass(frozen=True)
class Fault:
    """What breaks a host and what mends it, if `fleet apply` does not; the item that turns red, and
    what it has to advise.
    """

    host: str
    breaks: str
    item: str
    advice: str
    mends: str = ""


def stopped(host: str, name: str) -> Fault:
    """A daemon that should run, and does not."""
    breaks = f"systemctl stop agentfleet-{name}"
    return Fault(host, breaks, f"service {name}@{host}", f"fleet logs {host} {name}")


MANY = (
    stopped("rpi1", "wall"),
    stopped("rpi2", "iceccd"),
    stopped("rpi2", "agentapi"),
    Fault("rpi3", SHUT, "agent@rpi3", "fleet logs rpi3 agentapi", "nft delete table inet fault"),
    Fault(
        "imac",
        "mv /opt/agentfleet/claude-code /opt/agentfleet/claude-code.away",
        "versions@imac",
        "fleet apply --limit imac",
        "mv /opt/agentfleet/claude-code.away /opt/agentfleet/claude-code",
    ),
    Fault(
        BOSS,
        f"cp -p {STAMP} /root/stamp; echo 1.3-1 >{STAMP}",
        f"versions@{BOSS}",
        f"fleet apply --limit {BOSS}",
        f"mv /root/stamp {STAMP}",
    ),
    Fault(
        "macbook1",
        f"printf '{LATE}' >/usr/local/bin/date; chmod +x /usr/local/bin/date",
        "clock@macbook1",
        "timedatectl",
        "rm /usr/local/bin/date",
    ),
)
# Of the orchestrator, whose items are not red for what only follows from them.
SERVICES = (
    *(stopped(BOSS, name) for name in ("icecc-scheduler", "orchestrator", "gateway", "artifacts")),
    Fault(
        BOSS,
        f"systemctl stop agentfleet-quarantine; mv {UNITS}-quarantine.service /root/unit; "
        f"ln -s /dev/null {UNITS}-quarantine.service; systemctl daemon-reload",
        f"service quarantine@{BOSS}",
        "fleet apply",
        f"rm {UNITS}-quarantine.service; mv /root/unit {UNITS}-quarantine.service; "
        "systemctl daemon-reload",
    ),
)


def test_all_is_well(lab: Lab) -> None:
    found = settles(set())
    names = [host.name for host in lab.fleet.hosts]
    assert {f"reached@{name}" for name in names} <= set(found)
    assert {f"node@{name}" for name in names} <= set(found)
    agents = [host.name for host in lab.fleet.hosts if host.is_agent]
    for name in agents:
        assert found[f"agent@{name}"]["evidence"].startswith('/status answers 200 {"')
        assert f"registered@{name}" in found
    assert found["compile"]["evidence"].startswith(f"clang from {BOSS} on ")
    said = fleet("check")
    assert said.returncode == 0
    assert f"{len(found)} items: {len(found)} ok\n" in said.stdout


def test_faults_on_many_hosts_turn_their_own_items_red(lab: Lab, target: Target) -> None:
    """Those of the table, and what is broken from outside: all at once, one cause each."""
    address = lab.fleet.host(BOSS).addresses.tailnet
    row = row_path(view_of(target, BOSS))
    say(lab, "macbook1", f"say this is dear {DEAR}")
    say(lab, "imac", f"say this is nearly all {NEARLY}")
    say(lab, "localhost", "say Please run /login")
    blocked = report(lab, "imac", lab.fleet.host("rpi3").addresses.tailnet or "")
    assert blocked.stdout == "rpi3 is blocked\n200", blocked.stderr
    for one in MANY:
        lab.run(one.host, one.breaks)
    lab.run(BOSS, f"mv {row} /root/row")
    lab.run("windows-desktop", GUEST.format(boss=address))
    lab.limit_disk("macbook2", "/var/db/agentfleet/icecc", 1 << 20)
    lab.run("macbook2", "head -c 2M /dev/zero >/var/db/agentfleet/icecc/full || true")
    lab.tailnet.expire_node(BOSS, 3)
    lab.poweroff("windows-laptop")
    wanted = {one.item: one.advice for one in MANY} | {
        "node@rpi3": "fleet workers --unblock rpi3",
        "budget@macbook1": "fleet new-session macbook1",
        f"registered@{BOSS}": "fleet agents",
        "compile": f"fleet compile-check --host {BOSS}",
        "disk@macbook2": "make room",
        "scheduler": "fleet workers",
        "reached@windows-laptop": "",
    }
    try:
        found = settles(set(wanted))
        for name, advice in wanted.items():
            assert advice in found[name]["advice"], found[name]
        assert found["reached@windows-laptop"]["verdict"] == "pending"
        assert found[f"tailnet@{BOSS}"]["verdict"] == "warning"
        assert found["budget@imac"]["verdict"] == "warning"
        assert found["service iceccd@rpi1"]["evidence"].endswith("see service wall")
        assert found["node@rpi2"]["evidence"] == "see service iceccd"
        assert found["agent@rpi2"]["evidence"] == "see service agentapi"
        assert "logged-out" in found[f"registered@{BOSS}"]["evidence"]
        assert "icecc logged nothing" in found["compile"]["evidence"]
        assert "gu?[31mest`id`" in found["scheduler"]["evidence"]
        said = fleet("check", "--only", "rpi1", "--only", "scheduler")
        assert said.returncode == 1
        assert "scheduler" in said.stdout
        assert "\x1b" not in said.stdout
        assert "rpi2" not in said.stdout
    finally:
        lab.poweron("windows-laptop")
        lab.tailnet.expire_node(BOSS, 180)
        lab.unlimit_disk("macbook2", "/var/db/agentfleet/icecc")
        lab.run("windows-desktop", "systemctl stop guest")
        lab.run(BOSS, f"mv /root/row {row}")
        for one in MANY:
            lab.run(one.host, one.mends or "true")
        fleet("workers", "--unblock", "rpi3", "--yes")
    begin("macbook1", "imac", BOSS)
    assert fleet("apply", "--yes").returncode == 0
    settles(set())


def test_services_of_the_orchestrator_and_what_only_a_deep_check_sees(lab: Lab) -> None:
    """What only follows from a service that is down is not red itself."""
    file = lab.run("rpi2", "ls /opt/icecc-envs/*.tar.zst | head -n 1").stdout.strip()
    program = lab.run("windows-desktop", "ls /opt/agentfleet/claude-code/*/claude").stdout.strip()
    assert file
    for host, path in (("rpi2", file), ("windows-desktop", program)):
        lab.run(host, f"printf X | dd of={path} bs=1 seek=100 conv=notrunc status=none")
    for one in SERVICES:
        lab.run(one.host, one.breaks)
    odd = {"files@rpi2": file, "programs@windows-desktop": program}
    found = settles({one.item for one in SERVICES} | set(odd), "--deep")
    for one in SERVICES:
        assert one.advice in found[one.item]["advice"], found[one.item]
    for name, path in odd.items():
        assert path in found[name]["evidence"]
    for name in ("scheduler", "page", "compile", "task"):
        assert found[name]["verdict"] == "unknown", found[name]
    lab.run("rpi2", f"rm {file}")
    lab.run("windows-desktop", f"rm {program}")
    for one in SERVICES:
        lab.run(one.host, one.mends or "true")
    assert fleet("apply", "--yes").returncode == 0
    found = settles(set(), "--deep")
    (task,) = (one for one in found.values() if one["kind"] == "task")
    assert task["verdict"] == "ok", task["evidence"]
    assert task["host"] not in ("", BOSS), "an agent elsewhere has done it"
    assert "wrote what task" in task["evidence"]


def test_the_orchestrator_is_off(lab: Lab) -> None:
    lab.poweroff(BOSS)
    try:
        found = check()
        assert red(found) == {f"reached@{BOSS}", "orchestrator"}
        assert found["service iceccd@rpi1"]["verdict"] == "ok", "the rest is judged"
    finally:
        lab.poweron(BOSS)


@pytest.mark.parametrize("word", ["rpi9", "agnet"])
def test_a_typo_gets_a_guess(lab: Lab, word: str) -> None:
    done = fleet("check", "--only", word)
    assert done.returncode == 64
    assert "did you mean" in done.stderr
