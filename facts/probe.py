"""A probe: a shell snippet and the parser of what it prints. Many run in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

Lines = Sequence[str]


class Probe(Protocol):
    """One kind of thing to look at. `script` may use every POSIX tool of the host's platform."""

    @property
    def name(self) -> str:
        """Where the result is found; unique among the probes of a look."""

    def script(self) -> str:
        """Shell that prints the state and changes nothing; its exit code does not count."""

    def parse(self, lines: Lines) -> object:
        """What the lines mean. Raises ValueError on output that is not the snippet's."""


_BEGIN = "@@agentfleet-probe "


def compose(probes: Iterable[Probe]) -> str:
    """One script that runs every probe, each section behind a line that names it.

    Everything is in a function, so that the shell has read all of it before a program inside can
    read from the same standard input.
    """
    sections = [f"echo '{_BEGIN}{probe.name}'\n{probe.script()}" for probe in probes]
    body = "\n".join(sections)
    return (
        f"look() {{\nexport LC_ALL=C\n{body}\necho '{_BEGIN}end'\n}}\nlook </dev/null 2>/dev/null\n"
    )


def split(output: Lines) -> Mapping[str, Lines]:
    """The lines of each section of a composed script's output.

    Raises ValueError when the last section is missing: the connection broke or the shell died.
    """
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output:
        if line.startswith(_BEGIN):
            current = sections.setdefault(line.removeprefix(_BEGIN).strip(), [])
        else:
            current.append(line)
    if "end" not in sections:
        raise ValueError("the look ended early: the connection or the shell on the host broke")
    return sections
