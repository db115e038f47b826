"""Rounds on this machine: hosts are scripts behind a made-up ssh, alerts go to a server."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.health import looks, monitor
from orchestrator.health.by_hand import table
from orchestrator.health.delivery import HEARTBEAT, NTFY, WEBHOOK
from orchestrator.health.model import Expected, ExpectedHost, Item, Outside, Verdict, read_expected
from orchestrator.health.monitor import OUTSIDE_S, outside
from orchestrator.health.state import State, load, save
from tests.unit.conftest import on_linux
from tests.unit.orchestrator.health.sink import Sink, sink

pytestmark = on_linux
EXPECTED = Expected(
    "boss",
    "boss",
    (
        ExpectedHost("boss", "always-on", services={"web": "web.service"}, tailnet=False),
        ExpectedHost("pi", "always-on", services={"icc": "icc.service"}, tailnet=False),
        ExpectedHost("lap", "roams", tailnet=False),
    ),
)
# Knows the hosts by the files in its directory, and is told no command that counts.
SSH = """#!/bin/sh
printf '%s\\n' "$*" >>{path}/asked
for word; do
    case $word in *@100.64.0.2) host=pi ;; *@100.64.0.3) host=lap ;; esac
done
[ -f {path}/$host ] || { echo "ssh: connect to host: Connection timed out" >&2; exit 255; }
exec sh {path}/$host
"""
SAYS = """printf 'clock\\t%s\\n' "$(date +%s)"
printf 'disk\\t/\\t40%%\\n'
printf 'service\\t{service}\\t{state}\\tenabled\\n'
printf 'end\\t\\n'
"""
RUNS, DOWN = "running", "stopped"


class Fleet:
    """A boss with a configuration, two hosts, and who takes alerts."""

    def __init__(self, path: Path, taker: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.taker = path, taker
        for name in ("bin", "secrets", "home", "log"):
            (path / name).mkdir()
        self._program(path / "bin" / "ssh", SSH.replace("{path}", str(path)))
        monkeypatch.setenv("PATH", f"{path}/bin:/usr/bin:/bin")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path / "secrets"))
        self.alerts(NTFY, WEBHOOK, HEARTBEAT)
        self.says("boss", "web", RUNS)
        (path / "boss").chmod(0o755)
        self.says("pi", "icc", RUNS)
        self.says("lap", "none", RUNS)
        self.config = path / "monitor.json"
        said = {
            "fleet": "home",
            "ssh": {"key": "/k/id", "known_hosts": "/k/known", "user": "health"},
            "hosts": {
                "pi": {"address": "100.64.0.2", "port": 22},
                "lap": {"address": "100.64.0.3", "port": 2222},
            },
            "script": str(path / "boss"),
            "outside": str(path / "outside.json"),
            "state": str(path / "home" / "state.json"),
            "log": str(path / "log" / "health.log"),
            "expected": asdict(EXPECTED),
        }
        self.config.write_text(json.dumps(said))

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def alerts(self, *names: str) -> None:
        """What fleet.yaml says of alerts."""
        for old in (self.path / "secrets").iterdir():
            old.unlink()
        for name in names:
            (self.path / "secrets" / name).write_text(f"{self.taker.at(name)}\n")

    def says(self, host: str, service: str, state: str) -> None:
        """What a host says of itself."""
        text = SAYS.replace("{service}", service).replace("{state}", state)
        self._program(self.path / host, f"#!/bin/sh\n{text}")

    def sleeps(self, host: str) -> None:
        """It does not answer."""
        (self.path / host).unlink()

    def sees(self, seen: Outside = Outside(), *, age_s: float = 1) -> None:  # noqa: B008 - fixed
        """What the page's account has seen of the fleet."""
        said = {"outside": asdict(seen), "at": time.time() - age_s}
        (self.path / "outside.json").write_text(json.dumps(said))

    def round(self, verb: str = "monitor") -> State:
        """One, as its unit does it."""
        self.sees()
        assert main([verb, "--config", str(self.config)]) == 0
        return load(self.path / "home" / "state.json")

    @property
    def told(self) -> list[dict[str, Any]]:
        """What arrived at the webhook."""
        return [json.loads(one.body) for one in self.taker.of(WEBHOOK)]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with sink() as taker:
        yield Fleet(tmp_path, taker, monkeypatch)
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers[:], _ = before
    root.setLevel(before[1])


def verdicts(state: State) -> Mapping[str, Verdict]:
    return {one.name: one.verdict for one in state.items}


