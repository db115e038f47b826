"""The quarantine's other door, a socket in the file system: who is blocked, and letting them in."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orchestrator.quarantine.keeper import Keeper
from orchestrator.quarantine.reports import listing

log = logging.getLogger("quarantine")


@dataclass(frozen=True)
class Admin:
    """What may be asked through the socket; who may connect to it is its file's mode."""

    keeper: Keeper

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/blocked", self.blocked, methods=["GET"]),
                Route("/blocked/{worker:path}", self.unblock, methods=["DELETE"]),
            ]
        )

    async def blocked(self, request: Request) -> JSONResponse:
        """Who is blocked, and why."""
        return JSONResponse(listing(self.keeper))

    async def unblock(self, request: Request) -> JSONResponse:
        """The worker may come back; what was said of it is forgotten."""
        keeper, worker = self.keeper, request.path_params["worker"]
        if not keeper.notes.remove(worker):
            others = ", ".join(keeper.notes.workers()) or "nobody is"
            error = f"{json.dumps(worker)} is not blocked (blocked: {others})"
            return JSONResponse({"error": error}, 404)
        log.warning("%s is not blocked any more: somebody has let it in again", worker)
        told = await keeper.apply() and not keeper.owes(worker)
        return JSONResponse({"unblocked": worker, "taken": told, "fault": keeper.fault})
