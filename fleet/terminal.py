"""What hosts print, made harmless for the terminal that shows it."""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, movements of the cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links, what is put into a clipboard
    r"|\x1b[ -/]*[0-~]?"
)
# All of Unicode's control codes but tab and newline; what turns the direction of writing, or has
# no width, makes one text look like another.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    """The text without anything that a terminal obeys; newlines and tabs stay."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))
