"""The host's place in the tailnet, as its own Tailscale tells it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from facts.probe import Lines

# Linux's, macOS's. Once a node has logged in, a profile is in it, also while the daemon is down.
STATE_FILES = ("/var/lib/tailscale/tailscaled.state", "/Library/Tailscale/tailscaled.state")
INTEROP = "/run/WSL"
# Windows' programs need a live interop socket, which a session over SSH has not: the stale ones of
# ended sessions lie beside it, so each is tried until one answers.
# Without TAILSCALE_BE_CLI a Mac's application may take a call from no terminal for its own start.
# The status tells of every node in thirty lines, and pyinfra queues lines: all of it is made one,
# or a fleet twice as large would be four times the lines.
_SCRIPT = """(
one_line() {{ tr -d '\\r\\n'; echo; }}
set -- {programs}
export TAILSCALE_BE_CLI=1
for program; do [ -x "$program" ] && break; program=; done
if [ -n "$program" ]; then
    echo "program $program"
    case $program in
    *.exe)
        for WSL_INTEROP in {interop}/*_interop; do
            export WSL_INTEROP
            if said=$("$program" status --json); then
                printf '%s' "$said" | one_line # echo would read the backslashes
                break
            fi
        done ;;
    *)
        if grep -qs '"profile-' {state_files}; then echo joined; fi
        "$program" status --json | one_line ;;
    esac
fi
)"""


@dataclass(frozen=True)
class Tailnet:
    """One node. All is empty where no Tailscale is installed, `state` also where none runs.

    `joined` says that it has been in the tailnet and was not logged out, unknown (False) on
    Windows. `state` is Tailscale's BackendState; `name` the first label of its name in the tailnet,
    which is not `hostname` where another machine has that; `others` the first labels of the
    machines it sees. `expires` is when its key does, None for never.
    """

    program: str = ""
    joined: bool = False
    state: str = ""
    hostname: str = ""
    dns_name: str = ""
    ipv4: str = ""
    ipv6: str = ""
    tags: tuple[str, ...] = ()
    expires: datetime | None = None
    others: frozenset[str] = frozenset()

    @property
    def running(self) -> bool:
        """Whether it is in the tailnet now."""
        return self.state == "Running" and bool(self.ipv4)

    @property
    def name(self) -> str:
        """What the tailnet calls it."""
        return self.dns_name.partition(".")[0]


@dataclass(frozen=True)
class TailnetProbe:
    """Asks the first of `programs` that is there."""

    programs: tuple[str, ...]
    name: str = "tailnet"

    def script(self) -> str:
        """Print the program's path, whether it has joined, then its status as JSON."""
        if not self.programs:
            return ":"
        return _SCRIPT.format(
            programs=shlex.join(self.programs),
            state_files=shlex.join(STATE_FILES),
            interop=shlex.quote(INTEROP),
        )

    def parse(self, lines: Lines) -> Tailnet:
        """What the status says; a status that is none counts as a Tailscale that does not run."""
        if not lines or not lines[0].startswith("program "):
            return Tailnet()
        program = lines[0].removeprefix("program ")
        joined = lines[1:2] == ["joined"]
        try:
            return _node(program, joined, json.loads("\n".join(lines[1 + joined :])))
        except (ValueError, TypeError, AttributeError):
            return Tailnet(program, joined)


def _node(program: str, joined: bool, said: Mapping[str, Any]) -> Tailnet:
    self = said.get("Self") or {}
    addresses = self.get("TailscaleIPs") or said.get("TailscaleIPs") or []
    by_version = {ip_address(address).version: str(address) for address in addresses}
    peers = said.get("Peer") or {}
    expiry = self.get("KeyExpiry")
    return Tailnet(
        program=program,
        joined=joined,
        state=str(said.get("BackendState") or ""),
        hostname=str(self.get("HostName") or ""),
        dns_name=str(self.get("DNSName") or "").removesuffix("."),
        ipv4=by_version.get(4, ""),
        ipv6=by_version.get(6, ""),
        tags=tuple(self.get("Tags") or ()),
        expires=_moment(str(expiry)) if expiry else None,
        others=frozenset(str(peer.get("DNSName") or "").split(".")[0] for peer in peers.values()),
    )


def _moment(text: str) -> datetime | None:
    """An RFC 3339 time; Go's year 1 means never."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if moment.year > 1 else None
