"""Services: what systemd or launchd says of them, and the inputs they started with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from facts.probe import Lines

RUN_DIR = "/var/run/agentfleet"


@dataclass(frozen=True)
class ServiceState:
    """One service. `stamp` maps each input to its digest at the last start, `told` each file to
    the digest that the service was last told of; None if unknown.
    `busy` is the answer of the service's own question.

    `masked` is systemd's; `stale` means that the manager has
    not read the definition on disk yet.
    """

    loaded: bool = False
    running: bool = False
    enabled: bool = False
    masked: bool = False
    failed: bool = False
    stale: bool = False
    stamp: Mapping[str, str] | None = None
    told: Mapping[str, str] | None = None
    busy: bool = False


@dataclass(frozen=True)
class ServicesProbe:
    """Looks at units (Linux) or labels (macOS) and at the stamps of both kinds."""

    names: tuple[str, ...]
    mac: bool
    state_dir: str
    busy: Mapping[str, str] = field(default_factory=dict)
    name: str = "services"

    def script(self) -> str:
        """Print the managers' own words, then the stamps."""
        if not self.names:
            return "echo stamps\necho busy"
        names = " ".join(shlex.quote(name) for name in self.names)
        look = _LAUNCHD.format(names=names) if self.mac else _SYSTEMD.format(names=names)
        questions = "\n".join(
            f"if ( {question} ) >/dev/null; then echo {shlex.quote(name)}; fi"
            for name, question in sorted(self.busy.items())
        )
        stamps = _STAMPS.format(run=RUN_DIR, state=shlex.quote(self.state_dir))
        return f"{look}\necho stamps\n{stamps}\necho busy\n{questions}"

    def parse(self, lines: Lines) -> Mapping[str, ServiceState]:
        """Return the state of every service asked for."""
        at, busy_at = lines.index("stamps"), lines.index("busy")
        started, told = _stamps(lines[at + 1 : busy_at])
        found = _launchd(lines[:at]) if self.mac else _systemd(lines[:at])
        return {
            name: replace(
                found.get(name, ServiceState()),
                stamp=started.get(service_stem(name)),
                told=told.get(service_stem(name)),
                busy=name in lines[busy_at + 1 :],
            )
            for name in self.names
        }


def service_stem(name: str) -> str:
    """The name under which a service stamps itself: without prefix of ours and suffix."""
    return re.sub(r"^(agentfleet-|org\.agentfleet\.)", "", name).removesuffix(".service")


def told_stem(name: str, teller: str) -> str:
    """The name under which it is noted what a teller told a service."""
    return f"{service_stem(name)}{_TELLER}{teller}" if teller else service_stem(name)


_TELLER = "+"
_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,Names"
_SYSTEMD = f"systemctl show -p {_PROPERTIES} -- {{names}}"
_LAUNCHD = """
launchctl print-disabled system | sed 's/^/disabled /'
for label in {names}; do
    echo "label $label"
    launchctl print "system/$label"
done"""
_STAMPS = """
for stamp in {run}/*.stamp {state}/notified/*.stamp; do
    [ -f "$stamp" ] || continue
    echo "stamp $stamp"
    while read -r line; do printf '%s\\n' "$line"; done <"$stamp"
done"""


def _systemd(lines: Lines) -> dict[str, ServiceState]:
    states: dict[str, ServiceState] = {}
    for block in "\n".join(lines).split("\n\n"):
        said = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        state = ServiceState(
            loaded=said.get("LoadState") == "loaded",
            running=said.get("ActiveState") in ("active", "reloading"),
            enabled=said.get("UnitFileState") in ("enabled", "enabled-runtime", "static", "alias"),
            masked=said.get("LoadState") == "masked",
            failed=said.get("ActiveState") == "failed",
            stale=said.get("NeedDaemonReload") == "yes",
        )
        states |= dict.fromkeys(said.get("Names", said.get("Id", "")).split(), state)
    return states


def _launchd(lines: Lines) -> dict[str, ServiceState]:
    disabled, label = set(), ""
    said: dict[str, dict[str, str]] = {}
    for line in lines:
        if line.startswith("disabled "):
            if match := re.search(r'"([^"]+)" => (disabled|true)', line):
                disabled.add(match[1])
        elif line.startswith("label "):
            label = line.removeprefix("label ")
            said[label] = {}
        elif match := re.fullmatch(r"\t(state|pid|path) = (.*)", line):
            said[label].setdefault(match[1], match[2])
    return {
        label: ServiceState(
            loaded="path" in words,
            running=words.get("state") == "running",
            enabled=label not in disabled,
        )
        for label, words in said.items()
    }


def _stamps(lines: Lines) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """What services started with, and what others were told of, by whomever: by stem."""
    started: dict[str, dict[str, str]] = {}
    told: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in lines:
        if line.startswith("stamp "):
            directory, name = line.removeprefix("stamp ").rsplit("/", 1)
            stamps = started if directory == RUN_DIR else told
            stem = name.removesuffix(".stamp").partition(_TELLER)[0]
            current = stamps.setdefault(stem, {})
        elif len(words := line.split(maxsplit=1)) == 2:
            current[words[1]] = words[0]
    return started, told
