"""What every host gets, as files that are read in review: hosts/HOST.txt, one a host.

And policy.hujson, what the tailnet gets; bootstrap/, what the first host of each role is given at
its console; and the pictures of this fleet in docs/img.

`fleet.yaml` and the locks here are a fixed copy of a fleet whose addresses are all learned; the
pins are made up. `python -m tests.golden.update` writes the files anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from fleet.bootstrap import inside_windows, login_keys, script_for
from fleet.commands.graph import KINDS
from fleet.commands.render import access, listing, shown
from fleet.firstboot import FirstBoot, first_boot_files
from fleet.lock import lock_path, read_artifacts_lock, read_fleet_lock
from fleet.model import Role, load_fleet
from fleet.plan import view_of, wanted
from fleet.policy import Policy
from fleet.policymerge import rendered
from fleet.resources import File
from fleet.target import REAL, ROOT, Target
from fleet.view import HostView

SECRET = "the-golden-secret"  # noqa: S105 - what fleet.yaml here refers to; rendered nowhere
os.environ["AGENTFLEET_GOLDEN_SECRET"] = SECRET

HERE = Path(__file__).resolve().parent
HOSTS = HERE / "hosts"
FLEET = HERE / "fleet.yaml"
PINS = HERE / "artifacts.lock.yaml"
POLICY = HERE / "policy.hujson"
BOOTSTRAP = HERE / "bootstrap"
IMAGES = ROOT / "docs" / "img"
UPDATE = "make golden  (or: python -m tests.golden.update)"


def target() -> Target:
    """Return the fleet of the golden files, with pins of its own."""
    lock = read_fleet_lock(lock_path(FLEET))
    return Target(REAL, load_fleet(FLEET), None, read_artifacts_lock(PINS), ROOT, lock)


@cache
def views() -> dict[str, HostView]:
    """Return every host of the golden fleet by name."""
    found = target()
    return {host.name: view_of(found, host.name) for host in found.fleet.hosts}


def files(view: HostView) -> Iterator[File]:
    """Every file that the host gets, in the order of the run."""
    return (file for want in wanted(view).values() for file in want.files)


@cache
def render() -> Mapping[str, bytes]:
    """Return host name → the bytes of its golden file."""
    return {name: _text(view) for name, view in views().items()}


def policy() -> str:
    """Return the tailnet's policy for the golden fleet."""
    return rendered(Policy(target().fleet))


def consoles() -> dict[str, str]:
    """Return the name of each file for the console, or the card, of a fresh machine → its text."""
    found: dict[str, str] = {}
    fleet = target().fleet
    for view in (views()[fleet.with_role(role)[0].name] for role in Role):
        keys = login_keys(view)
        scripts = [script_for(view, keys)]
        if view.host.role is Role.WINDOWS_WSL:
            scripts.append(inside_windows(view, keys))
        found |= {script.name: script.text for script in scripts}
        if view.host.is_pi:
            for how in FirstBoot:
                files_of_it = first_boot_files(view, how, keys)
                found |= {f"{view.host.name}.{name}": text for name, text in files_of_it.items()}
    return found


def pictures() -> dict[str, str]:
    """Return the name of each picture of the golden fleet → what is in its file."""
    return {f"fleet-{kind}.svg": draw(target().fleet) for kind, draw in KINDS.items()}


def _text(view: HostView) -> bytes:
    parts = [listing(view).encode()]
    for file in files(view):
        content = b"(a program, no text)\n" if b"\0" in shown(file) else shown(file)
        parts.append(f"==> {file.path} ({access(file)})\n".encode() + content)
    return b"\n".join(parts)
