"""pfctl: loads pf's rules, and has the kernel filter as they say; see pfparse and pfnft."""

import getopt
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .common import EX_USAGE, ToolError, edit_state, hidden, is_root, out, warn, write_atomic
from .pfnft import render
from .pfparse import PfError, parse
from .pfrules import MAIN, NOTHING, Ruleset, address, alive, children
from .pfwords import ANCHOR

STATE: Final = "run/standin/pf.json"  # pf forgets everything at a reboot
FILTER: Final = "run/standin/pf.nft"  # what was loaded last, to look at
ALTQ: Final = "No ALTQ support in kernel\nALTQ related functions disabled"
FLUSHES: Final = (
    "pfctl: Use of -f option, could result in flushing of rules\n"
    "present in the main ruleset added by the system at startup.\n"
    "See /etc/pf.conf for further details.\n"
)
NOT_LOADED: Final = "pfctl: Syntax error in config file: pf rules not loaded"
SHOWN: Final = ("rules", "Anchors", "info", "Tables", "References")
FLUSHED: Final = ("rules", "states", "Tables", "all")
CHANGING: Final = {"-d", "-F", "-f", "-e", "-E", "-X"}
DAY: Final = 86400
Options = dict[str, str]
Note = Callable[[str], None]


@dataclass
class Pf:
    """What the kernel would remember."""

    enabled: bool
    references: list[dict[str, int]]  # of -E: token, pid, time
    flushes: int  # of all states
    rulesets: dict[str, Ruleset]  # by anchor

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Pf":
        """As the state file keeps it; rulesets in pf's own words."""
        kept = state.get("rulesets", {})
        rulesets = {
            name: parse("".join(f"{line}\n" for line in lines), STATE, name)
            for name, lines in kept.items()
        }
        return cls(
            state.get("enabled", False),
            state.get("references", []),
            state.get("flushes", 0),
            rulesets,
        )

    def state(self) -> dict[str, Any]:
        """For the state file."""
        return {
            "enabled": self.enabled,
            "references": self.references,
            "flushes": self.flushes,
            "rulesets": {name: ruleset.lines() for name, ruleset in self.rulesets.items()},
        }

    def filter(self) -> str:
        """What nft has to load."""
        return render(self.rulesets if self.enabled else {}, self.flushes)


def main(argv: list[str], root: Path) -> int:
    """`pfctl [-nqvdeE] [-X TOKEN] [-a ANCHOR] [-f FILE] [-F WHAT] [-s WHAT] [-t TABLE -T show]`."""
    options = read_options(argv)
    if not is_root() and root == Path("/"):
        raise ToolError("pfctl: /dev/pf: Permission denied")
    note: Note = silent if "-q" in options else warn
    note(ALTQ)
    anchor = options.get("-a", MAIN)
    if "-f" in options and anchor == MAIN:
        note(FLUSHES)
    loaded = load(options["-f"], anchor) if "-f" in options else {}
    if "-n" in options:
        return 0
    with edit_state(root / STATE) as state:
        pf = Pf.of(state)
        already = run(pf, anchor, loaded, options, note)
        if CHANGING & set(options):
            apply(pf.filter(), root)
        state.clear()
        state.update(pf.state())
    if already:  # a fault, but what came before it has happened
        raise ToolError("pfctl: pf already enabled")
    return 0


def silent(_line: str) -> None:
    """With -q nothing is noted, not even -E's token."""


def read_options(argv: list[str]) -> Options:
    """The options; those that are not covered are refused."""
    try:
        pairs, rest = getopt.getopt(argv, "a:AdeEf:F:k:K:nNOqrRs:t:T:vX:")
    except getopt.GetoptError as error:
        raise ToolError(f"pfctl: illegal option -- {error.opt}") from error
    options = dict(pairs)
    anchor = options.get("-a", MAIN)
    if (
        rest
        or {"-A", "-k", "-K", "-N", "-O", "-R"} & set(options)
        or options.get("-T", "show") != "show"
        or ("-t" in options) != ("-T" in options)
        or (anchor and not ANCHOR.fullmatch(anchor))
        or "*" in anchor
    ):
        raise ToolError(f"pfctl (stand-in): {' '.join(argv)}: not covered", EX_USAGE)
    for option, known in (("-s", SHOWN), ("-F", FLUSHED)):
        if option in options:
            options[option] = whole(option, options[option], known)
    return options


def whole(option: str, word: str, known: tuple[str, ...]) -> str:
    """The word of which a beginning was given."""
    for candidate in known:
        if word and candidate.startswith(word):
            return candidate
    raise ToolError(f"pfctl (stand-in): {option} {word} is not covered", EX_USAGE)


def load(file: str, anchor: str) -> dict[str, Ruleset]:
    """The rulesets that a file brings: its own, and those of its `load anchor` lines."""
    try:
        found = {anchor: parse(read(file), "stdin" if file == "-" else file, anchor)}
        for name, path in found[anchor].loads.items():
            found[name] = parse(read(path), path, name)
    except PfError as error:
        raise ToolError(f"{error}\n{NOT_LOADED}") from error
    return found


