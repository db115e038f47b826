"""Where things stand in a picture of hosts: one on top, the others as cards in panels below.

From the one on top lines run down on the left and into each panel; what a line means is said beside
it. Everything gets its size from its text first, so that nothing covers anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.graph.canvas import Canvas, Place, fitting, width_of
from fleet.graph.icons import ICONS
from fleet.model import Host

MARGIN = 32.0
GAP = 14.0
SPINES = 66.0  # the room at the left, in which the lines run down
SPINE = 20.0  # from one to the next
HEAD = 100.0  # the title's
PANEL_HEAD = 44.0
ROW = 25.0  # of the legend
NARROWEST, WIDEST = 268.0, 330.0  # a card
LEAST = 920.0  # the picture's width
CHIP, CHIP_GAP = 20.0, 6.0
CARD = 86.0  # a card's height without its chips
BESIDE = 62.0  # the height of what stands beside the host on top
ARROW = 190.0  # between them
SHAPE = 1.35  # width to height that a picture should have


@dataclass(frozen=True)
class Chip:
    """A property of a host, in a word or two."""

    words: str
    colour: str


@dataclass(frozen=True)
class Card:
    """A host."""

    host: Host
    chips: tuple[Chip, ...]


@dataclass(frozen=True)
class Panel:
    """Hosts that belong together."""

    title: str
    note: str
    cards: tuple[Card, ...]
    reached: tuple[str, ...]  # colours of the lines that end here
    reaches: tuple[str, ...] = ()  # and of those that only begin here


@dataclass(frozen=True)
class Line:
    """A line from the host on top to the panels: who may reach whom, and on which ports."""

    colour: str
    words: str
    ports: str
    up: bool = False
    down: bool = False


@dataclass(frozen=True)
class Beside:
    """Something beside the host on top, and the arrow between them."""

    icon: str
    colour: str
    title: str
    words: str
    arrow: str = ""  # what is written at the arrow between them; without, there is none
    inward: bool = False  # whether it points to the host


@dataclass(frozen=True)
class Picture:
    """All of it."""

    title: str
    subtitle: str
    told: str
    top: Card
    beside: tuple[Beside, ...]
    lines: tuple[Line, ...]
    panels: tuple[Panel, ...]

    def svg(self) -> str:
        """Draw it."""
        return _Drawing(self).svg()


class _Drawing:
    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.canvas = Canvas()
        cards = [picture.top, *(card for panel in picture.panels for card in panel.cards)]
        self.card_width = _card_width(cards)
        self.columns = _columns([len(panel.cards) for panel in picture.panels], self.card_width)
        inside = self.columns * (self.card_width + GAP) + GAP
        self.left = MARGIN + SPINES
        self.right = max(self.left + inside, LEAST - MARGIN)

    def svg(self) -> str:
        picture, canvas = self.picture, self.canvas
        width = self.right + MARGIN
        canvas.text(MARGIN, 50, fitting(picture.title, "title", width - 2 * MARGIN), "title")
        subtitle = fitting(picture.subtitle, "fine", width - 2 * MARGIN)
        canvas.text(MARGIN, 76, subtitle, "fine", "soft")
        top = self._top()
        below = self._legend(top.bottom + 26)
        places = self._places(below)
        self._spines(top, places)
        for panel, place in zip(picture.panels, places, strict=True):
            self._panel(panel, place)
        height = (places[-1].bottom if places else below) + MARGIN
        return canvas.svg(width, height, picture.title, picture.told, ICONS)

    def _top(self) -> Place:
        """The host on top, and what is beside it."""
        picture, width = self.picture, self.card_width + SPINES
        rows = _chip_rows(picture.top.chips, width)
        least = len(picture.beside) * (BESIDE + GAP) - GAP
        place = Place(MARGIN, HEAD, width, max(_height(rows), least))
        for number, one in enumerate(picture.beside):
            self._beside(one, place, place.y + number * (BESIDE + GAP))
        top = picture.top.host
        self._card(picture.top, place, edge=top.role.value, about=f"{top.role} at {top.site}")
        return place

    def _beside(self, one: Beside, top: Place, y: float) -> None:
        at = Place(top.right + ARROW, y, self.right - top.right - ARROW, BESIDE)
        if one.arrow:
            middle = at.y + at.height / 2
            path = f"M{top.right + 4:g} {middle:g}H{at.x - 4:g}"
            self.canvas.line(path, one.colour, start=one.inward, end=not one.inward)
            words = fitting(one.arrow, "code", ARROW - 24)
            self.canvas.text(top.right + 14, middle - 8, words, "code", "soft")
        self.canvas.box(at, "card", one.colour)
        self.canvas.icon(at.x + 14, at.y + 17, 28, one.icon, one.colour)
        room = at.width - 54 - 14
        self.canvas.text(at.x + 54, at.y + 27, fitting(one.title, "head", room), "head")
        self.canvas.text(at.x + 54, at.y + 46, fitting(one.words, "fine", room), "fine", "soft")

    def _legend(self, y: float) -> float:
        """What the lines mean; returns where the panels begin."""
        x = self.left
        for number, line in enumerate(self.picture.lines):
            at = y + number * ROW + 10
            self.canvas.line(f"M{x:g} {at:g}H{x + 30:g}", line.colour, start=line.up, end=line.down)
            room = self.right - x - 42
            words = fitting(line.words, "fine", room * 0.6)
            self.canvas.text(x + 42, at + 4, words, "fine")
            taken = width_of(words, "fine") + 16
            ports = fitting(line.ports, "code", room - taken)
            self.canvas.text(x + 42 + taken, at + 4, ports, "code", "soft")
        return y + len(self.picture.lines) * ROW + 16

    def _places(self, y: float) -> list[Place]:
        places = []
        for panel in self.picture.panels:
            rows = math.ceil(len(panel.cards) / self.columns)
            height = PANEL_HEAD + rows * (self._card_height(panel) + GAP)
            places.append(Place(self.left, y, self.right - self.left, height))
            y += height + GAP
        return places

    def _card_height(self, panel: Panel) -> float:
        return _height(max(_chip_rows(card.chips, self.card_width) for card in panel.cards))

    def _spines(self, top: Place, places: Sequence[Place]) -> None:
        """The leftmost ends lowest in each panel, so that in the last one no line crosses."""
        lines, panels = self.picture.lines, self.picture.panels
        branches: list[tuple[Line, float, float, Place, bool]] = []
        for number, line in enumerate(lines):
            x = MARGIN + 10 + number * SPINE
            mine = [
                (line, x, place.y + 17 + (len(lines) - number) * 15, place, reached)
                for panel, place in zip(panels, places, strict=True)
                if (reached := line.colour in panel.reached) or line.colour in panel.reaches
            ]
            if mine:
                path = f"M{x:g} {top.bottom + 3:g}V{mine[-1][2]:g}"
                self.canvas.line(path, line.colour, start=line.up)
            branches += mine
        for line, x, y, place, reached in branches:
            self.canvas.halo(f"M{x + 5:g} {y:g}H{place.x - 2:g}")
            path = f"M{x:g} {y:g}H{place.x - 2:g}"
            self.canvas.line(path, line.colour, end=line.down and reached)

    def _panel(self, panel: Panel, place: Place) -> None:
        self.canvas.box(place, "panel", "edge", 14)
        room = place.width - 3 * GAP
        title = fitting(panel.title, "head", room * 0.55)
        note = fitting(panel.note, "fine", room - width_of(title, "head") - GAP)
        self.canvas.text(place.x + GAP, place.y + 28, title, "head")
        self.canvas.text(place.right - GAP, place.y + 28, note, "fine", "soft", end=True)
        height = self._card_height(panel)
        for number, card in enumerate(panel.cards):
            row, column = divmod(number, self.columns)
            x = place.x + GAP + column * (self.card_width + GAP)
            y = place.y + PANEL_HEAD + row * (height + GAP)
            self._card(card, Place(x, y, self.card_width, height), edge="edge")

    def _card(self, card: Card, at: Place, *, edge: str, about: str = "") -> None:
        host, canvas = card.host, self.canvas
        role = host.role.value
        canvas.begin(f"{host.name}: {host.hardware}" if host.hardware else host.name)
        canvas.box(at, "card", edge)
        canvas.icon(at.x + 14, at.y + 14, 30, role, role)
        room = at.width - 54 - 14
        canvas.text(at.x + 54, at.y + 28, fitting(host.name, "name", room), "name")
        canvas.text(at.x + 54, at.y + 46, fitting(about or role, "fine", room), "fine", role)
        address = host.addresses.tailnet or host.addresses.lan or host.name
        system = fitting(f"{host.os}/{host.arch} {address}", "code", at.width - 28)
        canvas.text(at.x + 14, at.y + 69, system, "code", "soft")
        for chip, place in zip(card.chips, _chips(card.chips, at), strict=True):
            canvas.tint(place, chip.colour)
            canvas.text(place.x + 9, place.y + 14, chip.words, "chip", chip.colour)
        canvas.finish()


def _card_width(cards: Sequence[Card]) -> float:
    """As wide as the longest name needs, within limits."""
    names = max(width_of(card.host.name, "name") for card in cards)
    return min(max(names + 54 + 16, NARROWEST), WIDEST)


def _columns(counts: Sequence[int], width: float) -> int:
    """The number of cards side by side: few empty places, and a picture of a good shape."""

    def waste(columns: int) -> float:
        rows = sum(math.ceil(count / columns) for count in counts)
        empty = rows * columns - sum(counts)
        height = HEAD + 260 + rows * 130 + len(counts) * 60
        shape = max(columns * width + 130, LEAST) / height
        return abs(math.log(shape / SHAPE)) + 0.8 * empty / max(1, sum(counts))

    return min(range(2, 8), key=waste) if counts else 2


def _height(chip_rows: int) -> float:
    return CARD + chip_rows * (CHIP + CHIP_GAP) + 4


def _chips(chips: Sequence[Chip], at: Place) -> list[Place]:
    """Where they stand, in as many rows as they need."""
    places: list[Place] = []
    x, y = at.x + 14, at.y + CARD - 2
    for chip in chips:
        width = width_of(chip.words, "chip") + 18
        if places and x + width > at.right - 14:
            x, y = at.x + 14, y + CHIP + CHIP_GAP
        places.append(Place(x, y, width, CHIP))
        x += width + CHIP_GAP
    return places


def _chip_rows(chips: Sequence[Chip], width: float) -> int:
    return len({place.y for place in _chips(chips, Place(0, 0, width, 0))})
