"""Which packages plug something into others: read once.

gevent and pyinfra ask for it dozens of times before the first host is reached, and each time the
metadata of everything that is installed is read.
"""

from __future__ import annotations

import importlib.metadata
import sys
from functools import cache
from typing import Any

_CONNECTORS = "pyinfra.api.connectors"
theirs = importlib.metadata.entry_points


def read_once() -> None:
    """Remember the answer from now on; best before pyinfra is imported."""
    setattr(importlib.metadata, "entry_points", known)  # noqa: B010 - mypy forbids it otherwise
    if _CONNECTORS in sys.modules:
        setattr(sys.modules[_CONNECTORS], "entry_points", known)  # noqa: B010


def known(**of: str) -> Any:  # noqa: ANN401 - its type differs between versions of Python
    """As importlib.metadata.entry_points."""
    return _all().select(**of)


@cache
def _all() -> Any:  # noqa: ANN401
    return theirs()
