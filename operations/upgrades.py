"""The system's own packages, brought up to date by the manager that has installed them.

Asked for by name alone (`fleet upgrade --os`): a run that converges never upgrades anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyinfra import host, logger
from pyinfra.api import operation

from facts.look import Look
from facts.looking import Looked
from fleet.resources import NO_MANAGER, Manager, Resources
from operations.change import (
    Change,
    Commands,
    HostContext,
    Order,
    RefusedError,
    carry_out,
    tell,
    wrap,
)
from operations.records import note

NOT_OURS = "Homebrew is its person's, who runs `brew upgrade`"
_FAILED = "the package lists cannot be fetched"
# Lists are fetched so that the plan is of today. pacman's into a copy: with lists newer than its
# packages, the next single package would be a partial upgrade, which Arch does not support.
_ASK = {
    Manager.APT: f"""export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=120 update >&2 || fail '{_FAILED}'
apt-get -s -q -o Debug::NoLocking=1 dist-upgrade | grep '^Inst ' || true""",
    Manager.PACMAN: f"""lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
ln -s /var/lib/pacman/local "$lists/local"
pacman -Sy --dbpath "$lists" --logfile /dev/null >&2 || fail '{_FAILED}'
pacman -Qu --dbpath "$lists" || true""",
    Manager.PORT: f"""/opt/local/bin/port -q selfupdate >&2 || fail '{_FAILED}'
/opt/local/bin/port -q outdated""",
}
_UPGRADE = {
    Manager.APT: """export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold \\
    dist-upgrade --yes >&2""",
    Manager.PACMAN: "pacman -Syu --noconfirm >&2",
    Manager.PORT: "/opt/local/bin/port -N upgrade outdated >&2",
}
_LINES = {
    # Inst libc6 [2.36-9] (2.36-9+deb12u10 Debian:12.10/stable [amd64])
    Manager.APT: re.compile(r"Inst (?P<name>\S+) \[(?P<old>[^\]]+)\] \((?P<new>\S+)"),
    # openssl 3.3.1-1 -> 3.3.2-1
    Manager.PACMAN: re.compile(r"(?P<name>\S+) (?P<old>\S+) -> (?P<new>\S+)"),
    # openssl3   3.3.1_0 < 3.3.2_0
    Manager.PORT: re.compile(r"(?P<name>\S+)\s+(?P<old>\S+) < (?P<new>\S+)"),
}
_NEW = re.compile(r"Inst (?P<name>\S+) \((?P<new>\S+)")  # what an upgrade of another needs
REBOOT = "reboot when it suits: what runs is older than what is installed"
_REBOOT = """
if [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ]; then echo @reboot
elif [ -d /usr/lib/modules ] && [ -n "$(ls /usr/lib/modules)" ] &&
    [ ! -d "/usr/lib/modules/$(uname -r)" ]; then echo @reboot; fi"""


@dataclass(frozen=True)
class Upgrade:
    """A package that is not of today; `old` is empty for one that another one needs now."""

    name: str
    old: str
    new: str


_answers: dict[str, list[str]] = {}


@operation()
def ensure(order: Order) -> Commands:
    """Upgrade everything that the manager has newer; what was there before is not kept."""
    yield from carry_out("packages", order, _plan)


def _plan(want: Resources, context: HostContext, look: Look) -> Change | None:
    manager = look.system.manager
    if manager is Manager.BREW:
        said = f"packages: {NOT_OURS}"
        if tell((host.name, said), logger.info, host.print_prefix):
            note("skipped", host.name, capability="packages", text=NOT_OURS)
        return None
    if manager is None:
        raise RefusedError(NO_MANAGER)
    if host.name not in _answers:  # once a run: between plan and change nothing is fetched anew
        script = wrap(f"{_ASK[manager]}\n{_REBOOT}")
        _answers[host.name] = host.get_fact(Looked, _stdin=script)
    return plan(manager, _answers[host.name])


def plan(manager: Manager, lines: list[str]) -> Change | None:
    """The upgrades that these lines of the manager tell of, and whether the host wants a reboot."""
    upgrades = read(manager, lines)
    waits = (REBOOT,) if "@reboot" in lines and not upgrades else ()
    if not upgrades:
        return Change((), "", pending=waits) if waits else None
    says = tuple(
        f"package {one.name}: {one.old} → {one.new}"
        if one.old
        else f"package {one.name}: {one.new}"
        for one in upgrades
    )
    return Change(says, _UPGRADE[manager])


def read(manager: Manager, lines: list[str]) -> tuple[Upgrade, ...]:
    """The upgrades in a manager's answer; what is none is left out."""
    found = []
    for line in lines:
        if match := _LINES[manager].match(line.strip()):
            found.append(Upgrade(match["name"], match["old"], match["new"]))
        elif manager is Manager.APT and (match := _NEW.match(line)):
            found.append(Upgrade(match["name"], "", match["new"]))
    return tuple(found)
