"""The files that pages load: scripts and the style sheet, each under an address with its digest."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.desk import UnknownError

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOREVER = "private, max-age=31536000, immutable"


@cache
def _all() -> dict[str, tuple[bytes, str]]:
    """Name → content, and its kind."""
    found = {}
    for file in (files("orchestrator.web") / "static").iterdir():
        kind = KINDS.get(f".{file.name.rpartition('.')[2]}")
        if kind:
            found[file.name] = (file.read_bytes(), kind)
    return found


@cache
def address(name: str) -> str:
    """Where a page finds the file: another address for another content, so it may be kept."""
    return f"/static/{name}?{hashlib.sha256(_all()[name][0]).hexdigest()[:12]}"


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _all():
        raise UnknownError(f"there is no file {name}")
    content, kind = _all()[name]
    return Response(content, media_type=kind, headers={"cache-control": _FOREVER})


def routes() -> list[Route]:
    """The files."""
    return [Route("/static/{name}", _file, methods=["GET"])]
