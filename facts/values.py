"""Values that no file holds: each read by its own snippet, in one line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from facts.probe import Lines
from fleet.resources import Reading, Setting


@dataclass(frozen=True)
class ValuesProbe:
    """Reads the current value of each setting, and what only the host can tell."""

    settings: tuple[Setting | Reading, ...]
    name: str = "values"

    def script(self) -> str:
        """Print `name<tab>value` lines; a value that cannot be read is empty."""
        return "\n".join(
            f"""printf '%s\\t%s\\n' {shlex.quote(s.name)} "$({s.read})\"""" for s in self.settings
        )

    def parse(self, lines: Lines) -> Mapping[str, str]:
        """Return setting name → value."""
        return dict(line.split("\t", 1) for line in lines if "\t" in line)
