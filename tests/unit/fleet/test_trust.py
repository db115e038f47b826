"""`fleet trust`: what is pinned, what is refused, and that nothing is pinned unseen."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet import cli
from fleet.commands import trust
from fleet.doctor.check import fault, fine
from fleet.doctor.hosts import Login
from fleet.hostkeys import fingerprint
from fleet.lock import ArtifactsLock, LockedHost, LockedTailnet, read_fleet_lock, write_fleet_lock
from fleet.model import Fleet, Host
from fleet.target import Target
from lab.overlay import Overlay

Capture = pytest.CaptureFixture[str]


def key(letter: str, kind: str = "ssh-ed25519") -> str:
    fields = (kind.encode(), letter.encode() * 32)
    blob = b"".join(len(one).to_bytes(4, "big") + one for one in fields)
    return f"{kind} {base64.b64encode(blob).decode()}"


OLD, NEW, RSA = key("o"), key("n"), key("r", "ssh-rsa")
Network = dict[str, tuple[str, ...]]


@pytest.fixture(autouse=True)
def network(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """Address → the keys that are shown there."""
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    keys: Network = {"10.0.0.2": (NEW, RSA), "10.0.0.3": (NEW, RSA)}
    monkeypatch.setattr(trust, "shown", lambda address, port: keys.get(address, ()))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(trust, "login", lambda host, target: Login(fine(host.name, "lets us in")))
    return keys


@pytest.fixture
def lock(fleet_file: Path) -> Path:
    return fleet_file.with_name("fleet.lock.yaml")


@pytest.fixture
def pinned(lock: Path) -> Callable[[str], None]:
    def pin(one: str) -> None:
        berry = LockedHost(tailnet=LockedTailnet(ipv4="100.64.0.9"), host_keys=(one,))
        write_fleet_lock(lock, read_fleet_lock(lock).with_host("berry", berry))

    return pin


Pin = Callable[[str], None]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_key_with_the_right_fingerprint(lock: Path, capsys: Capture) -> None:
    assert cli.main(["trust", "berry", "--fingerprint", fingerprint(NEW)]) == 0
    assert read_fleet_lock(lock).host_keys("berry") == (NEW,)
    said = capsys.readouterr().out
    assert said == f"berry: pinned: ssh-ed25519 {fingerprint(NEW)}\nberry: lets us in\n"


def test_a_host_that_lets_nobody_in(
    lock: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key is pinned all the same; the login is tried by that key."""
    known: list[tuple[str, ...]] = []

    def refused(host: Host, target: Target) -> Login:
        known.append(target.lock.host_keys(host.name))
        return Login(fault(host.name, "does not log admin in", "ssh-copy-id berry"))

    monkeypatch.setattr(trust, "login", refused)
    assert cli.main(["trust", "berry", "--yes"]) == 1
    assert known == [(NEW,)]
    assert read_fleet_lock(lock).host_keys("berry") == (NEW,)
    said = capsys.readouterr().err
    assert "does not log admin in" in said
    assert "run there what `fleet bootstrap berry` prints; or ssh-copy-id berry" in said


def test_a_key_that_is_not_pinned_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "login", lambda *_: pytest.fail("it was"))
    assert cli.main(["trust", "berry", "--fingerprint", fingerprint(OLD)]) == 1


def test_the_fingerprint_of_another_of_its_keys(lock: Path) -> None:
    stated = fingerprint(RSA).removeprefix("SHA256:")
    assert cli.main(["trust", "berry", "--fingerprint", stated]) == 0
    assert read_fleet_lock(lock).host_keys("berry") == (RSA,)


@pytest.mark.parametrize("more", [[], ["--yes"], ["--replace", "--yes"]])
def test_a_wrong_fingerprint_writes_nothing(more: list[str], lock: Path, capsys: Capture) -> None:
    assert cli.main(["trust", "berry", "--fingerprint", fingerprint(OLD), *more]) == 1
    assert not lock.exists()
    said = capsys.readouterr().err
    assert fingerprint(OLD) in said
    assert fingerprint(NEW) in said


def test_a_wrong_fingerprint_counts_also_for_a_pinned_key(pinned: Pin) -> None:
    pinned(NEW)
    assert cli.main(["trust", "berry", "--fingerprint", fingerprint(OLD)]) == 1


