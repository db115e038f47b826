"""The SSH key that this workstation logs in with: its public half."""

from __future__ import annotations

from pathlib import Path

from fleet.doctor.access import USUAL, agent_keys
from fleet.doctor.check import run, tidy
from fleet.model import Host
from fleet.problems import FleetError
from fleet.words import is_public_key


def own_key(host: Host) -> str:
    """The public key that ssh would show to this host: `TYPE BASE64` and perhaps a comment.

    That of `ssh.key` in fleet.yaml, else the first of the usual ones, else the agent's first.
    Raises FleetError when there is none.
    """
    if host.ssh.key:
        return _of(host.ssh.key)
    folder = Path.home() / ".ssh"
    for name in USUAL:
        if key := _written(folder / f"{name}.pub"):
            return key
    if held := agent_keys():
        return held[0]
    fix = "ssh-keygen -t ed25519, or name the people's keys under operators in fleet.yaml"
    raise FleetError.of("~/.ssh", "this workstation has no SSH key that a host could take", fix)


def _of(key: str) -> str:
    """The public half of a private key file, which lies beside it or is computed."""
    try:
        path = Path(key).expanduser()
    except RuntimeError:  # `~somebody` whom nobody knows
        path = Path(key)
    if found := _written(path.with_name(f"{path.name}.pub")):
        return found
    said = run(["ssh-keygen", "-y", "-P", "", "-f", str(path)])
    found = said.stdout.strip()
    if said.code == 0 and _is_key(found):
        return found
    fix = f"ssh-keygen -y -f {key} >{key}.pub, or mend ssh.key in fleet.yaml"
    raise FleetError.of(key, f"its public half cannot be had: {tidy(said.stderr)}", fix)


def _written(path: Path) -> str:
    """The key in a .pub file; empty where there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return text if _is_key(text) else ""


def _is_key(text: str) -> bool:
    return text.isprintable() and is_public_key(" ".join(text.split()[:2]))
