"""The page's application: what is behind every door, whoever stands before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.config import Config
from orchestrator.desk import Desk, RefusedError, UnknownError
from orchestrator.web import api, metrics, pages, static_files
from orchestrator.web.guard import Guard
from orchestrator.web.schemas import OddBodyError
from orchestrator.web.who import Door, Doorkeeper

PROGRAMS = ("/api/", "/metrics", "/healthz")  # who asks here reads no pages


def app(desk: Desk, secret: bytes) -> Starlette:
    """The application; `secret` is what its forms are recognised by.

    It answers nobody but who came through a Guard.
    """
    site = pages.site(desk, secret)
    routes = [
        *api.routes(desk),
        *metrics.routes(desk),
        *pages.routes(site),
        *static_files.routes(),
    ]

    async def failed(request: Request, error: Exception) -> Response:
        if request.url.path.startswith(PROGRAMS) and isinstance(error, HTTPException):
            response = api.problem(error.status_code, error.detail)
            response.headers.update(error.headers or {})
            return response
        return await site.failed(request, error)

    kinds = (HTTPException, RefusedError, UnknownError, OddBodyError)
    handlers: dict[int | type[Exception], Callable[..., Awaitable[Response]]]
    handlers = dict.fromkeys(kinds, failed)
    return Starlette(routes=routes, exception_handlers=handlers)


def guarded(application: Starlette, door: Door, keeper: Doorkeeper, config: Config) -> Guard:
    """The application behind one door."""
    return Guard(application, door, keeper, config.names, config.port)
