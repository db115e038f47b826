"""What pictures are drawn with: shapes and texts as SVG, in colours for light and dark.

No font is brought along, so how wide a text becomes is estimated, and rather too wide; what would
not fit is cut. Coordinates are in CSS pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from fleet.kinds import Role


@dataclass(frozen=True)
class Font:
    """How a kind of text looks; `size` in pixels."""

    size: float
    weight: int = 400
    mono: bool = False


FONTS: Mapping[str, Font] = {
    "title": Font(24, 700),
    "head": Font(15, 700),
    "name": Font(15, 700, mono=True),
    "fine": Font(12.5),
    "code": Font(11.5, mono=True),
    "chip": Font(11, 600),
}
_SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
_MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace'
# Of a character's width to the font's size: what the widest of the usual fonts have.
_MONO_WIDTH, _BOLD = 0.61, 1.1
_NARROW, _WIDE = "fijlrt .,:;'|!()[]-/·", "mwMW@%—→←⇄…"
_USUAL = 0.64

# Class → colour by day and by night.
_COLOURS: Mapping[str, tuple[str, str]] = {
    "page": ("#f6f7f9", "#12151b"),
    "panel": ("#ffffff", "#1a1f28"),
    "card": ("#fbfbfd", "#212834"),
    "edge": ("#d5dae3", "#364152"),
    "ink": ("#18202c", "#eef2f8"),
    "soft": ("#566275", "#a4b0c3"),
    Role.ORCHESTRATOR.value: ("#6d3fd1", "#b79cff"),
    Role.HEADLESS_MAC.value: ("#1d63c9", "#7fb4ff"),
    Role.WORKSTATION_MAC.value: ("#0b7a75", "#5fd4cc"),
    Role.PI.value: ("#b8255f", "#ff8fb7"),
    Role.WINDOWS_WSL.value: ("#a25a00", "#f2b35c"),
    "agents": ("#6d3fd1", "#b79cff"),
    "services": ("#1d7a3e", "#6fd394"),
    "compile": ("#b5500b", "#ffab6b"),
    "people": ("#1d63c9", "#7fb4ff"),
}
LINES = ("agents", "services", "compile", "people", "soft", "ink")  # colours that lines may have


@dataclass(frozen=True)
class Place:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass
class Canvas:
    """A picture that is being drawn. Later shapes cover earlier ones."""

    _parts: list[str] = field(default_factory=list)

    def box(self, at: Place, fill: str, edge: str = "", radius: float = 10) -> None:
        """A rectangle with round corners."""
        classes = f"f-{fill}" + (f" s-{edge}" if edge else "")
        self._parts.append(f'<rect class="{classes}" {_rectangle(at)} rx="{radius:g}"/>')

    def tint(self, at: Place, colour: str, radius: float = 9) -> None:
        """A rectangle in a colour that lets text of the same colour be read."""
        self._parts.append(
            f'<rect class="f-{colour}" {_rectangle(at)} rx="{radius:g}" fill-opacity=".14"/>'
        )

    def text(
        self, x: float, y: float, words: str, font: str, ink: str = "ink", *, end: bool = False
    ) -> None:
        """One line of text that begins at x, or ends there; y is its base line."""
        anchor = ' text-anchor="end"' if end else ""
        at = f'class="t-{font} f-{ink}" x="{_n(x)}" y="{_n(y)}"{anchor}'
        self._parts.append(f"<text {at}>{_escaped(words)}</text>")

    def halo(self, points: str) -> None:
        """Room along a path, so that a line there is seen to pass over others."""
        self._parts.append(f'<path class="s-page halo" d="{points}"/>')

    def line(
        self,
        points: str,
        colour: str,
        *,
        start: bool = False,
        end: bool = False,
        faint: bool = False,
    ) -> None:
        """A line along a path; `start` and `end` have arrowheads, a faint one is dashed."""
        heads = (f' marker-start="url(#a-{colour})"' if start else "") + (
            f' marker-end="url(#a-{colour})"' if end else ""
        )
        classes = f"s-{colour} line" + (" faint" if faint else "")
        self._parts.append(f'<path class="{classes}" d="{points}"{heads}/>')

    def icon(self, x: float, y: float, size: float, name: str, colour: str) -> None:
        """An icon of fleet/graph/icons.py."""
        self._parts.append(
            f'<use href="#i-{name}" class="s-{colour} icon" x="{_n(x)}" y="{_n(y)}"'
            f' width="{_n(size)}" height="{_n(size)}"/>'
        )

    def begin(self, title: str) -> None:
        """A group whose title a pointer shows; `finish` ends it."""
        self._parts.append(f"<g><title>{_escaped(title)}</title>")

    def finish(self) -> None:
        """End the group."""
        self._parts.append("</g>")

    def svg(
        self, width: float, height: float, title: str, told: str, icons: Mapping[str, str]
    ) -> str:
        """The whole picture; `told` is what it shows, in words."""
        symbols = [
            f'<symbol id="i-{name}" viewBox="0 0 24 24">{shape}</symbol>'
            for name, shape in icons.items()
        ]
        lines = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}"'
            f' viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-labelledby="title told">',
            f'<title id="title">{_escaped(title)}</title>',
            f'<desc id="told">{_escaped(told)}</desc>',
            f"<style>\n{_style()}\n</style>",
            "<defs>",
            *symbols,
            *(_arrowhead(colour) for colour in LINES),
            "</defs>",
            f'<rect class="f-page" width="{_n(width)}" height="{_n(height)}"/>',
            *self._parts,
            "</svg>",
        )
        return "\n".join(lines) + "\n"


def width_of(words: str, font: str) -> float:
    """How wide a text becomes at most, in pixels."""
    look = FONTS[font]
    if look.mono:
        return len(words) * _MONO_WIDTH * look.size
    each = sum(_sans_width(one) for one in words)
    return each * look.size * (_BOLD if look.weight > 500 else 1)


def _sans_width(one: str) -> float:
    if one in _NARROW:
        return 0.42
    return 1.0 if one in _WIDE or ord(one) > 0x2E7F else 0.78 if one.isupper() else _USUAL


def fitting(words: str, font: str, width: float) -> str:
    """The text, or as much of its beginning as is not wider, and an ellipsis."""
    if width_of(words, font) <= width:
        return words
    while words and width_of(f"{words}…", font) > width:
        words = words[:-1]
    return f"{words}…"


def _escaped(words: str) -> str:
    """Text for XML; characters that XML has no word for become a question mark."""
    return escape("".join(one if one.isprintable() else "?" for one in words))


def _rectangle(at: Place) -> str:
    return f'x="{_n(at.x)}" y="{_n(at.y)}" width="{_n(at.width)}" height="{_n(at.height)}"'


def _n(number: float) -> str:
    """A coordinate, the same on every machine."""
    return f"{round(number, 1):g}" if abs(number) < 1e5 else str(int(number))


def _arrowhead(colour: str) -> str:
    return (
        f'<marker id="a-{colour}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="9"'
        ' markerHeight="9" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
        f'<path class="f-{colour}" d="M0 0L10 5L0 10Z"/></marker>'
    )


def _style() -> str:
    """Plain classes rather than variables, which not every viewer of SVG knows."""
    fonts = [
        f".t-{name}{{font:{font.weight} {font.size:g}px {_MONO if font.mono else _SANS}}}"
        for name, font in FONTS.items()
    ]
    day = [_colour(name, pair[0]) for name, pair in _COLOURS.items()]
    night = [_colour(name, pair[1]) for name, pair in _COLOURS.items()]
    shapes = (
        ".line{fill:none;stroke-width:2;stroke-linejoin:round}",
        ".faint{stroke-width:1.5;stroke-dasharray:5 4}",
        ".halo{fill:none;stroke-width:7}",
        ".icon{fill:none;stroke-width:1.7;stroke-linecap:round;stroke-linejoin:round}",
    )
    dark = "@media (prefers-color-scheme: dark){\n" + "\n".join(night) + "\n}"
    return "\n".join((*fonts, *shapes, *day, dark))


def _colour(name: str, colour: str) -> str:
    return f".f-{name}{{fill:{colour}}}.s-{name}{{stroke:{colour}}}"
