"""The Windows around a host in WSL, asked in one call of its PowerShell, and WSL's own settings."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Any

from facts.probe import Lines
from facts.tailnet import INTEROP
from fleet.powershell import encoded
from fleet.resources import WindowsSide

POWERSHELL = "/mnt/c/Windows/System32/WindowsPowerShell/v1.0/powershell.exe"
# Without these it says what goes wrong in XML, and waits for who knows what.
OPTIONS = "-NoProfile -NonInteractive -OutputFormat Text -EncodedCommand"
WSL_CONF = "/etc/wsl.conf"
HANDLER = "handler"  # the fault that a run can mend
LONGEST_S = 60

# The socket that is named counts (see facts/tailnet.py). The oldest is the keep-alive task's, whose
# rights are an administrator's; a person's own window may have less: one with more is looked for.
_SCRIPT = """(
mode=$(wslinfo --networking-mode) && echo "mode $mode"
sed 's/^/conf /' {conf}
powershell={powershell}
if [ ! -x "$powershell" ]; then echo 'fault automount'; exit; fi
if grep -qi microsoft {version} && ! ls {handlers} >/dev/null; then
    echo 'fault handler'
    exit
fi
found=
for WSL_INTEROP in $(find {interop} -name '*_interop' | sed 's,.*/,,' | sort -n); do
    export WSL_INTEROP="{interop}/$WSL_INTEROP"
    said=$(timeout {longest} "$powershell" {options} {script} | tr -d '\\r' | tail -n 1)
    case $said in
    'True '*) found="$WSL_INTEROP $said"; break ;;
    'False '*) found=${{found:-$WSL_INTEROP $said}} ;;
    esac
done
if [ -n "$found" ]; then printf 'said %s\\n' "$found"; else echo 'fault interop'; fi
)"""
PROC_VERSION = "/proc/version"
HANDLERS = "/proc/sys/fs/binfmt_misc/WSLInterop*"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Rule:
    """A rule of the Hyper-V firewall; no `sources` means anybody. `open`: it lets TCP in."""

    ports: frozenset[str]
    sources: frozenset[Network] = frozenset()
    open: bool = True


@dataclass(frozen=True)
class Task:
    """A scheduled task: its command line, when and with which rights it starts."""

    runs: str
    trigger: str
    logon: str
    level: str
    state: str


@dataclass(frozen=True)
class Windows:
    """What is there. Nothing is known of Windows itself where `socket` is empty; see `fault`.

    `socket` is the interop socket that answered, `elevated` says whether as an administrator.
    `programs` maps the installed ones to what they say of their version. `conf` is /etc/wsl.conf,
    `mode` WSL's networking as it is in force.
    """

    mode: str = ""
    conf: str = ""
    fault: str = ""
    socket: str = ""
    elevated: bool = False
    build: int = 0
    installer: str = ""
    wslconfig: str = ""
    rules: Mapping[str, Rule] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowsProbe:
    """Asks what `side` wants to know; nothing without one."""

    side: WindowsSide | None
    name: str = "windows"

    def script(self) -> str:
        """Print WSL's own settings, then Windows' answer: its socket, rights, and JSON."""
        if self.side is None:
            return ":"
        return _SCRIPT.format(
            conf=WSL_CONF,
            powershell=POWERSHELL,
            version=PROC_VERSION,
            handlers=HANDLERS,
            interop=INTEROP,
            longest=LONGEST_S,
            options=OPTIONS,
            script=encoded(self.side.look),
        )

    def parse(self, lines: Lines) -> Windows:
        """What the lines mean; an answer that is none counts as a Windows that does not answer."""
        words = [line.partition(" ")[::2] for line in lines]
        said = dict(words)
        conf = "".join(f"{text}\n" for word, text in words if word == "conf")
        here: dict[str, Any] = {"mode": said.get("mode", ""), "conf": conf}
        if "said" not in said:
            return Windows(**here, fault=said.get("fault", ""))
        try:
            socket, elevated, answer = said["said"].split(" ")
            told = json.loads(base64.b64decode(answer))
            return Windows(**here, socket=socket, elevated=elevated == "True", **_told(told))
        except (ValueError, TypeError, KeyError, AttributeError):
            return Windows(**here, fault="answer")


def _told(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "build": int(told["build"]),
        "installer": str(told["installer"] or ""),
        "wslconfig": str(told["wslconfig"] or ""),
        "rules": {name: _rule(rule) for name, rule in told["rules"].items()},
        "tasks": {name: Task(**task) for name, task in told["tasks"].items()},
        "programs": {name: str(said or "") for name, said in told["programs"].items()},
    }


# The words of a rule that lets TCP in, and the numbers that stand for them.
_OPEN = {
    "protocol": ("tcp", "6"),
    "direction": ("inbound", "1"),
    "action": ("allow", "2"),
    "enabled": ("true", "1"),
}


def _rule(said: Mapping[str, Any]) -> Rule:
    is_open = all(str(said[key]).lower() in words for key, words in _OPEN.items())
    sources = [str(source) for source in said["sources"] if source]
    anybody = any(source.lower() in ("any", "*") for source in sources)
    try:
        found = frozenset(n for s in sources for n in networks(s)) if not anybody else frozenset()
    except ValueError:  # a word such as LocalSubnet, which is none of ours
        found, is_open = frozenset(), False
    return Rule(frozenset(str(port) for port in said["ports"] if port), found, is_open)


def networks(source: str) -> tuple[Network, ...]:
    """The networks that Windows means by one source: a network, with a mask or not, or a range.

    Raises ValueError for a word such as LocalSubnet.
    """
    first, _, last = source.partition("-")
    if not last:
        return (ip_network(source, strict=False),)
    begin, end = ip_address(first), ip_address(last)
    if isinstance(begin, IPv4Address) and isinstance(end, IPv4Address):
        return tuple(summarize_address_range(begin, end))
    return tuple(summarize_address_range(begin, end))


def version(said: str) -> str:
    """The version in a program's own words."""
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else ""
