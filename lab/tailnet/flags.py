"""Flags as Go's programs take them, and which of them are settings that a node keeps."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from lab.tailnet.nodes import Prefs

# Settings of `up` and `set`, with what they are when nobody mentions them.
SETTINGS: Mapping[str, str | bool] = {
    "accept-dns": True,
    "accept-routes": False,
    "advertise-exit-node": False,
    "advertise-routes": "",
    "advertise-tags": "",
    "exit-node": "",
    "exit-node-allow-lan-access": False,
    "hostname": "",
    "netfilter-mode": "on",
    "operator": "",
    "shields-up": False,
    "snat-subnet-routes": True,
    "ssh": False,
    "stateful-filtering": False,
}
# Flags of `up` that are for this one call.
ONCE: Mapping[str, str | bool] = {
    "accept-risk": "",
    "auth-key": "",
    "force-reauth": False,
    "json": False,
    "login-server": "",
    "qr": False,
    "reset": False,
    "timeout": "0s",
}
UP = {**SETTINGS, **ONCE}
SET = {
    name: value
    for name, value in {**SETTINGS, "accept-risk": "", "auto-update": False, "webclient": False,
                        "nickname": "", "update-check": True}.items()
    if name != "advertise-tags"
}  # fmt: skip
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_REVERT = (
    "Error: changing settings via 'tailscale up' requires mentioning all\n"
    "non-default flags. To proceed, either re-run your command with --reset or\n"
    "use the command below to explicitly mention the current value of\n"
    "all non-default settings:\n\n\ttailscale up"
)


class WrongFlagsError(Exception):
    """The program prints this and ends with 1."""


def parse(words: Sequence[str], known: Mapping[str, str | bool]) -> tuple[Prefs, list[str]]:
    """Split a command line into flags and arguments; flags end at the first argument."""
    given: Prefs = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, value = word.lstrip("-").partition("=")
        name = {"authkey": "auth-key"}.get(name, name)
        if name not in known:
            raise WrongFlagsError(f"flag provided but not defined: -{name}")
        if isinstance(known[name], bool):
            given[name] = _bool(name, value) if equals else True
        elif equals or rest:
            given[name] = value if equals else rest.pop(0)
        else:
            raise WrongFlagsError(f"flag needs an argument: -{name}")
    return given, rest


def _bool(name: str, value: str) -> bool:
    if value.lower() not in ("true", "t", "1", "false", "f", "0"):
        raise WrongFlagsError(f'invalid boolean value "{value}" for -{name}: parse error')
    return value.lower() in ("true", "t", "1")


def seconds(text: str) -> float:
    """Read a duration as Go writes it: 90s, 1m30s, 500ms, 0."""
    if text == "0":
        return 0.0
    parts = re.findall(r"([0-9.]+)(ms|s|m|h)", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise WrongFlagsError(f'invalid value "{text}" for flag -timeout: parse error')
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


def reverted(given: Prefs, current: Prefs) -> str:
    """What `up` says when it would silently undo settings; empty when it would not."""
    missing = sorted(
        _shown(name, value)
        for name, value in current.items()
        if name in SETTINGS and name not in given and value != SETTINGS[name]
    )
    if not missing or not given:
        return ""
    explicit = [_shown(name, given[name]) for name in sorted(given)]
    return " ".join([_REVERT, *explicit, *missing]) + "\n\n"


def _shown(name: str, value: str | bool) -> str:
    if value is True:
        return f"--{name}"
    return f"--{name}={'false' if value is False else shlex.quote(value) if value else ''}"
