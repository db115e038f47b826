"""What a run learns of its hosts: written whole, or not at all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from facts.look import Look
from facts.tailnet import Tailnet
from fleet.environments import Environment
from fleet.kinds import Arch
from fleet.learned import (
    COMPILER,
    DISPATCH_KEY,
    ENVIRONMENTS,
    HEALTH_KEY,
    HOST_KEY,
    Learned,
    hear,
    learn,
)
from fleet.lock import read_fleet_lock
from fleet.problems import FleetError
from fleet.target import Target, load_target
from tests.unit.clusters import CLANG, PATCHED, environment

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8h9vbYdd4ee3l5vNmkGH3MD3QG6H9mrbLQJ3U4V3mP"
LOCK = f"""\
# as a person left it
version: 1
hosts:
  berry: {{host_keys: ['{KEY}']}}
  mac: {{tailnet: {{ipv4: 100.64.0.2, name: mac-1.example.ts.net}}}}
"""


def node(number: int, **differing: str) -> Learned:
    place = {"ipv4": f"100.64.0.{number}", "ipv6": f"fd7a:115c:a1e0::{number}"}
    return Learned(**place | differing)  # type: ignore[arg-type]


@pytest.fixture
def lock(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    path = fleet_file.with_name("fleet.lock.yaml")
    path.write_text(LOCK)
    return path


OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIWcO7ZLWmT6mGMJzCTT3K6w1lDe4AYQ0rCmtuAoWBdC"


def seen(number: int, *, up: bool = True, ipv6: bool = True, **values: str) -> Look:
    """A host that was looked at, in the tailnet or not."""
    node = Tailnet(
        "/t",
        state="Running" if up else "Stopped",
        dns_name="berry-1.example.ts.net",
        ipv4=f"100.64.0.{number}",
        ipv6=f"fd7a:115c:a1e0::{number}" if ipv6 else "",
    )
    return Look(tailnet=node, values={name.replace("_", " "): key for name, key in values.items()})


def test_what_a_host_tells(lock: Path) -> None:
    berry, win = (load_target().fleet.host(name) for name in ("berry", "win"))
    full = Learned("100.64.0.3", "fd7a:115c:a1e0::3", "berry.example.ts.net", (KEY,))
    assert hear(berry, seen(3)) == (Learned(host_keys=(KEY,)), full)
    assert hear(berry, seen(3, up=False))[1] == Learned(host_keys=(KEY,))
    assert hear(berry, seen(3, ipv6=False))[1].ipv6 is None
    assert hear(berry, seen(3, host_key=OTHER))[1].host_keys == (KEY,), "the pinned one stays"
    again = hear(berry, seen(3, host_key=OTHER), repin=True)[1]
    assert again.host_keys == (OTHER,), "in a lab, where a host that is made anew has another one"
    assert hear(win, seen(4, up=False, host_key=OTHER))[1] == Learned(host_keys=(OTHER,))
    assert hear(win, seen(4, up=False, dispatch_key=OTHER))[1].dispatch_key == OTHER
    assert hear(win, seen(4, up=False, health_key=OTHER))[1].health_key == OTHER


def test_the_readings_have_these_names() -> None:
    names = (HOST_KEY, DISPATCH_KEY, HEALTH_KEY, COMPILER, ENVIRONMENTS)
    assert names == ("host key", "dispatch key", "health key", "compiler", "environments")


def test_what_a_host_told_is_known_afterwards(lock: Path) -> None:
    target = load_target()
    _, now = hear(target.fleet.host("win"), seen(4, host_key=OTHER, dispatch_key=KEY))
    learn(target, "win", now)
    win = load_target().fleet.host("win")
    assert (win.host_keys, win.dispatch_key) == ((OTHER,), KEY)
    assert win.addresses.tailnet_name == "win.example.ts.net"
    assert hear(win, seen(4, host_key=OTHER, dispatch_key=KEY)) == (now, now)


def place(target: Target, name: str) -> tuple[str | None, str | None]:
    addresses = target.fleet.host(name).addresses
    return addresses.tailnet, addresses.tailnet6


def test_addresses_are_learned_and_keys_stay(lock: Path) -> None:
    before = load_target()
    assert place(before, "berry") == (None, None)
    learn(before, "berry", hear(before.fleet.host("berry"), seen(3))[1])
    after = load_target()
    assert place(after, "berry") == ("100.64.0.3", "fd7a:115c:a1e0::3")
    assert after.lock.host_keys("berry") == (KEY,)
    assert place(after, "mac") == ("100.64.0.2", None)


def test_a_new_address_replaces_the_old_one_and_the_name_with_it(lock: Path) -> None:
    learn(load_target(), "mac", Learned(ipv4="100.64.0.9"))
    assert place(load_target(), "mac") == ("100.64.0.9", None)
    assert "mac-1" not in lock.read_text()


def test_the_first_thing_that_is_learned(lock: Path) -> None:
    lock.unlink()
    learn(load_target(), "berry", node(3))
    assert place(load_target(), "berry") == ("100.64.0.3", "fd7a:115c:a1e0::3")


@pytest.mark.parametrize("there", [True, False])
def test_what_contradicts_fleet_yaml_is_not_learned(
    there: bool, lock: Path, fleet_file: Path
) -> None:
    stated = fleet_file.read_text().replace("{lan: 10.0.0.3}", "{tailnet: 100.64.0.7}")
    fleet_file.write_text(stated)
    target = load_target()
    if not there:
        lock.unlink()
    with pytest.raises(FleetError, match=r"100\.64\.0\.7 is not the address that was learned"):
        learn(target, "berry", node(3))
    assert lock.exists() is there
    assert not there or lock.read_text() == LOCK, "byte for byte"


def test_what_another_host_has_is_not_learned(lock: Path) -> None:
    with pytest.raises(FleetError, match=r"100\.64\.0\.2 is berry's already"):
        learn(load_target(), "berry", node(2))
    assert lock.read_text() == LOCK


@pytest.mark.parametrize("wrong", [{"ipv4": "192.168.0.3"}, {"ipv6": "fd00::3"}])
def test_what_is_no_tailnet_address_is_not_learned(wrong: dict[str, str], lock: Path) -> None:
    with pytest.raises(FleetError) as caught:
        learn(load_target(), "berry", node(3, **wrong))
    assert f"berry says of itself: {node(3, **wrong).ipv4} " in str(caught.value)
    assert "tailscale status" in str(caught.value)
    assert lock.read_text() == LOCK


def test_hosts_that_learn_at_the_same_time_lose_nothing(lock: Path) -> None:
    target = load_target()
    ready = threading.Barrier(4)

    def one(number: int, name: str) -> None:
        ready.wait()
        _, now = hear(target.fleet.host(name), seen(number))
        learn(target, name, now)

    numbers = dict(enumerate(("boss", "mac", "berry", "win"), start=1))
    threads = [threading.Thread(target=one, args=it) for it in numbers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_fleet_lock(lock)
    assert {n: found.tailnet_ipv4(name) for n, name in numbers.items()} == {
        n: f"100.64.0.{n}" for n in numbers
    }
    assert found.host_keys("berry") == (KEY,)


NOW, BEFORE = environment(Arch.AARCH64), environment(Arch.AARCH64, PATCHED)


def records(*made: Environment) -> str:
    """What the reading prints of what a host has packed."""
    return "".join(
        f"{it.platform} {it.compiler} {it.content} {it.sha256} {it.size} {it.unpacked};"
        for it in made
    )


def told(lock: Path, **values: Any) -> Learned:
    """What is known of berry after it told this, and what it told is noted."""
    target = load_target()
    _, now = hear(target.fleet.host("berry"), seen(3, up=False, **values))
    learn(target, "berry", now)
    return now


def test_a_compiler_and_what_was_packed_of_it_are_known_afterwards(lock: Path) -> None:
    now = told(lock, compiler=CLANG, environments=records(NOW, BEFORE))
    assert (now.compiler, now.environments) == (CLANG, (NOW, BEFORE))
    berry = load_target().fleet.host("berry")
    assert (berry.compiler, berry.environments) == (CLANG, (NOW, BEFORE)), "newest first"
    assert berry.host_keys == (KEY,), "what else was known stays"


def test_what_nobody_asked_for_is_left_as_it_was(lock: Path) -> None:
    """A run of other capabilities learns nothing of the compiler, and forgets nothing."""
    told(lock, compiler=CLANG, environments=records(NOW))
    before = lock.read_bytes()
    now = told(lock)
    assert (now.compiler, now.environments) == (CLANG, (NOW,))
    assert lock.read_bytes() == before


def test_what_is_gone_is_forgotten(lock: Path) -> None:
    """Nobody may be sent jobs for a compiler that is not there."""
    told(lock, compiler=CLANG, environments=records(NOW))
    now = told(lock, compiler="", environments="")
    assert (now.compiler, now.environments) == (None, ())
    berry = load_target().fleet.host("berry")
    assert (berry.compiler, berry.environments) == (None, ())
    assert "compiler:" not in lock.read_text()
    assert "environments:" not in lock.read_text()


def test_one_is_forgotten_without_the_other(lock: Path) -> None:
    told(lock, compiler=CLANG, environments=records(NOW))
    now = told(lock, compiler=PATCHED)
    assert (now.compiler, now.environments) == (PATCHED, (NOW,))


def test_a_compiler_that_is_none_is_not_learned(lock: Path) -> None:
    with pytest.raises(FleetError, match=r"berry says of itself: .*gcc 12\.2\.0"):
        told(lock, compiler="gcc 12.2.0")
    assert lock.read_text() == LOCK


def test_records_that_are_none_are_said_and_not_learned(lock: Path) -> None:
    with pytest.raises(ValueError, match=r'it says it has packed "aarch64 gcc-12\.2\.0'):
        told(lock, environments=records(NOW).replace("16.0.6", "gcc-12.2.0"))
    assert lock.read_text() == LOCK
