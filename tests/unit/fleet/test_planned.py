"""What a run's records say of each host; plans that are saved, read again and compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.exits import Exit, worst
from fleet.limits import limited
from fleet.planned import (
    HostPlan,
    Planned,
    Standing,
    Step,
    gather,
    load,
    save,
    staleness,
    truth_of,
)
from fleet.problems import FleetError, WrongUsageError
from fleet.waves import Wave, waves
from tests.golden import target

HOSTS = [host.name for host in target().fleet.hosts]


def change(host: str, *changes: str, phase: str = "plan", **more: Any) -> dict[str, Any]:
    known = {"event": "change", "host": host, "phase": phase, "changes": changes}
    return {"capability": "base", "operation": "files", "pending": (), "diffs": ()} | known | more


def connected(*hosts: str) -> list[dict[str, Any]]:
    return [{"event": "connected", "host": host} for host in hosts]


def unreached(host: str, *, silent: bool) -> dict[str, Any]:
    return {"event": "unreached", "host": host, "text": "it did not", "silent": silent}


def one(*events: dict[str, Any], host: str = "rpi1", phase: str = "plan") -> HostPlan:
    (found,) = gather(target(), [host], events, phase)
    return found


@pytest.mark.parametrize(
    ("host", "events", "standing", "code"),
    [
        ("rpi1", connected("rpi1"), Standing.CLEAN, Exit.DONE),
        ("rpi1", [*connected("rpi1"), change("rpi1", "a")], Standing.CHANGES, Exit.CHANGES),
        (
            "rpi1",
            [*connected("rpi1"), change("rpi1", pending=["later"])],
            Standing.PENDING,
            Exit.CHANGES,
        ),
        ("rpi1", [unreached("rpi1", silent=True)], Standing.DOWN, Exit.ERROR),
        ("macbook2", [unreached("macbook2", silent=True)], Standing.ASLEEP, Exit.OFF),
        ("macbook2", [unreached("macbook2", silent=False)], Standing.FAILED, Exit.ERROR),
        (
            "rpi1",
            [
                *connected("rpi1"),
                change("rpi1", "a"),
                {"event": "failed", "host": "rpi1", "text": "no"},
            ],
            Standing.FAILED,
            Exit.ERROR,
        ),
        ("rpi1", [], Standing.FAILED, Exit.ERROR),
    ],
)
def test_how_a_host_stands(
    host: str, events: list[dict[str, Any]], standing: Standing, code: Exit
) -> None:
    found = one(*events, host=host)
    assert found.standing is standing
    assert Planned("home", "t", (found,)).exit is code


def test_another_phase_and_another_host_are_not_counted() -> None:
    assert one(*connected("rpi1"), change("rpi1", "a", phase="apply"), change("rpi2", "b")) == one(
        *connected("rpi1")
    )


def test_the_worst_exit_is_the_exit() -> None:
    assert worst([]) is Exit.DONE
    assert worst([Exit.OFF, Exit.CHANGES]) is Exit.CHANGES
    assert worst([Exit.OFF, Exit.CHANGES, Exit.ERROR]) is Exit.ERROR
    assert worst([Exit.ERROR, Exit.LOCKED]) is Exit.LOCKED
    assert worst([Exit.LOCKED, Exit.INTERRUPTED]) is Exit.INTERRUPTED


def plan(*hosts: HostPlan, truth: str = "t") -> Planned:
    return Planned("home", truth, hosts, {"who": "anna"})


STEP = Step("base", "files", ("file /etc/a: content",), (), ("-old\n+new",))


def test_a_saved_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.plan"
    was = plan(HostPlan("rpi1", (STEP,), ("llvm: no",), ("look",), "err"), HostPlan("rpi2"))
    save(was, path)
    assert load(path) == was
    assert path.stat().st_mode & 0o777 == 0o600
    assert staleness(load(path), was) == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version": 99}', '{"version": 1}', '{"version": 1, "hosts": [{}]}']
)
def test_what_is_no_plan_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.plan"
    path.write_text(text)
    with pytest.raises(FleetError, match="fleet plan --save"):
        load(path)
    with pytest.raises(FleetError, match="cannot be read"):
        load(tmp_path / "no.plan")


def test_what_has_moved_since_is_named() -> None:
    was = plan(HostPlan("rpi1", (STEP,)), HostPlan("rpi2"))
    assert "what is rendered has changed" in staleness(was, replace(was, truth="u"))[0]
    more = replace(STEP, changes=(*STEP.changes, "file /etc/b: create"))
    now = plan(HostPlan("rpi1", (more,)), HostPlan("rpi2", (STEP,)))
    assert staleness(was, now) == (
        "rpi1: new: base: file /etc/b: create",
        "rpi2: new: base: file /etc/a: content",
    )
    assert staleness(now, was) == (
        "rpi1: no longer: base: file /etc/b: create",
        "rpi2: no longer: base: file /etc/a: content",
    )
    other = plan(HostPlan("rpi1", (replace(STEP, diffs=("-other\n+new",)),)), HostPlan("rpi2"))
    assert staleness(was, other) == ("rpi1: the content that would be replaced has changed",)


def test_a_host_that_could_not_be_seen_makes_no_plan_stale() -> None:
    was = plan(HostPlan("rpi1", (STEP,)), HostPlan("rpi2", error="it is off", unreached=True))
    now = plan(HostPlan("rpi1", error="it is off", unreached=True), HostPlan("rpi2", (STEP,)))
    assert staleness(was, now) == ()


def test_many_changes_are_cut_short() -> None:
    many = replace(STEP, changes=tuple(f"file /etc/{n}: create" for n in range(30)))
    lines = staleness(plan(HostPlan("rpi1")), plan(HostPlan("rpi1", (many,))))
    assert len(lines) == 11
    assert lines[-1] == "rpi1: … and 20 more"


def test_the_truth_is_what_is_rendered() -> None:
    found = target()
    assert truth_of(found, HOSTS) == truth_of(target(), HOSTS)
    assert truth_of(found, HOSTS[:1]) != truth_of(found, HOSTS)


@pytest.mark.parametrize(
    ("limits", "hosts"),
    [
        ([], HOSTS),
        (["all"], HOSTS),
        (["pi"], ["rpi1", "rpi2", "rpi3"]),
        (["rpi3", "rpi1"], ["rpi1", "rpi3"]),
        (["orchestrator", "imac"], ["arch-orchestrator", "imac"]),
        (["macos"], ["macbook1", "imac", "macbook2"]),
    ],
)
def test_limits_are_hosts_roles_and_groups(limits: list[str], hosts: list[str]) -> None:
    assert list(limited(target().fleet, limits)) == hosts


@pytest.mark.parametrize("limit", ["rpi9", "", "*", "pis"])
def test_a_limit_that_means_nobody_is_refused(limit: str) -> None:
    with pytest.raises(WrongUsageError, match="no host, role or group"):
        limited(target().fleet, ["imac", limit])


def test_a_typo_gets_a_guess() -> None:
    with pytest.raises(WrongUsageError, match='did you mean "rpi1"'):
        limited(target().fleet, ["rip1"])


def test_the_orchestrator_then_a_canary_of_each_role_then_the_rest() -> None:
    assert waves(target().fleet, HOSTS) == (
        Wave("orchestrator", ("arch-orchestrator",)),
        Wave("canaries", ("macbook1", "macbook2", "rpi1", "windows-desktop")),
        Wave("rest", ("imac", "rpi2", "rpi3", "windows-laptop")),
    )
    assert waves(target().fleet, ["rpi3", "rpi2"]) == (
        Wave("canaries", ("rpi2",)),
        Wave("rest", ("rpi3",)),
    )
    assert waves(target().fleet, []) == ()
