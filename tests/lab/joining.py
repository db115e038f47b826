"""Bring hosts of a lab into its tailnet, as a person at each of them would."""

from __future__ import annotations

import json
import plistlib
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.target import ROOT
from lab.api import Lab
from lab.tailnet.process import TailnetNode

LABEL = "com.tailscale.tailscaled"
PLIST = f"/Library/LaunchDaemons/{LABEL}.plist"
BREW = "sudo -n -u admin env HOMEBREW_NO_AUTO_UPDATE=1 /usr/local/bin/brew"
INSTALL = {
    "arch": "pacman -S --noconfirm --needed tailscale && systemctl enable --now tailscaled",
    "debian": "apt-get install -y -qq tailscale",
    "raspios": "apt-get install -y -qq tailscale",
    "brew": f"{BREW} install --quiet tailscale",
    "port": "/opt/local/bin/port -N install tailscale",
}
FOLDER = {"brew": "/usr/local/bin/", "port": "/opt/local/bin/"}  # of the programs
WINDOWS = "WSL_INTEROP=/run/WSL/1_interop '/mnt/c/Program Files/Tailscale/tailscale.exe'"


def as_real(lab: Lab, path: Path) -> Path:
    """Write a fleet file that has the lab's hosts as if they were real ones."""
    said = yaml.safe_load((ROOT / "fleet.yaml").read_text())
    for host in lab.fleet.hosts:
        entry = said["hosts"][host.name]
        entry["addresses"] = {"lan": host.addresses.lan}
        entry.setdefault("ssh", {})["key"] = str(lab.place.key)
    said["operators"] = {one.name: {"ssh_keys": list(one.ssh_keys)} for one in lab.fleet.operators}
    path.write_text(yaml.safe_dump(said))
    return path


def of_kind(lab: Lab, kind: str, nth: int = 0) -> str:
    """A host of that image, or that variant of it."""
    found = [host.name for host in lab.hosts if kind in (host.kind, host.variant)]
    if len(found) <= nth:
        pytest.skip(f"this fleet has too few hosts of the kind {kind}")
    return found[nth]


def kind_of(lab: Lab, host: str) -> str:
    return next(one.variant or one.kind for one in lab.hosts if one.name == host)


def tailscale(lab: Lab, host: str, *words: str, check: bool = True) -> Any:
    """Run `tailscale …` on a host, as root."""
    kind = kind_of(lab, host)
    program = WINDOWS if kind == "wsl" else f"{FOLDER.get(kind, '')}tailscale"
    return lab.run(host, f"{program} {shlex.join(words)}", check=check)


def status(lab: Lab, host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tailscale(lab, host, "status", "--json").stdout)
    return found


def state(lab: Lab, host: str) -> str:
    done = tailscale(lab, host, "status", "--json", check=False)
    return str(json.loads(done.stdout)["BackendState"]) if done.returncode == 0 else ""


def node(lab: Lab, host: str) -> TailnetNode:
    """The node that a host is now: the last one that it joined as."""
    return [one for one in lab.tailnet.nodes() if one.host == host][-1]


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def install(lab: Lab, host: str) -> None:
    kind = kind_of(lab, host)
    lab.run(host, INSTALL[kind])
    if kind in FOLDER:
        job = {"Label": LABEL, "ProgramArguments": [f"{FOLDER[kind]}tailscaled"],
               "RunAtLoad": True, "KeepAlive": True}  # fmt: skip
        text = shlex.quote(plistlib.dumps(job).decode())
        lab.run(host, f"[ -e {PLIST} ] || {{ printf %s {text} >{PLIST} && chmod 644 {PLIST}; }}")
        lab.run(host, f"launchctl bootstrap system {PLIST}", check=False)  # perhaps it is
    until(lambda: state(lab, host) != "")


def wipe(lab: Lab, host: str) -> None:
    """Let a host forget who it is."""
    if kind_of(lab, host) in FOLDER:
        gone = "rm -f /Library/Tailscale/tailscaled.state"
        lab.run(host, f"{gone}; launchctl kickstart -k system/{LABEL}")
    else:
        gone = "rm -f /var/lib/tailscale/tailscaled.state"
        # systemd allows five starts in ten seconds, and tests wipe a host more often than that
        again = "systemctl reset-failed tailscaled 2>/dev/null; systemctl start tailscaled"
        lab.run(host, f"systemctl stop tailscaled; {gone}; {again}")
    until(lambda: state(lab, host) == "NeedsLogin")


def join(lab: Lab, host: str, *words: str, check: bool = True) -> Any:
    key = lab.tailnet.auth_key.read_text().strip()
    lab.run(host, f"umask 077; echo {key} >/tmp/key")
    known = ("--auth-key=file:/tmp/key", f"--hostname={host}", "--timeout=30s")
    return tailscale(lab, host, "up", *known, *words, check=check)


def addresses(lab: Lab, host: str) -> str:
    """What the host's own programs say of its interfaces."""
    show = "/sbin/ifconfig" if kind_of(lab, host) in FOLDER else "ip address"
    return str(lab.run(host, show).stdout)
