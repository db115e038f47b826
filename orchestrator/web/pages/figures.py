"""Figures: the compile cluster, what was spent, and who did what."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.desk import Desk
from orchestrator.web.parts import Part, Shown
from orchestrator.web.render import html
from orchestrator.web.site import Site, asked_number

PAGE = 100


async def _cluster(desk: Desk, which: str) -> Shown:
    return Shown(html("parts/cluster.html", cluster=desk.cluster()))


async def _costs(desk: Desk, which: str) -> Shown:
    budgets = desk.budgets()
    most = max((day.spent for day in budgets.days), default=0)
    return Shown(html("parts/costs.html", budgets=budgets, most=most or 1))


KINDS = (
    Part("cluster", ("cluster",), _cluster),
    Part("costs", ("costs",), _costs),
)


@dataclass(frozen=True)
class Pages:
    """Pages to look at."""

    site: Site

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/cluster", self.cluster, methods=["GET"]),
            Route("/costs", self.costs, methods=["GET"]),
            Route("/activity", self.activity, methods=["GET"]),
        ]

    async def cluster(self, request: Request) -> Response:
        """The compile cluster."""
        return await self.site.page(
            request, "figures.html", "Cluster", ["cluster"], shows="cluster"
        )

    async def costs(self, request: Request) -> Response:
        """What was spent, and may be."""
        return await self.site.page(request, "figures.html", "Costs", ["costs"], shows="costs")

    async def activity(self, request: Request) -> Response:
        """Who did what."""
        before = asked_number(request, "before")
        found = await self.site.desk.audits(before=before, most=PAGE + 1)
        older = found[PAGE - 1].number if len(found) > PAGE else 0
        return await self.site.page(
            request, "activity.html", "Activity", audits=found[:PAGE], older=older, before=before
        )
