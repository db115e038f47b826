"""Secrets: named in fleet.yaml by reference, resolved late, shown nowhere.

A reference says where the value is: `env:NAME`, `file:PATH`, or `command:…` (a password manager).
The value is asked for once a process, and only for a host that needs it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import threading
import traceback
import urllib.parse
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from fleet.problems import FleetError, printable

if TYPE_CHECKING:
    from fleet.model import Fleet

MASK = "***"
LEAST_LENGTH = 8  # characters; what is shorter is a mistake, and would mask half of every text
COMMAND_TIMEOUT_S = 60
MAX_BYTES = 64 * 1024
KNOWN = {
    "tailscale_auth_key": "a reusable auth key without tags, from the tailnet's admin console",
    "anthropic_api_key": "an API key of the Anthropic console",
    "claude_subscription_token": "what `claude setup-token` prints",
}

# Beginnings of what the tailnet and Anthropic give out; the … is where a message cut one short.
_KNOWN_SHAPE = re.compile(r"(?:sk-ant-|tskey-)[\w…-]+")


def looks_like_one(text: str) -> bool:
    """Whether the text holds what begins like a secret of a known kind."""
    return _KNOWN_SHAPE.search(text) is not None


def mask_known_shapes(text: str) -> str:
    """The text with everything masked that begins like a secret, resolved or not."""
    return _KNOWN_SHAPE.sub(MASK, text)


class Secret:
    """A value that only `reveal` gives; every way of printing it shows a mask."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def resolve(fleet: Fleet, name: str, host: str) -> Secret:
    """The secret of that name, for a host that needs it.

    Raises FleetError that names the host, the key, and how to set it; never the value.
    """
    reference = fleet.secrets.get(name)
    try:
        if reference is None:
            raise _MissingError("fleet.yaml does not say where it is")
        return _resolve(name, reference)
    except _MissingError as missing:
        kind = f" ({reference.partition(':')[0]}:…)" if reference else ""
        fix = missing.fix or (
            f"say where it is: `secrets: {{{name}: env:NAME}}`, file:PATH or command:…; "
            f"it is {KNOWN.get(name, 'a secret')}"
        )
        fault = f"{host} needs this secret{kind}: {missing}"
        raise FleetError.of("fleet.yaml", fault, fix, key=f"secrets.{name}") from None


class _MissingError(Exception):
    def __init__(self, fault: str, fix: str = "") -> None:
        super().__init__(fault)
        self.fix = fix


@cache
def _resolve(name: str, reference: str) -> Secret:
    kind, _, place = reference.partition(":")
    ways = {"env": _from_environment, "file": _from_file, "command": _from_command}
    value = ways[kind](place)
    if len(value) < LEAST_LENGTH or "\n" in value or not value.isprintable():
        what = f"what is there is not {KNOWN.get(name, 'a secret')}: one line of "
        raise _MissingError(f"{what}at least {LEAST_LENGTH} characters")
    _forms.update(_shapes(value))
    return Secret(value)


def _from_environment(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise _MissingError(f"${name} is not set", f"export {name}=… in the shell that runs this")
    return value


def _from_file(place: str) -> str:
    path = Path(place).expanduser()
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            fix = f"chmod 600 {shlex.quote(str(path))}, and ask yourself who has read it"
            raise _MissingError(f"others may read {path}", fix)
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES).decode().removesuffix("\n")
    except OSError as error:
        raise _MissingError(f"{path}: {error.strerror}", f"put it into {path}, mode 600") from None
    except UnicodeDecodeError:
        raise _MissingError(f"{path} is not text") from None


def _from_command(command: str) -> str:
    try:
        run = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _MissingError(f"the command took more than {COMMAND_TIMEOUT_S} s") from None
    except UnicodeDecodeError:
        raise _MissingError("the command does not print text") from None
    if run.returncode:
        said = printable(redact(run.stderr.strip()))
        raise _MissingError(f"the command ended with {run.returncode}: {said}", "run it by hand")
    return run.stdout.removesuffix("\n")


_forms: set[str] = set()  # every shape in which a resolved secret could be printed


def _shapes(value: str) -> set[str]:
    encoded = value.encode()
    return {
        value,
        urllib.parse.quote(value, safe=""),
        json.dumps(value)[1:-1],
        shlex.quote(value),
        base64.b64encode(encoded).decode().rstrip("="),
        base64.b64encode(encoded + b"\n").decode().rstrip("="),
    }


def redact(text: str) -> str:
    """The text with every secret that this process has resolved masked."""
    for form in sorted(_forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


class RedactingFilter(logging.Filter):
    """Masks secrets in log records, their arguments and tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, masked."""
        if not _forms:
            return True
        message = record.getMessage()
        masked = redact(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[0]:
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)))
            record.exc_info = None
        return True


def install() -> None:
    """Mask secrets in everything this process logs, and in tracebacks that end it."""
    for name in (None, "pyinfra", "paramiko"):
        logger = logging.getLogger(name)
        for filtered in (logger, *logger.handlers):
            if not any(isinstance(one, RedactingFilter) for one in filtered.filters):
                filtered.addFilter(RedactingFilter())
    sys.excepthook = _tell_masked
    threading.excepthook = lambda args: (
        _tell_masked(args.exc_type, args.exc_value, args.exc_traceback) if args.exc_value else None
    )


def _tell_masked(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
