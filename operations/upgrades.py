"""The system's own packages, brought up to date by the manager that has installed them.

Asked for by name alone (`fleet upgrade --os`): a run that converges never upgrades anything.
"""

from __future__ import annotations

import re

from pyinfra import host, logger
from pyinfra.api import operation

from facts.look import Look
from facts.looking import Looked
from fleet.resources import NO_MANAGER, Manager, Resources
from fleet.upgrades import Upgrade, reboot_script, upgrade
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
# Inst libc6 [2.36-9] (2.36-9+deb12u10 Debian:12.10/stable [amd64]); without [] what is new
_INST = re.compile(r"Inst (?P<name>\S+) (?:\[(?P<have>[^\]]+)\] )?\((?P<new>\S+)")
REBOOT = "reboot when it suits: "


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
        script = wrap(f"{_ASK[manager]}\n{reboot_script()}")
        _answers[host.name] = host.get_fact(Looked, _stdin=script)
    return plan(manager, _answers[host.name])


def plan(manager: Manager, lines: list[str]) -> Change | None:
    """The upgrades that these lines of the manager tell of; with none, the reboot they want."""
    upgrades = [one for line in lines if (one := _upgrade(manager, line))]
    if upgrades:
        says = (
            f"package {one.name}: {one.have} → {one.new}".replace(":  →", ":") for one in upgrades
        )
        return Change(tuple(says), _UPGRADE[manager])
    why = next((line.partition(" ")[2] for line in lines if line.startswith("reboot ")), "")
    return Change((), "", pending=(f"{REBOOT}{why}",)) if why else None


def _upgrade(manager: Manager, line: str) -> Upgrade | None:
    """apt is asked what it would do, which its list of what is upgradable does not say."""
    if manager is not Manager.APT:
        return upgrade(manager.value, line)
    found = _INST.match(line)
    return Upgrade(found["name"], found["have"] or "", found["new"]) if found else None
