"""Keeps secrets out of sight: in texts, log records, and tracebacks, whatever shape they take."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import shlex
import sys
import threading
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")
MASK = "***"
LEAST_LENGTH = 8  # characters; masking what is shorter would mask half of every text

# Beginnings of what the tailnet and Anthropic give out; the … is where a message cut one short.
_KNOWN_SHAPE = re.compile(r"(?:sk-ant-|tskey-)[\w…-]+")

_lock = threading.Lock()
_forms: tuple[str, ...] = ()  # every shape in which a secret could be shown, the longest first
_guards: set[Callable[..., object]] = set()


def looks_like_one(text: str) -> bool:
    """Whether the text holds what begins like a secret of a known kind."""
    return _KNOWN_SHAPE.search(text) is not None


def mask_known_shapes(text: str) -> str:
    """The text with everything masked that begins like a secret, resolved or not."""
    return _KNOWN_SHAPE.sub(MASK, text)


def conceal(value: str) -> None:
    """Mask this value, and each of its lines, in all that `redact` sees from now on."""
    global _forms  # replaced as a whole, so that readers need no lock
    new = {form for part in {value, *value.splitlines()} for form in _shapes(part)}
    with _lock:
        forms = {form for form in new if len(form) >= LEAST_LENGTH} | {*_forms}
        _forms = tuple(sorted(forms, key=len, reverse=True))


def redact(text: str) -> str:
    """The text with every secret that this process has resolved masked."""
    for form in _forms:
        text = text.replace(form, MASK)
    return text


def _shapes(value: str) -> Iterator[str]:
    yield value
    yield from (urllib.parse.quote(value, safe=""), urllib.parse.quote(value))
    yield urllib.parse.quote_plus(value)
    yield from (json.dumps(value)[1:-1], repr(value)[1:-1], shlex.quote(value))
    for form in _base64_shapes(value.encode()):
        yield from (form, form.translate(str.maketrans("+/", "-_")))


def _base64_shapes(raw: bytes) -> Iterator[str]:
    """The value in base64: alone, alone in lines of 76, and inside something longer."""
    for alone in (raw, raw + b"\n"):
        yield base64.b64encode(alone).decode().rstrip("=")
        yield from base64.encodebytes(alone).decode().replace("=", "").splitlines()
    # Inside, 1 or 2 foreign bytes share the first characters with ours, and others the last one.
    for ahead, foreign in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(ahead) + raw).decode()
        yield text[foreign : text.index("=") - 1 if "=" in text else None]


class RedactingFilter(logging.Filter):
    """Masks secrets in log records: messages, arguments, tracebacks and stacks.

    Records without a secret stay as they are, so that other handlers find all of them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, masked."""
        message = _message(record)
        masked = redact(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if isinstance(record.exc_info, tuple) and record.exc_info[0]:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if redact(trace) != trace:
                record.exc_text, record.exc_info = redact(trace), None
        if record.exc_text:  # what another handler's formatter has left
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit: logging would complain, and repeat them
        return f"{record.msg} {record.args!r}"


def install() -> None:
    """Mask secrets in everything this process logs, and in tracebacks that end what it does.

    Handlers added later are not masked: calling it again does that, and no harm.
    """
    loggers = [logging.getLogger(name) for name in (None, "pyinfra", "paramiko")]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    for filtered in (*loggers, *handlers, logging.lastResort):
        if filtered and not any(isinstance(one, RedactingFilter) for one in filtered.filters):
            filtered.addFilter(RedactingFilter())
    sys.excepthook = _guarded(sys.excepthook)
    sys.unraisablehook = _guarded(sys.unraisablehook)
    threading.excepthook = _guarded(threading.excepthook)
    if gevent := sys.modules.get("gevent.hub"):  # pyinfra's greenlets tell their ends through it
        gevent.Hub.print_exception = _guarded(gevent.Hub.print_exception)


def _guarded(hook: Callable[P, object]) -> Callable[P, object]:
    """The same hook, its words to standard error masked. One that is guarded stays as it is."""
    if hook in _guards:
        return hook

    @wraps(hook)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                hook(*args, **kwargs)
        except Exception:  # escaping from here, it would be told unmasked, with the first one
            said.write(traceback.format_exc())
        if sys.stderr is not None:
            sys.stderr.write(redact(said.getvalue()))

    _guards.add(guarded)
    return guarded
