"""Packages, by whichever manager the host has: one look, one command for all that is missing.

Installed packages are left at their version: upgrades are the owner's decision. Nothing is ever
removed to make room for what we install.
"""

from __future__ import annotations

from pyinfra.api import operation

from facts.look import Look
from fleet.resources import NO_MANAGER, Manager, Package
from operations.change import Change, Commands, Order, RefusedError, carry_out
from operations.shell import words

# What an interrupted install left is healed, and a new or stale list of packages refreshed, only
# when the install fails: both cost more than everything else in most runs.
_APT = """export DEBIAN_FRONTEND=noninteractive
install() {{
    apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold \\
        install --yes --no-install-recommends --no-remove {names}
}}
heal() {{
    dpkg --configure -a --force-confold || true
    apt-get -qq -o DPkg::Lock::Timeout=120 --fix-broken install --yes --no-remove || true
    apt-get -qq update
}}
install || {{ heal && install; }}"""
# Never -Sy alone with a package: that is a partial upgrade, which Arch does not support. Lists are
# only fetched where there are none yet.
_PACMAN = """if [ -e /var/lib/pacman/db.lck ] && ! pgrep -x pacman >/dev/null; then
    fail 'an interrupted pacman left /var/lib/pacman/db.lck: remove it and run again'
fi
ls /var/lib/pacman/sync/*.db >/dev/null 2>&1 || pacman -Sy --noconfirm
pacman -S --needed --noconfirm {names} ||
    fail 'pacman could not install {names}; if files are not found, the package lists are older' \\
        'than the mirror: upgrade the host with pacman -Syu and run again'"""
# brew refuses root; it runs as the user who owns it.
_BREW = """owner=$(stat -f %Su /usr/local/bin/brew)
sudo -n -H -u "$owner" env HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_INSTALL_CLEANUP=1 \\
    HOMEBREW_NO_ENV_HINTS=1 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \\
    brew install --quiet {names}"""
_PORT = "/opt/local/bin/port -N install {names}"
_INSTALL = {
    Manager.APT: _APT,
    Manager.PACMAN: _PACMAN,
    Manager.BREW: _BREW,
    Manager.PORT: _PORT,
}


@operation()
def ensure(order: Order) -> Commands:
    """Install what is missing."""
    yield from carry_out("packages", order, lambda want, _, look: plan(want.packages, look))


def plan(packages: tuple[Package, ...], look: Look) -> Change | None:
    """The packages that are missing under this host's manager.

    A Mac without a manager gets none of them, which stays pending.
    """
    manager = look.system.manager
    if manager is None:
        if needed := [p.name for p in packages if p.required]:
            raise RefusedError(f"it needs {', '.join(needed)}, and {NO_MANAGER}")
        if look.system.kernel == "Darwin":
            return Change((), "", pending=(_without_manager(packages),))
        raise RefusedError("the host has neither pacman nor apt-get; its os is not one we know")
    missing = tuple(
        name
        for p in packages
        if (name := p.under(manager))
        and name not in look.packages
        and not any(other in look.packages for other in p.unless)
    )
    if not missing:
        return None
    says = tuple(f"package {name}: install with {manager.value}" for name in missing)
    return Change(says, _INSTALL[manager].format(names=words(*missing)))


def _without_manager(packages: tuple[Package, ...]) -> str:
    names = ", ".join(package.name for package in packages if package.under(Manager.PORT))
    return f"packages {names}: skipped, {NO_MANAGER}"
