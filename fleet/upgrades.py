"""Which upgrades of its distribution a host has pending, and whether it has to be started anew.

Nothing on the host is changed: package lists are taken as they are, unless somebody asks for fresh
ones. One SSH connection a host, as its login user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from fleet.model import Host, Power
from fleet.problems import printable
from fleet.ssh import briefly, route
from fleet.target import Target

AT_ONCE = 32
ANSWER_S, REFRESH_S = 90.0, 300.0
MOST = 500  # upgrades of one host that are kept
LONGEST = 80  # characters of a name or version
DAY_S = 86400
MODULES = "/lib/modules"


class State(StrEnum):
    """How it went."""

    KNOWN = "known"
    OFF = "off"
    ERROR = "error"


@dataclass(frozen=True)
class Upgrade:
    """One package."""

    name: str
    have: str
    new: str
    security: bool = False


@dataclass(frozen=True)
class Pending:
    """One host. `age_s` is how old its package lists are; `reboot` says why it wants one."""

    host: str
    state: State
    manager: str = ""
    upgrades: tuple[Upgrade, ...] = ()
    reboot: str = ""
    age_s: int | None = None
    remark: str = ""
    error: str = ""

    @property
    def outdated(self) -> bool:
        """Whether something is to be done there."""
        return bool(self.upgrades or self.reboot)


# In containers there is no kernel of theirs.
_REBOOT = """running=$(uname -r)
modules={modules}
if [ -e /var/run/reboot-required ]; then
    echo reboot its distribution says so
elif [ "$(systemd-detect-virt -c 2>/dev/null)" = none ] && [ -d "$modules" ]; then
    newest=$(ls "$modules" | grep -e "-${{running##*-}}\\$" | sort -V | tail -n 1)
    if [ ! -d "$modules/$running" ]; then
        echo "reboot the modules of its kernel $running are gone"
    elif [ -n "$newest" ] && [ "$newest" != "$running" ]; then
        echo "reboot the kernel $newest is installed, $running runs"
    fi
fi"""
# Root's is only the refresh. Arch's lists are never refreshed alone, which would make the next
# installation a partial upgrade: checkupdates has lists of its own.
_SCRIPT = """export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin:/usr/local/bin:/opt/local/bin
refresh={refresh}
age() {{
    newest=$(ls -td "$@" 2>/dev/null | head -n 1)
    [ -n "$newest" ] || return 0
    then=$(stat -c %Y "$newest" 2>/dev/null || stat -f %m "$newest")
    echo "age $(($(date +%s) - then))"
}}
if command -v apt-get >/dev/null; then
    echo manager apt
    [ -z "$refresh" ] || sudo -n apt-get -qq update >/dev/null 2>&1 || echo remark no fresh lists
    age /var/lib/apt/lists/partial /var/lib/apt/lists
    apt list --upgradable 2>/dev/null
