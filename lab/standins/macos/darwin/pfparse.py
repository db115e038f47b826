"""Reads pf.conf(5), as much of it as README.md says; everything else is a fault with its line."""

import pwd
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from .pfrules import FAMILIES, MAIN, Anchor, End, Network, Rule, Ruleset, Table
from .pfwords import (
    FaultError,
    Words,
    anchor_name,
    host,
    interface,
    logical_lines,
    near,
    network,
    port_range,
    proto,
    split,
)

NAME: Final = re.compile(r"[A-Za-z_]\w*")
ORDER: Final = (  # of sections; a file that goes back is refused
    ("set",), ("scrub-anchor",), ("nat-anchor", "rdr-anchor", "binat-anchor"),
    ("dummynet-anchor",), ("pass", "block", "anchor"),
)  # fmt: skip
OUT_OF_ORDER: Final = (
    "Rules must be in order: options, normalization, queueing, translation, filtering"
)
UserId = Callable[[str], int]  # a KeyError for nobody


class PfError(Exception):
    """A fault in a ruleset; its text begins with file and line."""


def user_id(name: str) -> int:
    """The uid of an account."""
    return pwd.getpwnam(name).pw_uid


def parse(text: str, file: str, anchor: str = MAIN, user_id: UserId = user_id) -> Ruleset:
    """The ruleset in the text of a file; `anchor` is where it will be loaded."""
    reader = Reader(anchor, user_id)
    number = 1
    try:
        if text and not text.endswith("\n"):
            number = text.count("\n") + 1
            raise FaultError("syntax error (the last line does not end)")
        for number, line in logical_lines(text):  # noqa: B007 - the fault names the line
            reader.read(line)
    except FaultError as fault:
        raise PfError(f"{file}:{number}: {fault}") from fault
    return reader.ruleset


class Reader:
    """Reads statements one after the other into a ruleset."""

    def __init__(self, anchor: str, user_id: UserId) -> None:
        self.anchor = anchor
        self.user_id = user_id
        self.ruleset = Ruleset()
        self.macros: dict[str, str] = {}
        self.section = 0

    def read(self, line: str) -> None:
        """Read one logical line."""
        words = Words(list(self.expanded(line)))
        if not words:
            return
        keyword = words.take()
        if words.skip("="):
            self.macro(keyword, words)
        else:
            self.check_order(keyword)
            self.statement(keyword)(words)
        if words:
            raise FaultError(near(" ".join(words.words)))

    def expanded(self, line: str) -> Iterator[str]:
        """The words with macros replaced; not in quotes, and not in what a macro holds."""
        for word in split(line):
            if not word.startswith("$"):
                yield word
            elif word[1:] in self.macros:
                yield from split(self.macros[word[1:]])
            else:
                raise FaultError(f"macro '{word[1:]}' not defined")

    def check_order(self, keyword: str) -> None:
        """Sections come in pf's order."""
        for place, keywords in enumerate(ORDER):
            if keyword in keywords:
                if place < self.section:
                    raise FaultError(OUT_OF_ORDER)
                self.section = place

    def statement(self, keyword: str) -> Callable[[Words], None]:
        """What reads the statement that begins with a word."""
        if keyword in ("pass", "block"):
            return lambda words: self.rules(keyword, words)
        if keyword == "anchor" or keyword.endswith("-anchor"):
            return lambda words: self.place(keyword, words)
        known = {"set": self.option, "table": self.table, "load": self.load}
        if keyword not in known:
            raise FaultError(near(keyword))
        return known[keyword]

    def macro(self, name: str, words: Words) -> None:
        """`NAME = "VALUE"`."""
        value = words.take()
        if not NAME.fullmatch(name) or not value.startswith('"'):
            raise FaultError(near(f"{name} = {value}"))
        self.macros[name] = value.strip('"')

    def option(self, words: Words) -> None:
        """`set skip on INTERFACE`; pf heeds options in the main ruleset alone."""
        if self.anchor != MAIN:
            raise FaultError("syntax error (stand-in: pf ignores options in an anchor)")
        words.expect("skip", "on")
        self.ruleset.skip += words.values(interface)

    def table(self, words: Words) -> None:
        """`table <NAME> [const] [persist] { ADDRESS, … }`."""
        name = words.take()
        if not name.startswith("<"):
            raise FaultError(near(name))
        flags = {"const": False, "persist": False}
        while words.next_is(*flags):
            flags[words.take()] = True
        if words.skip("{", "}"):
            found: list[Network] = []
        elif words.next_is("{"):
            found = words.values(network)
        else:
            raise FaultError(near(" ".join(words.words)))
        self.ruleset.tables[name.strip("<>")] = Table(tuple(dict.fromkeys(found)), **flags)

    def load(self, words: Words) -> None:
        """`load anchor "NAME" from "FILE"`."""
        if self.anchor != MAIN:
            raise FaultError("syntax error (stand-in: load anchor is covered in the main ruleset)")
        words.expect("anchor")
        name = anchor_name(words.take())
        words.expect("from")
        self.ruleset.loads[name] = words.take().strip('"')

    def place(self, kind: str, words: Words) -> None:
        """`anchor "NAME" [all]`; other kinds neither filter nor translate here."""
        if not any(kind in kinds for kinds in ORDER):
            raise FaultError(near(kind))
        name = anchor_name(words.take())
        words.skip("all")
        words.skip("fragment", "reassemble")
        if kind in ("anchor", "scrub-anchor"):
            self.ruleset.items.append(Anchor(kind, name))

    def rules(self, action: str, words: Words) -> None:
        """A pass or block line: one rule for each combination of what its lists hold."""
        found = list(combinations(read_line(action, words, self.user_id)))
        if not found:
            raise FaultError("rule expands to no valid combination")
        self.ruleset.items += found


