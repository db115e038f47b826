"""Money, the compile cluster, strangers, control: what others tell, read with care."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.client import GatewayError
from orchestrator.quarantine.console import Member
from orchestrator.registry import strangers
from orchestrator.registry.agentapi import new_client
from orchestrator.registry.compiling import describe
from orchestrator.registry.control import Control, Run
from orchestrator.registry.money import Purses, read
from orchestrator.registry.strangers import Strangers, unknown_peers
from orchestrator.registry.tailnet import TailnetError, ask
from orchestrator.sessions import AgentError
from tests.unit.orchestrator.simulated import SimulatedAgent, served

TOLD = {
    "fleet": {"spent": 1.5, "cap": 100.0},
    "hosts": [
        {
            "host": "pi", "session": "s-1", "spent": 0.25, "cap": 5.0, "left": 1.0, "reserved": 0,
            "day": {"spent": 1.0, "cap": None}, "fleet": {"spent": 1.5, "cap": 100.0},
            "warn": True, "reason": "",
        }
    ],
    "days": [{"day": "2026-01-01", "spent": 1.5, "hosts": [{"host": "pi", "spent": 1.5}]}],
}  # fmt: skip


def test_money_is_read_in_micro_dollars() -> None:
    found = read(TOLD)
    pi = found.hosts["pi"]
    assert (pi.session, pi.of_session.spent, pi.of_session.cap) == ("s-1", 250_000, 5_000_000)
    assert (pi.of_day.spent, pi.of_day.cap, pi.of_day.left, pi.near) == (
        1_000_000,
        None,
        None,
        True,
    )
    assert (found.fleet.percent, found.days[0].hosts) == (1, {"pi": 1_500_000})


class FakeGateway:
    def __init__(self) -> None:
        self.said: Any = TOLD
        self.ended: list[str] = []
        self.begun: list[str] = []

    def budget(self, days: int) -> Any:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def issue(self, host: str, cap: float | None = None, purpose: str = "agent") -> tuple[str, str]:
        return f"s-{host}-{cap:g}", "token"

    def begin(self, session: str) -> None:
        self.begun.append(session)

    def end(self, session: str) -> None:
        self.ended.append(session)


def test_a_gateway_that_is_down_leaves_what_was_known() -> None:
    gateway, told = FakeGateway(), list[int]()
    purses = Purses(gateway, lambda: told.append(1))  # type: ignore[arg-type]  # played
    asyncio.run(purses.ask())
    asyncio.run(purses.ask())
    assert len(told) == 1
    odd: tuple[Any, ...] = (GatewayError("it is down"), {"hosts": [{}]}, {"fleet": None})
    for said in odd:
        gateway.said = said
        asyncio.run(purses.ask())
        assert purses.budgets.fault
        assert purses.of("pi").session == "s-1"
    assert purses.of("nobody").session == ""


CONFIG: Any = SimpleNamespace(
    places={"100.64.0.1": "boss", "100.64.0.2": "pi"},
    workers=frozenset({"boss", "pi"}),
    tailscale=(),
)


def test_a_node_is_a_host_only_at_its_own_address() -> None:
    members = [
        Member("pi", "100.64.0.9", 10245, "aarch64", 1, 4, 100),
        Member("boss", "100.64.0.1", 10245, "x86_64", 0, 8, 0),
        Member("<b>", "100.64.0.7", 0, "?", 0, 0, 0),
    ]
    found = describe(CONFIG, members, ["1 COMP x" * 200], {"pi": "why"})
    assert [(one.name, one.known) for one in found.nodes] == [
        ("<b>", False),
        ("boss", True),
        ("pi", False),
    ]
    assert found.missing == ("pi",)
    assert len(found.jobs[0]) == 300


def program(tmp_path: Path, body: str) -> tuple[str, ...]:
    path = tmp_path / "tailscale"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return ("/nowhere/tailscale", str(path))


@pytest.mark.parametrize(
    ("body", "words"),
    [("echo broken >&2; exit 1", "broken"), ("exit 3", "3"), ("echo '{'", "JSON")],
)
def test_a_tailnet_that_says_nothing_is_an_error(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(TailnetError, match=words):
        asyncio.run(ask(program(tmp_path, body), "status", "--json"))
    with pytest.raises(TailnetError, match="no tailscale"):
        asyncio.run(ask(("/nowhere",), "status"))


STATUS = {
    "Peer": {
        "a": {"TailscaleIPs": ["100.64.0.2", "fd7a::2"], "HostName": "pi", "Online": True},
        "b": {"TailscaleIPs": ["127.0.0.1"], "HostName": "<script>" * 50, "Online": True},
        "c": {"TailscaleIPs": ["127.0.0.3"], "HostName": "quiet", "Online": True},
        "d": {"TailscaleIPs": ["127.0.0.4"], "HostName": "off", "Online": False},
        "e": {"TailscaleIPs": None, "Online": True},
        "f": "no object",
    }
}


def test_peers_that_are_no_hosts_are_known_by_address() -> None:
    assert unknown_peers(STATUS, CONFIG.places) == [
        ("127.0.0.1", "<script>" * 50),
        ("127.0.0.3", "quiet"),
    ]
    odd: tuple[Any, ...] = ({"Peer": None}, {"Peer": ["x"]}, [], None)
    for one in odd:
        assert unknown_peers(one, {}) == []


def test_who_answers_like_an_agentapi_is_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that answers to other names only."""
    told = list[int]()
    config = SimpleNamespace(
        places=CONFIG.places, tailscale=program(tmp_path, f"echo '{json.dumps(STATUS)}'")
    )

    async def look() -> None:
        agent = SimulatedAgent()
        async with served(agent), new_client() as client:
            monkeypatch.setattr(strangers, "PORT", int(agent.url.rpartition(":")[2]))
            found = Strangers(config, client, lambda: told.append(1))  # type: ignore[arg-type]
            await found.look()
            await found.look()
            assert [(one.address, len(one.name)) for one in found.found] == [("127.0.0.1", 100)]

    asyncio.run(look())
    assert len(told) == 1


