"""Who asks: what the tailnet says of whoever connects, a token, or the mode of a socket."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

FRESH_S = 30.0  # how long an answer of the tailnet counts
FRESH_NOBODY_S = 2.0  # the same for nobody: whoever is unknown now may be let in soon
AT_ONCE = 4  # questions to the tailnet
NOT_FOUND = b"not found"  # what tailscale says of a peer that it does not know
PATIENCE_S = 5.0  # for an answer of the tailnet
KEPT = 256  # answers of the tailnet
WHO = "x-agentfleet-who"
LONGEST = 64  # characters of a name that a client tells


class SilentError(Exception):
    """The tailnet does not say who somebody is; the text says why."""


class DeniedError(Exception):
    """Nobody who may; the text says whom to ask. `status` is 401, 403, or 503: nobody can say."""

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


@dataclass
class Whois:
    """The logins behind addresses, as tailscaled tells them.

    Whoever knocks again and again costs no more than a question now and then, and holds up nobody.
    """

    programs: Sequence[str]
    _known: dict[str, tuple[float, str]] = field(default_factory=dict)  # until when, the login
    _asking: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def login(self, address: str, port: int) -> str:
        """The login in the tailnet; empty for a tagged device, or one that it does not know.

        Raises SilentError when the tailnet does not say.
        """
        until, login = self._known.get(address, (0.0, ""))
        if time.monotonic() < until:
            return login
        asking = self._asking.get(address)
        if asking is None:
            asking = self._asking[address] = asyncio.create_task(self._find(address, port))
            asking.add_done_callback(lambda _: self._asking.pop(address, None))
        return await asyncio.shield(asking)  # others may wait for the same answer

    async def _find(self, address: str, port: int) -> str:
        async with self._turns:
            login = _login_in(await self._ask(address, port))
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[address] = time.monotonic() + (FRESH_S if login else FRESH_NOBODY_S), login
        return login

    async def _ask(self, address: str, port: int) -> bytes:
        program = next((one for one in self.programs if Path(one).exists()), None)
        if program is None:
            raise SilentError("tailscale is not installed")
        peer = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        process = await asyncio.create_subprocess_exec(
            program,
            "whois",
            "--json",
            peer,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            said, complaint = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        except TimeoutError:
            raise SilentError(f"tailscale was silent for {PATIENCE_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode and NOT_FOUND not in complaint + said:
            words = complaint.decode("utf-8", "replace").strip()
            raise SilentError(words or f"tailscale ended with {process.returncode}")
        return b"" if process.returncode else said


def _login_in(said: bytes) -> str:
    try:
        told: Any = json.loads(said)
        if told["Node"].get("Tags"):
            return ""  # a device that belongs to nobody
        login = told["UserProfile"]["LoginName"]
    except (ValueError, LookupError, TypeError, AttributeError):
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
            raise DeniedError(401, "over loopback the service's token is needed")
        return Person("token", Door.LOOPBACK.value)

    async def _by_address(self, address: str, port: int) -> Person:
        try:
            here = ipaddress.ip_address(address).is_loopback
        except ValueError:
            here = True
        try:
            login = "" if here else await self.whois.login(address, port)
        except SilentError as error:
            raise DeniedError(503, f"the tailnet does not say who you are: {error}") from None
        person = self.operators.get(login) if login else None
        if person is None:
            whom = ", ".join(sorted(set(self.operators.values()))) or "whoever keeps fleet.yaml"
            called = f"{_plain(login)} is" if login else "This device is"
            raise DeniedError(403, f"{called} not among the fleet's operators: ask {whom}.")
        return Person(person, address)


def _plain(said: str) -> str:
    """What may stand in one line of a log."""
    return "".join(one for one in said if one.isprintable())[:LONGEST]
