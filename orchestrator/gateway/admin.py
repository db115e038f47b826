"""The gateway's other door, a socket in the file system: sessions, the kill switch, the report."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orchestrator.gateway.book import Book
from orchestrator.gateway.caps import refusal, warning
from orchestrator.gateway.config import Config
from orchestrator.gateway.gate import left, of_day
from orchestrator.gateway.ledger import AGENT, PURPOSES, Ledger, Session
from orchestrator.gateway.money import dollars, micros
from orchestrator.gateway.proxy import Flights

log = logging.getLogger("gateway")


@dataclass(frozen=True)
class Admin:
    """What may be asked through the socket; who may connect to it is its file's mode."""

    config: Config
    book: Book
    flights: Flights

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/sessions", self.issue, methods=["POST"]),
                Route("/sessions/{id}/begin", self.begin, methods=["POST"]),
                Route("/sessions/{id}", self.end, methods=["DELETE"]),
                Route("/kill", self.kill, methods=["POST"]),
                Route("/budget", self.budget, methods=["GET"]),
            ]
        )

    async def issue(self, request: Request) -> JSONResponse:
        """A new session for `host`, with its token.

        With a `cap` in dollars of its own, which is never above the host's; for the `purpose`
        agent, or plan, which ends no agent's session.
        """
        said = await _body(request)
        host, purpose = str(said.get("host")), said.get("purpose", AGENT)
        caps = self.config.hosts.get(host)
        if caps is None:
            return _error(404, f"no host is called {host}")
        if purpose not in PURPOSES:
            return _error(422, f"a session is for one of {', '.join(PURPOSES)}")
        try:
            cap = _cap(said.get("cap"), caps.session)
        except ValueError:
            return _error(422, "cap is an amount of dollars above 0")
        made = await self.book.ask(lambda ledger: ledger.issue(host, cap, purpose))
        log.info("%s %s issued, for: %s", host, made.session.id, purpose)
        answer = {"session": made.session.id, "token": made.token, "cap": dollars(cap)}
        return JSONResponse(answer)

    async def begin(self, request: Request) -> JSONResponse:
        """The session counts from now on; if it is an agent's, that agent's others are over."""
        wanted = request.path_params["id"]
        try:
            revoked = await self.book.ask(lambda ledger: ledger.begin(wanted))
        except LookupError:
            return _error(404, f"there is no session {wanted} that could begin")
        log.info("%s began", wanted)
        return self._revoked(revoked)

    async def end(self, request: Request) -> JSONResponse:
        """The session is over."""
        wanted = request.path_params["id"]
        return self._revoked(await self.book.ask(lambda ledger: ledger.revoke(wanted)))

    async def kill(self, request: Request) -> JSONResponse:
        """All sessions of `hosts`, or of `all`, are over; answers under way are cut off."""
        said = await _body(request)
        hosts = list(self.config.hosts) if said.get("all") is True else said.get("hosts")
        if not isinstance(hosts, list) or not hosts:
            return _error(422, "say hosts, or all")
        if unknown := [host for host in hosts if host not in self.config.hosts]:
            return _error(404, f"no host is called {', '.join(map(str, unknown))}")

        def revoke(ledger: Ledger) -> tuple[Session, ...]:
            return tuple(one for host in hosts for one in ledger.revoke_host(host))

        return self._revoked(await self.book.ask(revoke))

    def _revoked(self, sessions: tuple[Session, ...]) -> JSONResponse:
        for session in sessions:
            self.flights.cut_off(session.id)
            log.info("%s %s revoked", session.host, session.id)
        return JSONResponse(
            {"revoked": [{"session": one.id, "host": one.host} for one in sessions]}
        )

    async def budget(self, request: Request) -> JSONResponse:
        """What everybody has spent and may spend."""
        try:
            days = max(1, int(request.query_params.get("days", "1")))
        except ValueError:
            return _error(422, "days is a number")
        return JSONResponse(await self.book.ask(lambda ledger: self._report(ledger, days)))

    def _report(self, ledger: Ledger, days: int) -> dict[str, Any]:
        recent = ledger.days(days)
        for day in recent:
            day["spent"] = dollars(day["spent"])
            for one in day["hosts"]:
                one["spent"] = dollars(one["spent"])
        return {
            "fleet": of_day(ledger.fleet_day(self.config.daily)),
            "hosts": [self._of_host(ledger, host) for host in self.config.hosts],
            "days": recent,
        }

    def _of_host(self, ledger: Ledger, host: str) -> dict[str, Any]:
        caps = self.config.hosts[host]
        session = ledger.current(host)
        counted = session or Session("", host, caps.session)
        purses = ledger.purses(counted, caps, self.config.daily)
        near = bool(warning(purses, self.config.warn_percent))
        return left(counted, purses, near=near, reason=refusal(purses, 0, host))


def _cap(wanted: object, most: int) -> int:
    """Micro-dollars; what is not said is the most. ValueError: that is no amount."""
    if wanted is None:
        return most
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not wanted > 0:
        raise ValueError(wanted)
    return micros(min(wanted, dollars(most)))


async def _body(request: Request) -> dict[str, Any]:
    try:
        said = json.loads(await request.body())
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)
