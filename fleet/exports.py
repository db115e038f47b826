"""What a shell has to be told to compile with the fleet, for scripts and CI: pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.kinds import Arch
from fleet.model import Fleet, Host
from fleet.settings import settings_for
from fleet.toolchains import icecc_version, matrix, untrusted

GCC_HOME = "AGENTFLEET_GCC"  # =home: the wrappers keep gcc's jobs, which no ICECC_VERSION restricts


@dataclass(frozen=True)
class Exports:
    """Variables for a shell on a host; `first_on_path` goes before whatever its PATH is.

    `remarks` says what is not as one might expect, in words.
    """

    host: str
    first_on_path: str
    variables: Mapping[str, str]
    unset: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def lines(self) -> str:
        """The lines for sh, remarks as comments."""
        # The PATH that the shell has, expanded by itself.
        path = f'export PATH={shlex.quote(self.first_on_path)}:"$PATH"'
        exports = [f"export {name}={shlex.quote(value)}" for name, value in self.variables.items()]
        comments = [f"# {remark}" for remark in self.remarks]
        clear = [f"unset {' '.join(self.unset)}"] if self.unset else []
        return "\n".join((*comments, path, *clear, *exports, ""))


def exports(fleet: Fleet, host: Host, triple: str = "", *, trusted_only: bool = False) -> Exports:
    """What a shell on the host needs; `triple` is what clang shall compile for.

    With `trusted_only` no job leaves for a platform that has a worker whose agent may do everything
    there: icecream chooses among all workers of a platform, so that one of them spoils it.
    """
    role, row = settings_for(host.role.value), matrix(fleet).rows.get(host.name)
    usable = row.environments if row else ()
    remarks = list(row.lacks) if row else [f"{host.name} has none of the fleet's compilers"]
    spoiled = _spoiled(fleet, host) if trusted_only else {}
    kept = tuple(one for one in usable if one.platform not in spoiled)
    remarks += [
        f"no job goes to {arch} workers: not trusted: {', '.join(names)} (agents with full sudo)"
        for arch, names in spoiled.items()
    ]
    target = f" --target={triple}" if triple else ""
    variables = {"CC": f"clang{target}", "CXX": f"clang++{target}"}
    if kept:
        variables["ICECC_VERSION"] = icecc_version(kept, role.environments_dir)
    if spoiled and not kept:
        variables["ICECC"] = "disable"
        remarks.append("nothing leaves this host: ICECC=disable")
    elif host.arch in spoiled and host.is_linux:
        variables[GCC_HOME] = "home"
        remarks.append(f"gcc compiles at home: its jobs would go to {host.arch} workers")
    variables |= {"CCACHE_PREFIX": "icecc", "CCACHE_COMPILERCHECK": "%compiler% --version"}
    unset = () if kept else ("ICECC_VERSION",)  # somebody's older one would be obeyed
    return Exports(host.name, role.compilers_dir, variables, unset, tuple(remarks))


def _spoiled(fleet: Fleet, host: Host) -> dict[Arch, tuple[str, ...]]:
    """The platforms with workers that are not trusted, and these; nobody distrusts himself."""
    by_platform = {
        arch: tuple(name for name in untrusted(fleet, arch) if name != host.name) for arch in Arch
    }
    return {arch: names for arch, names in by_platform.items() if names}