def test_nobody_is_there_to_compare(lock: Path, capsys: Capture) -> None:
    assert cli.main(["trust", "berry"]) == 64
    assert not lock.exists()
    said = capsys.readouterr().err
    assert "--yes" in said
    assert fingerprint(NEW) in said


def test_several_at_once_without_asking(lock: Path) -> None:
    assert cli.main(["trust", "berry", "mac", "berry", "--yes"]) == 0
    assert set(read_fleet_lock(lock).hosts) == {"berry", "mac"}


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 130)])
def test_somebody_is_asked(
    answer: str, code: int, lock: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert cli.main(["trust", "berry"]) == code
    assert lock.exists() is (code == 0)
    assert f"berry shows ssh-ed25519 {fingerprint(NEW)}" in capsys.readouterr().err


def test_a_key_that_changed_is_refused(pinned: Pin, lock: Path, capsys: Capture) -> None:
    pinned(OLD)
    assert cli.main(["trust", "berry", "--yes"]) == 1
    assert read_fleet_lock(lock).host_keys("berry") == (OLD,)
    said = capsys.readouterr().err
    assert fingerprint(OLD) in said
    assert fingerprint(NEW) in said
    assert "--replace" in said


def test_a_key_that_changed_is_replaced_when_told(pinned: Pin, lock: Path) -> None:
    pinned(OLD)
    assert cli.main(["trust", "berry", "--replace"]) == 64, (
        "somebody has to look at it all the same"
    )
    assert cli.main(["trust", "berry", "--replace", "--yes"]) == 0
    learned = read_fleet_lock(lock)
    assert learned.host_keys("berry") == (NEW,)
    assert learned.tailnet_ipv4("berry") == "100.64.0.9", "what else was learned stays"


@pytest.mark.parametrize("one", [NEW, RSA])
def test_a_key_that_is_pinned_already(one: str, pinned: Pin, lock: Path, capsys: Capture) -> None:
    """Nobody has to be asked, also when the host shows more keys."""
    pinned(one)
    before = lock.read_bytes()
    assert cli.main(["trust", "berry"]) == 0
    assert lock.read_bytes() == before
    assert "berry: pinned already" in capsys.readouterr().out


def test_hosts_that_do_not_answer(fleet_file: Path, lock: Path, capsys: Capture) -> None:
    assert cli.main(["trust", "boss", "berry", "--yes"]) == 1
    assert "boss: off: no SSH server answers at 10.0.0.1 port 22" in capsys.readouterr().err
    assert set(read_fleet_lock(lock).hosts) == {"berry"}, "the others are pinned"
    text = fleet_file.read_text()
    fleet_file.write_text(text.replace("win: {role", "win: {power: sleeps, role"))
    assert cli.main(["trust", "win", "berry", "--yes"]) == 3, "it may be off"


def test_for_programs(capsys: Capture) -> None:
    assert cli.main(["trust", "berry", "--yes", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["hosts"]
    assert one == {
        "host": "berry",
        "outcome": "pinned",
        "key": NEW,
        "reason": "",
        "fingerprint": fingerprint(NEW),
        "logs_in": "lets us in",
        "todo": "",
    }


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["berry", "mac", "--fingerprint", fingerprint(NEW)], "several hosts"),
        (["berry", "--fingerprint", "SHA256:abc"], "is no fingerprint"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage(arguments: list[str], word: str, lock: Path, capsys: Capture) -> None:
    assert cli.main(["trust", *arguments]) == 64
    assert word in capsys.readouterr().err
    assert not lock.exists()


def test_an_unknown_host(capsys: Capture) -> None:
    assert cli.main(["trust", "bery", "--yes"]) == 1
    assert 'did you mean "berry"' in capsys.readouterr().err


def test_a_lab_pins_its_own(lock: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def overlay(fleet: Fleet) -> Overlay:
        return Overlay(fleet, Path("/known_hosts"), Path("/fleet.lock.yaml"), ArtifactsLock())

    monkeypatch.setattr("fleet.target._overlay", overlay)
    assert cli.main(["--lab", "trust", "berry", "--yes"]) == 0
    assert "the lab pins" in capsys.readouterr().err
    assert not lock.exists()
