"""Calls to the API: let through unchanged when they can be paid and counted, refused otherwise."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from orchestrator.gateway.asgi import GoneError, TooLargeError, header, read_body, refuse
from orchestrator.gateway.book import Book
from orchestrator.gateway.caps import Purses, warning
from orchestrator.gateway.config import Config
from orchestrator.gateway.ledger import Ledger, RefusedError, Session
from orchestrator.gateway.meter import ENCODINGS, Meter, estimate, meter
from orchestrator.gateway.money import shown
from orchestrator.gateway.prices import Price, UnpricedError, Usage, price

log = logging.getLogger("gateway")
METERED = "/v1/messages"
# Whole paths, letter by letter: one with `..` in it would be another one for the API.
FREE = re.compile(r"POST /v1/messages/count_tokens|GET /v1/models(/[A-Za-z0-9_-][A-Za-z0-9._-]*)?")
# 402 is the one that Claude Code shows at once and does not try again (2.1.330, seen by running).
OVER_CAP, UNKNOWN_TOKEN, UNPRICED, NO_LEDGER = 402, 403, 403, 503
_HOPS = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade", b"proxy-connection"),
    )
)
_OURS = frozenset((b"host", b"x-api-key", b"authorization", b"accept-encoding", b"content-length"))
_OAUTH = "oauth-2025-04-20"  # what the API wants to hear of a subscription's token


@dataclass
class Flights:
    """Answers under way, by session: so that they can be cut off."""

    _tasks: dict[str, set[asyncio.Task[Any]]] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, session: Session) -> AsyncIterator[None]:
        """What runs inside is cancelled when the session is cut off."""
        task = asyncio.current_task()
        assert task  # noqa: S101 - this is a coroutine
        self._tasks.setdefault(session.id, set()).add(task)
        try:
            yield
        finally:
            self._tasks[session.id].discard(task)

    def cut_off(self, session_id: str) -> None:
        """End what is under way."""
        for task in self._tasks.get(session_id, set()).copy():
            task.cancel()


@dataclass(frozen=True)
class Proxy:
    """Everything that a call meets."""

    config: Config
    book: Book
    client: httpx.AsyncClient
    key: str
    flights: Flights

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, never with more than one error."""
        try:
            session = await self.session(scope)
        except sqlite3.Error as error:
            await self._no_ledger(send, error)
            return
        if session is None:
            await refuse(send, UNKNOWN_TOKEN, "permission_error", UNKNOWN)
            return
        try:
            body = await read_body(receive)
            async with self.flights.of(session):
                await self._pass_on(scope, receive, send, session, body)
        except TooLargeError:
            await refuse(send, 413, "request_too_large", "the request is too large")
        except GoneError:
            return
        except sqlite3.Error as error:
            await self._no_ledger(send, error)
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling() > 1:  # type: ignore[union-attr]
                raise
            # Revoked: the connection ends in the middle, which no client takes for a whole answer.

    async def _no_ledger(self, send: Send, error: sqlite3.Error) -> None:
        log.error("the ledger cannot be written: %s", error)
        await refuse(
            send, NO_LEDGER, "api_error", "budget: the ledger cannot be written, so nothing is paid"
        )

    async def session(self, scope: Scope) -> Session | None:
        """Whose call it is: the token has to be live, and to come from its own host."""
        token = header(scope, b"x-api-key") or header(scope, b"authorization").removeprefix(
            "Bearer "
        )
        host = self.config.places.get((scope.get("client") or ("", 0))[0])
        if not token or host is None:
            return None
        session = await self.book.ask(lambda ledger: ledger.session_of(token))
        return session if session and session.host == host else None

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, session: Session, body: bytes
    ) -> None:
        path, method = scope["path"], scope["method"]
        if path == METERED and method == "POST":
            await self._metered(scope, receive, send, session, body)
        elif FREE.fullmatch(f"{method} {path}"):
            await self._forward(scope, receive, send, body, None)
        else:
            words = f"{method} {path} does not go through: what it costs could not be counted"
            await refuse(send, 404, "not_found_error", words)

    async def _metered(
        self, scope: Scope, receive: Receive, send: Send, session: Session, body: bytes
    ) -> None:
        try:
            request = json.loads(body)
            cost = price(request)
        except (ValueError, AttributeError):
            await refuse(send, 400, "invalid_request_error", "the request is no JSON object")
            return
        except UnpricedError as error:
            words = f"budget: {error} has no price in the fleet's table, so it is not used"
            await refuse(send, UNPRICED, "permission_error", words)
            return
        caps, daily = self.config.hosts[session.host], self.config.daily
        held, model = cost.cost(estimate(body, request)), str(request["model"])
        try:
            number = await self.book.ask(
                lambda ledger: ledger.reserve(session, model, held, caps, daily)
            )
        except RefusedError as error:
            log.warning("%s %s refused: %s", session.host, session.id, error)
            await refuse(send, OVER_CAP, "billing_error", str(error))
            return
        call = Call(number, held, cost, model)
        try:
            await self._forward(scope, receive, send, body, call)
        finally:
            await asyncio.shield(self._settle(session, call))

    async def _forward(
        self, scope: Scope, receive: Receive, send: Send, body: bytes, call: Call | None
    ) -> None:
        url = self.config.upstream + scope["path"]
        if query := scope["query_string"].decode("latin-1"):
            url += f"?{query}"
        request = self.client.build_request(
            scope["method"], url, headers=self._headers(scope), content=body or None
        )
        if call:
            call.sent = True
        try:
            response = await self.client.send(request, stream=True)
        except httpx.HTTPError as error:
            if call and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                call.sent = False
            log.error("the API cannot be reached: %s: %s", type(error).__name__, error)
            await refuse(
                send, 502, "api_error", f"the API cannot be reached: {type(error).__name__}"
            )
            return
        try:
            if call:
                call.answered(response)
            await _unless_gone(receive, _stream(response, send, call))
        finally:
            await asyncio.shield(response.aclose())

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The client's own, but for who it is and what could not be counted."""
        kept = [(k, v) for k, v in scope["headers"] if k not in _HOPS and k not in _OURS]
        asked = header(scope, b"accept-encoding")
        readable = [
            one.strip() for one in asked.split(",") if one.split(";")[0].strip() in ENCODINGS
        ]
        kept.append((b"accept-encoding", ", ".join(readable or ["identity"]).encode()))
        if self.config.credential == "anthropic_api_key":
            return [*kept, (b"x-api-key", self.key.encode())]
        betas = ",".join(one for one in (header(scope, b"anthropic-beta"), _OAUTH) if one)
        kept = [(k, v) for k, v in kept if k != b"anthropic-beta"]
        return [
            *kept,
            (b"anthropic-beta", betas.encode()),
            (b"authorization", f"Bearer {self.key}".encode()),
        ]

    async def _settle(self, session: Session, call: Call) -> None:
        """Write down what the call did cost. Where that fails it stays reserved: never less."""
        cost, usage, note = call.outcome()
        caps, daily = self.config.hosts[session.host], self.config.daily

        def write(ledger: Ledger) -> tuple[Purses, str]:
            ledger.settle(call.number, cost, usage, note)
            purses = ledger.purses(session, caps, daily)
            near = warning(purses, self.config.warn_percent)
            return purses, near if near and ledger.warn_once(session) else ""

        try:
            purses, near = await self.book.ask(write)
        except sqlite3.Error as error:
            held = shown(call.held)
            log.error("call %s is not settled, %s stay reserved: %s", call.number, held, error)
            return
        if near:
            log.warning("%s %s %s", session.host, session.id, near)
        total = shown(purses[0].spent.settled)
        log.info(
            "%s %s %s: %s in, %s out, %s, session %s%s",
            *(session.host, session.id, call.model, usage.prompt, usage.output, shown(cost), total),
            f" ({note})" if note else "",
        )


