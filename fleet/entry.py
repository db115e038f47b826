"""A host's entry in fleet.yaml, from the words of a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from fleet.kinds import OS_ARCH, ROLE_ARCH, ROLE_OS, Arch, Os, Role
from fleet.problems import WrongUsageError, show, suggest
from fleet.yamlfile import plain_value

# Word of a command line → the key of an entry, in the order in which entries have them.
WORDS: Mapping[str, tuple[str, ...]] = {
    "role": ("role",),
    "os": ("os",),
    "arch": ("arch",),
    "power": ("power",),
    "site": ("site",),
    "cores": ("cores",),
    "lan": ("addresses", "lan"),
    "user": ("ssh", "user"),
    "port": ("ssh", "port"),
    "hardware": ("hardware",),
}
PI_CORES = "4"  # of every Raspberry Pi that runs a 64-bit system
_PLAIN = re.compile(r"[A-Za-z0-9/~]([A-Za-z0-9 ./_~-]*[A-Za-z0-9./_~-])?")


def entry_of(name: str, said: Mapping[str, str]) -> str:
    """The entry as YAML: what was said, and what follows from it. Nothing is checked here."""
    values: dict[str, str | dict[str, str]] = {}
    for word, place in WORDS.items():
        value = said.get(word) or _follows(word, said)
        if not value:
            continue
        if len(place) == 1:
            values[place[0]] = value
        else:
            inner = values.setdefault(place[0], {})
            assert isinstance(inner, dict)  # noqa: S101 - WORDS has it so
            inner[place[1]] = value
    lines = [f"  {key}: {_shown(value)}" for key, value in values.items()]
    return "\n".join([f"{_scalar(name)}:{'' if lines else ' {}'}", *lines])


def _follows(word: str, said: Mapping[str, str]) -> str:
    """What need not be said, since it can be nothing else; empty where it can."""
    role = next((one for one in Role if one.value == said.get("role")), None)
    if role is None:
        return ""
    systems = [one for one in ROLE_OS[role] if said.get("os", one.value) == one.value]
    if word == "os":
        return systems[0].value if len(systems) == 1 else ""
    if word == "arch":
        return _machine(role, systems)
    return PI_CORES if word == "cores" and role is Role.PI else ""


def _machine(role: Role, systems: list[Os]) -> str:
    kinds: set[Arch] = {one for system in systems for one in OS_ARCH[system]}
    fitting = kinds & {*ROLE_ARCH[role]}
    return fitting.pop().value if len(fitting) == 1 else ""


def _shown(value: str | Mapping[str, str]) -> str:
    if isinstance(value, str):
        return _scalar(value)
    return "{" + ", ".join(f"{key}: {_scalar(text)}" for key, text in value.items()) + "}"


def _scalar(text: str) -> str:
    """A text or number as YAML; what could be read as anything else is quoted."""
    if re.fullmatch("[1-9][0-9]{0,8}", text):
        return text
    if _PLAIN.fullmatch(text) and isinstance(plain_value(text), str):
        return text
    return json.dumps(text, ensure_ascii=False)


def read_host(text: str) -> tuple[str, dict[str, str]]:
    """A host as a command line says it: `NAME,role=pi,lan=10.0.0.5`. Raises WrongUsageError."""
    name, *parts = text.split(",")
    said: dict[str, str] = {}
    for part in parts:
        word, equals, value = part.partition("=")
        if word not in WORDS:
            fault = f"{show(word)} is nothing that a host has"
            raise WrongUsageError.of("--host", fault, suggest(word, WORDS))
        if not equals or not value:
            raise WrongUsageError.of("--host", f"{show(part)} says nothing", f"write {word}=VALUE")
        if word in said:
            raise WrongUsageError.of("--host", f"{word} is said twice", "keep one of the two")
        said[word] = value
    if not name:
        raise WrongUsageError.of("--host", "it has no name", "write NAME,role=…,os=…")
    return name, said
