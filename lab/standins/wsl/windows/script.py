"""Just enough of PowerShell's syntax: statements, cmdlets with parameters, pipes, one `if`."""

import re
from dataclasses import dataclass, field
from typing import Final

PAIRS: Final = {"{": "}", "(": ")"}
CONDITION: Final = re.compile(r"if\s*\(\s*(-not|!)?\s*\(?(?P<test>.*?)\)?\s*\)\s*$", re.I | re.S)
ASSIGNMENT: Final = re.compile(r"\$(?P<name>\w+)\s*=\s*(?P<value>.+)", re.S)
TOKEN: Final = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|@?\([^()]*\)|@\{[^}]*\}|[^\s]+")


@dataclass(frozen=True)
class Call:
    """One cmdlet: name, parameters by lower-case name (a switch is "true"), bare arguments."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


def split(text: str, separators: str) -> list[str]:
    """Split at separators that stand outside quotes, braces and parentheses."""
    parts, current, closers, quote = [], "", [], ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in PAIRS:
            closers.append(PAIRS[char])
        elif closers and char == closers[-1]:
            closers.pop()
        if char in separators and not quote and not closers:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [part for part in [*parts, current.strip()] if part]


def statements(script: str) -> list[str]:
    """The statements of a script: comments dropped, backtick continuations joined."""
    joined = re.sub(r"\s*`\r?\n\s*", " ", script)
    lines = [line for line in joined.splitlines() if not line.lstrip().startswith("#")]
    return split("\n".join(lines), ";\n")


def condition(statement: str) -> tuple[str, bool, str] | None:
    """(test, negated, body) of `if (...) {...}`; None for another statement."""
    if not re.match(r"if\b", statement, re.I) or not statement.endswith("}"):
        return None
    head, _, body = statement.partition("{")
    found = CONDITION.match(head.strip())
    return (found["test"].strip(), bool(found[1]), body[:-1]) if found else None


def parse_call(text: str) -> Call:
    """A cmdlet with its parameters; values lose their quotes."""
    tokens = TOKEN.findall(text)
    parameters: dict[str, str] = {}
    arguments: list[str] = []
    name = ""
    for token in tokens[1:]:
        if re.match(r"-[A-Za-z]", token):
            name = token[1:].rstrip(":").lower()
            parameters[name] = "true"
        elif name:
            old = parameters[name]
            more = old != "true" and old.endswith(",")
            parameters[name] = (old if more else "") + unquote(token)
            name = name if token.endswith(",") else ""
        else:
            arguments.append(unquote(token))
    return Call(tokens[0], parameters, tuple(arguments))


def unquote(token: str) -> str:
    """A token without its quotes, or without the @( ) of a list."""
    if token[:1] in ("'", '"') and token[-1:] == token[:1]:
        return token[1:-1].replace("''", "'")
    if token.startswith("@(") and token.endswith(")"):
        return ",".join(unquote(part) for part in split(token[2:-1], ","))
    return token