class FakeAgents:
    def __init__(self, answer: str = "") -> None:
        self.answer, self.asked = answer, list[tuple[Any, ...]]()

    def control(self, host: str, verb: str, says: str = "", timeout_s: float = 0) -> str:
        self.asked.append((host, verb, says))
        if self.answer == "broken":
            raise AgentError("it is gone")
        return self.answer

    def exchange(self, host: str, command: str, says: bytes, timeout_s: float) -> bytes:
        self.asked.append((host, command, says))
        return self.answer.encode()


def control(answer: str) -> tuple[Control, FakeAgents, FakeGateway]:
    agents, gateway = FakeAgents(answer), FakeGateway()
    return Control(agents, gateway), agents, gateway  # type: ignore[arg-type]  # played


def test_what_goes_on_at_a_host() -> None:
    it, _, _ = control('{"service": "running", "session": "s-1", "run": "abc"}')
    assert asyncio.run(it.status("pi")) == Run("s-1", "abc")
    for odd in ("", "[]", '{"session": "s-1"}'):
        with pytest.raises(AgentError, match="does not say"):
            asyncio.run(control(odd)[0].status("pi"))


def test_a_session_that_cannot_begin_is_worth_nothing() -> None:
    it, agents, gateway = control("")
    assert asyncio.run(it.new_session("pi", 2_500_000)) == "s-pi-2.5"
    assert agents.asked == [("pi", "new-session", "s-pi-2.5\ntoken\n")]
    assert (gateway.begun, gateway.ended) == (["s-pi-2.5"], [])
    it, _, gateway = control("broken")
    with pytest.raises(AgentError):
        asyncio.run(it.new_session("pi", 1_000_000))
    assert (gateway.begun, gateway.ended) == ([], ["s-pi-1"])


def test_code_goes_there_and_comes_back() -> None:
    it, agents, _ = control("/var/lib/x/task-1\n")
    assert asyncio.run(it.bring_code("pi", "task-1", "a" * 40, b"bundle")) == "/var/lib/x/task-1"
    asyncio.run(it.patch("pi", "task-1", "a" * 40))
    assert [one[1] for one in agents.asked] == [
        f"take-code task-1 {'a' * 40}",
        f"patch task-1 {'a' * 40}",
    ]
    for odd in ("", "not a path", "/a\n/b"):
        with pytest.raises(AgentError, match="where the code is"):
            asyncio.run(control(odd)[0].bring_code("pi", "task-1", "a" * 40, b""))
