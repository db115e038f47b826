"""What all pages share: how one is put together, how an action is answered, and its errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from orchestrator.desk import Desk, RefusedError, UnknownError
from orchestrator.web import forms
from orchestrator.web.audit import person
from orchestrator.web.guard import csrf_token
from orchestrator.web.live import MOST_PARTS, Live
from orchestrator.web.operations import Call
from orchestrator.web.parts import Part, Shown, identity
from orchestrator.web.render import html
from orchestrator.web.schemas import OddBodyError
from orchestrator.web.stream import HEADERS

BIGGEST = 2**53  # of numbers in addresses
_NAV = (
    ("Fleet", "/"),
    ("Tasks", "/tasks"),
    ("Plans", "/plans"),
    ("Cluster", "/cluster"),
    ("Costs", "/costs"),
    ("Health", "/health"),
    ("Activity", "/activity"),
)
Handler = Callable[[Request], Awaitable[Response]]


class Site:
    """The pages of one desk. `secret` proves that a form came from one of them."""

    def __init__(self, desk: Desk, secret: bytes, kinds: Mapping[str, Part]) -> None:
        self.desk, self._secret = desk, secret
        self.live = Live(desk, kinds)

    async def page(
        self,
        request: Request,
        template: str,
        title: str,
        parts: Sequence[str] = (),
        status: int = 200,
        known: Mapping[str, Shown] = MappingProxyType({}),
        **more: object,
    ) -> HTMLResponse:
        """A page whose template shows these parts by `part("NAME")`. They are kept up to date.

        Those that are `known` already need not be found out.
        """
        shown = {name: known.get(name) or await self.live.show(name) for name in parts}
        there = [("part", f"{name}~{one.digest}") for name, one in shown.items()]
        text = html(
            template,
            title=title,
            nav=_NAV,
            here=request.url.path,
            person=person(request).name,
            csrf=csrf_token(self._secret, person(request)),
            alarm=self.desk.unwatched(),
            live=f"/live?{urlencode(there)}" if there else "",
            part=lambda name, kind="": _holder(name, kind, shown[name]),
            **more,
        )
        return HTMLResponse(text, status)

    async def form(self, request: Request) -> forms.Form:
        """What a page's form says. Raises HTTPException when it is no form of ours."""
        return await forms.read(request, self._secret)

    def call(self, request: Request, body: object = None, number: int = 0, **path: str) -> Call:
        """The same request, as the API's operations take it: what they do is noted there."""
        return Call(request, self.desk, {"number": number, **path}, {}, body)

    async def stream(self, request: Request) -> Response:
        """Keeps a page's parts up to date: `part` is NAME~DIGEST, once for each.

        A browser that lost the stream asks the same again, though the page has other parts by now.
        """
        asked, again = request.query_params.getlist("part"), "last-event-id" in request.headers
        if not asked or len(asked) > MOST_PARTS:
            raise HTTPException(400, f"a page has 1 to {MOST_PARTS} parts")
        digests = {}
        for one in asked:
            name, _, digest = one.partition("~")
            self.live.require(name)
            digests[name] = "" if again else digest
        stream = self.live.stream(digests)
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    def routes(self) -> list[Route]:
        """The stream."""
        return [Route("/live", self.stream, methods=["GET"])]

    async def error(self, request: Request, status: int, words: str) -> Response:
        """A page that says what is wrong, and where to go on."""
        try:
            title = HTTPStatus(status).phrase
        except ValueError:
            title = "Error"
        return await self.page(request, "error.html", title, status=status, words=words)

    async def failed(self, request: Request, error: Exception) -> Response:
        """The answer to an error of a page."""
        match error:
            case UnknownError():
                return await self.error(request, 404, _words(error, "There is no such thing."))
            case RefusedError() | OddBodyError():
                return await self.error(request, 409, _words(error, "That cannot be done."))
            case HTTPException(status_code=status, detail=detail):
                response = await self.error(request, status, detail)
                response.headers.update(error.headers or {})
                return response
            case _:
                raise error


def _words(error: Exception, otherwise: str) -> str:
    said = str(error.args[0]) if error.args else ""
    return said or otherwise


def _holder(name: str, kind: str, shown: Shown) -> Markup:
    """The element that holds a part; `kind` is its class."""
    holder = Markup('<div id="{}" class="part {}">{}</div>')
    return holder.format(identity(name), kind, shown.html)


def number_in(request: Request, name: str = "number") -> int:
    """The number in the address. Raises UnknownError for one that nothing can have."""
    number = request.path_params[name]
    if not isinstance(number, int) or number > BIGGEST:
        raise UnknownError("there is no such number")
    return number


def number_of(which: str) -> int:
    """The number that a part's name says. Raises UnknownError."""
    if not (which.isascii() and which.isdigit() and len(which) <= 15):
        raise UnknownError(f"{which!r} is no number")
    return int(which)


def asked_number(request: Request, name: str) -> int:
    """A number in the query; 0 where there is none."""
    said = request.query_params.get(name, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 15 else 0


def then(where: str) -> RedirectResponse:
    """After an action: the page where one sees what came of it, fetched anew."""
    return RedirectResponse(where, 303)
