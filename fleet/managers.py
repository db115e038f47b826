"""Shell functions that start and stop daemons and believe nothing: the same on both managers.

`bring start|restart NAME` comes back when NAME stays up, `settle NAME` when it is still the same
process two seconds later, `rest NAME` when it is gone for good. All call `fail WORDS` otherwise.
"""

from __future__ import annotations

# A start is believed when the same process is still there a moment later: a daemon that dies at
# once is "activating" in between, and `systemctl start` says nothing of it.
SYSTEMD_FUNCTIONS = """systemctl daemon-reload
main_pid() { systemctl show -p MainPID --value "$1"; }
bring() { # start|restart UNIT
    systemctl reset-failed "$2" 2>/dev/null || true
    systemctl -q enable "$2"
    systemctl "$1" "$2"
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        before=$(main_pid "$2")
        sleep 0.7
        if systemctl -q is-active "$2" && [ "$(main_pid "$2")" = "$before" ]; then return 0; fi
    done
    last_words "$2"
}
last_words() { # UNIT
    journalctl -u "$1" -n 15 --no-pager -o cat >&2 || true
    fail "$1 does not stay up; its last words are above"
}
settle() { # UNIT
    before=$(main_pid "$1")
    sleep 2
    if systemctl -q is-active "$1" && [ "$(main_pid "$1")" = "$before" ]; then return 0; fi
    last_words "$1"
}
rest() { systemctl -q disable --now "$1"; } # UNIT"""
# bootout returns before the job is gone, and a bootstrap meanwhile fails with error 5.
LAUNCHD_FUNCTIONS = """job() { launchctl print "system/$1" 2>/dev/null; }
job_pid() { job "$1" | awk '$1 == "pid" && $2 == "=" { print $3; exit }'; }
leave() {
    launchctl bootout "system/$1" 2>/dev/null || true # absent, or on its way out
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        job "$1" >/dev/null || return 0
        sleep 0.5
    done
    fail "$1 does not leave launchd"
}
enter() {
    for attempt in 1 2 3 4 5 6 7 8; do
        launchctl bootstrap system "/Library/LaunchDaemons/$1.plist" 2>/dev/null && return 0
        sleep 1
    done
    launchctl bootstrap system "/Library/LaunchDaemons/$1.plist" || fail "launchd refuses $1"
}
bring() { # start|restart LABEL
    leave "$2"
    launchctl enable "system/$2"
    enter "$2"
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        before=$(job_pid "$2")
        sleep 0.7
        if [ -n "$before" ] && [ "$(job_pid "$2")" = "$before" ]; then return 0; fi
    done
    last_words "$2"
}
last_words() { # LABEL
    job "$1" | grep -E '^.(state|runs|last exit code) = ' >&2 || true
    log=$(job "$1" | awk '$1 == "stderr" && $2 == "path" { print $4; exit }')
    [ -z "$log" ] || tail -n 15 "$log" >&2 || true
    fail "$1 does not stay up; its last words are above"
}
settle() { # LABEL
    before=$(job_pid "$1")
    sleep 2
    if [ -n "$before" ] && [ "$(job_pid "$1")" = "$before" ]; then return 0; fi
    last_words "$1"
}
rest() { # LABEL
    launchctl disable "system/$1"
    leave "$1"
}"""
