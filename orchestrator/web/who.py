"""Who asks: what the tailnet says of whoever connects, a token, or the mode of a socket."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from orchestrator.registry.tailnet import TailnetError, ask

FRESH_S = 30.0  # how long an answer of the tailnet counts
UNKNOWN_S = 2.0  # the same for whoever belongs to nobody: they may be let in any moment
PATIENCE_S = 5.0  # for an answer of the tailnet
AT_ONCE = 4  # questions to the tailnet: each is a process
KEPT = 256  # answers of the tailnet
NOBODY = "peer not found"  # what it says of an address that is no device's
WHO = "x-agentfleet-who"
LONGEST = 64  # characters of a name that a client tells
LONGEST_REASON = 200  # characters of what is the matter with the tailnet


class DeniedError(Exception):
    """Nobody who may, or nothing that anybody may ask; the text says why, and whom to ask."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Door(Enum):
    """Which way somebody came: that, and not what they say, decides what is believed of them."""

    TAILNET = "tailnet"
    LOOPBACK = "token"
    SOCKET = "socket"


@dataclass(frozen=True)
class Person:
    """Whoever asks. `where` is their address, or how they came."""

    name: str
    where: str


class Whois:
    """The logins behind addresses, as tailscaled tells them: asked a few at a time, each once."""

    def __init__(self, programs: Sequence[str]) -> None:
        self._programs = programs
        self._known: dict[str, tuple[float, str]] = {}  # until when, and the login
        self._asking: dict[str, asyncio.Task[str]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def login(self, address: str, port: int) -> str:
        """The login in the tailnet; empty for a device that is nobody's. Raises TailnetError."""
        until, login = self._known.get(address, (0.0, ""))
        if time.monotonic() < until:
            return login
        asking = self._asking.get(address)
        if asking is None:
            asking = asyncio.create_task(self._ask(address, port))
            self._asking[address] = asking
            asking.add_done_callback(lambda _: self._asking.pop(address))
        return await asyncio.shield(asking)  # others may wait for the same

    async def _ask(self, address: str, port: int) -> str:
        peer = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        async with self._turn:
            try:
                told = await ask(self._programs, "whois", "--json", peer, limit_s=PATIENCE_S)
            except TailnetError as error:
                if NOBODY not in str(error):
                    raise
                told = None
        login = _login_in(told)
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[address] = (time.monotonic() + (FRESH_S if login else UNKNOWN_S), login)
        return login


def _login_in(told: Any) -> str:  # noqa: ANN401 - JSON
    try:
        if told["Node"].get("Tags"):
            return ""  # a device that belongs to nobody
        login = told["UserProfile"]["LoginName"]
    except (LookupError, TypeError, AttributeError):
        return ""
    return login if isinstance(login, str) else ""


@dataclass(frozen=True)
class Doorkeeper:
    """Knows whoever comes through a door, or denies them. Of headers it reads the token's alone,
    and on the unix socket, whose mode is the proof, the name that the client tells.
    """

    operators: Mapping[str, str]  # login → person
    token: str
    whois: Whois

    async def person(self, door: Door, scope: Scope) -> Person:
        """Who it is. Raises DeniedError."""
        headers = Headers(scope=scope)
        if door is Door.SOCKET:
            return Person(_plain(headers.get(WHO, "")) or "somebody", door.value)
        if door is Door.LOOPBACK:
            return self._by_token(headers)
        address, port = scope["client"] or ("", 0)
        return await self._by_address(address, port)

    def _by_token(self, headers: Headers) -> Person:
        scheme, _, said = headers.get("authorization", "").partition(" ")
        sound = hmac.compare_digest(said.strip().encode(), self.token.encode())
        if not self.token or scheme.lower() != "bearer" or not sound:
            raise DeniedError(401, "Over loopback the service's token is needed.")
        return Person("token", Door.LOOPBACK.value)

    async def _by_address(self, address: str, port: int) -> Person:
        try:
            here = ipaddress.ip_address(address).is_loopback
        except ValueError:
            here = True
        try:
            login = "" if here else await self.whois.login(address, port)
        except TailnetError as error:
            why = _plain(str(error), LONGEST_REASON)
            raise DeniedError(503, f"The tailnet does not say who you are: {why}.") from None
        person = self.operators.get(login) if login else None
        if person is None:
            whom = ", ".join(sorted(set(self.operators.values()))) or "whoever keeps fleet.yaml"
            called = f"{_plain(login)} is" if login else "This device is"
            raise DeniedError(403, f"{called} not among the fleet's operators: ask {whom}.")
        return Person(person, address)


def _plain(said: str, longest: int = LONGEST) -> str:
    """What may stand in one line of a log."""
    return "".join(one for one in said if one.isprintable())[:longest]
