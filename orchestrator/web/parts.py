"""What pages keep up to date: each part has a name, news that concern it, and a look."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from orchestrator.desk import Desk, News


@dataclass(frozen=True)
class Piece:
    """One of those that a part consists of, and what stands in the element with its id."""

    id: str
    html: Markup


@dataclass(frozen=True)
class Shown:
    """A part as it is now. One made of `pieces` grows at its end without being sent again."""

    html: Markup
    pieces: tuple[Piece, ...] = ()

    @property
    def digest(self) -> str:
        """Differs where the HTML does."""
        return hashlib.sha256(self.html.encode()).hexdigest()[:12]


def of_pieces(pieces: Sequence[Piece]) -> Shown:
    """The part that consists of these."""
    return Shown(Markup("").join(map(element, pieces)), tuple(pieces))


def element(piece: Piece) -> Markup:
    """The element that holds a piece."""
    return Markup('<div id="{}">{}</div>').format(piece.id, piece.html)


Show = Callable[[Desk, str], Awaitable[Shown]]


@dataclass(frozen=True)
class Part:
    """A kind of part. A part's name is `KIND` or `KIND:WHICH`, and `which` says what it shows.

    `hears` are topics of news: `tasks` for all of them, `tasks:` for those about `which` alone,
    up to its first dot.
    """

    kind: str
    hears: Sequence[str]
    show: Show

    def concerns(self, which: str) -> tuple[News, ...]:
        """The news after which it has to be shown anew."""
        about = which.partition(".")[0]
        return tuple(
            News(topic.removesuffix(":"), about if topic.endswith(":") else "")
            for topic in self.hears
        )


def identity(name: str) -> str:
    """The id of the element that holds the part of this name."""
    return "part-" + "".join(one if one.isalnum() else "-" for one in name)
