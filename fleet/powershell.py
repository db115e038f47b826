"""PowerShell text from a program: quoting, and how a script travels to powershell.exe."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

# PowerShell takes typographic quotes for straight ones.
_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
# Windows takes no longer command line, everything in it included.
LONGEST = 30_000


def quoted(text: str) -> str:
    """The text as a literal, in which nothing is expanded."""
    return "'" + _QUOTES.sub(lambda quote: quote[0] * 2, text) + "'"


def array(items: Iterable[object]) -> str:
    """The items as a list of literals, each a text."""
    return f"@({', '.join(quoted(str(item)) for item in items)})"


def encoded(script: str) -> str:
    """The script as -EncodedCommand wants it: no shell on its way finds anything to quote.

    Raises ValueError when Windows would not take a command line of that length.
    """
    text = base64.b64encode(script.encode("utf-16-le")).decode()
    if len(text) > LONGEST:
        raise ValueError(f"the script for Windows is too long: {len(text)} characters")
    return text
