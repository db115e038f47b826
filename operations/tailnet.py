"""The tailnet: a host joins once and keeps its name.

A node that is up is never made to log in again, so a host that has joined needs no auth key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pyinfra.api import operation

from facts import services
from facts.look import Look
from facts.tailnet import INTEROP, Tailnet
from fleet.resources import Resources, TailnetNode
from operations.change import (
    Change,
    Commands,
    HostContext,
    Order,
    carry_out,
)
from operations.shell import quote, words

JOIN_S = 60  # how long a host may take to get in


@operation()
def ensure(order: Order) -> Commands:
    """Join, or mend what has changed since; what only a person can do stays pending."""
    yield from carry_out(
        "tailnet", order, lambda want, context, look: plan(want, context, look, order.secret)
    )


def needs_key(node: TailnetNode, look: Look) -> bool:
    """Whether a run will have to log this host in."""
    return node.joins and _logged_out(look.tailnet)


def _logged_out(now: Tailnet) -> bool:
    """Whether it needs a login; a daemon that is down or just starting does not say so itself."""
    return now.state == "NeedsLogin" or (now.state in ("", "NoState") and not now.joined)


def plan(
    want: Resources, context: HostContext, look: Look, secret: Callable[[str], str]
) -> Change | None:
    """What keeps the host from being in the tailnet under its name, and the cure.

    `secret` gives the auth key; it is asked only when the host has to log in.
    """
    node, now = want.node, look.tailnet
    if node is None:
        return None
    if now.running:
        return _mend(node, now)
    if now.state == "NeedsMachineAuth":
        return _pending("waits to be approved in the admin console, under Machines")
    if not node.joins:
        return _pending(f"Tailscale {_on_windows(now)}")
    if _logged_out(now):
        return _join(node, context, secret)
    if now.state == "Stopped":
        return _start(node)
    return _await(node)


def _pending(what: str) -> Change:
    return Change((), "", pending=(f"tailnet: {what}",))


def _on_windows(now: Tailnet) -> str:
    """What a person has to do there."""
    if not now.program:
        return "is not installed on Windows: install it and log in there"
    remedies = {
        "NeedsLogin": "is logged out on Windows: log in there",
        "Stopped": "is stopped on Windows: connect there",
        "Starting": "is not connected yet on Windows",
    }
    return remedies.get(now.state, "does not answer on Windows: start it there")


def _join(node: TailnetNode, context: HostContext, secret: Callable[[str], str]) -> Change:
    """Log in with the auth key, which travels as the script does and lies in a file for seconds.

    That file is where a reboot forgets it, should the host lose its power meanwhile.
    """
    packed = base64.b64encode(secret(node.secret).encode()).decode()
    decode = "base64 -D" if context.mac else "base64 -d"
    options = [f"--hostname={node.name}", f"--timeout={JOIN_S}s"]
    if node.tags:
        options.append(f"--advertise-tags={','.join(node.tags)}")
    run_dir = quote(services.RUN_DIR)
    script = f"""{_program(node)}
mkdir -p {run_dir}
rm -f {run_dir}/join.*
key=$(umask 077; mktemp {run_dir}/join.XXXXXX)
trap 'rm -f "$key"' EXIT
trap 'exit 1' HUP INT TERM
{decode} >"$key" <<'AGENTFLEET_KEY'
{packed}
AGENTFLEET_KEY
attempt=0
until "$tailscale" status --json >/dev/null 2>&1; do # the daemon may just have been started
    attempt=$((attempt + 1))
    [ "$attempt" -lt 20 ] || break
    sleep 0.5
done
"$tailscale" up --auth-key=file:"$key" {words(*options)} >&2 || {{
    if in_state NeedsMachineAuth; then
        fail 'it waits to be approved in the admin console, under Machines: then run again'
    fi
    fail 'it could not join the tailnet, its words are above; is the auth key still valid, and' \\
        'do the tags have owners in the tailnet policy? (fleet policy)'
}}
{_WAIT}
in_state Running || fail 'it has not got into the tailnet; tailscale status on it says why'"""
    tags = f" as {', '.join(node.tags)}" if node.tags else ""
    return Change((f"tailnet: join under the name {node.name}{tags}",), script)


def _start(node: TailnetNode) -> Change:
    """Without any option `up` keeps all settings and needs no key, but may wait for ever."""
    script = f"""{_program(node)}
trap 'kill "$!" 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM
"$tailscale" up >&2 &
{_WAIT}
in_state Running || fail 'it does not connect; tailscale status on it says why'"""
    return Change(("tailnet: connect again, it was stopped",), script)


def _await(node: TailnetNode) -> Change:
    """A node without its control server stays out however long one waits: no fault of the run."""
    script = f"{_program(node)}\n{_WAIT}"
    return Change(("tailnet: wait for it to connect",), script)


def _mend(node: TailnetNode, now: Tailnet) -> Change | None:
    """Name, tags and key of a node that is up."""
    says, script, pending = [], "", []
    if now.name != node.name:
        if now.hostname == node.name and node.name in now.others:
            pending.append(
                f"tailnet: is called {now.name}, since another machine there is {node.name}: if "
                "that one is gone, remove it in the admin console and run again"
            )
        else:
            says.append(f"tailnet: name {now.name} → {node.name}")
            script = _rename(node)
    if missing := set(node.tags) - set(now.tags):
        # Tags come with a login alone, and a login needs a key.
        pending.append(
            f"tailnet: has not {', '.join(sorted(missing))}: give it that in the admin console, "
            "under Machines, Edit ACL tags"
        )
    if now.expires and now.expires - datetime.now(UTC) < timedelta(days=node.warn_days):
        pending.append(
            f"tailnet: its key expires on {now.expires:%Y-%m-%d}: log in again there with "
            "`tailscale up --force-reauth`, or disable its key expiry in the admin console"
        )
    return Change(tuple(says), script, pending=tuple(pending)) if says or pending else None


def _rename(node: TailnetNode) -> str:
    """The tailnet gives a name anew only when another one is asked for."""
    return f"""{_program(node)}
"$tailscale" set --hostname={quote(node.name + "-renamed")}
"$tailscale" set --hostname={quote(node.name)}"""


def _program(node: TailnetNode) -> str:
    """Shell that sets $tailscale, and a function that knows its state."""
    return f"""tailscale=
for place in {words(*node.programs)}; do
    if [ -x "$place" ]; then tailscale=$place; break; fi
done
[ -n "$tailscale" ] || fail 'tailscale is not installed'
case $tailscale in *.exe) # Windows' needs a live interop socket, see facts/tailnet.py
    for WSL_INTEROP in {quote(INTEROP)}/*_interop; do
        export WSL_INTEROP
        if "$tailscale" version >/dev/null 2>&1; then break; fi
    done ;;
esac
in_state() {{
    "$tailscale" status --json 2>/dev/null | grep -Eq "\\"BackendState\\": *\\"$1\\""
}}"""


_WAIT = """attempt=0
until in_state Running || [ "$attempt" -ge 20 ]; do
    attempt=$((attempt + 1))
    sleep 0.5
done"""
