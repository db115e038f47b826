"""The hosts as they are from here: who answers where, logs us in, lets us be root; clocks, tailnet.

One SSH connection a host, all hosts at once.
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.doctor.check import Check, fault, fine, run, skipped, tidy, warning

if TYPE_CHECKING:
    from facts.tailnet import Tailnet
    from fleet.model import Host
    from fleet.target import Target

LOGIN_S = 40.0  # a Raspberry Pi under load takes seconds
SKEW_S = 5.0  # between two clocks
AT_ONCE = 32
_SCRIPT = """echo "clock $(date +%s)"
if said=$(sudo -n true 2>&1); then echo root; else echo "no root: $said" | head -n 1; fi"""
APPLICATION = "/Applications/Tailscale.app/Contents/MacOS/Tailscale"


@dataclass(frozen=True)
class Seen:
    """One host: the rows of it, and by how many seconds its clock is ahead, if it told."""

    checks: tuple[Check, ...]
    ahead: float | None = None


@dataclass(frozen=True)
class Login:
    """How far a connection got: its row, whether it logged in, and whether it became root there."""

    check: Check
    logs_in: bool = False
    root: bool = False
    ahead: float | None = None


def hosts(target: Target) -> Iterator[Check]:
    """Every host, and then the clocks."""
    if shutil.which("ssh") is None:
        yield skipped("hosts", "without ssh none can be asked")
        return
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        found = list(pool.map(lambda host: look(host, target), target.fleet.hosts))
    for one in found:
        yield from one.checks
    names = [host.name for host in target.fleet.hosts]
    yield clocks({n: s.ahead for n, s in zip(names, found, strict=True) if s.ahead is not None})


def look(host: Host, target: Target) -> Seen:
    """One host: an address that answers, a login, root. Never raises for what is wrong there."""
    from fleet.model import Power
    from fleet.reach import candidates, knock

    places, port = candidates(host, target), host.ssh.port
    unknown = [place for place in places if not _resolves(place)]
    answers = [place for place in places if place not in unknown and knock(place, port)]
    if not answers:
        tried = ", ".join(f"{p} (no such name)" if p in unknown else p for p in places)
        says = f"no SSH server answers on port {port}: {tried}"
        if host.power is not Power.ALWAYS_ON:
            return Seen((warning(host.name, f"{says}; it {host.power}", _wake(host)),))
        return Seen((fault(host.name, says, _wake(host)),))
    found = login(host, target)
    return Seen((found.check,), found.ahead)


def _wake(host: Host) -> str:
    return f"turn {host.name} on, or mend its addresses in fleet.yaml"


def _resolves(place: str) -> bool:
    try:
        ipaddress.ip_address(place)
    except ValueError:
        try:
            socket.getaddrinfo(place, None)
        except (OSError, UnicodeError):
            return False
    return True


def login(host: Host, target: Target) -> Login:
    """Log in to a host that answers, and become root there. Never raises for what is wrong."""
    from fleet.model import Power
    from fleet.ssh import briefly, route

    way = route(host, target)
    start = time.time()
    answer = briefly(way, _SCRIPT, LOGIN_S)
    end = time.time()
    where = f"answers at {way.address}"
    if not answer.reached:
        last = tidy(answer.stderr.strip().rpartition("\n")[2])
        says = f"{where}, and does not log {way.user} in: {last or 'it says nothing'}"
        judge = warning if answer.nobody_there and host.power is not Power.ALWAYS_ON else fault
        return Login(judge(host.name, says, _entry(host, last, way.address)))
    lines = answer.stdout.splitlines()
    ahead = _ahead(lines, start, end)
    if "root" not in lines:
        said = next((line for line in lines if line.startswith("no root: ")), answer.stderr)
        says = f"{where}, logs {way.user} in, and does not make it root: {tidy(said)}"
        rule = f"{way.user} ALL=(ALL) NOPASSWD: ALL"
        there = f"ssh -t -p {way.port} {way.user}@{way.address}"
        fix = f"{there} sudo visudo -f /etc/sudoers.d/agentfleet, and write: {rule}"
        return Login(fault(host.name, says, fix), logs_in=True, ahead=ahead)
    says = f"{where}, logs {way.user} in, who becomes root"
    return Login(fine(host.name, says), logs_in=True, root=True, ahead=ahead)


def _entry(host: Host, said: str, place: str) -> str:
    """What helps against a login that is refused."""
    if "fleet trust" in said:
        return f"fleet trust {host.name}{' --replace' if '--replace' in said else ''}"
    if "Permission denied" in said:
        return f"ssh-copy-id -p {host.ssh.port} {host.ssh.user}@{place}"
    return f"ssh -v -p {host.ssh.port} {host.ssh.user}@{place}"


def _ahead(lines: list[str], start: float, end: float) -> float | None:
    """Seconds by which the host's clock is ahead: none while it can be what ours was meanwhile."""
    told = next((line.removeprefix("clock ") for line in lines if line.startswith("clock ")), "")
    if not told.isdecimal() or len(told) > 12:
        return None
    moment = int(told)
    if moment + 1 < start:
        return moment + 1 - start
    return max(0.0, moment - end)


def clocks(ahead: dict[str, float]) -> Check:
    """How this machine's clock and theirs agree."""
    off = {name: seconds for name, seconds in ahead.items() if abs(seconds) > SKEW_S}
    if not ahead:
        return skipped("clocks", "no host told what time it is")
    if not off:
        return fine("clocks", f"those of {len(ahead)} hosts agree with this one, to {SKEW_S:g} s")
    told = ", ".join(f"{name} by {seconds:+.0f} s" for name, seconds in off.items())
    middle = statistics.median(ahead.values())
    if len(ahead) > 1 and abs(middle) > SKEW_S:
        says = f"this one differs from most: {told}"
        fix = "sudo timedatectl set-ntp true (macOS: System Settings, Date & Time)"
        return fault("clocks", says, fix)
    return warning("clocks", f"not this one's: {told}", "pyinfra inventory.py deploy.py")


def tailnet(target: Target | None, *, offline: bool) -> Iterator[Check]:
    """Whether this machine is in the tailnet, and gets to the orchestrator through it."""
    program = shutil.which("tailscale") or (APPLICATION if Path(APPLICATION).exists() else None)
    if program is None:
        fix = "install Tailscale and log in, to reach the fleet from elsewhere and see its page"
        yield warning("tailscale", "is not installed here", fix)
        return
    now = _status(program)
    if not now.running:
        says = f"is not connected ({now.state or 'its daemon does not answer'})"
        yield warning("tailscale", says, "tailscale up")
        return
    yield fine("tailscale", f"connected as {tidy(now.name)}, {now.ipv4}")
    if target is not None and not offline:
        yield _orchestrator(target)


def _status(program: str) -> Tailnet:
    from facts.tailnet import TailnetProbe

    said = run([program, "status", "--json"], 15)
    return TailnetProbe((program,)).parse([f"program {program}", *said.stdout.splitlines()])


def _orchestrator(target: Target) -> Check:
    from fleet.reach import knock

    boss = target.fleet.orchestrator
    place, what = boss.addresses.tailnet, "tailnet"
    if place is None:
        fix = "pyinfra inventory.py deploy.py"
        return skipped(what, f"the address of {boss.name} there is not known yet", fix)
    if knock(place, boss.ssh.port):
        return fine(what, f"reaches {boss.name} at {place}")
    fix = f"tailscale ping {boss.name}; fleet policy --check FILE, where its policy is at fault"
    return fault(what, f"{boss.name} does not answer at {place} port {boss.ssh.port}", fix)
