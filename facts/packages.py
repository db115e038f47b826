"""Installed packages and their versions, as the host's own package manager knows them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from facts.probe import Lines
from fleet.resources import Manager, Package

# brew takes about a second and refuses root; its cellar is a directory that says the same.
_QUERIES = {
    Manager.PACMAN: "pacman -Q {names}",
    Manager.APT: (
        "dpkg-query -W -f '${{db:Status-Status}} ${{Package}} ${{Version}}\\n' {names}"
        " | sed -n 's/^installed //p'"
    ),
    Manager.BREW: (
        'for name in {names}; do for keg in /usr/local/Cellar/"$name"/*/; do'
        ' [ -d "$keg" ] && keg=${{keg%/}} && echo "$name ${{keg##*/}}"; done; done'
    ),
    Manager.PORT: (
        "/opt/local/bin/port -q installed {names}"
        " | sed -n 's/^ *\\([^ ]*\\) @\\([^ ]*\\) (active).*/\\1 \\2/p'"
    ),
}


@dataclass(frozen=True)
class PackagesProbe:
    """Looks for the packages under whichever manager the system probe before it has found."""

    packages: tuple[Package, ...]
    managers: tuple[Manager, ...]
    name: str = "packages"

    def script(self) -> str:
        """Print `name version` for each installed package."""
        cases = []
        for manager in self.managers:
            names = [name for p in self.packages if (name := p.under(manager))]
            names += [other for p in self.packages for other in p.unless]
            if names:
                quoted = " ".join(shlex.quote(name) for name in names)
                cases.append(f"{manager.value}) {_QUERIES[manager].format(names=quoted)} ;;")
        return 'case "$manager" in\n' + "\n".join(cases) + "\nesac"

    def parse(self, lines: Lines) -> Mapping[str, str]:
        """Return name → version, with the manager's own names."""
        return dict(line.split(maxsplit=1) for line in lines if len(line.split()) > 1)