def read(file: str) -> str:
    """The text of a file, or of stdin."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise ToolError(
            f"pfctl: {file}: {error.strerror}\n"
            f"pfctl: cannot open the main config file!: {error.strerror}"
        ) from error


def run(pf: Pf, anchor: str, loaded: dict[str, Ruleset], options: Options, note: Note) -> bool:
    """Do what the options say, in pfctl's own order; whether -e found pf enabled already."""
    if "-d" in options or "-X" in options:
        disable(pf, options.get("-X"), note)
    if "-s" in options:
        show(pf, anchor, options["-s"], "-v" in options)
    if "-F" in options:
        flush(pf, anchor, options["-F"], note)
    if "-T" in options:
        show_table(pf, anchor, options["-t"])
    pf.rulesets.update(loaded)
    already = "-e" in options and pf.enabled
    if "-e" in options and not already:
        pf.enabled = True
        note("pf enabled")
    if "-E" in options and not already:
        enable_for(pf, note)
    return already


def disable(pf: Pf, token: str | None, note: Note) -> None:
    """`-d`, and `-X TOKEN`, which disables pf when it gives back the last reference."""
    if not pf.enabled:
        raise ToolError("pfctl: pf not enabled")
    left = [ref for ref in pf.references if token is not None and str(ref["token"]) != token]
    if token is not None and len(left) == len(pf.references):
        raise ToolError("pfctl: pf: token invalid")
    pf.references, pf.enabled = left, bool(left)
    more = f"disable request successful. {len(left)} more pf enable reference(s) remaining"
    note(f"{more}, pf still enabled." if left else "pf disabled")


def enable_for(pf: Pf, note: Note) -> None:
    """`-E`: pf stays enabled until this reference, too, is given back."""
    token = secrets.randbits(64)
    pf.enabled = True
    pf.references.insert(0, {"token": token, "pid": os.getpid(), "time": int(time.time())})
    note(f"pf enabled\nToken : {token}")


def flush(pf: Pf, anchor: str, what: str, note: Note) -> None:
    """`-F`: of one ruleset only; other anchors keep theirs. States belong to the main one."""
    ruleset = pf.rulesets.pop(anchor, Ruleset())
    if what in ("rules", "all"):
        ruleset.items = []
        note("rules cleared")
    if what in ("Tables", "all"):
        note(f"{len(ruleset.tables)} tables deleted.")
        ruleset.tables = {}
    if what == "states" or (what == "all" and anchor == MAIN):
        pf.flushes += 1
        note("states cleared")
    if what == "all" and anchor == MAIN:
        ruleset.skip = []
        note("pf: interface flags reset")
    if ruleset != NOTHING:
        pf.rulesets[anchor] = ruleset


def apply(text: str, root: Path) -> None:
    """Have the kernel filter so; on another root only the text is written."""
    write_atomic(root / FILTER, text.encode())
    if root != Path("/"):
        return
    done = hidden("nft", "-f", str(root / FILTER))
    if done.returncode:
        raise ToolError(f"pfctl (stand-in): nft refuses {root / FILTER}\n{done.stderr.rstrip()}")


def show(pf: Pf, anchor: str, what: str, verbose: bool) -> None:
    """`-s`: what is loaded."""
    if what == "rules":
        out(*pf.rulesets.get(anchor, NOTHING).rules())
    elif what == "Anchors":
        show_anchors(pf, anchor, verbose)
    elif what == "Tables":
        out(*alive(pf.rulesets, anchor))
    elif what == "info":
        status = "Enabled for 0 days 00:00:01" if pf.enabled else "Disabled"
        out(f"Status: {status:<37} Debug: Urgent")
    elif not pf.references:
        out("No pf starter references held")
    else:
        show_references(pf)


def show_anchors(pf: Pf, anchor: str, verbose: bool) -> None:
    """The anchors right below one; with -v all below it."""
    for name in children(pf.rulesets, anchor):
        out(f"  {name}")
        if verbose:
            show_anchors(pf, name, verbose)


def show_references(pf: Pf) -> None:
    """Who enabled pf with -E."""
    out("TOKENS:", f"{'PID':<8} {'Process Name':<28} {'TOKEN':<24} TIMESTAMP")
    for ref in pf.references:
        days, seconds = divmod(max(0, int(time.time()) - ref["time"]), DAY)
        age = f"{days} days {time.strftime('%H:%M:%S', time.gmtime(seconds))}"
        out(f"{ref['pid']:<8} {'pfctl':<28} {ref['token']:<24} {age}")


def show_table(pf: Pf, anchor: str, name: str) -> None:
    """`-t TABLE -T show`."""
    table = alive(pf.rulesets, anchor).get(name)
    if table is None:
        raise ToolError("pfctl: Table does not exist.")
    out(*(f"   {address(entry)}" for entry in table.addresses))
