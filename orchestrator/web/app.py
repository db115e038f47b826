"""The page's application: what is behind every door, whoever stands before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.config import Config
from orchestrator.desk import Desk
from orchestrator.web import api, metrics
from orchestrator.web.guard import Guard
from orchestrator.web.operations import MOST_FILE
from orchestrator.web.who import Door, Doorkeeper

BODY_LIMIT = MOST_FILE + (1 << 20)  # bytes; a form has some around its file


def app(desk: Desk) -> Starlette:
    """The application. It answers nobody but who came through a Guard."""
    routes = [*api.routes(desk), *metrics.routes(desk)]
    handlers: dict[int | type[Exception], Callable[..., Awaitable[Response]]] = {
        HTTPException: _refused
    }
    return Starlette(routes=routes, exception_handlers=handlers)


async def _refused(request: Request, error: Exception) -> Response:
    """What no route answers, or a body that is too long."""
    if not isinstance(error, HTTPException):
        raise TypeError("the table above says which errors come here")
    response = api.problem(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


def guarded(application: Starlette, door: Door, keeper: Doorkeeper, config: Config) -> Guard:
    """The application behind one door."""
    return Guard(application, door, keeper, config.names, config.port, BODY_LIMIT)