def test_a_round_asks_everybody_with_a_key_that_can_do_nothing_else(fleet: Fleet) -> None:
    state = fleet.round()
    assert {one.verdict for one in state.items} == {Verdict.OK}
    assert {"reached@boss", "service web@boss", "service icc@pi", "reached@lap"} <= {
        one.name for one in state.items
    }
    asked = (fleet.path / "asked").read_text().splitlines()
    assert len(asked) == 2
    for line in asked:
        for word in ("-i /k/id", "StrictHostKeyChecking=yes", "UserKnownHostsFile=/k/known"):
            assert word in line
    assert any("-p 2222 health@100.64.0.3 inside" in line for line in asked)
    assert fleet.told == []
    assert [one.method for one in fleet.taker.of(HEARTBEAT)] == ["GET"]


def test_a_service_that_stays_down_is_told_once_and_so_is_its_return(fleet: Fleet) -> None:
    fleet.round()
    fleet.says("pi", "icc", DOWN)
    fleet.round()
    assert fleet.told == []
    for _ in range(3):
        fleet.round()
    (told,) = fleet.told
    assert told["title"] == "home: 1 worse"
    assert told["lines"] == ["FAILED: service icc@pi: it does not run -> fleet logs pi icc"]
    fleet.says("pi", "icc", RUNS)
    fleet.round()
    assert len(fleet.told) == 1
    for _ in range(3):
        fleet.round()
    assert fleet.told[1:] == [{**fleet.told[1], "title": "home: 1 better", "level": "ok"}]
    assert fleet.told[1]["lines"] == ["ok again: service icc@pi: it runs"]
    assert len(fleet.taker.of(NTFY)) == 2


def test_a_laptop_that_sleeps_is_no_alert_and_a_pi_that_is_silent_is_one(fleet: Fleet) -> None:
    fleet.sleeps("lap")
    for _ in range(3):
        assert verdicts(fleet.round())["reached@lap"] is Verdict.PENDING
    assert fleet.told == []
    fleet.sleeps("pi")
    fleet.round()
    fleet.round()
    (told,) = fleet.told
    assert "FAILED: reached@pi: ssh: connect to host: Connection timed out" in told["lines"][0]
    assert len(told["lines"]) == 1, "one cause is one line"


def test_what_did_not_arrive_is_sent_in_the_next_round_and_not_twice(fleet: Fleet) -> None:
    fleet.says("pi", "icc", DOWN)
    fleet.round()
    fleet.taker.status = 503
    state = fleet.round()
    assert len(state.outbox) == 1
    assert state.faults == {NTFY: "it answers 503", WEBHOOK: "it answers 503"}
    first = fleet.told[0]["id"]
    fleet.taker.status = 200
    state = fleet.round()
    assert state.outbox == ()
    assert set(state.faults.values()) == {""}
    fleet.round()
    assert [one["id"] for one in fleet.told] == [first, first]


def test_a_channel_that_left_fleet_yaml_is_not_waited_for(fleet: Fleet) -> None:
    fleet.says("pi", "icc", DOWN)
    fleet.round()
    fleet.taker.status = 503
    fleet.round()
    fleet.alerts(NTFY)
    state = fleet.round()
    assert [one.left for one in state.outbox] == [(NTFY,)]
    fleet.alerts()
    state = fleet.round()
    assert (state.outbox, state.faults) == ((), {})


def test_without_channels_nothing_is_kept_for_them(fleet: Fleet) -> None:
    fleet.alerts()
    fleet.says("pi", "icc", DOWN)
    fleet.round()
    assert fleet.round().outbox == ()
    assert fleet.taker.heard == []


def test_a_state_that_is_broken_is_begun_anew(fleet: Fleet) -> None:
    fleet.round()
    path = fleet.path / "home" / "state.json"
    path.write_text("{")
    assert fleet.round().ended
    assert path.with_name("state.json.odd").read_text() == "{"


def test_a_round_that_crashed_is_told_once_until_one_comes_to_its_end(fleet: Fleet) -> None:
    fleet.round("monitor-failed")
    fleet.round("monitor-failed")
    (told,) = fleet.told
    assert told["title"] == "home: the monitoring fails"
    assert "fleet logs boss agentfleet-health" in told["lines"][0]
    assert fleet.taker.of(HEARTBEAT) == []
    fleet.round()
    assert [one["title"] for one in fleet.told[1:]] == ["home: the monitoring works again"]
    fleet.round()
    assert len(fleet.told) == 2


def test_a_round_that_cannot_be_kept_fails_before_anything_is_sent(fleet: Fleet) -> None:
    fleet.says("pi", "icc", DOWN)
    fleet.round()
    (fleet.path / "home" / "state.json.new").mkdir()
    with pytest.raises(OSError, match=r"state\.json"):
        fleet.round()
    assert fleet.told == []