UNKNOWN = (
    "budget: this token is none of a session that goes on here: it was revoked, or is another "
    "host's. Begin a new one: fleet new-session"
)


@dataclass
class Call:
    """One call that is paid for."""

    number: int
    held: int  # micro-dollars reserved
    price: Price
    model: str
    sent: bool = False  # whether the API may have begun to work
    status: int = 0
    complete: bool = False
    meter: Meter | None = None

    def answered(self, response: httpx.Response) -> None:
        """The API has begun to answer."""
        self.status = response.status_code
        headers = response.headers
        self.meter = meter(headers.get("content-type", ""), headers.get("content-encoding", ""))

    def outcome(self) -> tuple[int, Usage, str]:
        """Cost in micro-dollars, usage, and what was out of the ordinary."""
        usage = self.meter.usage() if self.meter else None
        if usage is not None:
            return self.price.cost(usage), usage, "" if self.complete else "cut short"
        if not self.sent:
            return 0, Usage(), "the API was not reached"
        if self.status >= 400 and self.complete:
            return 0, Usage(), f"the API answered {self.status}"
        return self.held, Usage(), "nothing is known of what it used: charged what was reserved"


async def _stream(response: httpx.Response, send: Send, call: Call | None) -> None:
    """Hand the answer on as it comes, byte for byte."""
    headers = [(k, v) for k, v in response.headers.raw if k.lower() not in _HOPS]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    async for raw in response.aiter_raw():
        if call and call.meter:
            call.meter.feed(raw)
        await send({"type": "http.response.body", "body": raw, "more_body": True})
    if call:
        call.complete = True
    await send({"type": "http.response.body", "body": b""})


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work until whoever asked hangs up."""
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((working, listening), return_when=asyncio.FIRST_COMPLETED)
    finally:
        listening.cancel()
        working.cancel()  # no effect where it is done
        await asyncio.gather(working, listening, return_exceptions=True)
    with suppress(asyncio.CancelledError, httpx.HTTPError):
        await working


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
