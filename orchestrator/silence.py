"""What ssh says when nothing answers, which is another thing than an answer that is no."""

from __future__ import annotations

import re

_SILENCE = re.compile(
    r"timed out|no answer within|Connection refused|No route to host|is unreachable|Host is down"
    r"|Could not resolve|Unable to connect to port|Error reading SSH protocol banner",
    re.IGNORECASE,
)


def is_silence(said: str) -> bool:
    """Whether ssh, or pyinfra's, says that nothing answered at all."""
    return bool(_SILENCE.search(said))
