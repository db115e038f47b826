"""Operators in fleet.yaml: who they are, which keys are theirs, what is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.model import Operator, load_fleet
from fleet.problems import Problem

Problems = Callable[..., tuple[Problem, ...]]


def public_key(kind: str, *fields: bytes) -> str:
    """An OpenSSH public key of that type, in the wire format of RFC 4253."""
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), *fields))
    return f"{kind} {base64.b64encode(blob).decode()}"


ED25519 = public_key("ssh-ed25519", b"a" * 32)
RSA = public_key("ssh-rsa", b"\1\0\1", b"n" * 256)
SECURITY_KEY = public_key("sk-ssh-ed25519@openssh.com", b"b" * 32, b"ssh:")


def block(keys: str, more: str = "") -> tuple[str, str]:
    """Put an operator with these keys before the hosts: line 5 is `operators:`, 6 the keys."""
    return "hosts:", f"operators:\n  alice: {{{more}ssh_keys: [{keys}]}}\nhosts:"


def test_operators_are_in_the_order_of_the_file(fleet_file: Path) -> None:
    operators = f"""\
operators:
  zoe: {{ssh_keys: ["{ED25519} zoe's laptop", {RSA}]}}
  alice: {{login: alice@example.com, ssh_keys: [{SECURITY_KEY}]}}
"""
    fleet_file.write_text(fleet_file.read_text() + operators)
    assert load_fleet(fleet_file).operators == (
        Operator(name="zoe", login=None, ssh_keys=(f"{ED25519} zoe's laptop", RSA)),
        Operator(name="alice", login="alice@example.com", ssh_keys=(SECURITY_KEY,)),
    )


def test_a_fleet_needs_no_operator(fleet_file: Path) -> None:
    assert load_fleet(fleet_file).operators == ()


@pytest.mark.parametrize(
    "login", ["alice@example.com", "alice@github", "alice@passkey", "a.b+c@mail.example.co.uk"]
)
def test_logins_of_the_tailnet(fleet_file: Path, problems: Problems, login: str) -> None:
    assert problems(block(ED25519, f"login: {login}, ")) == ()
    assert load_fleet(fleet_file).operators[0].login == login


@pytest.mark.parametrize(
    "login", ["alice", "alice@", "@github", "a b@c.de", "a@b..c", "a@b.c-", "tag:x@y", "*@b.c"]
)
def test_what_is_no_login(problems: Problems, login: str) -> None:
    (problem,) = problems(block(ED25519, f"login: '{login}', "))
    assert (problem.line, problem.key) == (6, "operators.alice.login")
    assert f'"{login}" is not a login of the tailnet' in problem.fault


# What stands in `ssh_keys`, and words of the only problem that follows.
BAD_KEYS = {
    "a word": ("hello", "is not an SSH public key"),
    "cut short": (ED25519[:-8], "is not an SSH public key"),
    "half a key": (ED25519[:60] + "=", "is not an SSH public key"),
    "another type inside": (ED25519.replace("ssh-ed25519", "ssh-rsa"), "is not an SSH public key"),
    "a type that begins alike": (ED25519.replace("ed25519 ", "ed25 "), "not an SSH public key"),
    "the type alone inside": (public_key("ssh-ed25519"), "is not an SSH public key"),
    "options": (f"'no-pty {ED25519}'", "is not an SSH public key"),
    "two lines": (f'"{ED25519} x\\n{RSA}"', "is not an SSH public key"),
    "DSA": (public_key("ssh-dss", b"p" * 128, b"q", b"g", b"y"), "DSA key is no longer accepted"),
    "certificate": (
        public_key("ssh-ed25519-cert-v01@openssh.com", b"nonce", b"k" * 32),
        "this is a certificate, not a key",
    ),
}


@pytest.mark.parametrize(("key", "words"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_what_is_no_key(problems: Problems, key: str, words: str) -> None:
    (problem,) = problems(block(key))
    assert (problem.line, problem.key) == (6, "operators.alice.ssh_keys[0]")
    assert words in problem.fault


def test_a_private_key_is_not_repeated(problems: Problems) -> None:
    private = "-----BEGIN OPENSSH PRIVATE KEY----- c4n4ry b3BlbnNzaC1rZXktdjEAAAAA"
    (problem,) = problems(block(f"'{private}'"))
    assert "this is a private key" in problem.fault
    assert "c4n4ry" not in str(problem)
    assert "AAAAA" not in str(problem)


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ("{login: a@b.c}", "operators.alice", "has no SSH key"),
        ("{ssh_keys: []}", "operators.alice", "has no SSH key"),
        ("{ssh_keys: ~}", "operators.alice.ssh_keys", "has no value"),
        ("~", "operators.alice", "has no value"),
        (f"{{ssh_keys: {ED25519}}}", "operators.alice.ssh_keys", "is not a list"),
        (f"{{ssh_keys: [{ED25519}], keys: 1}}", "operators.alice.keys", "unknown key"),
    ],
)
def test_a_bad_entry_is_told_once(problems: Problems, entry: str, key: str, words: str) -> None:
    (problem,) = problems(("hosts:", f"operators:\n  alice: {entry}\nhosts:"))
    assert (problem.line, problem.key) == (6, key)
    assert words in problem.fault


def test_an_operators_name_is_a_label(problems: Problems) -> None:
    entry = f"operators:\n  Alice Doe: {{ssh_keys: [{ED25519}]}}\nhosts:"
    (problem,) = problems(("hosts:", entry))
    assert problem.fault == '"Alice Doe" is not a name'


def test_a_key_is_one_persons(problems: Problems) -> None:
    entry = f"""\
operators:
  alice: {{ssh_keys: [{RSA}, {ED25519} laptop]}}
  bob: {{ssh_keys: [{ED25519} stolen]}}
hosts:"""
    (problem,) = problems(("hosts:", entry))
    assert (problem.line, problem.key) == (7, "operators.bob.ssh_keys[0]")
    assert problem.fault == "this key is in line 6 already"
