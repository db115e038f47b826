"""One fault turns one item red, names the next step, and leaves everything else as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.health.inside import FIELD_MOST, read_inside
from orchestrator.health.judge import judge
from orchestrator.health.model import (
    AgentSeen,
    Expected,
    ExpectedHost,
    Inside,
    Item,
    Member,
    Outside,
    Registered,
    Service,
    Verdict,
    read_outside,
)

CLAUDE, STAMP, BLOB = "/opt/claude/2.1", "/opt/stamp", "/var/blob"
DIGEST, OTHER = "a" * 64, "b" * 64
SERVICES = {"agentapi": "agentfleet-agentapi.service", "iceccd": "agentfleet-iceccd.service"}


def host(name: str, number: int, **more: object) -> ExpectedHost:
    known: dict[str, object] = {
        "power": "always-on",
        "address": f"100.64.0.{number}",
        "agent": True,
        "worker": True,
        "node": True,
        "services": SERVICES,
        "programs": {"claude-code 2.1": CLAUDE},
        "builds": {"icecream": (STAMP, "1.4-1")},
        "files": {BLOB: DIGEST},
    }
    return ExpectedHost(name, **{**known, **more})  # type: ignore[arg-type]


EXPECTED = Expected(
    "boss", "boss", (host("boss", 1), host("pi", 2), host("lap", 3, power="sleeps", agent=False))
)
WELL = Inside(
    give_s=1.5,
    disks={"/": 40},
    services={name: Service(running=True) for name in SERVICES},
    tailnet="Running",
    ping="",
    programs={CLAUDE: DIGEST},
    builds={STAMP: "1.4-1"},
    files={BLOB: DIGEST},
)
FINE = Outside(
    agents={name: AgentSeen(200, '{"status": "stable"}') for name in ("boss", "pi")},
    pings=dict.fromkeys(("boss", "pi", "lap"), ""),
    members=tuple(Member(one.name, one.address, 10245) for one in EXPECTED.hosts),
    registered={name: Registered("idle") for name in ("boss", "pi")},
)
OFF = "ssh: connect to host: Connection timed out"
Inner = Callable[[Inside], Inside]
Outer = Callable[[Outside], Outside]


def items(inside: dict[str, Inside], outside: Outside = FINE) -> tuple[Item, ...]:
    return judge(EXPECTED, {one.name: WELL for one in EXPECTED.hosts} | inside, outside)


def bad(found: tuple[Item, ...]) -> dict[str, Item]:
    return {one.name: one for one in found if one.verdict is not Verdict.OK}


def test_all_is_well() -> None:
    found = items({})
    assert bad(found) == {}
    assert {one.kind for one in found} == {
        "reached", "service agentapi", "service iceccd", "disk", "clock", "tailnet", "ping to",
        "versions", "files", "ping from", "agent", "budget", "registered", "node", "orchestrator",
        "scheduler", "page", "strangers",
    }  # fmt: skip
    assert all(one.evidence for one in found)


def service(state: Service | None) -> Inner:
    def change(was: Inside) -> Inside:
        rest = {name: one for name, one in was.services.items() if name != "iceccd"}
        return replace(was, services=rest | ({"iceccd": state} if state else {}))

    return change


INNER: list[tuple[Inner, str, Verdict, str]] = [
    (lambda w: replace(w, fault=OFF, silent=True), "reached", Verdict.FAILED, "fleet wake pi"),
    (lambda w: replace(w, fault="Permission denied"), "reached", Verdict.FAILED, "fleet doctor"),
    (service(Service(running=False)), "service iceccd", Verdict.FAILED, "fleet logs pi iceccd"),
    (service(Service(False, masked=True)), "service iceccd", Verdict.FAILED, "fleet apply"),
    (service(None), "service iceccd", Verdict.FAILED, "fleet apply --limit pi"),
    (lambda w: replace(w, disks={"/": 96}), "disk", Verdict.FAILED, "df -h"),
    (lambda w: replace(w, disks={"/": 91}), "disk", Verdict.WARNING, "df -h"),
    (lambda w: replace(w, offset_s=60.0), "clock", Verdict.FAILED, "timedatectl"),
    (lambda w: replace(w, offset_s=None), "clock", Verdict.FAILED, "timedatectl"),
    (lambda w: replace(w, offset_s=-3600.0), "clock", Verdict.FAILED, "timedatectl"),
    (lambda w: replace(w, tailnet="NeedsLogin"), "tailnet", Verdict.FAILED, "tailscale status"),
    (lambda w: replace(w, key_s=-5.0), "tailnet", Verdict.FAILED, "--force-reauth"),
    (lambda w: replace(w, key_s=86400.0), "tailnet", Verdict.WARNING, "--force-reauth"),
    (lambda w: replace(w, ping="no reply"), "ping to", Verdict.FAILED, "tailscale ping boss"),
    (lambda w: replace(w, programs={CLAUDE: ""}), "versions", Verdict.FAILED, "fleet apply"),
    (lambda w: replace(w, builds={STAMP: "1.3"}), "versions", Verdict.FAILED, "fleet apply"),
    (lambda w: replace(w, files={BLOB: OTHER}), "files", Verdict.FAILED, "sudo rm"),
    (lambda w: replace(w, programs={CLAUDE: OTHER}), "programs", Verdict.FAILED, "sudo rm -r"),
]


@pytest.mark.parametrize(("change", "kind", "verdict", "advice"), INNER)
def test_a_fault_within_a_host(change: Inner, kind: str, verdict: Verdict, advice: str) -> None:
    outside = FINE
    found = bad(items({"pi": change(WELL)}, outside))
    assert set(found) == {f"{kind}@pi"}
    assert found[f"{kind}@pi"].verdict is verdict
    assert advice in found[f"{kind}@pi"].advice


def of(**more: object) -> Outer:
    return lambda was: replace(was, **more)  # type: ignore[arg-type]


def without(name: str) -> tuple[Member, ...]:
    return tuple(one for one in FINE.members if one.name != name)


OUTER: list[tuple[Outer, str, Verdict, str]] = [
    (of(agents={**FINE.agents, "pi": AgentSeen(0, "refused")}), "agent@pi", Verdict.FAILED, "logs"),
    (of(agents={**FINE.agents, "pi": AgentSeen(500, "{}")}), "agent@pi", Verdict.FAILED, "logs"),
    (of(agents={**FINE.agents, "pi": AgentSeen(200, "hi")}), "agent@pi", Verdict.FAILED, "logs"),
    (of(pings={**FINE.pings, "pi": "no reply"}), "ping from@pi", Verdict.FAILED, "ping pi"),
    (of(members=without("pi")), "node@pi", Verdict.FAILED, "fleet logs pi iceccd"),
    (
        of(members=(*without("pi"), Member("pi", "100.64.0.2", 0))),
        "node@pi",
        Verdict.FAILED,
        "fleet restart pi iceccd",
    ),
    (of(blocked={"pi": "reported by lap"}), "node@pi", Verdict.FAILED, "--unblock pi"),
    (
        of(members=(*FINE.members, Member("guest", "100.64.0.9", 1))),
        "scheduler",
        Verdict.FAILED,
        "fleet workers",
    ),
    (of(scheduler_fault="refused"), "scheduler", Verdict.FAILED, "icecc-scheduler"),
    (of(registered={"boss": Registered("idle")}), "registered@pi", Verdict.FAILED, "fleet apply"),
    (
        of(registered={**FINE.registered, "pi": Registered("logged-out")}),
        "registered@pi",
        Verdict.FAILED,
        "fleet agents",
    ),
    (
        of(registered={**FINE.registered, "pi": Registered("over-budget")}),
        "budget@pi",
        Verdict.FAILED,
        "fleet budget",
    ),
    (
        of(registered={**FINE.registered, "pi": Registered("idle", near=True)}),
        "budget@pi",
        Verdict.WARNING,
        "fleet budget",
    ),
    (
        of(registered={**FINE.registered, "pi": Registered("stuck", "a dialog")}),
        "registered@pi",
        Verdict.FAILED,
        "fleet agents",
    ),
    (of(page_fault="refused"), "page", Verdict.FAILED, "fleet logs boss orchestrator"),
    (of(strangers=("evil at 100.64.0.66",)), "strangers", Verdict.FAILED, "fleet agents"),
]


@pytest.mark.parametrize(("change", "name", "verdict", "advice"), OUTER)
def test_a_fault_that_the_orchestrator_sees(
    change: Outer, name: str, verdict: Verdict, advice: str
) -> None:
    found = bad(items({}, change(FINE)))
    assert set(found) == {name}
    assert found[name].verdict is verdict
    assert advice in found[name].advice


def test_a_laptop_that_is_off_is_one_pending_item() -> None:
    outside = replace(FINE, pings={**FINE.pings, "lap": "no reply"}, members=without("lap"))
    found = bad(items({"lap": Inside(fault=OFF, silent=True)}, outside))
    assert set(found) == {"reached@lap"}
    assert found["reached@lap"].verdict is Verdict.PENDING


def test_an_orchestrator_that_is_off_is_one_fault_and_the_rest_is_judged() -> None:
    dead = Inside(fault=OFF, silent=True)
    found = bad(
        items(
            {"boss": dead, "pi": replace(WELL, disks={"/": 99}, ping="no reply")},
            Outside(fault="no answer"),
        )
    )
    assert found.pop("ping to@pi").verdict is Verdict.UNKNOWN
    assert set(found) == {"reached@boss", "orchestrator", "disk@pi"}


def test_one_cause_is_one_fault() -> None:
    """What only follows from it is unknown, and says which item to see."""
    stopped = service(Service(running=False))(WELL)
    gone = replace(FINE, members=without("pi"))
    found = bad(items({"pi": stopped}, gone))
    assert {name: one.verdict for name, one in found.items()} == {
        "service iceccd@pi": Verdict.FAILED,
        "node@pi": Verdict.UNKNOWN,
    }
    assert found["node@pi"].evidence == "see service iceccd"
    silent = replace(
        gone,
        agents={**FINE.agents, "pi": AgentSeen(0, "refused")},
        registered={**FINE.registered, "pi": Registered("unreachable")},
        pings={**FINE.pings, "pi": "no reply"},
    )
    found = bad(items({"pi": replace(WELL, tailnet="Stopped", ping=None)}, silent))
    assert {name for name, one in found.items() if one.verdict is Verdict.FAILED} == {"tailnet@pi"}
    found = bad(items({"pi": replace(WELL)}, silent))
    assert found["registered@pi"].verdict is Verdict.UNKNOWN


def test_a_firewall_that_is_down_is_one_fault() -> None:
    behind = replace(EXPECTED.hosts[1], services={**SERVICES, "wall": "agentfleet-wall.service"})
    fleet = replace(EXPECTED, hosts=(EXPECTED.hosts[0], behind, EXPECTED.hosts[2]))
    down = replace(WELL, services={name: Service(running=False) for name in behind.services})
    found = bad(judge(fleet, {one.name: WELL for one in EXPECTED.hosts} | {"pi": down}, FINE))
    assert {name for name, one in found.items() if one.verdict is Verdict.FAILED} == {
        "service wall@pi"
    }


def test_a_daemon_of_the_orchestrator_that_is_down_is_one_fault() -> None:
    boss = replace(WELL, services={**WELL.services, "icecc-scheduler": Service(running=False)})
    found = bad(items({"boss": boss}, replace(FINE, members=(), scheduler_fault="refused")))
    assert found["scheduler"].evidence == "see service icecc-scheduler"
    assert found["scheduler"].verdict is Verdict.UNKNOWN


def test_a_node_of_a_hosts_name_elsewhere_is_one_fault() -> None:
    strange = (*without("pi"), Member("pi", "100.64.0.77", 10245))
    found = bad(items({}, replace(FINE, members=strange)))
    assert {name for name, one in found.items() if one.verdict is Verdict.FAILED} == {"scheduler"}
    assert found["node@pi"].verdict is Verdict.UNKNOWN


def test_a_clock_counts_as_wrong_only_beyond_what_the_way_took() -> None:
    assert bad(items({"pi": replace(WELL, offset_s=6.0, give_s=2.0)})) == {}


def test_of_three_equal_programs_the_odd_one_is_named() -> None:
    found = bad(items({"pi": replace(WELL, programs={CLAUDE: OTHER})}))
    assert set(found) == {"programs@pi"}


ARCHIVE = "/var/claude.tgz"


@pytest.mark.parametrize("pinned", [DIGEST, OTHER])
def test_a_program_in_a_pinned_archive_is_compared_with_that(pinned: str) -> None:
    """Two hosts have it, so that neither is the odd one; the archive tells which is wrong."""
    hosts = [replace(one, programs={}) for one in EXPECTED.hosts]
    hosts[0] = replace(
        hosts[0], files={BLOB: DIGEST, ARCHIVE: DIGEST}, members={CLAUDE: (ARCHIVE, "claude")}
    )
    inside = {one.name: replace(WELL, programs={}) for one in hosts}
    boss = replace(WELL, files={BLOB: DIGEST, ARCHIVE: DIGEST}, members={CLAUDE: pinned})
    inside |= {"boss": replace(boss, programs={CLAUDE: DIGEST})}
    inside |= {"pi": replace(WELL, programs={CLAUDE: OTHER})}
    fleet = replace(EXPECTED, hosts=tuple(hosts))
    found = bad(judge(fleet, inside, FINE))
    assert set(found) == {"programs@pi" if pinned == DIGEST else "programs@boss"}
    (odd,) = found.values()
    assert odd.evidence.endswith("differs from what is pinned")
    rotten = replace(inside["boss"], files={BLOB: DIGEST, ARCHIVE: OTHER})
    unpacked = replace(inside["boss"], members={CLAUDE: hashlib.sha256().hexdigest()})
    found = bad(judge(fleet, inside | {"boss": unpacked}, FINE))
    assert set(found) == {"programs@boss", "programs@pi"}, "tar said nothing"
    found = bad(judge(fleet, inside | {"boss": rotten}, FINE))
    assert set(found) == {"files@boss", "programs@boss", "programs@pi"}, "it vouches for nobody"


def test_a_program_that_is_the_pinned_file_needs_no_twin() -> None:
    pi = replace(EXPECTED.hosts[1], digests={CLAUDE: DIGEST})
    fleet = replace(EXPECTED, hosts=(pi,))
    (found,) = (
        one
        for one in judge(fleet, {"pi": replace(WELL, programs={CLAUDE: OTHER})}, FINE)
        if one.kind == "programs"
    )
    assert found.verdict is Verdict.FAILED
    assert "what is pinned" in found.evidence


def test_outside_comes_back_as_it_was() -> None:
    assert read_outside(json.loads(json.dumps(asdict(FINE)))) == FINE
    with pytest.raises((LookupError, TypeError, ValueError)):
        read_outside({"fault": ""})


SAID = """clock\t1000
disk\t/\t41%
service\ticeccd\trunning\tenabled
service\tagentapi\tstopped\tmasked
tailnet\t{"BackendState": "Running", "Self": {"KeyExpiry": "1970-01-02T00:16:40Z"}}
ping\t
program\t/opt/a\tthere
build\t/opt/stamp\t1.4-1
file\t/var/blob\tabc
member\t/opt/a\tdef
end\t
"""


def test_what_a_host_says_is_read() -> None:
    found = read_inside(SAID, 999.0, 1003.0)
    assert found == Inside(
        offset_s=-1.0,
        give_s=3.0,
        disks={"/": 41},
        services={"iceccd": Service(True), "agentapi": Service(False, masked=True)},
        tailnet="Running",
        key_s=86399.0,
        ping="",
        programs={"/opt/a": "there"},
        builds={"/opt/stamp": "1.4-1"},
        files={"/var/blob": "abc"},
        members={"/opt/a": "def"},
    )


SOUND = f"""clock\t1001
disk\t/\t41%
service\tagentapi\trunning\tenabled
service\ticeccd\trunning\tenabled
tailnet\t{{"BackendState": "Running", "Self": {{}}}}
ping\t
program\t{CLAUDE}\t{DIGEST}
build\t{STAMP}\t1.4-1
file\t{BLOB}\t{DIGEST}
end\t
"""


@pytest.mark.parametrize(
    ("line", "broken", "item"),
    [
        ("clock\t1001", "clock\t2001", "clock"),
        ("clock\t1001", "clock\t$(date)", "clock"),
        ("41%", "99%", "disk"),
        ("agentapi\trunning\tenabled", "agentapi\tstopped\tenabled", "service agentapi"),
        ("iceccd\trunning\tenabled", "iceccd\tstopped\tmasked", "service iceccd"),
        ("service\ticeccd", "service\ticeccd\x1b[31m", "service iceccd"),
        ('"Running"', '"NeedsLogin"', "tailnet"),
        ('"Self": {}', '"Self": {"KeyExpiry": "1970-01-01T00:00:00Z"}', "tailnet"),
        ("ping\t", "ping\tno reply\x1b]0;evil\x07; reboot", "ping to"),
        (f"program\t{CLAUDE}\t{DIGEST}", f"program\t{CLAUDE}\t", "versions"),
        (f"program\t{CLAUDE}\t{DIGEST}", f"program\t{CLAUDE}\t{OTHER}", "programs"),
        ("1.4-1", "1.3-1", "versions"),
        (f"{BLOB}\t{DIGEST}", f"{BLOB}\t{OTHER}", "files"),
        (f"{BLOB}\t{DIGEST}", f"{BLOB}\t", "files"),
        ("end\t", "", "reached"),
    ],
)
def test_what_a_host_prints_turns_one_item_red(line: str, broken: str, item: str) -> None:
    assert bad(items({"pi": read_inside(SOUND, 1000, 1002)})) == {}
    assert line in SOUND
    found = bad(items({"pi": read_inside(SOUND.replace(line, broken), 1000, 1002)}))
    assert set(found) == {f"{item}@pi"}
    (odd,) = found.values()
    assert odd.verdict is Verdict.FAILED
    assert odd.advice
    assert (odd.evidence + odd.advice).isprintable()


def test_half_an_answer_is_none() -> None:
    assert read_inside(SAID.removesuffix("end\t\n"), 0, 1).fault


def test_hostile_words_do_no_harm() -> None:
    said = SAID.replace("iceccd", "\x1b[2J$(reboot)").replace("41%", "x\x1b[31m").replace(
        "ping\t", "ping\t" + "\x1b]0;title\x07" * 200
    )  # fmt: skip
    found = read_inside(said, 999.0, 1003.0)
    assert found.disks == {}
    assert all("\x1b" not in name for name in found.services)
    assert found.ping
    assert len(found.ping) <= FIELD_MOST
    assert found.ping.isprintable()
    for one in items({"pi": replace(found, services={"\x1b": Service(True)})}):
        assert one.evidence.isprintable()


@given(st.text(max_size=2000))
def test_anything_can_be_read(text: str) -> None:
    found = read_inside(text, 0.0, 1.0)
    assert isinstance(found, Inside)
    assert found.fault.isprintable()


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("", Verdict.OK), ("agentfleet-health.timer is masked", Verdict.FAILED)],
)
def test_the_monitoring_is_an_item_where_there_is_one(said: str, verdict: Verdict) -> None:
    assert "monitoring" not in {one.name for one in items({})}
    found = {one.name: one for one in items({}, replace(FINE, monitoring=said))}
    assert found["monitoring"].verdict is verdict
    assert found["monitoring"].evidence
    assert ("fleet logs boss agentfleet-health" in found["monitoring"].advice) is bool(said)
    again = read_outside(json.loads(json.dumps(asdict(replace(FINE, monitoring=said)))))
    assert again.monitoring == said