@dataclass
class Line:
    """A rule before its lists are multiplied out."""

    rule: Rule
    interfaces: list[str]
    protos: list[str]
    source: list[End]
    target: list[End]
    users: list[int | None]


def read_line(action: str, words: Words, user_id: UserId) -> Line:
    """Everything after pass or block."""
    answer = words.take() if action == "block" and words.next_is("drop", "return") else ""
    direction = words.take() if words.next_is("in", "out") else ""
    log, quick = words.skip("log"), words.skip("quick")
    interfaces = words.values(interface) if words.skip("on") else [""]
    family = words.take() if words.next_is("inet", "inet6") else ""
    protos = words.values(proto) if words.skip("proto") else [""]
    source, target = [End()], [End()]
    if not words.skip("all"):
        source = read_end(words) if words.skip("from") else source
        target = read_end(words) if words.skip("to") else target
    users: list[int | None] = [None]
    if words.skip("user"):
        users = list(read_users(words, user_id))
    if words.next_is("flags") and words.words[1:2] != ["any"] and not {"", "tcp"} & set(protos):
        raise FaultError("flags only apply to tcp")
    syn, state = read_state(action, words)
    returns = answer == "return"
    rule = Rule(action, returns, direction, log, quick, family=family, syn=syn, state=state)
    line = Line(rule, interfaces, protos, source, target, users)
    check(line)
    return line


def read_end(words: Words) -> list[End]:
    """`[HOSTS] [port PORTS]`, multiplied out."""
    hosts: list[Network | str] = [""] if words.next_is("port") else words.values(host)
    ports: list[tuple[int, int] | None] = [None]
    if words.skip("port"):
        words.skip("=")
        ports = list(words.values(port_range))
    return [End(where, port) for where in hosts for port in ports]


def read_users(words: Words, user_id: UserId) -> list[int]:
    """`user NAME|UID|{ … }`."""

    def user(word: str) -> int:
        try:
            return int(word) if word.isdecimal() else user_id(word)
        except KeyError as error:
            raise FaultError(f"unknown user {word}") from error

    words.skip("=")
    return words.values(user)


def read_state(action: str, words: Words) -> tuple[bool, bool]:
    """`[flags any|S/SA] [no state|keep state]`: whether a SYN is asked for, and state kept.

    A pass rule keeps state unless told otherwise, and one that keeps state asks for S/SA.
    """
    flags = words.take() if words.skip("flags") else ""
    if flags not in ("", "any", "S/SA"):
        raise FaultError(near(f"flags {flags}"))
    state = action == "pass"
    if words.skip("no", "state"):
        state = False
    elif words.skip("keep", "state") and action == "block":
        raise FaultError("keep state on block rules doesn't make sense")
    return (flags == "S/SA" or (state and not flags)), state


def check(line: Line) -> None:
    """What pf refuses, or the stand-in cannot do, although each word is known."""
    transport = set(line.protos) <= {"tcp", "udp"}
    if not transport and any(end.ports for end in line.source + line.target):
        raise FaultError("port only applies to tcp/udp")
    if line.users != [None]:
        if not transport:
            raise FaultError("user only applies to tcp/udp")
        if line.rule.direction != "out":
            raise FaultError("syntax error (stand-in: user is covered in out rules)")
    for name, family in (("icmp", "inet6"), ("icmp6", "inet")):
        if name in line.protos and line.rule.family == family:
            raise FaultError(f"proto {name} doesn't match address family {family}")


def combinations(line: Line) -> Iterator[Rule]:
    """The rules of a line in pf's order; combinations of both address families are left out."""
    parts = (line.interfaces, line.protos, line.source, line.target, line.users)
    for nic, name, source, target, user in product(*parts):
        families = {line.rule.family, source.family, target.family} - {""}
        if len(families) < len(FAMILIES):
            yield replace(
                line.rule, interface=nic, family="".join(families), proto=name,
                source=source, target=target, user=user,
                syn=line.rule.syn and name in ("", "tcp"),
            )  # fmt: skip
