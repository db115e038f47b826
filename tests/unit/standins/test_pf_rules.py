"""pf.conf as the stand-in reads it, and the nft rules that it makes of it."""

from pathlib import Path

import pytest

from lab.standins.macos.darwin.pfnft import render
from lab.standins.macos.darwin.pfparse import PfError, parse
from lab.standins.macos.darwin.pfrules import Ruleset, reachable

UIDS = {"nobody": 4294967294, "_icecc": 399}
APPLES = Path(__file__).parents[3] / "lab/standins/macos/root/etc/pf.conf"


def read(*lines: str, anchor: str = "") -> Ruleset:
    text = "".join(f"{line}\n" for line in lines)
    return parse(text, "pf.conf", anchor, UIDS.__getitem__)


def fault(*lines: str, anchor: str = "") -> str:
    with pytest.raises(PfError) as caught:
        read(*lines, anchor=anchor)
    return str(caught.value)


def filtered(ruleset: Ruleset, chain: str) -> list[str]:
    """The nft rules of a chain, without those that every chain has."""
    body = render({"": ruleset}).split(f"chain {chain} {{")[1].split("}\n")[0]
    lines = [line.strip() for line in body.splitlines()[1:]]
    return [line for line in lines[1:] if line and "ct " not in line]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("pass", ["pass all flags S/SA keep state"]),
        ("block in", ["block drop in all"]),
        ("block return out log quick on en0 all", ["block return out log quick on en0 all"]),
        ("pass in quick on lo0 all flags any no state", ["pass in quick on lo0 all no state"]),
        ("pass out all flags any", ["pass out all flags any keep state"]),
        ("pass proto udp to any port 53", ["pass proto udp from any to any port = 53 keep state"]),
        (
            "block in proto {tcp, udp} to port { 1 2:3 }",
            [
                "block drop in proto tcp from any to any port = 1",
                "block drop in proto tcp from any to any port 2:3",
                "block drop in proto udp from any to any port = 1",
                "block drop in proto udp from any to any port 2:3",
            ],
        ),
        (
            "block out proto tcp to port 3284 user { nobody, _icecc }",
            [
                "block drop out proto tcp from any to any port = 3284 user = 4294967294",
                "block drop out proto tcp from any to any port = 3284 user = 399",
            ],
        ),
        (
            "block from { 10.1.2.3/8 ::1 } to { 192.0.2.1, fe80::/10 }",
            [
                "block drop inet from 10.0.0.0/8 to 192.0.2.1",
                "block drop inet6 from ::1 to fe80::/10",
            ],
        ),
        ("block inet6 proto ipv6-icmp", ["block drop inet6 proto icmp6 all"]),
        ('anchor "com.apple/*"', ['anchor "com.apple/*" all']),
        ("dummynet-anchor x", []),
    ],
)
def test_rules_are_shown_as_pf_shows_them(line: str, shown: list[str]) -> None:
    assert read(line).rules() == shown


def test_macros_comments_and_continued_lines() -> None:
    ruleset = read(
        'ports = "{ 80, 81 }" # "two of them"',
        'mac = "on utun4"',
        "block in $mac \\",
        "  proto tcp to port $ports",
        "# a comment goes on \\",
        "block out all",
        "",
    )
    assert ruleset.rules() == [
        "block drop in on utun4 proto tcp from any to any port = 80",
        "block drop in on utun4 proto tcp from any to any port = 81",
    ]


def test_what_is_shown_reads_back() -> None:
    ruleset = read(
        "set skip on { lo0 en5 }",
        "table <fleet> const persist { 10.0.0.1, fd00::/8 }",
        "table <none> { }",
        'scrub-anchor "com.apple/*"',
        "block return in proto { tcp udp } from <fleet> port 5 to 10.0.0.0/8 port 1:2",
        'anchor "a/b"',
        "pass out log quick inet6 proto icmp6",
        "pass proto tcp to port 3284 flags any",
        "block out proto udp user nobody",
    )
    assert read(*ruleset.lines()) == ruleset


