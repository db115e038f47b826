"""Which of the wanted accounts exist."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from facts.probe import Lines


@dataclass(frozen=True)
class UsersProbe:
    """Looks for accounts by name, wherever the host keeps them."""

    names: tuple[str, ...]
    name: str = "users"

    def script(self) -> str:
        """Print the names that exist."""
        return "\n".join(
            f"id -u {shlex.quote(name)} >/dev/null && echo {shlex.quote(name)}"
            for name in self.names
        )

    def parse(self, lines: Lines) -> frozenset[str]:
        """Return the existing names."""
        return frozenset(line for line in lines if line)
