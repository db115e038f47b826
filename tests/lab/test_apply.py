"""`fleet plan`, `apply` and `drift` on the lab: exit codes, locks, waves and what they say."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.run import Run
from fleet.target import ROOT
from lab.api import Lab
from operations.locks import FLEET_LOCK, LOCK, hold, take_away
from operations.plans import wrap
from tests.checkout import copied
from tests.lab.agents import answer, say
from tests.lab.runs import converge, environment, fleet

PIS = ("rpi1", "rpi2", "rpi3")
PI, MAC, LAPTOP = "rpi1", "imac", "windows-laptop"
OTHER = Run("1-other", "ben", "laptop", "2026-01-01T00:00:00Z", "apply")
CONF = "/etc/systemd/journald.conf.d/agentfleet.conf"
MENDED = (
    f"file {CONF}: content",
    f"service systemd-journald.service: take notice of {CONF}",
)
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    """The fleet, for a test to change."""
    copy = tmp_path / "fleet.yaml"
    copy.write_text((ROOT / "fleet.yaml").read_text())
    return copy


def edit(file: Path, host: str, line: str) -> None:
    text = file.read_text()
    assert f"\n  {host}:\n" in text
    file.write_text(text.replace(f"\n  {host}:\n", f"\n  {host}:\n    {line}\n"))


def drifts(lab: Lab, *hosts: str) -> None:
    """A file of ours changed by hand."""
    for host in hosts:
        lab.run(host, f"echo '# by hand' >>{CONF}")


def ends(done: Done, code: int) -> Done:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_plan_apply_plan(lab: Lab) -> None:
    """2, 0, 0; and what was changed is byte for byte what was to be."""
    assert ends(fleet("plan"), 0).stdout.endswith("9 hosts: 9 as they should be\n")
    drifts(lab, PI, "arch-orchestrator")
    lab.run("rpi2", "systemctl stop agentfleet-iceccd")
    planned = json.loads(ends(fleet("plan", "--json"), 2).stdout)
    by_host = {host["host"]: host for host in planned["hosts"]}
    assert by_host[PI]["standing"] == "changes"
    file, service = by_host[PI]["steps"]
    assert (*file["changes"], *service["changes"]) == MENDED
    assert "-# by hand" in file["diffs"][0]
    (step,) = by_host["rpi2"]["steps"]
    assert step["changes"] == ["service agentfleet-iceccd.service: start"]
    assert ends(fleet("drift", "--limit", PI), 2).stdout.count("by hand") == 0
    done = json.loads(ends(fleet("apply", "--yes", "--json"), 0).stdout)
    results = {one["host"]: one for one in done["results"]}
    for name, host in by_host.items():
        for key in ("changes", "diffs"):
            meant = [line for step in host["steps"] for line in step[key]]
            assert results[name][key] == meant, name
    assert ends(fleet("drift", "--limit", PI), 0).stdout == ""


def test_it_is_remembered_here_and_there(lab: Lab) -> None:
    drifts(lab, PI)
    ends(fleet("apply", "--limit", PI, "--yes"), 0)
    here = json.loads(ends(fleet("history", "--json"), 0).stdout)[-1]
    there = json.loads(ends(fleet("history", "--host", PI, "--json"), 0).stdout)[-1]
    assert here["run"] == there["run"]
    assert here["hosts"][PI]["changes"] == there["changes"] == list(MENDED)
    why = json.loads(ends(fleet("why", PI, CONF, "--json"), 0).stdout)
    assert why["run"]["run"] == here["run"]
    assert (why["capability"], why["template"]) == ("base", "base/journald.conf.j2")


def test_plain_pyinfra_is_remembered_too(lab: Lab) -> None:
    drifts(lab, PI)
    assert converge("--limit", PI).code == 0
    there = json.loads(ends(fleet("history", "--host", PI, "--json"), 0).stdout)[-1]
    assert (there["reason"], there["outcome"]) == ("pyinfra", "done")
    here = json.loads(ends(fleet("history", "--json"), 0).stdout)[-1]
    assert here["run"] == there["run"]
    assert here["hosts"][PI]["changes"] == list(MENDED)
    assert ends(fleet("unlock"), 0).stdout == "nothing is locked\n"


def test_nobody_confirms(lab: Lab) -> None:
    drifts(lab, PI)
    done = ends(fleet("apply", "--limit", PI), 64)
    assert "--yes" in done.stderr
    ends(fleet("plan", "--limit", PI), 2)
    ends(fleet("apply", "--limit", PI, "--yes"), 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "--limit", "rip1"), 'did you mean "rpi1"'),
        (("apply", "--limit", "laptops", "--yes"), "no host, role or group"),
        (("plan", "--limt", "pi"), "No such option"),
        (("apply", "--pending", "--limit", "pi"), "exclude each other"),
        (("apply", "--json"), "--yes"),
    ],
)
def test_wrong_usage(lab: Lab, words: tuple[str, ...], said: str) -> None:
    assert said in ends(fleet(*words), 64).stderr


def test_a_bad_fleet_yaml(lab: Lab, fleet_file: Path) -> None:
    fleet_file.write_text(fleet_file.read_text().replace("role: pi", "role: pie"))
    for verb in ("plan", "apply", "drift"):
        assert 'did you mean "pi"' in ends(fleet(verb, fleet_file=fleet_file), 1).stderr


def test_hosts_that_are_off(lab: Lab) -> None:
    """A laptop that sleeps is pending and catches up, a Pi is an error; nobody waits for either."""
    lab.poweroff(LAPTOP)
    try:
        drifts(lab, "rpi2")
        assert f"{LAPTOP} asleep" in ends(fleet("plan"), 2).stdout
        done = ends(fleet("apply", "--yes"), 3)
        assert re.search(rf"{LAPTOP} +asleep", done.stdout)
        lab.poweroff("rpi3")
        try:
            assert "rpi3 down: it should be on" in ends(fleet("plan"), 1).stdout
        finally:
            lab.poweron("rpi3")
    finally:
        lab.poweron(LAPTOP)
    drifts(lab, LAPTOP, "rpi2")
    done = ends(fleet("apply", "--pending", "--yes"), 0)
    assert re.search(rf"{LAPTOP} +changed", done.stdout)
    assert "rpi2" not in done.stdout
    assert "no host was left out" in ends(fleet("apply", "--pending", "--yes"), 0).stdout
    ends(fleet("apply", "--limit", "rpi2", "--yes"), 0)


def test_the_orchestrator_is_off(lab: Lab) -> None:
    """The others converge all the same, behind a lock of this workstation alone."""
    drifts(lab, PI, "rpi2")
    lab.poweroff("arch-orchestrator")
    try:
        done = ends(fleet("apply", "--yes"), 1)
        assert "cannot be asked for the fleet's lock" in done.stderr
        assert re.search(rf"{PI} +changed", done.stdout)
        assert re.search(r"arch-orchestrator +down", done.stdout)
    finally:
        lab.poweron("arch-orchestrator")
    ends(fleet("plan", "--limit", "pi"), 0)


def test_wrong_host_key_and_refused_login(lab: Lab) -> None:
    known = lab.place.known_hosts
    kept = known.read_text()
    keys = [line.split(" ", 1) for line in kept.splitlines()]
    mine = lab.fleet.host(PI).addresses.lan or PI
    other = next(key for name, key in keys if mine not in name)
    theirs = "/home/admin/.ssh/authorized_keys"
    back = f"sleep 20; mv {theirs}.away {theirs}"
    lab.run("rpi2", f"mv {theirs} {theirs}.away; nohup sh -c '{back}' >/dev/null 2>&1 &")
    try:
        swapped = "".join(f"{n} {other if mine in n else k}\n" for n, k in keys)
        known.write_text(swapped)
        done = ends(fleet("plan", "--limit", "pi"), 1)
    finally:
        known.write_text(kept)
    assert "host key" in done.stdout.partition(f"{PI} error")[2].partition("rpi2")[0].lower()
    assert "Authentication error" in done.stdout.partition("rpi2 error")[2].partition("rpi3")[0]
    assert "rpi3 as fleet.yaml says" in done.stdout
    lab.wait_ssh(["rpi2"])


def test_a_saved_plan_is_applied_as_it_is_or_not_at_all(
    lab: Lab, fleet_file: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "a.plan"
    edit(fleet_file, PI, "max_jobs: 1")
    ends(fleet("plan", "--limit", "pi", "--save", str(saved), fleet_file=fleet_file), 2)
    drifts(lab, "rpi2")
    done = ends(fleet("apply", str(saved), "--yes", fleet_file=fleet_file), 5)
    assert f"rpi2: new: base: file {CONF}: content" in done.stderr
    ends(fleet("apply", "--limit", "rpi2", "--yes"), 0)
    edit(fleet_file, "rpi3", "max_jobs: 1")
    done = ends(fleet("apply", str(saved), "--yes", fleet_file=fleet_file), 5)
    assert "what is rendered has changed" in done.stderr
    fleet_file.write_text((ROOT / "fleet.yaml").read_text())
    edit(fleet_file, PI, "max_jobs: 1")
    ends(fleet("apply", str(saved), "--yes", fleet_file=fleet_file), 0)
    assert "-m 1 " in lab.run(PI, "pgrep -af iceccd").stdout
    ends(fleet("apply", "--limit", "pi", "--yes"), 0)


def test_a_restart_that_waits(lab: Lab) -> None:
    """An agent at work is not interrupted: 2, and the next run catches up."""
    ends(fleet("plan", "--limit", MAC), 0)
    lab.run(MAC, "rm /var/run/agentfleet/agentapi.stamp")
    say(lab, MAC, "slow 20")
    for verb in (("plan",), ("apply", "--yes")):
        done = ends(fleet(*verb, "--limit", MAC), 2)
        assert "restart pending until it is idle" in done.stdout
    assert "That took its time" in answer(lab, MAC)
    ends(fleet("apply", "--limit", MAC, "--yes"), 0)
    ends(fleet("plan", "--limit", MAC), 0)


@pytest.fixture
def locked(lab: Lab) -> Iterator[None]:
    """Another run has a Pi."""
    lab.run(PI, wrap(hold(OTHER, LOCK)))
    yield
    lab.run(PI, wrap(take_away(OTHER.words, LOCK)))


@pytest.mark.usefixtures("locked")
def test_a_host_that_is_anothers(lab: Lab) -> None:
    drifts(lab, PI, "rpi2")
    done = ends(fleet("apply", "--limit", "pi", "--yes"), 4)
    assert re.search(rf"{PI} +locked", done.stdout)
    assert "ben@laptop" in done.stdout
    assert re.search(r"rpi2 +changed", done.stdout)
    run = converge("--limit", PI)
    assert run.code == 1, "plain pyinfra obeys it too"
    assert OTHER.words in run.output
    assert lab.run(PI, f"grep -c 'by hand' {CONF}").stdout.strip() == "1"
    said = ends(fleet("unlock", PI, "--yes"), 0).stdout
    assert said == f"{PI}: {OTHER.words}\n"
    ends(fleet("apply", "--limit", PI, "--yes"), 0)


def test_a_fleet_that_is_anothers(lab: Lab) -> None:
    lab.run("arch-orchestrator", wrap(hold(OTHER, FLEET_LOCK)))
    done = ends(fleet("apply", "--yes"), 4)
    assert OTHER.words in done.stderr
    assert "fleet unlock" in done.stderr
    waits = start("apply", "--yes", "--wait")
    time.sleep(4)
    assert waits.poll() is None
    lab.run("arch-orchestrator", wrap(take_away(OTHER.words, FLEET_LOCK)))
    out, err = waits.communicate(timeout=120)
    assert waits.returncode == 0, out + err
    assert f"waiting for {OTHER.words}" in err


def start(*words: str, **more: str) -> subprocess.Popen[str]:
    """`fleet` in the background, with an interrupt of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "fleet", "--lab", *words],
        cwd=ROOT,
        env={**environment(), **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_operators_at_once(lab: Lab) -> None:
    """One is refused, or waits; nobody's run breaks."""
    drifts(lab, *PIS)
    first = start("apply", "--limit", "pi", "--yes")
    second = start("apply", "--limit", "pi", "--yes", "--wait")
    ended = [(*one.communicate(timeout=300), one.returncode) for one in (first, second)]
    assert [code for _, _, code in ended] in ([0, 0], [4, 0]), ended
    ends(fleet("plan", "--limit", "pi"), 0)
    assert ends(fleet("unlock"), 0).stdout == "nothing is locked\n"


def upto(run: subprocess.Popen[str], line: str) -> None:
    """Read what a run says until it comes to a line."""
    assert run.stderr
    assert any(said.startswith(line) for said in run.stderr)


@pytest.mark.parametrize("moment", ["looking at", "canaries:"])
def test_an_interrupt_leaves_every_host_consistent(lab: Lab, moment: str) -> None:
    drifts(lab, *PIS)
    lab.run(PI, "systemctl stop agentfleet-iceccd")
    run = start("apply", "--limit", "pi", "--yes")
    upto(run, moment)
    time.sleep(2)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert ends(fleet("unlock"), 0).stdout == "nothing is locked\n"
    ends(fleet("apply", "--limit", "pi", "--yes"), 0)
    ends(fleet("plan", "--limit", "pi"), 0)


def test_a_run_that_is_killed_holds_nobody_up(lab: Lab) -> None:
    drifts(lab, *PIS)
    run = start("apply", "--limit", "pi", "--yes")
    upto(run, "canaries:")
    run.kill()
    run.communicate()
    deadline = time.monotonic() + 60
    while (done := fleet("apply", "--limit", "pi", "--yes")).returncode in (1, 4):
        assert time.monotonic() < deadline, done.stderr  # its pyinfra still ends its wave
        time.sleep(2)
    ends(done, 0)
    ends(fleet("plan", "--limit", "pi"), 0)


NEWER = """set -e
mkdir -p /srv/repo
cd /srv/repo
for version in 1.0 2.0; do
    mkdir -p t/DEBIAN
    printf 'Package: labthing\\nVersion: %s\\nArchitecture: all\\n' $version >t/DEBIAN/control
    printf 'Maintainer: x <x@example.com>\\nDescription: x\\n' >>t/DEBIAN/control
    dpkg-deb -b t labthing_$version.deb >/dev/null
done
dpkg -i labthing_1.0.deb >/dev/null
{
    dpkg-deb -f labthing_2.0.deb
    echo Filename: ./labthing_2.0.deb
    echo "Size: $(stat -c %s labthing_2.0.deb)"
    echo "SHA256: $(sha256sum labthing_2.0.deb | cut -d ' ' -f 1)"
} >Packages
echo 'deb [trusted=yes] file:/srv/repo ./' >/etc/apt/sources.list.d/labthing.list"""
LEAVE = (
    "rm -rf /srv/repo /etc/apt/sources.list.d/labthing.list; dpkg -P labthing; apt-get -qq update"
)
VERSION = "dpkg-query -W -f '${Version}' labthing"


@pytest.mark.long
def test_packages_of_the_systems_are_upgraded_in_waves(lab: Lab) -> None:
    for name in ("rpi1", "rpi2"):
        lab.run(name, NEWER)
    try:
        seen = ends(fleet("outdated", "--hosts", "--refresh"), 2).stdout
        assert "rpi2: labthing 1.0 → 2.0" in seen
        assert lab.run("rpi2", VERSION).stdout == "1.0"
        done = ends(fleet("upgrade", "--os", "--limit", "pi", "--yes"), 0)
        assert done.stdout.count("upgrade: package labthing: 1.0 → 2.0") == 2
        assert re.search(r"rpi3 +clean", done.stdout)
        assert done.stderr.index("canaries: rpi1") < done.stderr.index("rest: rpi2")
        for name in ("rpi1", "rpi2"):
            assert lab.run(name, VERSION).stdout == "2.0"
        ends(fleet("upgrade", "--os", "--limit", "pi"), 0)
    finally:
        for name in ("rpi1", "rpi2"):
            lab.run(name, LEAVE, check=False)


@pytest.fixture
def broken(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """A checkout whose Pis get a compile daemon that cannot start."""
    copy = copied(tmp_path / "checkout")
    module = copy / "deploys" / "icecream.py"
    assert '"--nice"' in module.read_text()
    module.write_text(module.read_text().replace('"--nice"', '"--nicer"'))
    yield copy
    ends(fleet("apply", "--limit", "pi", "--yes"), 0)


def test_a_broken_value_reaches_one_canary_and_no_second_host(lab: Lab, broken: Path) -> None:
    def said(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "fleet", "--lab", *words],
            cwd=broken,
            env={**environment(), "PYTHONPATH": str(broken)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ends(done, 1)

    before = {name: lab.run(name, f"cat {UNIT}").stdout for name in ("rpi2", "rpi3")}
    done = said("apply", "--limit", "pi", "--yes", "--no-diff")
    assert re.search(rf"{PI} +failed", done.stdout)
    assert "not touched: rpi2, rpi3" in done.stdout
    assert "--nicer" in lab.run(PI, f"cat {UNIT}").stdout
    for name, text in before.items():
        assert lab.run(name, f"cat {UNIT}").stdout == text
        assert lab.run(name, "systemctl is-active agentfleet-iceccd").stdout == "active\n"


UNIT = "/etc/systemd/system/agentfleet-iceccd.service"