def test_apples_own_file_is_read() -> None:
    ruleset = parse(APPLES.read_text(), str(APPLES))
    assert ruleset.rules() == [
        'scrub-anchor "com.apple/*" all fragment reassemble',
        'anchor "com.apple/*" all',
    ]
    assert ruleset.loads == {"com.apple": "/etc/pf.anchors/com.apple"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("blok in", "syntax error near blok"),
        ("match in all", "syntax error near match"),
        ("rdr pass on lo0 inet proto tcp to port 80 -> 127.0.0.1", "syntax error near '> 127"),
        ("scrub in all", "syntax error near scrub"),
        ("antispoof for en0", "syntax error near antispoof"),
        ("set block-policy return", "syntax error near block-policy return"),
        ("block return-rst in proto tcp", "syntax error near return-rst in proto tcp"),
        ("pass in on utun", "syntax error near utun"),
        ("pass in on ! en0", "syntax error near !"),
        ("pass in from ! 10.0.0.1", "syntax error near !"),
        ("pass in from self", "syntax error near self"),
        ("pass in from 10.0.0.300", "syntax error near 10.0.0.300"),
        ("pass in from 10/8", "syntax error near 10/8"),
        ("pass in from fe80::1%en0", "syntax error near fe80::1%en0"),
        ("pass in proto tcp to port ssh", "syntax error near ssh"),
        ("pass in proto tcp to port 9:1", "syntax error near 9:1"),
        ("pass in proto tcp to port 65536", "syntax error near 65536"),
        ("pass in proto tcp to port { }", "syntax error near }"),
        ("pass in proto tcp to port { 1", "syntax error at the end of the line"),
        ("pass in from <a> port 1", "port only applies to tcp/udp"),
        ("pass in proto sctp", "syntax error near sctp"),
        ("pass in proto tcp flags S/SAFR", "syntax error near flags S/SAFR"),
        ("pass in proto udp flags S/SA", "flags only apply to tcp"),
        ("pass in modulate state", "syntax error near modulate state"),
        ("pass in keep state (max 5)", "syntax error near (max 5)"),
        ("block in keep state", "keep state on block rules doesn't make sense"),
        ("pass in inet from ::1", "rule expands to no valid combination"),
        ("pass in inet6 proto icmp", "proto icmp doesn't match address family inet6"),
        ("block out proto tcp user ghost", "unknown user ghost"),
        ("block out user nobody", "user only applies to tcp/udp"),
        ("block in proto tcp user nobody", "syntax error (stand-in: user is covered in out"),
        ("pass in on $none", "macro 'none' not defined"),
        ("name = value", "syntax error near name = value"),
        ("table fleet { 10.0.0.1 }", "syntax error near fleet"),
        ('table <fleet> file "/x"', 'syntax error near file "/x"'),
        ("table <fleet> { ! 10.0.0.1 }", "syntax error near !"),
        ('anchor "/a"', 'syntax error near "/a"'),
        ('anchor "a" in on en0', "syntax error near in on en0"),
        ('load anchor "a"', "syntax error at the end of the line"),
        ('include "/x"', "syntax error near include"),
        ('pass in on "en0', "syntax error near '\"en0'"),
    ],
)
def test_what_is_not_covered_is_refused(line: str, said: str) -> None:
    assert fault("", line).startswith(f"pf.conf:2: {said}")


def test_other_refusals() -> None:
    assert fault("block all", "set skip on lo0").startswith("pf.conf:2: Rules must be in order")
    assert fault('anchor "a"', 'rdr-anchor "a"').startswith("pf.conf:2: Rules must be in order")
    assert "ignores options" in fault("set skip on lo0", anchor="a")
    assert "load anchor" in fault('load anchor "b" from "/x"', anchor="a")
    assert fault("pass \\", "  in \\", "  sideways").startswith("pf.conf:1: syntax error near side")
    with pytest.raises(PfError, match=r"^F:2: syntax error"):
        parse("pass\nblock", "F")


