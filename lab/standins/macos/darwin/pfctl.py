"""pfctl: remembers rules and whether pf is enabled. It filters nothing."""

import getopt
from pathlib import Path
from typing import Any, Final

from .common import EX_USAGE, ToolError, edit_state, is_root, out, read_state, warn

STATE: Final = "run/standin/pf.json"  # pf forgets everything at a reboot
ALTQ: Final = "No ALTQ support in kernel\nALTQ related functions disabled"
KEYWORDS: Final = (
    "pass", "block", "match", "anchor", "load", "set", "table", "scrub", "nat", "rdr", "binat",
    "no", "antispoof", "nat-anchor", "rdr-anchor", "scrub-anchor", "dummynet-anchor", "include",
)  # fmt: skip
NOT_RULES: Final = ("set", "table", "load", "include")
MAIN: Final = ""  # the name of the main ruleset among the anchors


def main(argv: list[str], root: Path) -> int:
    """`pfctl [-nqveEdX] [-a ANCHOR] [-f FILE] [-F WHAT] [-s WHAT]`."""
    try:
        pairs, _ = getopt.getopt(argv, "a:AdeEf:F:k:K:nNOqrRs:t:T:vX:")
    except getopt.GetoptError as error:
        raise ToolError(f"pfctl: illegal option -- {error.opt}") from error
    options = dict(pairs)
    if {"-t", "-T", "-k", "-K"} & set(options):
        raise ToolError("pfctl (stand-in): tables and states are not covered", EX_USAGE)
    if not is_root() and root == Path("/"):
        raise ToolError("pfctl: /dev/pf: Permission denied")
    if "-q" not in options:
        warn(ALTQ)
    anchor = options.get("-a", MAIN)
    rules = parse(options["-f"]) if "-f" in options else None
    if "-n" in options:
        return 0
    with edit_state(root / STATE) as state:
        change(state, anchor, rules, options)
    if "-s" in options:
        show(read_state(root / STATE), anchor, options["-s"])
    return 0


def parse(file: str) -> list[str]:
    """The rules of a file, lines joined, macros as written; a fault names file and line."""
    try:
        text = Path("/dev/stdin" if file == "-" else file).read_text()
    except OSError as error:
        raise ToolError(f"pfctl: {file}: {error.strerror}\n"
                    "pfctl: cannot open the main config file!: "
                    f"{error.strerror}") from error  # fmt: skip
    found, pending, start = [], "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start if pending else number
        line = line.partition("#")[0].rstrip()
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole, pending = " ".join((pending + line).split()), ""
        if whole and not valid(whole):
            raise ToolError(f"{file}:{start}: syntax error\n"
                        "pfctl: Syntax error in config file: pf rules not loaded")  # fmt: skip
        if whole:
            found.append(whole)
    return found


def valid(line: str) -> bool:
    """A known keyword, a macro, or the closing of one; what follows is not understood."""
    word = line.split()[0]
    macro = "=" in line and line.partition("=")[0].strip().isidentifier()
    balanced = all(line.count(a) == line.count(b) for a, b in ("{}", "()", "<>"))
    return balanced and line.count('"') % 2 == 0 and (macro or word in KEYWORDS)


def change(
    state: dict[str, Any], anchor: str, rules: list[str] | None, opts: dict[str, str]
) -> None:
    """Apply the changing options to the remembered state."""
    anchors = state.setdefault("anchors", {})
    if "-F" in opts:
        anchors.pop(anchor, None)
    if rules is not None:
        anchors[anchor] = rules
    if "-e" in opts:
        if state.get("enabled"):
            raise ToolError("pfctl: pf already enabled")
        state["enabled"] = True
        warn("pf enabled")
    if "-E" in opts:
        state["enabled"], state["tokens"] = True, state.get("tokens", 0) + 1
        warn(f"pf enabled\nToken : {state['tokens']}")
    if "-X" in opts:
        state["tokens"] = max(0, state.get("tokens", 0) - 1)
        state["enabled"] = state["tokens"] > 0
    if "-d" in opts:
        if not state.get("enabled"):
            raise ToolError("pfctl: pf not enabled")
        state["enabled"] = False
        warn("pf disabled")


def show(state: dict[str, Any], anchor: str, what: str) -> None:
    """`-s info|rules|Anchors|References`, also by the first letter."""
    anchors = state.get("anchors", {})
    rules = [line for line in anchors.get(anchor, []) if is_rule(line)]
    if what.startswith("i"):
        word = "Enabled" if state.get("enabled") else "Disabled"
        out(f"Status: {word} for 0 days 00:00:01           Debug: Urgent")
    elif what.startswith("r"):
        out(*rules)
    elif what.startswith("A"):
        out(*(f"  {name}" for name in sorted(anchors) if name))
    elif what.startswith("R"):
        out(f"TOKENS: {state.get('tokens', 0)}")
    else:
        raise ToolError(f"pfctl (stand-in): -s {what} is not covered", EX_USAGE)


def is_rule(line: str) -> bool:
    """Whether -sr would show the line: no options, tables, macros."""
    word = line.split()[0]
    return word in KEYWORDS and word not in NOT_RULES
