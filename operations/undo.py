"""The scripts of a guard: a host that takes a change back by itself unless it is told in time.

In a directory of its own, for root only, the host keeps what the guarded files were (`paths`, a
line each, and `old/LINE`), the program `run` and the shell `revert`. `run` sleeps and then takes
back; it is a unit or a LaunchDaemon that starts at boot as well, so a reboot prolongs the wait and
cannot end it. A mark says how things stand, and whoever renames it has decided:

    undo → undoing → undone      nobody confirmed in time
    undo → confirmed             a fresh connection did
"""

from __future__ import annotations

from facts.look import guard_mark
from fleet.resources import Guard
from operations.manifest import manifest_path
from operations.plans import HostContext
from operations.shell import quote

SYSTEMD = "/etc/systemd/system"
LAUNCHD = "/Library/LaunchDaemons"
TOO_LATE = 3  # exit code of confirm_script when the change has been taken back
TAKEN_BACK = "the host has taken the change back already"


def armed_path(context: HostContext) -> str:
    """The path that exists while a change of the context's capability waits to be confirmed."""
    return guard_mark(context.state_dir, context.capability)


def arm_script(guard: Guard, context: HostContext) -> str:
    """Shell that keeps the present state of the guarded files and starts the wait.

    Copies of an earlier change that nobody has confirmed yet are of the last state known to be
    good: they stay, and the wait is prolonged.
    """
    # The manifest too: it says what the files should be.
    kept = (*guard.paths, manifest_path(context, context.capability))
    keep = "\n".join(f"keep {quote(path)}" for path in kept)
    enter = _enter_mac(context) if context.mac else _enter_linux(context)
    return f"""guard={_directory(context)}
{enter}
{_ARM}
if [ -f "$guard"/undoing ]; then
    enter || true # somebody may have ended it
    fail 'the host is just taking an earlier change back: run again in a minute'
fi
if [ ! -f "$guard"/undo ]; then
    rm -rf "$guard"
    (umask 077; mkdir -p "$guard"/old)
    : >"$guard"/paths
fi
{keep}
{_write("run", _run(guard, context))}
{_write("revert", guard.revert)}
: >"$guard"/again
sync # a power cut must not empty the copies
: >"$guard"/undo
enter || true
if ! {{ alive && [ -f "$guard"/undo ]; }}; then
    fail 'the undo is not armed, so nothing is changed: run again'
fi"""


def confirm_script(context: HostContext) -> str:
    """Shell that disarms; exit code TOO_LATE when the host has taken the change back."""
    directory = _directory(context)
    return f"""guard={directory}
if ! mv "$guard"/undo "$guard"/confirmed 2>/dev/null && [ ! -f "$guard"/confirmed ]; then
    echo '{TAKEN_BACK}' >&2
    exit {TOO_LATE}
fi
{_leave_mac(context) if context.mac else _leave_linux(context)}
rm -rf "$guard\""""


def _directory(context: HostContext) -> str:
    return quote(armed_path(context).rpartition("/")[0])


def _unit(context: HostContext) -> str:
    return f"agentfleet-undo-{context.capability}.service"


def _label(context: HostContext) -> str:
    return f"org.agentfleet.undo-{context.capability}"


def _write(name: str, text: str) -> str:
    """Never in place: an sh that sleeps in the old one reads on in it."""
    return f"""cat >"$guard"/{name}.new <<'AGENTFLEET_{name.upper()}'
{text}
AGENTFLEET_{name.upper()}
mv -f "$guard"/{name}.new "$guard"/{name}"""


# `again` prolongs the wait of a process that sleeps already; one that starts has no need of it.
_ARM = """keep() { # PATH
    if grep -qxF -e "$1" "$guard"/paths; then return 0; fi
    number=$(($(wc -l <"$guard"/paths) + 1))
    rm -rf "$guard/old/$number"
    if [ -e "$1" ] || [ -L "$1" ]; then cp -a "$1" "$guard/old/$number"; fi
    printf '%s\\n' "$1" >>"$guard"/paths
}"""


