"""What keeps one of the orchestrator's services from starting."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration cannot be used; the text says why."""
