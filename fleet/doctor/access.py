"""What this machine logs in with: the ssh program, keys, who else may read them."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.doctor.check import Check, fault, fine, run, skipped, tidy, warning

if TYPE_CHECKING:
    from fleet.target import Target

OPENSSH = "install OpenSSH's client programs (openssh-client, openssh)"
USUAL = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")  # tried by itself


def program() -> Iterator[Check]:
    """Whether there is an ssh, and a ssh-keyscan, which `fleet trust` needs."""
    said = run(["ssh", "-V"])
    if said.code != 0:
        why = "there is no such program" if said.code is None else tidy(said.stderr)
        yield fault("ssh", why, OPENSSH)
        return
    version = tidy(said.stderr or said.stdout)
    if not version.startswith("OpenSSH"):
        yield warning("ssh", f"{version}: not OpenSSH, whose options are used", OPENSSH)
    else:
        yield fine("ssh", version)
    if run(["ssh-keyscan", "-h"]).code is None:
        yield warning("ssh-keyscan", "is not here, and `fleet trust` needs it", OPENSSH)


def folder(home: Path) -> Iterator[Check]:
    """Whether ssh will believe what is in ~/.ssh."""
    path = home / ".ssh"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        yield skipped("~/.ssh", "there is none")
        return
    wrong = [path] if mode & 0o022 else []
    config = path / "config"
    if config.is_file() and config.stat().st_mode & 0o022:
        wrong.append(config)
    if wrong:
        names = " ".join(shlex.quote(str(one)) for one in wrong)
        yield fault("~/.ssh", f"others may write to {names}", f"chmod go-w {names}")
    elif mode & 0o055:
        fix = f"chmod 700 {shlex.quote(str(path))}"
        yield warning("~/.ssh", "others may read what is in it", fix)
    else:
        yield fine("~/.ssh", "is for you alone")


def keys(target: Target, home: Path) -> Iterator[Check]:
    """Whether there is a key for every host that ssh will take, and can use without asking."""
    agent = agent_keys()
    yield _agent_check(agent)
    stated = list(dict.fromkeys(h.ssh.key for h in target.fleet.hosts if h.ssh.key))
    for key in stated:
        yield key_file(key, agent)
    if len(stated) < len({host.ssh.key for host in target.fleet.hosts}):
        yield _usual(home, agent)


def agent_keys() -> tuple[str, ...] | None:
    """The keys that ssh's agent holds (`TYPE BASE64`); None when none answers."""
    said = run(["ssh-add", "-L"], 10)
    if said.code not in (0, 1):
        return None
    found = (" ".join(line.split()[:2]) for line in said.stdout.splitlines())
    return tuple(key for key in found if re.match(r"(ssh|ecdsa|sk)-", key))


def _agent_check(agent: tuple[str, ...] | None) -> Check:
    if agent is None:
        says = "none answers" if os.environ.get("SSH_AUTH_SOCK") else "none runs here"
        return skipped("ssh agent", f"{says}; keys without a passphrase need none")
    return fine("ssh agent", f"holds {len(agent)} {'key' if len(agent) == 1 else 'keys'}")


def key_file(key: str, agent: tuple[str, ...] | None) -> Check:
    """Whether ssh takes the private key in a file."""
    what = f"key {key}"
    try:
        path = Path(key).expanduser()
        mode = path.stat().st_mode
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        fix = f"ssh-keygen -t ed25519 -f {shlex.quote(key)}, or mend ssh.key in fleet.yaml"
        return fault(what, f"cannot be read: {why}", fix)
    quoted = shlex.quote(str(path))
    if not stat.S_ISREG(mode):
        return fault(what, "is no file", "mend ssh.key in fleet.yaml")
    if mode & 0o077:
        return fault(what, "others may read it, so ssh does not take it", f"chmod 600 {quoted}")
    if not os.access(path, os.R_OK):
        return fault(what, "you may not read it", f"sudo chown $(id -un) {quoted}")
    return _unlocked(what, path, agent)


def _unlocked(what: str, path: Path, agent: tuple[str, ...] | None) -> Check:
    """Whether it can be used without a passphrase: nobody is asked for one during a run."""
    said = run(["ssh-keygen", "-y", "-P", "", "-f", str(path)])
    quoted = shlex.quote(str(path))
    if said.code is None:
        return skipped(what, "is here; without ssh-keygen it cannot be tried", OPENSSH)
    if said.code == 0:
        return fine(what, "is here, for you alone")
    if "passphrase" not in said.stderr.lower():
        return fault(what, f"is no private key: {tidy(said.stderr)}", "mend ssh.key in fleet.yaml")
    if agent and _public(path) in agent:
        return fine(what, "has a passphrase, and ssh's agent holds it")
    start = 'eval "$(ssh-agent)" && ' if agent is None else ""
    return fault(what, "has a passphrase, and no agent holds it", f"{start}ssh-add {quoted}")


def _public(path: Path) -> str:
    try:
        text = path.with_name(f"{path.name}.pub").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "-"
    return " ".join(text.split()[:2]) or "-"


def _usual(home: Path, agent: tuple[str, ...] | None) -> Check:
    """What ssh tries where fleet.yaml names no key."""
    what = "your keys"
    there = [name for name in USUAL if (home / ".ssh" / name).is_file()]
    found = [key_file(str(home / ".ssh" / name), agent) for name in there]
    if usable := [name for name, one in zip(there, found, strict=True) if not one.fix]:
        return fine(what, f"ssh tries ~/.ssh/{', ~/.ssh/'.join(usable)}")
    if agent:
        return fine(what, "ssh tries those of its agent")
    if found:
        return fault(what, f"~/.ssh/{there[0]} {found[0].says}", found[0].fix)
    fix = "ssh-keygen -t ed25519, then ssh-copy-id to each host; or name ssh.key in fleet.yaml"
    return fault(what, "there is none in ~/.ssh, and none in an agent", fix)


def host_keys(target: Target) -> Iterator[Check]:
    """Whether it is known by which key each host is believed."""
    if target.known_hosts is not None:
        yield fine("host keys", "the lab pins those of its hosts")
        return
    lacking = [
        host.name
        for host in target.fleet.hosts
        if not target.lock.host_keys(host.name) and not known(target, host.name)
    ]
    if lacking:
        says = f"no key is pinned for {', '.join(lacking)}"
        yield fault("host keys", says, f"fleet trust {' '.join(lacking)}")
    else:
        yield fine("host keys", f"one is known for each of {len(target.fleet.hosts)} hosts")


def known(target: Target, name: str) -> bool:
    """Whether the user's own known_hosts has one, under any of the names that are tried."""
    from fleet.reach import candidates

    host = target.fleet.host(name)
    places = candidates(host, target)
    port = host.ssh.port
    asked = (place if port == 22 else f"[{place}]:{port}" for place in places)
    return any(run(["ssh-keygen", "-F", place]).code == 0 for place in asked)
