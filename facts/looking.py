"""The look of a pyinfra run, remembered.

It is taken once for all capabilities and kept for prepare and execute alike; an operation forgets
its host's look right before its first command changes something.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import FactBase, Host

from facts.look import Look, interpret
from facts.probe import Probe, compose


class Looked(FactBase[list[str]]):
    """The raw output of a composed script, which arrives on standard input."""

    def command(self) -> str:
        """A shell that reads its script from standard input: no limit on its length."""
        return "sh -s"

    @staticmethod
    def default() -> list[str]:
        """Nothing, which `interpret` takes for a look that ended early."""
        return []

    def process(self, output: list[str]) -> list[str]:
        """Keep the lines; `interpret` knows the probes they belong to."""
        return output


_remembered: dict[str, tuple[tuple[Probe, ...], Look]] = {}


def look(host: Host, asked: Sequence[Probe]) -> Look:
    """What is on the host; from memory when the same was asked and nothing has changed it since.

    What is asked may change in between, since it follows from what other hosts have told; also
    while this host is being looked at. Raises ValueError when the output is not what the probes
    print.
    """
    question = tuple(asked)
    before, seen = _remembered.get(host.name, ((), None))
    if seen is not None and before == question:
        return seen
    output = host.get_fact(Looked, _stdin=compose(question))
    seen = interpret(question, output)
    _remembered[host.name] = (question, seen)
    return seen


def forget(host: Host) -> None:
    """The host is about to change: what was seen no longer counts."""
    _remembered.pop(host.name, None)