elif command -v pacman >/dev/null; then
    echo manager pacman
    if [ -n "$refresh" ] && command -v checkupdates >/dev/null; then
        echo age 0
        checkupdates --nocolor 2>/dev/null || [ $? -eq 2 ] || echo remark no fresh lists
    else
        [ -z "$refresh" ] || echo remark no fresh lists without pacman-contrib
        age /var/lib/pacman/sync/*.db
        pacman -Qu --color never
    fi
elif [ -x /usr/local/bin/brew ]; then
    echo manager brew
    export HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_ENV_HINTS=1 HOMEBREW_NO_COLOR=1
    if [ -n "$refresh" ]; then
        brew update --quiet >/dev/null 2>&1 || echo remark no fresh lists
    fi
    age /usr/local/Homebrew/.git/FETCH_HEAD
    brew outdated --verbose 2>/dev/null
elif [ -x /opt/local/bin/port ]; then
    echo manager port
    if [ -n "$refresh" ]; then
        sudo -n /opt/local/bin/port -q sync >/dev/null 2>&1 || echo remark no fresh lists
    fi
    age /opt/local/var/macports/sources/*/*/*/ports/PortIndex
    /opt/local/bin/port -q outdated
fi
{reboot}
echo end"""


def pending(target: Target, *, refresh: bool) -> tuple[Pending, ...]:
    """Every host, in the order of fleet.yaml, all at once."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return tuple(pool.map(lambda host: look(host, target, refresh=refresh), target.fleet.hosts))


def look(host: Host, target: Target, *, refresh: bool) -> Pending:
    """One host. Never raises for what is wrong there."""
    script = look_script(refresh=refresh)
    answer = briefly(route(host, target), script, REFRESH_S if refresh else ANSWER_S)
    if not answer.reached:
        away = answer.nobody_there and host.power is not Power.ALWAYS_ON
        state = State.OFF if away else State.ERROR
        return Pending(host.name, state, error=_clean(answer.stderr, 300))
    lines = answer.stdout.splitlines()
    if "end" not in lines:
        said = answer.stderr or "it ended early"
        return Pending(host.name, State.ERROR, error=_clean(said, 300))
    return read(host.name, lines)


def look_script(*, refresh: bool, modules: str = MODULES) -> str:
    """Shell that prints what `read` reads; `modules` is where the kernels' are."""
    return _SCRIPT.format(refresh="yes" if refresh else "", reboot=reboot_script(modules))


def reboot_script(modules: str = MODULES) -> str:
    """Shell that prints `reboot WHY` on a host that wants one."""
    return _REBOOT.format(modules=modules)


def read(name: str, lines: list[str]) -> Pending:
    """What the script has printed on a host."""
    said: dict[str, str] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("manager", "age", "reboot", "remark"):
            said.setdefault(word, rest)
    manager = said.get("manager", "")
    if manager not in _READERS:
        return Pending(name, State.ERROR, error="it has no package manager that is known here")
    found = (one for line in lines if (one := upgrade(manager, line)))
    age = said.get("age", "")
    return Pending(
        name,
        State.KNOWN,
        manager=manager,
        upgrades=tuple(one for one, _ in zip(found, range(MOST), strict=False)),
        reboot=_clean(said.get("reboot", "")),
        age_s=int(age) if re.fullmatch(r"[0-9]{1,10}", age) else None,
        remark=_clean(said.get("remark", "")),
    )


# apt list: git/stable-security,now 1:2.39.5-0+deb12u2 amd64 [upgradable from: 1:2.39.5-0+deb12u1]
_READERS = {
    "apt": re.compile(
        r"(?P<name>[^/\s]+)/(?P<suite>\S+) (?P<new>\S+) \S+ \[\S+ \S+ (?P<have>\S+)\]"
    ),
    "pacman": re.compile(r"(?P<name>\S+) (?P<have>\S+) -> (?P<new>\S+)( \[ignored\])?"),
    "brew": re.compile(r"(?P<name>\S+) \((?P<have>[^)]+)\) (<|!=) (?P<new>\S+).*"),
    "port": re.compile(r"(?P<name>\S+)\s+(?P<have>\S+) < (?P<new>\S+).*"),
}


def upgrade(manager: str, line: str) -> Upgrade | None:
    """The upgrade that a manager's line tells of; None: it is something else."""
    found = _READERS[manager].fullmatch(line.strip())
    if found is None:
        return None
    parts = found.groupdict()
    words = (_clean(parts["name"]), _clean(parts["have"]), _clean(parts["new"]))
    return Upgrade(*words, security="-security" in (parts.get("suite") or ""))


def _clean(text: str, longest: int = LONGEST) -> str:
    """What a host says: one short line without control codes."""
    words = printable(" ".join(text[: 10 * longest].split()))
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def days(age_s: int | None) -> str:
    """An age in words."""
    if age_s is None:
        return "?"
    return "today" if age_s < DAY_S else f"{age_s // DAY_S} d"


def summary(one: Pending) -> str:
    """The upgrades of a host, in few words."""
    if one.state is not State.KNOWN:
        return one.state.value
    if not one.upgrades:
        return "none"
    security = sum(up.security for up in one.upgrades)
    more = "+" if len(one.upgrades) == MOST else ""
    return f"{len(one.upgrades)}{more}" + (f", {security} of security" if security else "")


def lines(one: Pending, most: int) -> Iterator[str]:
    """What is to be said of a host below the table."""
    if one.error:
        yield one.error
    if one.remark:
        yield one.remark
    if one.reboot:
        yield f"reboot: {one.reboot}"
    for up in sorted(one.upgrades, key=lambda up: not up.security)[:most]:
        yield f"{up.name} {up.have} \u2192 {up.new}" + (" (security)" if up.security else "")
    if (rest := len(one.upgrades) - most) > 0:
        yield f"and {rest} more (--json has all)"
