"""The log of one daemon of a host: the script that prints it, on either manager."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from fleet.daemons import log_file
from fleet.problems import WrongUsageError
from fleet.resources import RunningService
from fleet.ssh import attended
from fleet.units import TIMER, short_name
from fleet.view import HostView


@dataclass(frozen=True)
class Wish:
    """Which part of a log: the last `lines` (None: all), no older than `since`, and what comes."""

    lines: int | None
    since: str = ""  # in systemd's words
    follow: bool = False


def log_script(view: HostView, service: RunningService, wish: Wish) -> str:
    """The script for fleet.ssh.stream. Raises WrongUsageError for what a Mac cannot do."""
    body = _of_file(view, service, wish) if view.host.is_mac else _of_journal(service, wish)
    return f"export LC_ALL=C\nshow() {{\n{body}\n}}\n{attended('show')}"


def _of_journal(service: RunningService, wish: Wish) -> str:
    name = service.name
    if name.endswith(TIMER):  # what speaks is the service that it starts
        name = name.removesuffix(TIMER) + ".service"
    # --all: lines with colours in them would be left out otherwise.
    words = ["journalctl", "--quiet", "--all", "--no-pager", "--no-hostname"]
    words += ["--output=short-iso", f"--unit={name}"]
    words += [f"--lines={wish.lines}"] if wish.lines is not None else []
    words += [f"--since={wish.since}"] if wish.since else []
    words += ["--follow"] if wish.follow else []
    return f"exec {shlex.join(words)}"


def _of_file(view: HostView, service: RunningService, wish: Wish) -> str:
    """A Mac's logs are files whose lines have no time; newsyslog rotates them."""
    if wish.since:
        fault = f"the log files of {view.host.name}, a Mac, do not say when a line was written"
        raise WrongUsageError.of("--since", fault, "use -n LINES")
    log = shlex.quote(log_file(view, short_name(service.name)))
    lines = str(wish.lines or 0)
    if wish.follow:
        return f"until [ -f {log} ]; do sleep 1; done\nexec tail -n {lines} -F {log}"
    return f"""[ -f {log} ] || return 0
if [ "$(wc -l <{log})" -lt {lines} ] && [ -f {log}.0.gz ]; then
    {{ gzip -dc {log}.0.gz; cat {log}; }} | tail -n {lines}
else
    exec tail -n {lines} {log}
fi"""
