"""Secrets: named in fleet.yaml by reference, resolved late, shown nowhere (fleet.redaction).

A reference says where the value is: `env:NAME`, `file:PATH`, or `command:…` (a password manager).
The value is asked for once a process, and only for a host that needs it.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.problems import FleetError, printable
from fleet.redaction import (
    LEAST_LENGTH,
    MASK,
    RedactingFilter,
    conceal,
    install,
    looks_like_one,
    mask_known_shapes,
    redact,
)

if TYPE_CHECKING:
    from fleet.model import Fleet

__all__ = [
    "KNOWN",
    "RedactingFilter",
    "Secret",
    "install",
    "looks_like_one",
    "mask_known_shapes",
    "redact",
    "resolve",
]

COMMAND_TIMEOUT_S = 60
MAX_BYTES = 64 * 1024
SAID_LINES = 3  # of what a command that failed said; its last words are the ones that count
KNOWN = {
    "tailscale_auth_key": "a reusable auth key without tags, from the tailnet's admin console",
    "anthropic_api_key": "an API key of the Anthropic console",
    "claude_subscription_token": "what `claude setup-token` prints",
    "alert_ntfy": "the address of an ntfy topic",
    "alert_webhook": "an address that takes alerts as JSON",
    "alert_heartbeat": "an address that has to be called again and again",
}
ADDRESSES = "alert_"  # what the names of those begin with that are addresses
_ADDRESS = re.compile(r"https?://[!-~]+")


class Secret:
    """A value that only `reveal` gives; every way of printing or storing it shows a mask."""

    __slots__ = ("_value",)

    def __init__(self, value: str | None) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Raises ValueError for what was pickled: the value was left behind."""
        if self._value is None:
            raise ValueError("this secret was pickled, and a pickle has no secrets in it")
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> tuple[type[Secret], tuple[None]]:
        return Secret, (None,)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


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
        fault = f"{host} needs this secret{kind}: {missing.fault}"
        raise FleetError.of("fleet.yaml", fault, fix, key=f"secrets.{name}") from None


class _MissingError(Exception):
    def __init__(self, fault: str, fix: str = "") -> None:
        super().__init__(fault, fix)
        self.fault = fault
        self.fix = fix


_asking = threading.Lock()
_answers: dict[tuple[str, str], Secret | _MissingError] = {}


def _resolve(name: str, reference: str) -> Secret:
    """Ask once, however many hosts need it at the same time."""
    with _asking:
        answer = _answers.get((name, reference)) or _ask(name, reference)
        # A command that failed is not run again: every host would wait for it, or its owner be
        # asked for a password, once more. The others cost nothing and may be there the next time.
        if isinstance(answer, Secret) or reference.startswith("command:"):
            _answers[name, reference] = answer
    if isinstance(answer, Secret):
        return answer
    raise _MissingError(answer.fault, answer.fix)


def _ask(name: str, reference: str) -> Secret | _MissingError:
    kind, _, place = reference.partition(":")
    ways = {"env": _from_environment, "file": _from_file, "command": _from_command}
    try:
        value = ways[kind](place)
        if fault := _implausible(name, value):
            wanted = KNOWN.get(name, "a secret")
            raise _MissingError(fault, f"put {wanted} there, one line of text and nothing else")
    except _MissingError as missing:
        return missing
    conceal(value)
    return Secret(value)


def _implausible(name: str, value: str) -> str:
    """Why this cannot be a secret, without a part of it; empty when it can."""
    if "\n" in value or "\r" in value:
        return "what is there has more than one line"
    if len(value) < LEAST_LENGTH:
        return f"what is there is no secret: those have at least {LEAST_LENGTH} characters"
    if not value.isprintable():
        return "what is there is not text"
    if name.startswith(ADDRESSES) and not _ADDRESS.fullmatch(value):
        return "what is there is no address: those begin with https:// or http://"
    return ""


def _from_environment(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise _MissingError(f"${name} is not set", f"export {name}=… in the shell that runs this")
    return value


def _from_file(place: str) -> str:
    try:
        path = Path(place).expanduser()
    except RuntimeError:
        user = place.partition("/")[0]
        raise _MissingError(f"there is no home directory {user}", "write the whole path") from None
    fix = f"put it into {path}, for you alone: chmod 600 {shlex.quote(str(path))}"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe that nobody writes to would hold up the run for ever
            what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise _MissingError(f"{path} is {what}", "name a file that holds nothing else")
        if mode & 0o077:
            fix = f"chmod 600 {shlex.quote(str(path))}, and ask yourself who has read it"
            raise _MissingError(f"others may read {path}", fix)
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _MissingError(f"{path}: {error.strerror}", fix) from None
    if len(content) > MAX_BYTES:
        raise _MissingError(f"{path} is too large for a secret", fix)
    return _text(content, str(path))


def _from_command(command: str) -> str:
    try:
        run = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        fault = f"the command took more than {COMMAND_TIMEOUT_S} s"
        raise _MissingError(fault, "run it by hand; it may wait for an answer") from None
    if run.returncode:
        said = _last_words(run.stderr, run.stdout)
        raise _MissingError(f"the command ended with {run.returncode}{said}", "run it by hand")
    if not run.stdout.strip():
        raise _MissingError("the command printed nothing", "run it by hand")
    return _text(run.stdout, "what the command printed")


def _last_words(stderr: bytes, stdout: bytes) -> str:
    """What a command that failed said, without what it printed: that may be the secret."""
    said = mask_known_shapes(redact(stderr.decode(errors="replace")))
    for word in stdout.decode(errors="replace").split():
        if len(word) >= LEAST_LENGTH:
            said = said.replace(word, MASK)
    lines = [printable(line) for line in said.strip().splitlines()]
    return f": {' / '.join(lines[-SAID_LINES:])}" if lines else ""


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise _MissingError(f"{what} is not text", "write nothing but the secret there") from None
