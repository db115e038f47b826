"""What a run notes of a host: what is new, and nothing that is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.kinds import Arch
from fleet.learned import Learned
from fleet.problems import FleetError
from operations import learn
from tests.unit.clusters import CLANG, PATCHED, environment


def test_what_is_new_is_said() -> None:
    before = Learned(ipv4="100.101.0.5", host_keys=("ssh-ed25519 AAAA",))
    now = Learned(ipv4="100.101.0.6", name="rpi1.example.ts.net", host_keys=before.host_keys)
    assert learn.news(before, before) == []
    assert learn.news(before, now) == [
        "its address in the tailnet is 100.101.0.6, noted in fleet.lock.yaml",
        "its name in the tailnet is rpi1.example.ts.net, noted in fleet.lock.yaml",
    ]


def test_a_compiler_and_what_was_packed_are_said_by_name() -> None:
    made = (environment(Arch.AARCH64), environment(Arch.AARCH64, PATCHED))
    now = Learned(compiler=CLANG, environments=made)
    assert learn.news(Learned(), now) == [
        f"its clang for the fleet is {CLANG}, noted in fleet.lock.yaml",
        f"it has packed {made[0].name}, {made[1].name}, noted in fleet.lock.yaml",
    ]
    assert learn.news(now, Learned()) == [
        "its clang for the fleet is none, noted in fleet.lock.yaml",
        "it has packed none, noted in fleet.lock.yaml",
    ]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (None, ""),
        (FleetError.of("fleet.yaml", "it has another address", "mend it"), "another address"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_what_cannot_be_noted_fails_the_host_that_told_it(
    fault: Exception | None, words: str, caplog: Any
) -> None:
    noted = []

    def note(name: str, now: Learned) -> None:
        if fault:
            raise fault
        noted.append((name, now.ipv4))

    host: Any = SimpleNamespace(name="rpi1", print_prefix="[rpi1] ")
    state: Any = None
    assert learn._learn(state, host, Learned(ipv4="100.101.0.5"), note) is (fault is None)
    assert noted == ([] if fault else [("rpi1", "100.101.0.5")])
    assert words in caplog.text
