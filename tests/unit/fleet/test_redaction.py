"""What this process has resolved is masked: in every shape, in logs, in tracebacks of all kinds."""

from __future__ import annotations

import base64
import io
import json
import logging
import shlex
import subprocess
import sys
import urllib.parse

import pytest

from fleet import redaction
from fleet.redaction import RedactingFilter, conceal, redact

CANARY = "tskey-auth-c4n4ry/+with spaces'and\"quotes\\"
LONG = "sk-ant-c4n4ry" + "0123456789" * 10  # base64 of it does not fit in a line of 76


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_forms", ())


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SHAPES = {
    "itself": CANARY,
    "in a URL's path": urllib.parse.quote(CANARY),
    "in a URL's query": urllib.parse.quote(CANARY, safe=""),
    "in a form": urllib.parse.quote_plus(CANARY),
    "in JSON": json.dumps(CANARY)[1:-1],
    "in a repr": repr(CANARY)[1:-1],
    "in a shell's word": shlex.quote(CANARY),
    "in base64": encoded(CANARY),
    "in base64 as a file": encoded(f"{CANARY}\n"),
    "in base64 of URLs": base64.urlsafe_b64encode(CANARY.encode()).decode(),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_is_masked(shape: str) -> None:
    assert redact(f"a {shape} b") == f"a {shape} b", "it does not know it yet"
    conceal(CANARY)
    assert redact(f"a {shape} b").replace("=", "") == "a *** b"


@pytest.mark.parametrize("before", ["", "u", "us", "use"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_base64_of_something_longer(before: str, after: str) -> None:
    conceal(CANARY)
    masked = redact(encoded(before + CANARY + after))
    assert "***" in masked
    assert len(masked) <= len("***") + 12, "some characters are shared with the neighbours"


def test_base64_in_lines() -> None:
    conceal(LONG)
    masked = redact(base64.encodebytes(LONG.encode()).decode()).replace("=", "")
    assert masked.split() == ["***", "***"]


def test_each_line_of_a_longer_secret() -> None:
    conceal("first-c4n4ry\nsecond-c4n4ry\nend")
    assert redact("> second-c4n4ry\n> first-c4n4ry") == "> ***\n> ***"
    assert redact("the end") == "the end", "what is short is in every text"


def test_a_secret_that_begins_like_another() -> None:
    conceal("c4n4ry-key")
    conceal("c4n4ry-key-of-more")
    assert redact("c4n4ry-key-of-more c4n4ry-key") == "*** ***"


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(said: io.StringIO) -> logging.Logger:
    """A logger whose only handler is masked and writes to `said`."""
    logger = logging.Logger("test-of-masks")
    handler = logging.StreamHandler(said)
    handler.addFilter(RedactingFilter())
    logger.addHandler(handler)
    conceal(CANARY)
    return logger


def test_messages_and_arguments(logger: logging.Logger, said: io.StringIO) -> None:
    logger.info("with %s and %d", CANARY, 7)
    logger.info(f"in itself {CANARY}")
    logger.info("by name %(key)s", {"key": CANARY})
    logger.info({"key": CANARY})
    assert said.getvalue().splitlines() == [
        "with *** and 7",
        "in itself ***",
        "by name ***",
        "{'key': '***'}",
    ]


def test_arguments_that_do_not_fit(
    logger: logging.Logger, said: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.info("a number: %d", CANARY)
    assert "a number: %d" in said.getvalue()
    assert "c4n4ry" not in said.getvalue() + capsys.readouterr().err


class LoudError(Exception):
    """Says more than it was given."""

    def __str__(self) -> str:
        return f"loud {self.args[0]}"


def test_tracebacks_with_all_that_led_there(logger: logging.Logger, said: io.StringIO) -> None:
    try:
        try:
            raise LoudError(CANARY)
        except LoudError as error:
            error.add_note(f"noted {CANARY}")
            raise RuntimeError(f"because of {CANARY}") from error
    except RuntimeError:
        logger.exception("failed")
    text = said.getvalue()
    for words in ("failed\nTraceback", "loud ***", "noted ***", "because of ***", "direct cause"):
        assert words in text
    assert "c4n4ry" not in text


def test_a_group_of_exceptions(logger: logging.Logger, said: io.StringIO) -> None:
    try:
        raise ExceptionGroup("several", [ValueError(CANARY), LoudError(CANARY)])
    except ExceptionGroup:
        logger.exception("failed")
    assert "loud ***" in said.getvalue()
    assert "c4n4ry" not in said.getvalue()


def test_stacks_and_what_other_formatters_left(logger: logging.Logger, said: io.StringIO) -> None:
    record = logger.makeRecord("n", logging.INFO, "f", 1, "m", (), None)
    record.stack_info, record.exc_text = f"stack {CANARY}", f"cached {CANARY}"
    logger.handle(record)
    assert said.getvalue() == "m\ncached ***\nstack ***\n"


def test_a_record_without_a_secret_stays_as_it_is() -> None:
    conceal(CANARY)
    try:
        raise ValueError("harmless")
    except ValueError:
        record = logging.LogRecord("n", 40, "f", 1, "%d", (7,), sys.exc_info())
    assert RedactingFilter().filter(record)
    assert (record.msg, record.args, record.exc_text) == ("%d", (7,), None)
    assert record.exc_info
    assert record.exc_info[0] is ValueError


def ended(program: str) -> str:
    """What a process says that has resolved the canary and runs this program."""
    prologue = """
import logging, os, sys, threading
from fleet import redaction
from fleet.redaction import conceal, install
key = os.environ["THE_KEY"]
conceal(key)
"""
    run = subprocess.run(
        [sys.executable, "-c", prologue + program],
        env={"THE_KEY": "tskey-auth-c4n4ry"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "c4n4ry" not in run.stdout + run.stderr
    return run.stderr


def test_without_the_guard_it_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="c4n4ry"):
        ended("raise RuntimeError('with ' + key)")


def test_a_traceback_that_ends_the_process() -> None:
    stderr = ended("install()\nraise RuntimeError('with ' + key) from KeyError(key)")
    assert "RuntimeError: with ***" in stderr
    assert "KeyError: '***'" in stderr


def test_a_traceback_that_ends_a_thread() -> None:
    program = """
install()
def fail(): raise RuntimeError('with ' + key)
threading.Thread(target=fail, name='worker').start()
"""
    stderr = ended(program)
    assert "Exception in thread worker" in stderr
    assert "RuntimeError: with ***" in stderr


def test_a_thread_may_end_itself() -> None:
    assert ended("install()\nthreading.Thread(target=sys.exit).start()") == ""


def test_what_nobody_can_catch() -> None:
    program = """
install()
class Closing:
    def __del__(self): raise RuntimeError('with ' + key)
Closing()
"""
    assert "RuntimeError: with ***" in ended(program)


def test_a_traceback_that_ends_a_greenlet_of_pyinfra() -> None:
    program = """
import gevent
install()
def fail(): raise RuntimeError('with ' + key)
gevent.spawn(fail).join()
"""
    assert "RuntimeError: with ***" in ended(program)


def test_the_hook_that_was_there_is_still_asked_and_may_fail() -> None:
    program = """
def earlier(kind, error, trace):
    print('earlier hook', error, file=sys.stderr)
    raise ValueError(key)
sys.excepthook = earlier
install()
once = sys.excepthook, sys.unraisablehook, threading.excepthook
install()
assert once == (sys.excepthook, sys.unraisablehook, threading.excepthook)
raise RuntimeError('with ' + key)
"""
    stderr = ended(program)
    assert stderr.count("earlier hook with ***") == 1
    assert "ValueError: ***" in stderr


def test_the_handlers_of_root_and_of_pyinfra() -> None:
    program = """
logging.basicConfig(format='root: %(message)s')
own = logging.getLogger('pyinfra')
own.addHandler(logging.StreamHandler())
own.propagate = False
install()
install()
logging.getLogger('pyinfra.api').error('child with %s', key)
logging.getLogger('anything').error('with %s', key)
for handler in (*own.handlers, *logging.getLogger().handlers):
    assert len(handler.filters) == 1, handler.filters
"""
    assert ended(program).splitlines() == ["child with ***", "root: with ***"]


def test_the_handler_of_last_resort() -> None:
    assert ended("install()\nlogging.getLogger('x').warning(key)") == "***\n"
