"""The pages, by subject. Each module has the parts that it shows, and its routes."""

from __future__ import annotations

from starlette.routing import Route

from orchestrator.desk import Desk
from orchestrator.web.pages import figures, fleet, health, new_task, plans, tasks
from orchestrator.web.site import Site

_SUBJECTS = (fleet, tasks, new_task, plans, figures, health)


def site(desk: Desk, secret: bytes) -> Site:
    """The pages of a desk, put together."""
    kinds = {part.kind: part for subject in _SUBJECTS for part in subject.KINDS}
    return Site(desk, secret, kinds)


def routes(site: Site) -> list[Route]:
    """All pages of the site, and the stream that keeps them up to date."""
    return [
        *site.routes(),
        *(route for subject in _SUBJECTS for route in subject.Pages(site).routes()),
    ]
