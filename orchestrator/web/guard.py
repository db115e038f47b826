"""What every request has to pass before any page sees it: name, origin, size, and who asks."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.web.who import DeniedError, Door, Doorkeeper, Person

SAFE = frozenset({"GET", "HEAD"})
OWN_SITES = frozenset({"same-origin", "none"})  # `none`: somebody typed the address
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
    body_limit: int  # bytes
    longer: Mapping[str, int] = field(default_factory=dict)  # path → bytes, where files are taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] != "http":
            return
        sender = _hardened(send)
        refused = self._refused(scope)
        try:
            if refused is None:
                person = await self.keeper.person(self.door, scope)
        except DeniedError as error:
            refused = _refusal(scope, str(error), error.status)
        if refused is not None:
            await refused(scope, receive, sender)
            return
        scope.setdefault("state", {})["person"] = person
        await self.app(scope, _bounded(receive, self._limit(scope)), sender)

    def _refused(self, scope: Scope) -> Response | None:
        """What the request alone is refused for, whoever sends it."""
        headers = Headers(scope=scope)
        if self.door is not Door.SOCKET and not self._is_ours(headers.getlist("host")):
            return _refusal(scope, "There is no such site here.", 421)
        if scope["method"] not in SAFE and self._is_foreign(headers):
            return _refusal(scope, "This came from another site.", 403)
        length, limit = headers.get("content-length", "0"), self._limit(scope)
        if not (length.isascii() and length.isdigit()) or int(length) > limit:
            return _refusal(scope, _too_much(limit), 413)
        return None

    def _limit(self, scope: Scope) -> int:
        return self.longer.get(scope["path"], self.body_limit)

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


def _refusal(scope: Scope, words: str, status: int) -> Response:
    """The words: as a page for a browser, which gets nothing of ours to make it look better."""
    if "text/html" not in Headers(scope=scope).get("accept", ""):
        return PlainTextResponse(f"{words}\n", status)
    page = (
        '<!DOCTYPE html><html lang="en"><meta name="viewport" content="width=device-width">'
        f"<title>agentfleet</title><h1>Not here</h1><p>{escape(words)}</p></html>\n"
    )
    return HTMLResponse(page, status)


def _too_much(limit: int) -> str:
    return f"At most {limit} bytes are taken here."


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
