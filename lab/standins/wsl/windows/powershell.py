"""powershell.exe: records every script it is given and answers the few questions it knows."""

import base64
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Final

from .cmdlets import DESCRIBED, CmdletError, Registry, Rows, run
from .interop import PROFILE, STATE, USER, NotCoveredError, connected, record, refusal, registry
from .script import ASSIGNMENT, condition, parse_call, split, statements, unquote

ENVIRONMENT: Final = {
    "userprofile": PROFILE,
    "username": USER,
    "computername": "WINDOWS",
    "localappdata": rf"{PROFILE}\AppData\Local",
    "systemroot": r"C:\Windows",
}
VALUED: Final = ("executionpolicy", "ep", "outputformat", "inputformat", "windowstyle", "version")


def script_of(argv: list[str], stdin: str) -> str:
    """The script that the arguments mean: -Command, -File, -EncodedCommand, or stdin."""
    args = list(argv)
    while args:
        option = args.pop(0)
        name = option.lstrip("-/").lower()
        if not option.startswith(("-", "/")):
            return " ".join([option, *args])
        if name in ("command", "c"):
            return stdin if args == ["-"] else " ".join(args)
        if name in ("encodedcommand", "enc", "e", "ec"):
            return base64.b64decode(args[0]).decode("utf-16-le")
        if name in ("file", "f"):
            return stdin if args[0] == "-" else local_path(args[0]).read_text("utf-8-sig")
        if name in VALUED:
            args.pop(0)
    return stdin


def local_path(path: str) -> Path:
    """A Windows path as Linux sees it."""
    if re.match(r"[A-Za-z]:[\\/]", path):
        return Path(f"/mnt/{path[0].lower()}") / path[3:].replace("\\", "/")
    return Path(path)


class Shell:
    """One run: variables, what is printed, and whether an error happened."""

    def __init__(self, content: Registry) -> None:
        self.registry = content
        self.variables: dict[str, str] = {"true": "True", "false": "False", "null": ""}
        self.printed: list[str] = []
        self.errors: list[str] = []

    def script(self, text: str) -> None:
        """Run the statements in order; an error does not end the script, as by default."""
        for statement in statements(text):
            self.statement(statement)

    def statement(self, text: str) -> None:
        """Run one statement."""
        branch = condition(text)
        assignment = ASSIGNMENT.fullmatch(text)
        if branch:
            test, negated, body = branch
            if bool(self.value(test)) != negated:
                self.script(body)
        elif assignment and assignment["name"].lower().endswith("preference"):
            self.variables[assignment["name"].lower()] = unquote(assignment["value"].strip())
        elif assignment:
            described = assignment["value"].strip()
            if described.split()[0].lower() in DESCRIBED:
                self.variables[assignment["name"].lower()] = f"({described})"
            else:
                self.variables[assignment["name"].lower()] = render(self.value(described))
        else:
            text = render(self.value(text))
            if text:
                self.printed.append(text)

    def value(self, text: str) -> Rows | str:
        """The value of an expression: text, or rows of objects."""
        text = self.expand(text.strip())
        member = re.fullmatch(r"\((?P<inner>.*)\)\.(?P<key>\w+)", text, re.S)
        if member:
            rows = self.value(member["inner"])
            return "\n".join(
                str(row.get(member["key"], "")) for row in rows if isinstance(row, dict)
            )
        if re.match(r"['\"]", text) or not re.match(r"[A-Za-z]+-[A-Za-z]+\b", text):
            return self.plain(text)
        first, *rest = split(text, "|")
        return self.pipe(self.call(first), rest)

    def plain(self, text: str) -> str:
        """Text that is no cmdlet: a string, an expanded variable, or a program to run."""
        if re.match(r"(&\s*)?[\w.]+\.exe\b|exit\b|return\b", text):
            raise NotCoveredError(text.split()[0])
        return unquote(text)

    def call(self, text: str) -> Rows:
        """Run a cmdlet; its error is printed unless the caller asked for silence."""
        call = parse_call(text)
        if call.name.lower() in ("write-output", "write-host"):
            return [{"": " ".join(call.arguments)}]
        try:
            return run(call, self.registry)
        except CmdletError as error:
            preference = self.variables.get("erroractionpreference", "continue").lower()
            action = call.parameters.get("erroraction", preference).lower()
            if action not in ("silentlycontinue", "ignore"):
                self.errors.append(f"{call.name} : {error}")
            if action == "stop":
                raise
            return []

    def pipe(self, rows: Rows, stages: list[str]) -> Rows | str:
        """Pass rows through the few stages that are known."""
        for stage in stages:
            call = parse_call(stage)
            name = call.name.lower()
            if name == "out-null":
                return ""
            if name == "convertto-json":
                content: Any = rows[0] if len(rows) == 1 else rows
                return json.dumps(content, indent=None if "compress" in call.parameters else 2)
            if name in ("select-object", "select") and "expandproperty" in call.parameters:
                return "\n".join(
                    str(row.get(call.parameters["expandproperty"], "")) for row in rows
                )
            if name.startswith(("remove-", "set-", "start-", "unregister-")):
                for row in rows:
                    key = "Name" if "Name" in row else "TaskName"
                    self.call(f"{stage} -{key} '{row[key]}'")
                return ""
            if name not in ("select-object", "select", "format-list"):
                raise NotCoveredError(call.name)
        return rows

    def expand(self, text: str) -> str:
        """Replace $env:NAME and known variables."""
        text = re.sub(r"\$env:(\w+)", lambda m: ENVIRONMENT.get(m[1].lower(), ""), text, flags=re.I)
        return re.sub(r"\$(\w+)", lambda m: self.variables.get(m[1].lower(), m[0]), text)


def render(value: Rows | str) -> str:
    """Objects as PowerShell's list view; text as it is."""
    if isinstance(value, str):
        return value
    blocks = []
    for row in value:
        width = max(len(key) for key in row)
        blocks.append("\n".join(f"{k:<{width}} : {v}" if k else str(v) for k, v in row.items()))
    return "\n\n".join(blocks)


def main(argv: list[str], state: Path = STATE) -> int:
    """Run a script: output has CRLF; status 1 after any error."""
    if not connected(dict(os.environ)):
        sys.stderr.write(refusal() + "\n")
        return 1
    script = script_of(argv, "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read())
    record("powershell", argv, script, state)
    return answer(script, state)


def answer(script: str, state: Path) -> int:
    """Answer a script on stdout and stderr; its exit status."""
    with registry(state) as content:
        shell = Shell(content)
        status = 0
        try:
            shell.script(script)
        except CmdletError:
            status = 1
        except NotCoveredError as error:
            shell.errors.append(f"powershell.exe (stand-in): not covered: {error}")
            status = 1
    sys.stdout.write("".join(f"{line}\r\n" for text in shell.printed for line in text.split("\n")))
    sys.stderr.write("".join(f"{line}\r\n" for line in shell.errors))
    return 1 if shell.errors else status
