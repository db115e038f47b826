"""What a role means: the values of group_data/, read the way pyinfra reads them."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path
from types import ModuleType

from fleet.kinds import Role, Sudo, broad_groups
from fleet.problems import FleetError

GROUP_DATA = Path(__file__).resolve().parent.parent / "group_data"


def role_data(role: str) -> dict[str, object]:
    """Return the values that hold for every host of a role.

    Merged from group_data/all.py, then the broad groups' files, then the role's own; later ones
    win, and a group without a file adds nothing. Raises FleetError when a file does not run.
    """
    return dict(_merged(Role(role)))


def reserved_cores(role: Role) -> int:
    """Return how many cores a host of the role keeps for itself (no compile jobs on them)."""
    cores = role_data(role).get("reserved_cores", 0)
    if not isinstance(cores, int):
        fix = "write a whole number of cores"
        raise FleetError.of(f"group_data/{role}.py", "reserved_cores is no whole number", fix)
    return cores


def agent_sudo(role: Role) -> Sudo:
    """Return what an agent on a host of the role may do as root, if the host does not say."""
    try:
        return Sudo(str(role_data(role).get("agent_sudo", Sudo.NONE)))
    except ValueError:
        fix = f"write one of: {', '.join(Sudo)}"
        fault = "agent_sudo is none of those"
        raise FleetError.of(f"group_data/{role}.py", fault, fix) from None


def known_capabilities(role: Role) -> tuple[str, ...]:
    """Return the capabilities a host of the role gets, which `without` may name; empty: unknown."""
    names = role_data(role).get("capabilities", ())
    return tuple(str(name) for name in names) if isinstance(names, tuple | list) else ()


@cache
def _merged(role: Role) -> dict[str, object]:
    data: dict[str, object] = {}
    for group in ("all", *broad_groups(role), role.value):
        path = GROUP_DATA / f"{group}.py"
        if path.is_file():
            data.update(_values(path))
    return data


@cache
def _values(path: Path) -> dict[str, object]:
    try:
        found = runpy.run_path(str(path))
    except Exception as error:
        fault = f"does not run: {type(error).__name__}: {error}"
        raise FleetError.of(f"group_data/{path.name}", fault, "mend the file") from error
    return {name: value for name, value in found.items() if _is_value(name, value)}


def _is_value(name: str, value: object) -> bool:
    if name.startswith("_") or isinstance(value, ModuleType):
        return False
    return name != "annotations" and not callable(value)
