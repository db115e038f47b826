"""The door for the fleet: hosts report a worker here, and see who is blocked."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from orchestrator.quarantine.keeper import Keeper
from orchestrator.quarantine.notes import Block, Report

log = logging.getLogger("quarantine")
BODY_LIMIT = 16 << 10  # bytes
BODY_S = 10.0
FIELDS = 16  # of a form, at most
# Characters that are kept of each, and logged: the journal breaks a line of 48 KB in two, and its
# second half could say anything.
LONGEST = {"compiler": 200, "source": 1000, "detail": 4000}
LOGGED = 400
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class RefusedError(Exception):
    """A request is refused: HTTP status, and a line of words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Reports:
    """What hosts of the fleet may ask and say."""

    keeper: Keeper

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/reports", self.report, methods=["POST"]),
                Route("/blocked", self.blocked, methods=["GET"]),
            ],
            exception_handlers={RefusedError: _refused, sqlite3.Error: _no_notes},
        )

    async def report(self, request: Request) -> PlainTextResponse:
        """A worker's object differs from the local one: the worker is blocked."""
        reporter = self._host(request)
        said = await _said(request)
        worker = self.keeper.config.worker(said.get("worker", ""))
        if not worker:
            raise RefusedError(422, f"{_quoted(said.get('worker', ''))} is no worker of this fleet")
        kept = {name: shown(said.get(name, ""), most) for name, most in LONGEST.items()}
        report = Report(worker, reporter, kept["compiler"], kept["source"], kept["detail"])
        self.keeper.notes.add(report)
        log.warning(
            "%s is blocked: %s reports a wrong object (compiler %s, source %s): %s",
            *(worker, reporter, *map(_quoted, kept.values())),
        )
        if await self.keeper.apply() and self.keeper.has_taken(worker):
            return PlainTextResponse(f"{worker} is blocked\n")
        return PlainTextResponse(f"noted; {worker} is blocked as soon as the scheduler answers\n")

    async def blocked(self, request: Request) -> JSONResponse:
        """Who is blocked, and why."""
        self._host(request)
        return JSONResponse(listing(self.keeper))

    def _host(self, request: Request) -> str:
        address = request.client.host if request.client else ""
        name = self.keeper.config.places.get(address)
        if name is None:
            raise RefusedError(403, f"{address or 'this'} is no address of this fleet's")
        return name


def listing(keeper: Keeper) -> dict[str, Any]:
    """Everything that is known of the blocked workers. May raise sqlite3.Error."""
    return {
        "blocked": [_listed(keeper, block) for block in keeper.notes.blocks()],
        "fault": keeper.fault,
    }


def _listed(keeper: Keeper, block: Block) -> dict[str, Any]:
    first = block.reports[0]
    return {
        "worker": block.worker,
        "since": _when(first.at),
        "by": first.reporter,
        "taken": keeper.has_taken(block.worker),
        "count": block.count,
        "reports": [
            {
                "by": one.reporter,
                "at": _when(one.at),
                "compiler": one.compiler,
                "source": one.source,
                "detail": one.detail,
            }
            for one in block.reports
        ],
    }


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _said(request: Request) -> dict[str, str]:
    """The fields of a report."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, FORM):
        raise RefusedError(415, f"a report comes as {JSON} or {FORM}")
    try:
        async with asyncio.timeout(BODY_S):
            body = await _body(request)
    except TimeoutError:
        raise RefusedError(408, "the report does not come to its end") from None
    try:
        fields: object = json.loads(body) if kind == JSON else _form(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, f"this is no {kind}") from None
    if not isinstance(fields, Mapping):
        raise RefusedError(422, "a report is an object with the fields worker, compiler, source")
    return {str(key): value for key, value in fields.items() if isinstance(value, str)}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            raise RefusedError(413, f"a report has {BODY_LIMIT} bytes at most")
    return bytes(body)


def _form(body: bytes) -> dict[str, str]:
    """Raises ValueError."""
    pairs = parse_qsl(body.decode("ascii"), errors="replace", max_num_fields=FIELDS)
    return dict(pairs)


def shown(text: str, most: int) -> str:
    """Foreign text on one line, with nothing in it that a terminal or a log would obey."""
    line = " ".join(text.split())
    if len(line) > most:
        line = line[: most - 1] + "…"
    return "".join(one if one.isprintable() else "?" for one in line)


def _quoted(text: str) -> str:
    """For a log or an answer: where it begins and ends is plain, whatever is in it."""
    return json.dumps(shown(text, LOGGED))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - the table above says so
    return PlainTextResponse(f"{error}\n", error.status)


async def _no_notes(_: Request, error: Exception) -> Response:
    log.error("the notes cannot be used: %s", error)
    return PlainTextResponse("nothing can be noted here now, and nobody was blocked\n", 503)
