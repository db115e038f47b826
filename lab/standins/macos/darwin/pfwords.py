"""The words of pf.conf(5): lines, words, and what a single word can mean."""

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Final, TypeVar

from .pfrules import Network

WORD: Final = re.compile(r'"[^"]*"|<[\w.-]+>|\$\w+|[{},=!]|[^\s{},=!<>"#$]+')
BLANK: Final = re.compile(r"[ \t]+|#.*")
INTERFACE: Final = re.compile(r"[a-z]+\d+")  # a name without a number is a group of interfaces
ANCHOR: Final = re.compile(r"[\w.-]+(/[\w.-]+)*(/\*)?|\*")
PROTOS: Final = {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "icmp6": "icmp6", "ipv6-icmp": "icmp6"}
PORT_MAX: Final = 65535
T = TypeVar("T")


class FaultError(Exception):
    """What is wrong with a line."""


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with the number of their first: a backslash joins the next one, in a comment too."""
    pending, start = "", 0
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        start = start or number
        pending += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield start, pending
            pending, start = "", 0
    if pending:
        yield start, pending


def split(line: str) -> Iterator[str]:
    """The words of a line; a text in quotes keeps them."""
    place = 0
    while place < len(line):
        found = BLANK.match(line, place) or WORD.match(line, place)
        if not found:
            raise FaultError(near(repr(line[place:])))
        if not BLANK.match(line, place):
            yield found[0]
        place = found.end()


class Words:
    """A statement's words, taken from the left."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def __bool__(self) -> bool:
        return bool(self.words)

    def next_is(self, *words: str) -> bool:
        """Whether one of these comes next."""
        return bool(self.words) and self.words[0] in words

    def take(self) -> str:
        """The next word."""
        if not self.words:
            raise FaultError("syntax error at the end of the line")
        return self.words.pop(0)

    def skip(self, *words: str) -> bool:
        """Take these words when they come next."""
        if self.words[: len(words)] != list(words):
            return False
        del self.words[: len(words)]
        return True

    def expect(self, *words: str) -> None:
        """Take these words or fail."""
        if not self.skip(*words):
            raise FaultError(near(" ".join(self.words)))

    def values(self, read: Callable[[str], T]) -> list[T]:
        """One value, or those of a list in braces; commas are optional."""
        if not self.skip("{"):
            return [read(self.take())]
        found: list[T] = []
        while not self.skip("}"):
            found.append(read(self.take()))
            self.skip(",")
        if not found:
            raise FaultError(near("}"))
        return found


def near(text: str) -> str:
    """A syntax error with its place, or at the end."""
    return f"syntax error near {text}" if text else "syntax error at the end of the line"


def interface(word: str) -> str:
    """An interface's name."""
    if not INTERFACE.fullmatch(word):
        raise FaultError(near(word))
    return word


def proto(word: str) -> str:
    """A protocol's name."""
    if word not in PROTOS:
        raise FaultError(near(word))
    return PROTOS[word]


def host(word: str) -> Network | str:
    """`any`, `<table>`, an address or a network."""
    if word == "any":
        return ""
    return word.strip("<>") if word.startswith("<") else network(word)


def network(word: str) -> Network:
    """An address, or a network in CIDR notation."""
    _, slash, length = word.partition("/")
    if "%" in word or (slash and not length.isdecimal()):
        raise FaultError(near(word))
    try:
        found = ip_network(word, strict=False)
    except ValueError as error:
        raise FaultError(near(word)) from error
    return found


def port_range(word: str) -> tuple[int, int]:
    """`PORT` or `FIRST:LAST`."""
    first, _, last = word.partition(":")
    last = last if ":" in word else first
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= PORT_MAX):
        raise FaultError(near(word))
    return int(first), int(last)


def anchor_name(word: str) -> str:
    """The name of an anchor below the one it is written in."""
    name = word.strip('"')
    if not ANCHOR.fullmatch(name) or ".." in name.split("/"):
        raise FaultError(near(word))
    return name
