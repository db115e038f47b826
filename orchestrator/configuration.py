"""What a service of the orchestrator knows of the fleet: one JSON file, read once at the start."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration cannot be used; the text says why."""


def load(path: Path, make: Callable[[Mapping[str, Any]], T]) -> T:
    """What `make` makes of the file. Raises ConfigError, also for what that does not find in it."""
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from None
