"""Each rule between values: what breaks it, and what the user reads then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleet.problems import Problem

Problems = Callable[..., tuple[Problem, ...]]

MAC = "mac: {role: headless-mac, os: macos, arch: x86_64, cores: 4, addresses: {lan: 10.0.0.2}}"

# Text of the small fleet, what replaces it, and the only problem that follows: line, key, words.
CASES: dict[str, tuple[str, str, int, str, str]] = {
    "unknown key": ("cores: 4", "cores: 4, jobs: 2", 7, "hosts.mac.jobs", "unknown key"),
    "no version": ("version: 1\n", "", 1, "version", "is missing; add `version:` here"),
    "wrong version": ("version: 1", "version: 2", 1, "version", "2 is not known here; use one of"),
    "no cores": (", cores: 8", "", 6, "hosts.boss.cores", "is missing; add `cores:` here"),
    "empty role": ("role: pi", "role: ~", 8, "hosts.berry.role", "has no value"),
    "a word for a number": ("cores: 8", "cores: eight", 6, "hosts.boss.cores", '"eight" is not a'),
    "true for a number": ("cores: 8", "cores: true", 6, "hosts.boss.cores", "true is not a whole"),
    "half a core": ("cores: 8", "cores: 2.5", 6, "hosts.boss.cores", "2.5 is not"),
    "no core at all": ("cores: 8", "cores: 0", 6, "hosts.boss.cores", "0 is out of range; write"),
    "a huge number": (
        "cores: 8",
        f"cores: {'9' * 200}",
        6,
        "hosts.boss.cores",
        "…9999999999 is out of range",
    ),
    "a number for text": ("cores: 8", "cores: 8, hardware: 1", 6, "hosts.boss.hardware", "quotes"),
    "group as a name": ("berry:", "linux:", 8, "hosts.linux", "may not be called"),
    "role as a name": ("berry:", "pi:", 8, "hosts.pi", 'a host may not be called "pi"'),
    "inventory as a name": ("berry:", "inventory:", 8, "hosts.inventory", "may not be called"),
    "capitals in a name": ("berry:", "Berry:", 8, "hosts.Berry", "in lower case: berry"),
    "underscore in a name": ("berry:", "a_b:", 8, "hosts.a_b", '"a_b" is not a host name'),
    "long name": ("berry:", f"{'a' * 64}:", 8, "", "is not a host name"),
    "hyphen at the end": ("berry:", "berry-:", 8, "hosts.berry-", "not first or last"),
    "a number as a name": ("berry:", "7:", 8, "hosts.7", "programs take it for an address"),
    "no orchestrator": (
        "role: orchestrator, os: arch, arch: x86_64",
        "role: pi, os: raspios, arch: aarch64",
        5,
        "hosts",
        "no host is the orchestrator; give one host `role: orchestrator`",
    ),
    "two orchestrators": (
        "role: pi, os: raspios, arch: aarch64",
        "role: orchestrator, os: debian, arch: aarch64",
        8,
        "hosts.berry.role",
        "this is another; boss is the orchestrator already (line 6)",
    ),
    "a Mac on Linux": ("os: macos", "os: debian", 7, "hosts.mac.os", "headless-mac runs macos"),
    "a Mac on ARM": (MAC, MAC.replace("x86_64", "aarch64"), 7, "hosts.mac.arch", "always x86_64"),
    "a 32-bit Pi": (
        "arch: aarch64",
        "arch: armv7l",
        8,
        "hosts.berry.arch",
        '"armv7l" is not known',
    ),
    "a Pi that is none": ("aarch64", "x86_64", 8, "hosts.berry.arch", "pi is always aarch64"),
    "Arch Linux on ARM": ("x86_64", "aarch64", 6, "hosts.boss.arch", "go with the system arch"),
    "other words": ("os: macos", "os: osx", 7, "hosts.mac.os", 'did you mean "macos"?'),
    "unknown scheduler": (
        "name: small",
        "name: small\nscheduler: bos",
        3,
        "scheduler",
        'no host is called "bos"; did you mean "boss"?',
    ),
    "scheduler on a Mac": (
        "name: small",
        "name: small\nscheduler: mac",
        3,
        "scheduler",
        "mac is a Mac; name a Linux host",
    ),
    "jobs that Windows needs": (
        "arch: x86_64, cores: 8, addresses: {lan: 10.0.0.4}",
        "arch: x86_64, cores: 8, max_jobs: 7",
        9,
        "hosts.win.max_jobs",
        "7 jobs are too many; of 8 cores the role windows-wsl reserves 2: write at most 6",
    ),
    "nothing left by Windows": (
        "arch: x86_64, cores: 8, addresses: {lan: 10.0.0.4}",
        "arch: x86_64, cores: 2",
        9,
        "hosts.win.cores",
        "no core is left for compile jobs; of 2 cores the role windows-wsl reserves 2",
    ),
    "no budget": (" pi: 5,", "", 8, "hosts.berry", "`pi:` to the file's `budgets:`"),
    "negative budget": ("pi: 5", "pi: -5", 4, "budgets.pi", "-5 is out of range; write at least 0"),
    "true as a budget": ("pi: 5", "pi: true", 4, "budgets.pi", "true is not a number"),
    "budget of no role": ("pi: 5", "pie: 5, pi: 5", 4, "budgets.pie", 'did you mean "pi"?'),
    "no SSH user": ("ssh: {user: admin}\n", "", 1, "ssh.user", "no host has an SSH user"),
    "one SSH user": (
        "ssh: {user: admin}\n",
        "ssh: {}\n",
        3,
        "ssh.user",
        "add `ssh: {user: …}` to the file",
    ),
    "port 0": ("user: admin", "user: admin, port: 0", 3, "ssh.port", "0 is out of range"),
    "a user with a space": ("user: admin", "user: a b", 3, "ssh.user", '"a b" is not a user name'),
    "an octal port": ("user: admin", "user: admin, port: 022", 3, "ssh.port", '"022" is not a'),
    "a capability twice": (
        "cores: 4, addresses: {lan: 10.0.0.3}",
        "cores: 4, without: [icecream, icecream]",
        8,
        "hosts.berry.without[1]",
        '"icecream" is here twice',
    ),
    "no base under the rest": (
        "cores: 4, addresses: {lan: 10.0.0.3}",
        "cores: 4, without: [base]",
        8,
        "hosts.berry.without[0]",
        "every other capability stands on base",
    ),
    "services without a wall": (
        "cores: 4, addresses: {lan: 10.0.0.3}",
        "cores: 4, without: [firewall]",
        8,
        "hosts.berry.without[0]",
        "services without a password stand behind the firewall",
    ),
    "a scheduler without icecream": (
        "cores: 8",
        "cores: 8, without: [icecream]",
        6,
        "hosts.boss.without[0]",
        "boss runs the compile scheduler, which belongs to icecream",
    ),
    "an unknown capability": (
        "cores: 8",
        "cores: 8, without: [icecreem]",
        6,
        "hosts.boss.without[0]",
        'has no capability "icecreem"; did you mean "icecream"?',
    ),
    "no list": ("cores: 8", "cores: 8, without: base", 6, "hosts.boss.without", "write a list"),
    "the same LAN address": (
        "10.0.0.2",
        "10.0.0.1",
        7,
        "hosts.mac.addresses.lan",
        "10.0.0.1 port 22 is the address of boss (line 6) already",
    ),
    "a tailnet address as LAN": ("10.0.0.2", "100.64.0.1", 7, "", "write it as `tailnet:`"),
    "no IP address": ("10.0.0.2", "10.0.0.256", 7, "", '"10.0.0.256" is no address'),
    "address with port": ("lan: 10.0.0.2", 'lan: "a:22"', 7, "", "without port or user"),
    "a LAN address as tailnet": (
        "lan: 10.0.0.2",
        "tailnet: 10.0.0.2",
        7,
        "hosts.mac.addresses.tailnet",
        "write an IPv4 address in 100.64.0.0/10",
    ),
    "a new line in text": (
        "cores: 8",
        'cores: 8, hardware: "a\\nb"',
        6,
        "hosts.boss.hardware",
        "is not one line of text",
    ),
}


# What the toolchain says, and the only problem that follows: key below it, words.
TOOLCHAINS: dict[str, tuple[str, str]] = {
    "{llvm: 13}": ("", ""),
    "{llvm: 99, sample_percent: 100}": ("", ""),
    "{llvm: 16, sample_percent: 0}": ("", ""),
    "{llvm: 16, sample_percent: 0.5}": ("", ""),
    "{}": (".llvm", "is missing; add `llvm:` here"),
    "{sample_percent: 1}": (".llvm", "is missing; add `llvm:` here"),
    "{llvm: ~}": (".llvm", "has no value"),
    "{llvm: 12}": (".llvm", "12 is out of range; write at least 13"),
    "{llvm: 100}": (".llvm", "100 is out of range; write at most 99"),
    "{llvm: 16.0}": (".llvm", "16.0 is not a whole number"),
    "{llvm: 16.0.6}": (".llvm", '"16.0.6" is not a number; write a whole number'),
    "{llvm: true}": (".llvm", "true is not a whole number"),
    "{llvm: 16, gcc: 12}": (".gcc", "unknown key"),
    "{llvm: 16, sample_percent: 100.5}": (".sample_percent", "100.5 is out of range; write at mo"),
    "{llvm: 16, sample_percent: -1}": (".sample_percent", "-1 is out of range; write at least 0"),
    "{llvm: 16, sample_percent: .nan}": (".sample_percent", '".nan" is not a number'),
    "{llvm: 16, sample_percent: 1%}": (".sample_percent", '"1%" is not a number'),
    "{llvm: 16, sample_percent: true}": (".sample_percent", "true is not a number"),
    "16": ("", "16 is not"),
}


@pytest.mark.parametrize("stated", TOOLCHAINS)
def test_a_toolchain_is_one_major_version_of_clang(problems: Problems, stated: str) -> None:
    key, words = TOOLCHAINS[stated]
    found = problems(("name: small", f"name: small\ntoolchain: {stated}"))
    assert [problem.key for problem in found] == ([f"toolchain{key}"] if words else [])
    assert all(words in f"{one.fault}; {one.fix}" for one in found), found


# The relays of the small fleet with two hosts on a hill, and the only problem that follows.
RELAYS: dict[str, str] = {
    "hill: berry": "",
    "hill: bery": 'no host is called "bery"; did you mean "berry"?',
    "hil: berry": 'no host is at "hil"; did you mean "hill"?',
    "hill: boss": "boss is not at hill but at home; name a host of that site: mac, berry, win",
    "hill: mac": "mac is a Mac; name a Linux host, or none: downloads are served by busybox",
    "hill: win": "win sleeps; name a host that is always on",
    "home: boss": "home needs no relay; remove it: the orchestrator is there",
    "home: berry": "home needs no relay",
    "hill: 3": "3 is not text",
}


@pytest.mark.parametrize("relay", RELAYS)
def test_a_relay_can_be_one(problems: Problems, relay: str) -> None:
    moved = [(f"{{lan: 10.0.0.{n}}}", f"{{lan: 10.0.0.{n}}}, site: hill") for n in (2, 3, 4)]
    found = problems(
        ("name: small", f"name: small\nrelays: {{{relay}}}"),
        *moved,
        ("role: windows-wsl", "power: sleeps, role: windows-wsl"),
    )
    words, key = RELAYS[relay], f"relays.{relay.split(':')[0]}"
    assert [problem.key for problem in found] == ([key] if words else [])
    assert all(f"{one.fault}; {one.fix}".startswith(words) for one in found), found


def test_a_relay_keeps_what_it_serves_with(problems: Problems) -> None:
    (found,) = problems(
        ("name: small", "name: small\nrelays: {hill: berry}"),
        ("{lan: 10.0.0.3}", "{lan: 10.0.0.3}, site: hill, without: [relay]"),
    )
    assert (found.line, found.key) == (9, "hosts.berry.without[0]")
    assert found.fault == "berry is its site's relay"


@pytest.mark.parametrize("name", CASES)
def test_one_fault_is_one_problem(problems: Problems, name: str) -> None:
    old, new, line, key, words = CASES[name]
    found = problems((old, new))
    assert len(found) == 1, found
    assert found[0].line == line
    assert found[0].key == key or not key
    assert words in f"{found[0].fault}; {found[0].fix}"


def test_the_same_address_with_another_port_is_another_host(problems: Problems) -> None:
    assert not problems(("lan: 10.0.0.4}", "lan: 10.0.0.1}, ssh: {port: 2222}"))


def test_addresses_are_compared_by_meaning(problems: Problems) -> None:
    spelled = (("10.0.0.1", '"fd00::1"'), ("10.0.0.2", '"FD00:0::1"'))
    assert [p.key for p in problems(*spelled)] == ["hosts.mac.addresses.lan"]
    named = (("10.0.0.1", "nas.lan"), ("10.0.0.2", "NAS.lan."))
    assert [p.key for p in problems(*named)] == ["hosts.mac.addresses.lan"]


def test_the_same_tailnet_address(problems: Problems) -> None:
    found = problems(
        ("lan: 10.0.0.1", "tailnet: 100.64.0.1"), ("lan: 10.0.0.3", "tailnet: 100.64.0.1")
    )
    assert [p.fault for p in found] == ["100.64.0.1 is the address of boss (line 6) already"]


def test_a_wrong_port_is_not_also_a_wrong_address(problems: Problems) -> None:
    found = problems(("{lan: 10.0.0.2}", "{lan: 10.0.0.1}, ssh: {port: x}"))
    assert [p.key for p in found] == ["hosts.mac.ssh.port"]


def test_no_hosts(problems: Problems) -> None:
    for hosts in ("hosts: {}\n_:", "hosts:\n_:", "hosts: []\n_:"):
        found = {p.key: p.fault for p in problems(("hosts:", hosts))}
        assert "hosts" in found, hosts


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("bery", "no host is called"),
        ("boss", "is the orchestrator itself"),
        ("berry, agent off", "the orchestrator cannot come to berry"),
        ("berry", ""),
    ],
)
def test_backups_go_to_a_second_host_that_the_orchestrator_reaches(
    problems: Problems, host: str, words: str
) -> None:
    name, _, off = host.partition(",")
    pairs = [("name: small", f"name: small\nbackup: {name}")]
    if off:
        pairs.append(("{role: pi,", "{role: pi, agent: {enabled: false},"))
    found = problems(*pairs)
    assert [one.key for one in found] == (["backup"] if words else [])
    assert all(words in one.fault for one in found)
