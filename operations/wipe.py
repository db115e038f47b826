"""A host leaves the fleet and is as it was before: all that is ours goes, what it replaced returns.

What no manifest speaks of stays: packages, the host's name, a running Tailscale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from pyinfra.api import operation

from facts.look import Look
from facts.manifests import Entry
from fleet.resources import Reading, User
from operations.change import Change, Commands, HostContext, Order, carry_out
from operations.manifest import farewell, preimage
from operations.shell import quote, words

LEFT, KEPT = "what is left", "pre-images"  # names of readings
SPARED = ("directory", "mask", "kept")  # kinds of entries that leave in their own way
LAST = "tailscaled"  # what a daemon's name ends with that may carry this very connection
DELAY_S = 3


@dataclass(frozen=True)
class Estate:
    """All that may be ours on a host besides what its manifests list.

    `roots` are directories of which everything is ours. `users` are accounts that are ours if
    their comment says so. `after` is shell by which others take notice that our files have gone.
    """

    roots: tuple[str, ...]
    users: tuple[User, ...]
    after: tuple[str, ...]
    mac: bool

    def readings(self, state_dir: str) -> tuple[Reading, ...]:
        """What has to be looked at besides the manifests."""
        return (
            Reading(LEFT, f"for one in {words(*self.roots)}; do [ ! -e $one ] || echo $one; done |"
                    " tr '\\n' ' '"),
            Reading(KEPT, f"ls -1 {quote(state_dir)}/preimages 2>/dev/null | tr '\\n' ' '"),
            *(Reading(_account(user), _whose(user, mac=self.mac)) for user in self.users),
        )  # fmt: skip


def _account(user: User) -> str:
    return f"account {user.name}"


def _whose(user: User, *, mac: bool) -> str:
    """Shell that prints `ours` when the account is one that we made: it has our comment."""
    name, comment = quote(user.name), quote(user.comment or user.name)
    if mac:
        said = f"dscl . -read /Users/{name} RealName 2>/dev/null | tr -d '\\n'"
        # Both parentheses: a Mac's old bash loses count of them in a substitution.
        return f"case $({said}) in (*:*{comment}) echo ours ;; esac"
    said = f"getent passwd {name} | cut -d: -f5"
    return f'id -u {name} >/dev/null 2>&1 && [ "$({said})" = {comment} ] && echo ours'


@operation()
def ensure(estate: Estate, order: Order) -> Commands:
    """Remove everything of ours from the host."""
    yield from carry_out("wipe", order, lambda _, context, look: plan(estate, context, look))


def plan(estate: Estate, context: HostContext, look: Look) -> Change | None:
    """What is there of ours, and how it goes; None when there is nothing."""
    entries = {entry for listed in look.manifests.values() for entry in listed.entries}
    users = [user for user in estate.users if look.value(_account(user))]
    roots = look.value(LEFT).split()
    if not (entries or users or roots):
        return None
    returning = {unquote(one) for one in look.value(KEPT).split()}
    late = {one for one in entries if one.kind == "service" and one.name.endswith(LAST)}
    says, script = farewell([e for e in entries - late if e.kind not in SPARED], context)
    masks = sorted(entry.name for entry in entries if entry.kind == "mask")
    kept = sorted(e.name for e in entries if e.kind == "kept")
    script = "\n".join(
        (
            script,
            *(f"systemctl unmask {quote(unit)}\nsystemctl disable {quote(unit)} 2>/dev/null || true"
              for unit in masks),
            *(f"({after}) || true" for after in estate.after),
            *(_leave(user, mac=context.mac) for user in users),
            *_back(kept, returning, context),
            f"rm -rf {words(*estate.roots)}",
            *_later(late),
        )
    )  # fmt: skip
    return Change(
        (
            *(_said(line, returning) for line in says),
            *(f"service {entry.name}: remove, last" for entry in sorted(late)),
            *(f"unit {unit}: unmask, and disable: its package stays" for unit in masks),
            *(f"user {user.name}: remove" for user in users),
            *(f"file {path}: {_fate(path, returning)}" for path in kept),
            *(f"directory {root}: remove with all that is in it" for root in roots),
        ),
        script,
    )


def _said(line: str, returning: set[str]) -> str:
    kind, _, rest = line.partition(" ")
    path = rest.removesuffix(": remove")
    return f"file {path}: put back" if kind == "file" and path in returning else line


def _fate(path: str, returning: set[str]) -> str:
    return "put back" if path in returning else "stays: without it nobody could log in"


def _leave(user: User, *, mac: bool) -> str:
    name = quote(user.name)
    if mac:
        return f"""pkill -KILL -u {name} 2>/dev/null || true
dseditgroup -o edit -d {name} -t user com.apple.access_ssh 2>/dev/null || true
dscl . -delete /Users/{name}
dscl . -delete /Groups/{name} 2>/dev/null || true"""
    return f"""pkill -KILL -u {name} 2>/dev/null || true
userdel {name}
if getent group {name} >/dev/null; then groupdel {name}; fi"""


def _back(kept: Iterable[str], returning: set[str], context: HostContext) -> Iterator[str]:
    """Who may log in changes after all else, when nothing can fail any more."""
    for path in kept:
        if path in returning:
            yield f"mv -f {quote(preimage(context, path))} {quote(path)}"


def _later(late: Iterable[Entry]) -> Iterator[str]:
    """What may carry this connection ends when that has been answered."""
    for entry in sorted(late):
        stop = f"sleep {DELAY_S}; launchctl bootout system/{quote(entry.name)}"
        yield f"({stop}) </dev/null >/dev/null 2>&1 &"
