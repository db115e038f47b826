"""Files for the boot partition of a Raspberry Pi's card, by which it joins from its first boot.

Raspberry Pi OS 12 (bookworm) reads custom.toml there, Raspberry Pi OS 13 (trixie) and Ubuntu read
cloud-init's user-data and meta-data. Without a secret: no password, no wireless network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum

from fleet.bootstrap import script_for
from fleet.kinds import Os
from fleet.problems import WrongUsageError
from fleet.rules import DEFAULT_SSH_PORT
from fleet.view import HostView


class FirstBoot(StrEnum):
    """Who reads the files."""

    CLOUD_INIT = "cloud-init"
    CUSTOM_TOML = "custom.toml"


_READ_BY: Mapping[FirstBoot, tuple[Os, ...]] = {
    FirstBoot.CLOUD_INIT: (Os.RASPIOS, Os.UBUNTU),
    FirstBoot.CUSTOM_TOML: (Os.RASPIOS,),
}
BOOT_DIR = "/boot/firmware"  # where the partition is once the Pi runs


def first_boot_files(view: HostView, how: FirstBoot, keys: Sequence[str]) -> Mapping[str, str]:
    """Name → text of each file. Raises WrongUsageError where the host's system reads none."""
    host = view.host
    if not host.is_pi or host.os not in _READ_BY[how]:
        fix = f"run its script at its console: fleet bootstrap {host.name}"
        raise WrongUsageError.of(host.name, f"{host.role} with {host.os} reads no {how}", fix)
    if how is FirstBoot.CUSTOM_TOML:
        return {"custom.toml": _custom_toml(view, keys)}
    script = script_for(view, keys)
    values = {"script": script, "keys": keys, "boot_dir": BOOT_DIR, "quoted": _quoted}
    user = view.render("bootstrap/user-data.j2", **values).decode()
    return {"user-data": user, "meta-data": f"instance-id: agentfleet-{host.name}\n"}


def _custom_toml(view: HostView, keys: Sequence[str]) -> str:
    """The file knows one account, whom the image makes root, and no port."""
    ssh = view.host.ssh
    if ssh.user == "root" or ssh.port != DEFAULT_SSH_PORT:
        fix = f"another login than root and port {DEFAULT_SSH_PORT}, or --first-boot cloud-init"
        raise WrongUsageError.of(view.host.name, "custom.toml cannot say its ssh block", fix)
    return view.render("bootstrap/custom.toml.j2", keys=keys, quoted=_quoted).decode()


def _quoted(text: str) -> str:
    """A string as YAML and TOML both read it."""
    return json.dumps(text, ensure_ascii=False)
