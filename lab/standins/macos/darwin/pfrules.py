"""A pf ruleset once it is read: rules without lists, tables, anchors; and pf's words for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

MAIN: Final = ""  # the name of the main ruleset among the anchors
Network = IPv4Network | IPv6Network
FAMILIES: Final = {4: "inet", 6: "inet6"}


@dataclass(frozen=True)
class End:
    """One end of a packet: everything, a network, or the table of a name; and ports."""

    host: Network | str = ""  # "" is any
    ports: tuple[int, int] | None = None  # first and last

    @property
    def family(self) -> str:
        """The only address family that can match; "" when both can."""
        return "" if isinstance(self.host, str) else FAMILIES[self.host.version]

    def __str__(self) -> str:
        host = f"<{self.host}>" if isinstance(self.host, str) else address(self.host)
        first, last = self.ports or (0, 0)
        ports = f"= {first}" if first == last else f"{first}:{last}"
        return ("any" if self.host == "" else host) + (f" port {ports}" if self.ports else "")


@dataclass(frozen=True)
class Rule:
    """A pass or block rule; "" and None match everything."""

    action: str  # pass | block
    returns: bool = False  # a block that answers
    direction: str = ""  # in | out
    log: bool = False
    quick: bool = False
    interface: str = ""
    family: str = ""  # inet | inet6
    proto: str = ""  # tcp | udp | icmp | icmp6
    source: End = End()
    target: End = End()
    user: int | None = None
    syn: bool = False  # flags S/SA
    state: bool = False  # keep state

    def __str__(self) -> str:
        ends = "all"
        if (self.source, self.target) != (End(), End()):
            ends = f"from {self.source} to {self.target}"
        answer = ("return" if self.returns else "drop") if self.action == "block" else ""
        words = [
            self.action, answer, self.direction, "log" * self.log, "quick" * self.quick,
            f"on {self.interface}" * bool(self.interface), self.family,
            f"proto {self.proto}" * bool(self.proto), ends,
            "" if self.user is None else f"user = {self.user}", self.flags(),
        ]  # fmt: skip
        if self.action == "pass":
            words.append("keep state" if self.state else "no state")
        return " ".join(word for word in words if word)

    def flags(self) -> str:
        """`flags any` is said only where S/SA would be understood without it, as pf does."""
        if self.syn:
            return "flags S/SA"
        return "flags any" if self.state and self.proto in ("", "tcp") else ""


@dataclass(frozen=True)
class Anchor:
    """A place where other rulesets are evaluated; a scrub-anchor is only shown."""

    kind: str  # anchor | scrub-anchor
    name: str  # relative to the ruleset that it stands in; the last part may be *

    def __str__(self) -> str:
        scrubs = " fragment reassemble" if self.kind == "scrub-anchor" else ""
        return f'{self.kind} "{self.name}" all{scrubs}'


@dataclass(frozen=True)
class Table:
    """Addresses under a name."""

    addresses: tuple[Network, ...]
    const: bool = False
    persist: bool = False

    def line(self, name: str) -> str:
        """The table as pf.conf defines it."""
        words = ["const"] * self.const + ["persist"] * self.persist
        inside = ", ".join(address(entry) for entry in self.addresses)
        return " ".join(["table", f"<{name}>", *words, f"{{ {inside} }}"])


@dataclass
class Ruleset:
    """What one file says: the main ruleset, or that of an anchor."""

    skip: list[str] = field(default_factory=list)  # interfaces that are not filtered
    tables: dict[str, Table] = field(default_factory=dict)
    items: list[Rule | Anchor] = field(default_factory=list)
    loads: dict[str, str] = field(default_factory=dict)  # anchor -> its file

    def lines(self) -> list[str]:
        """The ruleset in pf's words, which read back give the same ruleset without `loads`."""
        skip = [f"set skip on {{ {' '.join(self.skip)} }}"] if self.skip else []
        tables = [table.line(name) for name, table in self.tables.items()]
        return [*skip, *tables, *self.rules()]

    def rules(self) -> list[str]:
        """What `pfctl -sr` shows."""
        return [str(item) for item in self.items]


Rulesets = Mapping[str, Ruleset]  # anchor -> what it holds
NOTHING: Final = Ruleset()


def address(network: Network) -> str:
    """A network as pf writes it: a single address without its length."""
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address if single else network)


def join(path: str, name: str) -> str:
    """The full name of an anchor that stands in another."""
    return f"{path}/{name}" if path else name


def children(rulesets: Rulesets, path: str) -> list[str]:
    """Full names of the anchors right below one, in pf's alphabetical order."""
    depth = path.count("/") + 2 if path else 1
    inside = {
        "/".join(name.split("/")[:depth])
        for name in rulesets
        if name != MAIN and (path == MAIN or name.startswith(f"{path}/"))
    }
    return sorted(inside)


def reachable(rulesets: Rulesets, path: str = MAIN) -> Iterator[tuple[str, Rule]]:
    """Every rule that a packet meets, in order, with the anchor it stands in."""
    for item in rulesets.get(path, NOTHING).items:
        if isinstance(item, Rule):
            yield path, item
        elif item.kind == "anchor":
            stem, _, last = join(path, item.name).rpartition("/")
            called = children(rulesets, stem) if last == "*" else [join(path, item.name)]
            for name in called:
                yield from reachable(rulesets, name)


def addresses(rulesets: Rulesets, path: str, name: str) -> tuple[Network, ...]:
    """What a rule of an anchor means by <name>: the anchor's own table, else the main ruleset's."""
    for place in (path, MAIN):
        table = rulesets.get(place, NOTHING).tables.get(name)
        if table:
            return table.addresses
    return ()


def alive(rulesets: Rulesets, path: str) -> dict[str, Table]:
    """The tables of an anchor that pf keeps: persistent ones, and those that rules refer to."""
    users = rulesets if path == MAIN else {path: rulesets.get(path, NOTHING)}
    rules = [i for ruleset in users.values() for i in ruleset.items if isinstance(i, Rule)]
    used = {end.host for rule in rules for end in (rule.source, rule.target)}
    tables = rulesets.get(path, NOTHING).tables
    return {name: table for name, table in tables.items() if table.persist or name in used}
