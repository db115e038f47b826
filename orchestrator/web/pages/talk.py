"""What was said, as pages show it: a message each, so that only what grows is sent again."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from orchestrator.tasks.model import Message
from orchestrator.web.parts import Piece, Shown, of_pieces
from orchestrator.web.render import html

MOST = 200  # messages of one conversation on a page: the latest


def conversation(messages: Sequence[Message], prefix: str, empty: str) -> Shown:
    """The messages; `prefix` begins the ids of their elements."""
    if not messages:
        return Shown(Markup('<p class="empty">{}</p>').format(empty))
    pieces = [
        Piece(f"{prefix}-{one.number}", html("parts/message.html", message=one))
        for one in messages[-MOST:]
    ]
    if earlier := len(messages[:-MOST]):
        words = Markup('<p class="empty">{} earlier messages are not shown.</p>').format(earlier)
        pieces.insert(0, Piece(f"{prefix}-earlier", words))
    return of_pieces(pieces)
