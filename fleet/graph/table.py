"""The table of doors: on the left who comes, on the right where to, and lines between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.doors import Who
from fleet.graph.canvas import Canvas, Place, fitting
from fleet.graph.icons import HOSTS, ICONS, NET, PEOPLE, WORLD
from fleet.graph.reach import Way, ways, where
from fleet.kinds import Role
from fleet.model import Fleet

MARGIN, HEAD = 32.0, 132.0
SOURCE, DOOR = Place(0, 0, 300, 76), Place(0, 0, 430, 46)
GAP = 12.0
BETWEEN = 260.0  # for the lines
OPERATORS = "operators"


@dataclass(frozen=True)
class _Source:
    """Somebody who may come."""

    icon: str
    colour: str
    title: str
    words: str


def table(fleet: Fleet) -> str:
    """Every door of the fleet and who may come through it, as SVG."""
    sources = _sources(fleet)
    order = list(sources)
    found = sorted(ways(fleet), key=lambda way: (order.index(way.who), way.ports, way.name))
    canvas = Canvas()
    width = 2 * MARGIN + SOURCE.width + BETWEEN + DOOR.width
    _title(canvas, fleet, width)
    inner = max(
        len(sources) * (SOURCE.height + GAP) - GAP,
        len(found) * (DOOR.height + GAP) - GAP,
    )
    left = _column(MARGIN, SOURCE, len(sources), inner)
    right = _column(MARGIN + SOURCE.width + BETWEEN, DOOR, len(found), inner)
    _lines(canvas, sources, found, dict(zip(sources, left, strict=True)), right)
    for source, place in zip(sources.values(), left, strict=True):
        _source(canvas, source, place)
    for way, place in zip(found, right, strict=True):
        _door(canvas, way, place, sources[way.who].colour, fleet)
    told = "; ".join(f"{w.label} on {where(w.hosts, fleet)}, open to {w.who}" for w in found)
    title = f"Who may reach what in the fleet {fleet.name}"
    return canvas.svg(width, HEAD + inner + MARGIN, title, f"{told}.", ICONS)


def _sources(fleet: Fleet) -> Mapping[str, _Source]:
    """Who comes, the many before the few."""
    people = [one.name for one in fleet.operators if one.login]
    named = ", ".join(people) if people else "nobody has a login in fleet.yaml"
    boss = fleet.orchestrator.name
    return {
        OPERATORS: _Source(PEOPLE, "people", "Operators", named),
        Who.ANYWHERE: _Source(WORLD, "soft", "Anywhere", "the LAN too; it asks for a key"),
        Who.TAILNET: _Source(NET, "services", "The tailnet", "every device in it"),
        Who.FLEET: _Source(HOSTS, "compile", "The fleet", f"{len(fleet.hosts)} hosts"),
        Who.ORCHESTRATOR: _Source(Role.ORCHESTRATOR, "agents", "The orchestrator", boss),
    }


def _title(canvas: Canvas, fleet: Fleet, width: float) -> None:
    room = width - 2 * MARGIN
    title = fitting(f"Who may reach what in {fleet.name}", "title", room)
    canvas.text(MARGIN, 50, title, "title")
    canvas.line(f"M{MARGIN:g} 78H{MARGIN + 30:g}", "ink")
    canvas.text(MARGIN + 42, 82, "what the firewall of each host lets in", "fine", "soft")
    canvas.line(f"M{MARGIN:g} 100H{MARGIN + 30:g}", "ink", faint=True)
    words = "whom the tailnet's policy names, where it lets in fewer"
    canvas.text(MARGIN + 42, 104, words, "fine", "soft")


def _column(x: float, each: Place, count: int, height: float) -> list[Place]:
    """So many boxes, spread over the height."""
    step = (height - each.height) / (count - 1) if count > 1 else 0.0
    return [Place(x, HEAD + step * n, each.width, each.height) for n in range(count)]


def _lines(
    canvas: Canvas,
    sources: Mapping[str, _Source],
    found: Sequence[Way],
    left: Mapping[str, Place],
    right: Sequence[Place],
) -> None:
    ends: list[tuple[str, Place, bool]] = []
    for way, place in zip(found, right, strict=True):
        ends.append((way.who, place, False))
        ends += [(OPERATORS, place, True)] if way.operators or way.who is Who.TAILNET else []
        ends += [(Who.ORCHESTRATOR, place, True)] if way.dispatch else []
    for who, place in left.items():
        mine = [(to, faint) for one, to, faint in ends if one == who]
        for number, (to, faint) in enumerate(mine, 1):
            begins = place.y + place.height * number / (len(mine) + 1)
            arrives = to.y + to.height * (0.72 if faint else 0.5)
            canvas.line(
                _curve(place.right, begins, to.x - 4, arrives),
                sources[who].colour,
                end=True,
                faint=faint,
            )


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (to_x - x) * 0.5
    return f"M{x:g} {y:.1f}C{x + bend:g} {y:.1f} {to_x - bend:g} {to_y:.1f} {to_x:g} {to_y:.1f}"


def _source(canvas: Canvas, source: _Source, at: Place) -> None:
    canvas.box(at, "panel", source.colour)
    canvas.icon(at.x + 14, at.y + 22, 32, source.icon, source.colour)
    room = at.width - 60 - 14
    canvas.text(at.x + 60, at.y + 34, fitting(source.title, "head", room), "head")
    canvas.text(at.x + 60, at.y + 54, fitting(source.words, "fine", room), "fine", "soft")


def _door(canvas: Canvas, way: Way, at: Place, colour: str, fleet: Fleet) -> None:
    canvas.begin(f"{way.label}: {', '.join(way.hosts)}")
    canvas.box(at, "panel", "edge")
    canvas.box(Place(at.x, at.y + 8, 4, at.height - 16), colour, radius=2)
    ports = ", ".join(str(port) for port in way.ports)
    canvas.text(at.x + 18, at.y + 28, fitting(ports, "name", 116), "name", colour)
    canvas.text(at.x + 144, at.y + 20, fitting(way.name, "head", at.width - 158), "head")
    hosts = fitting(f"on {where(way.hosts, fleet)}", "fine", at.width - 158)
    canvas.text(at.x + 144, at.y + 37, hosts, "fine", "soft")
    canvas.finish()