def _run(guard: Guard, context: HostContext) -> str:
    """The program that waits and takes back; what it began before a power cut, it finishes."""
    return f"""guard={_directory(context)}
{_RUN}
main() {{
    export LC_ALL=C
    umask 022
    if [ -f "$guard"/undo ]; then
        rm -f "$guard"/again
        sleep {guard.window_s}
        while mv "$guard"/again "$guard"/heard 2>/dev/null; do sleep {guard.window_s}; done
        mv "$guard"/undo "$guard"/undoing 2>/dev/null || true
    fi
    if [ -f "$guard"/undoing ]; then
        take_back
        mv "$guard"/undoing "$guard"/undone
        logger -t agentfleet 'nobody confirmed the change of {context.capability}: taken back' \\
            2>/dev/null || true
    fi
    if [ -f "$guard"/undone ] || [ -f "$guard"/confirmed ]; then
        {_end_mac(context) if context.mac else _end_linux(context)}
    fi
    exit 0
}}
main </dev/null"""


# Not beside the target where that fails: a full disk must not keep us out.
_RUN = """restore() { # KEPT TARGET
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        rm -f "$2"
        return 0
    fi
    beside="${2%/*}/.${2##*/}.agentfleet-undo"
    mkdir -p "${2%/*}"
    rm -f "$beside"
    if [ -L "$2" ] && [ -d "$2" ]; then rm -f "$2"; fi # or mv would move into it
    if cp -a "$1" "$beside" && mv -f "$beside" "$2"; then return 0; fi
    rm -f "$beside" "$2"
    cp -a "$1" "$2"
}
take_back() {
    number=0
    while IFS= read -r path; do
        number=$((number + 1))
        restore "$guard/old/$number" "$path"
    done <"$guard"/paths
    sh "$guard"/revert
}"""


def _enter_linux(context: HostContext) -> str:
    unit = _unit(context)
    return f"""enter() {{
    cat >{SYSTEMD}/{unit} <<'AGENTFLEET_UNIT'
[Unit]
Description=Take back a change of {context.capability} that nobody confirms
[Service]
ExecStart=/bin/sh {_directory(context)}/run
Restart=on-failure
[Install]
WantedBy=multi-user.target
AGENTFLEET_UNIT
    systemctl daemon-reload
    systemctl -q enable {unit}
    systemctl start {unit}
    sleep 1
}}
alive() {{ systemctl -q is-active {unit}; }}"""


def _leave_linux(context: HostContext) -> str:
    unit = _unit(context)
    return f"""systemctl -q disable --now {unit} || true
rm -f {SYSTEMD}/{unit}
systemctl daemon-reload"""


def _end_linux(context: HostContext) -> str:
    """The same from inside: a service that stopped itself would not get to the rest."""
    unit = _unit(context)
    return f"""systemctl -q disable {unit}
        rm -f {SYSTEMD}/{unit}
        systemctl daemon-reload
        rm -rf "$guard\""""


def _enter_mac(context: HostContext) -> str:
    """A job on its way out is still listed, and one that ended stays loaded."""
    label = _label(context)
    plist = f"{LAUNCHD}/{label}.plist"
    return f"""alive() {{
    launchctl print system/{label} 2>/dev/null | grep -Eq '^[[:space:]]*pid = '
}}
enter() {{
    cat >{plist} <<'AGENTFLEET_PLIST'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
    <key>Label</key><string>{label}</string>
    <key>ProgramArguments</key>
    <array><string>/bin/sh</string><string>{_directory(context)}/run</string></array>
    <key>RunAtLoad</key><true/>
</dict>
</plist>
AGENTFLEET_PLIST
    chmod 0644 {plist}
    for attempt in 1 2 3 4 5 6 7 8; do
        alive ||
            launchctl bootstrap system {plist} 2>/dev/null ||
            launchctl kickstart system/{label} 2>/dev/null || true
        sleep 1
        if alive; then return 0; fi
    done
}}"""


def _leave_mac(context: HostContext) -> str:
    """Waits until the job has left, since the next one could not enter before."""
    label = _label(context)
    return f"""rm -f {LAUNCHD}/{label}.plist
launchctl bootout system/{label} 2>/dev/null || true
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    launchctl print system/{label} >/dev/null 2>&1 || break
    sleep 0.5
done"""


def _end_mac(context: HostContext) -> str:
    """The same from inside: to leave launchd ends the process, so it comes last."""
    label = _label(context)
    return f"""rm -f {LAUNCHD}/{label}.plist
        rm -rf "$guard"
        launchctl bootout system/{label}"""
