"""pyinfra, with its remote executions counted.

usage: python -m bench.counted COUNTS.json PYINFRA-ARGUMENT...
COUNTS.json gets, for each host, how many shell, put and get calls its connector made.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

# pyinfra_cli patches the standard library for gevent, so it comes before everything it patches.
from pyinfra_cli.main import main as run_pyinfra  # isort: skip
from pyinfra.connectors.ssh import SSHConnector

CALLS = {"run_shell_command": "shell", "put_file": "put", "get_file": "get"}
Counts = dict[str, dict[str, int]]


def count_calls(counts: dict[str, Counter[str]]) -> None:
    """Make every connector count its calls in `counts`, by host."""
    for method, kind in CALLS.items():
        setattr(SSHConnector, method, _counting(getattr(SSHConnector, method), kind, counts))


def _counting(
    original: Callable[..., Any], kind: str, counts: dict[str, Counter[str]]
) -> Callable[..., Any]:
    def counted(connector: SSHConnector, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        counts[connector.host.name][kind] += 1
        return original(connector, *args, **kwargs)

    return counted


def main() -> None:
    """Run pyinfra and write the counts, however it ends."""
    path, *arguments = sys.argv[1:]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    count_calls(counts)
    sys.argv = ["pyinfra", *arguments]
    try:
        run_pyinfra()
    finally:
        Path(path).write_text(json.dumps(counts, indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
