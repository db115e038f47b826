"""A change that could lock us out is taken back by the host itself, unless we confirm it in time.

Before guarded files change, their present state is kept and a timer is armed on the host; when the
change is complete, a *fresh* SSH connection disarms it. Whoever is first, the timer or we, wins by
renaming one mark. The timer outlives a reboot and then begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import FunctionCommand

from facts.look import Look, guard_mark, look
from fleet.resources import Guard, Resources
from operations.change import (
    Change,
    Commands,
    HostContext,
    Order,
    announce,
    carry_out,
    failure,
    reason,
)
from operations.files import differs
from operations.shell import quote

CONFIRM_S = 20.0  # how long a fresh connection may take, retries included
TOO_LATE = 3  # exit code of `confirm` when the timer was first
Confirm = Callable[[str, str], str]


@operation()
def arm(order: Order) -> Commands:
    """Arm the undo where guarded files are about to change."""
    yield from carry_out("guard", order, plan)


@operation()
def release(order: Order, confirm: Confirm) -> Commands:
    """Disarm through a fresh connection: `confirm(host, script)` runs it and says what failed."""
    try:
        context = order.context()
        seen = look(host, context.asked)
        if seen.path(guard_mark(context.state_dir, order.capability)) is None:
            return
        announce("guard", context, Change(("guard: confirm by a fresh connection",), ""))
        script = confirmed(context)
    except Exception as error:
        yield failure(f"{order.capability}: guard: {reason(error)}")
        return
    yield FunctionCommand(_release, (script, confirm), {})


def _release(state: State, host: Host, script: str, confirm: Confirm) -> bool:
    deadline = time.monotonic() + CONFIRM_S
    while fault := confirm(host.name, script):
        if time.monotonic() > deadline:
            logger.error(
                f"{host.print_prefix}a fresh connection does not get through, so the host takes "
                f"the change back by itself: {fault}"
            )
            return False
        time.sleep(1)
    return True


def plan(want: Resources, context: HostContext, look: Look) -> Change | None:
    """Arm when a guarded file differs, or when an earlier change was never confirmed."""
    guard = want.guard
    if guard is None or not any(
        differs(file, look) for file in want.files if file.path in guard.paths
    ):
        return None
    says = f"guard: armed, the host takes the change back in {guard.window_s} s unless confirmed"
    return Change((says,), armed(guard, context))


def armed(guard: Guard, context: HostContext) -> str:
    """Shell that keeps the present state of the guarded files and arms the timer.

    The copies of a change that was never confirmed are of the last state that was: they stay.
    """
    directory = _directory(context)
    keep = "\n".join(
        f"if [ -e {quote(path)} ] || [ -L {quote(path)} ]; then\n"
        f'    cp -a {quote(path)} "$guard"/{number}\nfi'
        for number, path in enumerate(guard.paths)
    )
    return f"""guard={directory}
if [ ! -f "$guard"/undo ]; then
    rm -rf "$guard"
    (umask 077; mkdir -p "$guard")
    {keep}
fi
cat >"$guard"/run <<'AGENTFLEET_UNDO'
{_undo(guard, context)}AGENTFLEET_UNDO
: >"$guard"/undo
{_arm_mac(context) if context.mac else _arm_linux(guard, context)}"""


def confirmed(context: HostContext) -> str:
    """Shell that disarms; fails when the host has taken the change back already."""
    directory = _directory(context)
    return f"""cd {directory} 2>/dev/null && mv undo confirmed 2>/dev/null || {{
    echo 'the host has taken the change back already' >&2
    exit {TOO_LATE}
}}
cd /
{_disarm(context)}
rm -rf {directory}"""


def _directory(context: HostContext) -> str:
    return quote(f"{context.state_dir}/guard/{context.capability}")


def _undo(guard: Guard, context: HostContext) -> str:
    """The script that takes the change back; begun once, it is finished after a power cut too."""
    directory = _directory(context)
    restore = "\n".join(
        f"restore {number} {quote(path)}" for number, path in enumerate(guard.paths)
    )
    return f"""#!/bin/sh
export LC_ALL=C
{f"sleep {guard.window_s}" if context.mac else ":"}
cd {directory} || exit 0
if [ -f undo ]; then mv undo undoing; fi
[ -f undoing ] || exit 0
restore() {{
    if [ -e "$1" ] || [ -L "$1" ]; then
        rm -rf "$2.agentfleet-undo"
        cp -a "$1" "$2.agentfleet-undo" && mv -f "$2.agentfleet-undo" "$2"
    else
        rm -f "$2"
    fi
}}
{restore}
(
{guard.revert}
)
cd /
rm -rf {directory}
{_disarm(context)}
"""


def _unit(context: HostContext) -> str:
    return f"agentfleet-undo-{context.capability}"


def _label(context: HostContext) -> str:
    return f"org.agentfleet.undo-{context.capability}"


def _arm_linux(guard: Guard, context: HostContext) -> str:
    unit, directory = f"/etc/systemd/system/{_unit(context)}", _directory(context)
    return f"""cat >{unit}.service <<'AGENTFLEET_UNIT'
[Unit]
Description=Take back a change of {context.capability} that nobody confirmed
[Service]
Type=oneshot
ExecStart=/bin/sh {directory}/run
AGENTFLEET_UNIT
cat >{unit}.timer <<'AGENTFLEET_UNIT'
[Unit]
Description=Wait for the confirmation of a change of {context.capability}
[Timer]
OnActiveSec={guard.window_s}
AccuracySec=1s
[Install]
WantedBy=timers.target
AGENTFLEET_UNIT
systemctl daemon-reload
systemctl -q enable {_unit(context)}.timer
systemctl restart {_unit(context)}.timer"""


def _arm_mac(context: HostContext) -> str:
    label, directory = _label(context), _directory(context)
    plist = f"/Library/LaunchDaemons/{label}.plist"
    return f"""cat >{plist} <<'AGENTFLEET_PLIST'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
    <key>Label</key><string>{label}</string>
    <key>ProgramArguments</key>
    <array><string>/bin/sh</string><string>{directory}/run</string></array>
    <key>RunAtLoad</key><true/>
</dict>
</plist>
AGENTFLEET_PLIST
chmod 0644 {plist}
launchctl bootout system/{label} 2>/dev/null || true
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    launchctl bootstrap system {plist} 2>/dev/null && return 0
    sleep 1
done
fail 'launchd does not take the undo: nothing changed'"""


def _disarm(context: HostContext) -> str:
    if context.mac:
        # Last, since the undo runs as this very job.
        label = _label(context)
        return (
            f"rm -f /Library/LaunchDaemons/{label}.plist\n"
            f"launchctl bootout system/{label} 2>/dev/null || true"
        )
    unit = _unit(context)
    return f"""systemctl -q disable --now {unit}.timer 2>/dev/null || true
rm -f /etc/systemd/system/{unit}.service /etc/systemd/system/{unit}.timer
systemctl daemon-reload"""