def test_anchors_are_evaluated_where_they_stand() -> None:
    rulesets = {
        "": read("block in", 'anchor "com.apple/*"', 'anchor "b"', "pass out"),
        "com.apple": read("block on en0", 'anchor "*"'),
        "com.apple/z": read("block on en1"),
        "com.apple/a": read("block on en2", 'anchor "deep"'),
        "com.apple/a/deep": read("block on en3"),
        "com.apple/a/other": read("block on en4"),
        "b": read("block on en5"),
        "c": read("block on en6"),
    }
    where = [(path, rule.interface) for path, rule in reachable(rulesets)]
    assert where == [("", ""), ("com.apple/a", "en2"), ("com.apple/a/deep", "en3"),
                     ("com.apple/z", "en1"), ("b", "en5"), ("", "")]  # fmt: skip


def test_quick_rules_come_first_and_the_others_from_the_last() -> None:
    ruleset = read("block in on en1", "pass in quick on en2 no state", "block in on en3",
                   "block in quick on en4", "block out on en5")  # fmt: skip
    assert filtered(ruleset, "input") == [
        'iifname "en2" accept',
        'iifname "en4" drop',
        'iifname "en3" drop',
        'iifname "en1" drop',
    ]
    assert filtered(ruleset, "output") == ['oifname "en5" drop']


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("pass in", ["tcp flags & (syn | ack) == syn goto keep_input",
                     "meta l4proto != tcp goto keep_input"]),
        ("pass in proto tcp to port 1:2",
         ["meta l4proto tcp tcp dport 1-2 tcp flags & (syn | ack) == syn goto keep_input"]),
        ("pass in proto udp from any port 5", ["meta l4proto udp udp sport 5 goto keep_input"]),
        ("block return in on lo0 proto icmp6", ['iifname "lo" meta l4proto ipv6-icmp goto refuse']),
        ("block in inet", ["meta nfproto ipv4 drop"]),
        ("block in from <both> to <six>",
         ["meta nfproto ipv6 ip6 saddr { fd00::/8 } ip6 daddr { fe80::1/128 } drop"]),
        ("block in from <both>", ["meta nfproto ipv4 ip saddr { 10.0.0.0/8 } drop",
                                  "meta nfproto ipv6 ip6 saddr { fd00::/8 } drop"]),
        ("block in from <unknown>", []),
    ],
)  # fmt: skip
def test_single_rules(line: str, rules: list[str]) -> None:
    tables = ("table <both> { 10.0.0.0/8, 10.1.2.3, fd00::/8 }", "table <six> { fe80::1 }")
    assert filtered(read(*tables, line), "input") == rules


def test_a_user_is_matched_on_the_way_out() -> None:
    ruleset = read("block return out quick proto tcp to port 3284 user _icecc")
    assert filtered(ruleset, "input") == []
    assert filtered(ruleset, "output") == [
        "meta l4proto tcp tcp dport 3284 meta skuid 399 goto refuse"
    ]


def test_a_table_is_the_anchors_own_or_else_the_main_one() -> None:
    rulesets = {
        "": read("table <a> { 10.0.0.1 }", "table <b> { 10.0.0.2 }", 'anchor "x"'),
        "x": read("table <a> { 10.9.9.9 }", "block in from <a>", "block in from <b>", anchor="x"),
    }
    text = render(rulesets)
    assert "ip saddr { 10.9.9.9/32 } drop" in text
    assert "ip saddr { 10.0.0.2/32 } drop" in text
    assert "10.0.0.1" not in text


def test_without_rules_there_is_no_table() -> None:
    gone = "add table inet standin_pf\ndelete table inet standin_pf\n"
    assert render({}) == gone
    assert render({"": read('anchor "a"'), "b": read("block all")}) == gone
