"""A host is one run's at a time: from the first change that a run makes there until the run ends.

The lock is a symbolic link, since making one either works or tells that it is there, on every
system, and it holds its words itself: which run, whose, since when, what for. It lies where a
reboot clears it. Every script of the run renews it; one that nobody has renewed for half an hour is
nobody's.

    lock         → the run's words
    lock.pid     → the process that carries out the run's script at the moment
    lock.ended   → the words of a run that has ended while its script went on (an interrupt)
    lock.taking    while somebody puts his own in the place of an abandoned one
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from facts.services import RUN_DIR
from fleet.run import Run, dead_runs
from operations.shell import quote, words

LOCK = f"{RUN_DIR}/lock"  # a host's
FLEET_LOCK = f"{RUN_DIR}/fleet.lock"  # the whole fleet's, on its orchestrator
ABANDONED_MIN = 30  # the longest that one script takes, with room to spare
LOCKED = "locked by another run: "  # what a script says before the words of the run that has it
WAIT_S = 300  # for the last script of a run that is over
STILL_AT_WORK = "its last script is still at work"
HISTORY_MOST = 1000  # runs that a host remembers; then the older half goes

_FUNCTIONS = f"""lock_is() {{ [ "$(readlink "$lock" 2>/dev/null)" = "$1" ]; }}
lock_at_work() {{ kill -0 "$(readlink "$lock.pid" 2>/dev/null)" 2>/dev/null; }}
lock_is_old() {{ [ -n "$(find "$lock" -mmin +{ABANDONED_MIN} 2>/dev/null)" ]; }}
lock_is_over() {{ # HOLDER RUN-THAT-IS-DEAD...
    [ "$(readlink "$lock.ended" 2>/dev/null)" = "$1" ] && return 0
    over=$1
    shift
    for dead in "$@"; do [ "$over" = "$dead" ] && return 0; done
    return 1
}}"""

# Nobody removes a lock but its run, and who holds `lock.taking` and has looked at the lock since.
_HOLD = f"""hold_lock() {{ # WORDS RUN-THAT-IS-DEAD...
    mine=$1 tries=0 holder=
    shift
    mkdir -p "${{lock%/*}}"
    while ! ln -s "$mine" "$lock" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt {WAIT_S} ] || fail "{LOCKED}${{holder:-nobody knows by whom}}"
        holder=$(readlink "$lock" 2>/dev/null) || continue
        [ "$holder" = "$mine" ] && break
        if ! lock_is_old; then
            lock_is_over "$holder" "$@" || fail "{LOCKED}$holder"
            if lock_at_work; then sleep 1; continue; fi
        fi
        if ! mkdir "$lock.taking" 2>/dev/null; then
            [ -z "$(find "$lock.taking" -mmin +1 2>/dev/null)" ] || rmdir "$lock.taking" || true
            continue
        fi
        if lock_is "$holder" && {{ lock_is_old || lock_is_over "$holder" "$@"; }}; then
            rm -f "$lock"
            ln -s "$mine" "$lock" 2>/dev/null || true # somebody was quicker
        fi
        rmdir "$lock.taking"
    done
    lock_is "$mine" || fail "cannot take the lock $lock"
    touch -h "$lock"
    rm -f "$lock.pid" "$lock.ended"
    ln -s "$$" "$lock.pid"
}}"""


def hold(run: Run, lock: str = LOCK) -> str:
    """Shell that takes the lock for the run, or renews it; fails when it is another's.

    A run of this workstation that is dead has no lock any more; its last script is waited for.
    """
    return f"{_functions(lock)}\n{_HOLD}\nhold_lock {words(run.words, *dead_runs())}"


def _functions(lock: str) -> str:
    return f"lock={lock}\n{_FUNCTIONS}"


def let_go(run: Run, history: str, line: Mapping[str, object]) -> str:
    """Shell that notes the run in the host's history and lets go of the lock.

    While a script of the run still works it says so, and the lock goes with that script.
    """
    text = quote(json.dumps(line, ensure_ascii=False))
    folder = quote(history.rpartition("/")[0])
    return f"""{_functions(LOCK)}
umask 077
mkdir -p {folder}
history={quote(history)}
printf '%s\\n' {text} >>"$history"
if [ "$(wc -l <"$history")" -gt {HISTORY_MOST} ]; then
    tail -n {HISTORY_MOST // 2} "$history" >"$history.new"
    mv -f "$history.new" "$history"
fi
lock_is {quote(run.words)} || return 0
if lock_at_work; then
    rm -f "$lock.ended"
    ln -s {quote(run.words)} "$lock.ended"
    echo {quote(STILL_AT_WORK)}
    return 0
fi
rm -f "$lock" "$lock.pid" "$lock.ended\""""


def history_path(state_dir: str) -> str:
    """Where a host keeps what runs have done to it, a JSON object a line."""
    return f"{state_dir}/history.jsonl"


def who_holds(lock: str = LOCK) -> str:
    """Shell that prints the words of the lock, nothing when nobody has it."""
    return f"""{_functions(lock)}
holder=$(readlink "$lock" 2>/dev/null) || return 0
lock_is_old && return 0
lock_is_over "$holder" && ! lock_at_work && return 0
printf '%s\\n' "$holder\""""


def take_away(words: str, lock: str = LOCK) -> str:
    """Shell that removes the lock of the run with these words, and none that came after it."""
    return f"""{_functions(lock)}
lock_is {quote(words)} || return 0
rm -f "$lock" "$lock.pid" "$lock.ended\""""