def test_the_log_has_what_is_not_well_and_no_address(fleet: Fleet) -> None:
    fleet.taker.status = 500
    fleet.says("pi", "icc", DOWN)
    fleet.round()
    fleet.round()
    text = (fleet.path / "log" / "health.log").read_text()
    assert "failed service icc@pi: it does not run" in text
    assert "alert_ntfy: it answers 500" in text
    for name in (NTFY, WEBHOOK, HEARTBEAT):
        assert fleet.taker.at(name) not in text


def test_an_old_look_from_outside_is_none(tmp_path: Path) -> None:
    path = tmp_path / "outside.json"
    assert "agentfleet-outside" in outside(path, 1000).fault
    for text in ("", "[]", "{}", '{"at": 999, "outside": {}}', '{"at": "x", "outside": {}}'):
        path.write_text(text)
        assert "agentfleet-outside" in outside(path, 1000).fault
    sound = Outside(page_fault="x")
    path.write_text(json.dumps({"at": 1000 - OUTSIDE_S / 2, "outside": asdict(sound)}))
    assert outside(path, 1000) == sound
    assert outside(path, 1001 + OUTSIDE_S).fault


@pytest.mark.parametrize(
    ("script", "fault", "silent"),
    [
        ("echo 'Permission denied (publickey).' >&2; exit 255", "Permission denied", False),
        ("echo 'No route to host' >&2; exit 255", "No route to host", True),
        ("exit 255", "ssh does not say why", False),
        ("echo 'sudo: a password is required' >&2; exit 1", "sudo: a password", False),
        ("exit 3", "exit code 3", False),
        ("printf 'clock\\t1\\n'", "it did not say all of it", False),
        ("yes", "it says more than", False),
        ("sleep 9", "no answer within", True),
    ],
)
def test_a_host_that_says_odd_things_has_a_fault(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, script: str, fault: str, silent: bool
) -> None:
    monkeypatch.setattr(looks, "LOOK_S", 1.5)
    (fleet.path / "pi").write_text(script)
    config = monitor.read_config(fleet.config)
    seen = looks.looks(config.others, "boss", str(fleet.path / "boss"))["pi"]
    assert fault in seen.fault
    assert seen.silent is silent


def test_a_script_that_is_gone_is_a_fault_of_its_host(fleet: Fleet) -> None:
    (fleet.path / "boss").unlink()
    assert verdicts(fleet.round())["reached@boss"] is Verdict.FAILED


def test_what_is_expected_is_read_as_it_was_written() -> None:
    builds = {"icecream": ("/stamp", "1.4-1")}
    one = replace(EXPECTED, hosts=(*EXPECTED.hosts, ExpectedHost("x", "sleeps", builds=builds)))
    assert read_expected(json.loads(json.dumps(asdict(one)))) == one


SYSTEMCTL = """#!/bin/sh
printf '%s\\n' "$*" >>{path}/systemctl
[ ! -e {path}/denied ] || { echo 'Access denied' >&2; exit 4; }
[ ! -e {path}/round ] || cp {path}/round {path}/home/state.json
"""


def by_hand(fleet: Fleet, *words: str) -> int:
    program = fleet.path / "bin" / "systemctl"
    program.write_text(SYSTEMCTL.replace("{path}", str(fleet.path)))
    program.chmod(0o755)
    return main(["health-check", "--config", str(fleet.config), *words])


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ((Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN), 0),
        ((Verdict.OK, Verdict.PENDING), 3),
        ((Verdict.PENDING, Verdict.FAILED), 1),
    ],
)
def test_a_round_by_hand_is_the_units(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], found: tuple[Verdict, ...], code: int
) -> None:
    items = tuple(Item(f"k{n}", "pi", one, "e\x1b", "do") for n, one in enumerate(found))
    save(fleet.path / "round", State(1, 2, items))
    assert by_hand(fleet) == code
    assert (fleet.path / "systemctl").read_text() == "start agentfleet-health.service\n"
    out = capsys.readouterr().out
    assert f"{len(items)} items: " in out
    assert "\x1b" not in out
    (fleet.path / "home" / "state.json").unlink()
    assert by_hand(fleet, "--json") == code
    said = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in said] == [one.value for one in found]
    assert said[0]["item"] == "k0@pi"


def test_a_round_by_hand_that_fails_says_what_to_do(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_hand(fleet) == 1, "the unit has left nothing"
    assert "journalctl -u agentfleet-health.service" in capsys.readouterr().err
    (fleet.path / "denied").touch()
    assert by_hand(fleet) == 1
    assert "Access denied; see journalctl" in capsys.readouterr().err


def test_a_table_has_what_is_not_well() -> None:
    assert table([Item("a", "", Verdict.OK, "x")]) == "1 items: 1 ok"
    bad = table([Item("disk", "pi", Verdict.FAILED, "full", "make room")])
    assert bad.splitlines()[1].split() == ["pi", "disk", "failed", "full", "make", "room"]
