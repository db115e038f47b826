"""What every request has to pass before any page sees it: name, origin, size, and who asks."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.web.operations import MOST_FILE
from orchestrator.web.who import DeniedError, Door, Doorkeeper, Person

SAFE = frozenset({"GET", "HEAD"})
OWN_SITES = frozenset({"same-origin", "none"})  # `none`: somebody typed the address
BODY_LIMIT = 2 << 20  # bytes
_WITH_FILES = MOST_FILE + (1 << 20)  # a form has some around its file
BODY_LIMITS = {("POST", "/api/v1/files"): _WITH_FILES, ("POST", "/tasks"): _WITH_FILES}
# Whoever is refused gets no style sheet either.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · agentfleet</title>
</head>
<body><main><h1>{title}</h1><p>{words}</p></main></body>
</html>
"""
SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def csrf_token(secret: bytes, person: Person) -> str:
    """What a form of this person has to bring back, from whichever of their addresses."""
    return hmac.new(secret, person.name.encode(), hashlib.sha256).hexdigest()


def is_csrf_token(secret: bytes, person: Person, said: str) -> bool:
    """Whether a form that this person sends was given to them."""
    return hmac.compare_digest(csrf_token(secret, person).encode(), said.encode())


@dataclass(frozen=True)
class Guard:
    """Lets through what comes by one door; the person is in the scope's state as `person`."""

    app: ASGIApp
    door: Door
    keeper: Doorkeeper
    names: Sequence[str]
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] != "http":
            return
        sender = _hardened(send)
        try:
            self._check(scope)
            person = await self.keeper.person(self.door, scope)
        except DeniedError as error:
            refused = _refusal(Headers(scope=scope), error)
            await refused(scope, receive, sender)
            return
        scope.setdefault("state", {})["person"] = person
        await self.app(scope, _bounded(receive, _body_limit(scope)), sender)

    def _check(self, scope: Scope) -> None:
        """Raises DeniedError for what nobody may ask."""
        headers = Headers(scope=scope)
        if self.door is not Door.SOCKET and not self._is_ours(headers.getlist("host")):
            raise DeniedError(421, "There is no such site here.")
        if scope["method"] not in SAFE and self._is_foreign(headers):
            raise DeniedError(403, "This came from another site.")
        length, limit = headers.get("content-length", "0"), _body_limit(scope)
        if not (length.isascii() and length.isdigit()) or int(length) > limit:
            raise DeniedError(413, _too_much(limit))

    def _is_ours(self, hosts: Sequence[str]) -> bool:
        ours = {one for name in self.names for one in (name, f"{name}:{self.port}")}
        return len(hosts) == 1 and hosts[0].lower() in ours

    def _is_foreign(self, headers: Headers) -> bool:
        if headers.get("sec-fetch-site", "none") not in OWN_SITES:
            return True
        origin = headers.get("origin")
        if origin is None:
            return False
        try:
            return urlsplit(origin).netloc != headers.get("host", "")
        except ValueError:
            return True


def _body_limit(scope: Scope) -> int:
    """How many bytes the body of this request may have."""
    return BODY_LIMITS.get((scope["method"], scope["path"]), BODY_LIMIT)


def _too_much(limit: int) -> str:
    return f"A request here may have {limit} bytes."


def _refusal(headers: Headers, error: DeniedError) -> Response:
    """A page for browsers, a line for programs."""
    if "text/html" not in headers.get("accept", ""):
        return PlainTextResponse(f"{error}\n", error.status)
    title = HTTPStatus(error.status).phrase
    return HTMLResponse(PAGE.format(title=title, words=escape(str(error))), error.status)


def _hardened(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sender


def _bounded(receive: Receive, limit: int) -> Receive:
    """A body may come in pieces, and say nothing of its length. Starlette answers the exception."""
    seen = 0

    async def receiver() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, _too_much(limit))
        return message

    return receiver
