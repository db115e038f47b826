"""Health: what the monitoring found in its latest round."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.desk import Desk
from orchestrator.health.model import Item, Verdict
from orchestrator.web.parts import Part, Shown
from orchestrator.web.render import html
from orchestrator.web.site import Site


async def _health(desk: Desk, which: str) -> Shown:
    report = desk.health()
    items = report.items if report else ()
    counts = [(one, sum(item.verdict is one for item in items)) for one in Verdict]
    values = {
        "report": report,
        "silent": desk.unwatched(),
        "counts": [(one, number) for one, number in counts if number],
        "unwell": [one for one in items if one.verdict is not Verdict.OK],
        "well": _by_host([one for one in items if one.verdict is Verdict.OK]),
    }
    return Shown(html("parts/health.html", **values))


def _by_host(items: list[Item]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for one in items:
        found.setdefault(one.host, []).append(one)
    return found


KINDS = (Part("health", ("health",), _health),)


@dataclass(frozen=True)
class Pages:
    """A page to look at."""

    site: Site

    def routes(self) -> list[Route]:
        """Where it is."""
        return [Route("/health", self.health, methods=["GET"])]

    async def health(self, request: Request) -> Response:
        """How the fleet is."""
        return await self.site.page(request, "figures.html", "Health", ["health"], shows="health")
