"""The script that makes a fresh machine ready for its first run: one a host, from the model.

It brings what a run needs and no more: an SSH server, a login with keys, root without a password.
Everything else is the run's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fleet.bootwindows import windows_script
from fleet.identity import DISTRIBUTIONS, USERLANDS
from fleet.kinds import Role
from fleet.ownkey import own_key
from fleet.problems import FleetError
from fleet.rules import NEEDED
from fleet.view import HostView


class Kind(NamedTuple):
    """A kind of script: where its template is, and how the names of its files end."""

    template: str
    ending: str


LINUX = Kind("bootstrap/linux.sh.j2", "sh")
MACOS = Kind("bootstrap/macos.sh.j2", "sh")
WINDOWS = Kind("bootstrap/windows.ps1.j2", "ps1")
# Roles whose machine runs another system than the one that its SSH server runs on.
BY_ROLE: Mapping[Role, Kind] = {Role.WINDOWS_WSL: WINDOWS}
_NETWORK = {
    LINUX: "plug in a cable, or join a wireless network: nmtui, raspi-config, iwctl",
    MACOS: "plug in a cable, or join a wireless network: System Settings, Wi-Fi",
}


@dataclass(frozen=True)
class Script:
    """A script and the name of its file. There is no secret in it."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """The sha256 of its file."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def kind_of(view: HostView) -> Kind:
    """What kind of script the host needs at its console."""
    return BY_ROLE.get(view.host.role) or (MACOS if view.host.is_mac else LINUX)


def script_for(view: HostView, keys: Sequence[str] | None = None) -> Script:
    """The script for the host's console. `keys` are public keys; None: those of `login_keys`.

    Raises FleetError when there is no key.
    """
    kind = kind_of(view)
    keys = login_keys(view) if keys is None else keys
    if kind is WINDOWS:
        text = windows_script(view, inside_windows(view, keys).text)
        return Script(f"{view.host.name}.{kind.ending}", text)
    return _rendered(view, kind, keys)


def inside_windows(view: HostView, keys: Sequence[str] | None = None) -> Script:
    """The script for the Linux inside WSL, which the script for Windows runs there as root."""
    return _rendered(view, LINUX, login_keys(view) if keys is None else keys)


def _rendered(view: HostView, kind: Kind, keys: Sequence[str]) -> Script:
    text = view.render(
        kind.template,
        source=kind.template,
        keys=keys,
        inside_windows=view.host.role is Role.WINDOWS_WSL,
        capabilities=view.capabilities,
        distributions=DISTRIBUTIONS.get(view.host.os, ()),
        userland=USERLANDS[view.host.arch],
        without_claude=falls_with("claude_code"),
        network_fix=_NETWORK.get(kind, ""),
    )
    return Script(f"{view.host.name}.{kind.ending}", text.decode())


def falls_with(capability: str) -> tuple[str, ...]:
    """The capability, and all that a host cannot have without it."""
    found = [capability]
    for one in found:
        found += [other for other in NEEDED.get(one, ((), ""))[0] if other not in found]
    return tuple(found)


def login_keys(view: HostView) -> tuple[str, ...]:
    """The keys that the login shall take: the operators', or where there are none this machine's.

    Raises FleetError when there is none at all.
    """
    stated = tuple(key for one in view.fleet.operators for key in one.ssh_keys)
    return stated or (own_key(view.host),)


def locked_out(view: HostView, keys: Sequence[str]) -> bool:
    """Whether this workstation has a key, and it is none of these."""
    try:
        own = own_key(view.host).split()[:2]
    except FleetError:
        return False
    return own not in [key.split()[:2] for key in keys]
