"""How a host is reached over SSH: one description for pyinfra and for our own commands."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fleet.cache import cache_dir
from fleet.model import Host
from fleet.target import Target

CONNECT_TIMEOUT_S = 5
_SILENCE = re.compile(
    r"timed out|no answer within|Connection refused|No route to host|is unreachable|Host is down"
    r"|Could not resolve",
    re.IGNORECASE,
)
UNREACHABLE = 255  # ssh's own exit code; what runs on the host may have any other


@dataclass(frozen=True)
class Route:
    """Address, login and the host keys that count; without `known_hosts` a new key is trusted."""

    address: str
    port: int
    user: str
    key: str | None
    known_hosts: Path | None

    def command(self, *more: str) -> list[str]:
        """The argument vector of an ssh that never asks; `more` options, the host is last."""
        # Never through somebody's shared connection: that may be older than what it shall prove.
        options = ["BatchMode=yes", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
        options += ["ControlMaster=no", "ControlPath=none"]
        if self.known_hosts:
            options += [f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes"]
        else:
            options += ["StrictHostKeyChecking=accept-new"]
        key = ["-o", "IdentitiesOnly=yes", "-i", self.key] if self.key else []
        settings = [word for option in options for word in ("-o", option)]
        return ["ssh", *settings, *key, "-p", str(self.port), *more, f"{self.user}@{self.address}"]


@dataclass(frozen=True)
class Answer:
    """What came back from a host."""

    code: int
    stdout: str
    stderr: str

    @property
    def reached(self) -> bool:
        """Whether the host took the command."""
        return self.code != UNREACHABLE

    @property
    def nobody_there(self) -> bool:
        """Whether nothing answered at all; a refused login or host key is something else."""
        return not self.reached and bool(_SILENCE.search(self.stderr))


def route(host: Host, target: Target) -> Route:
    """The way to the host."""
    address = host.addresses.lan or host.addresses.tailnet or host.name
    known_hosts = target.known_hosts
    if known_hosts is None and target.lock.host_keys(host.name):
        known_hosts = _learned(host, address, target)
    key = str(Path(host.ssh.key).expanduser()) if host.ssh.key else None
    return Route(address, host.ssh.port, host.ssh.user, key, known_hosts)


def as_root(way: Route, script: str, timeout_s: float) -> Answer:
    """Run a shell script on the host as root; it travels on standard input."""
    return _run([*way.command(), "sudo -n -H sh -s"], script, timeout_s)


def ask(way: Route, address: str, port: int, question: str, timeout_s: float) -> Answer:
    """Say something to a TCP port as seen from the host, and return what it answers."""
    return _run(way.command("-W", f"{address}:{port}"), question, timeout_s)


def _run(command: list[str], stdin: str, timeout_s: float) -> Answer:
    try:
        run = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(UNREACHABLE, "", f"no answer within {timeout_s:g} s")
    return Answer(run.returncode, run.stdout, run.stderr.strip())


def _learned(host: Host, address: str, target: Target) -> Path:
    """A known_hosts file with the keys that fleet.lock.yaml has for this host."""
    name = address if host.ssh.port == 22 else f"[{address}]:{host.ssh.port}"
    path = cache_dir() / "known_hosts" / host.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name} {key}\n" for key in target.lock.host_keys(host.name)))
    return path
