"""What a download says while somebody waits: nothing at first, then a line or a bar."""

from __future__ import annotations

import io
import sys
import time

import pytest

from fleet.progress import waiting

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.progress.PATIENCE_S", 0.01)


def terminal_for(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_what_is_soon_done_says_nothing(capsys: Capture) -> None:
    with waiting("fetching it") as meter:
        meter.advance(5)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("impatient")
def test_a_line_where_there_is_no_terminal(capsys: Capture) -> None:
    with waiting("fetching it"):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "fetching it …\n")


@pytest.mark.usefixtures("impatient")
def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    with waiting("fetching it") as meter:
        meter.expect(2_000_000)
        meter.advance(1_000_000)
        time.sleep(0.3)
    said = terminal.getvalue()
    assert "fetching it" in said
    assert "1.0/2.0 MB" in said
    assert "\x1b[?25h" in said, "the cursor is there again"


@pytest.mark.usefixtures("impatient")
def test_a_bar_without_numbers_when_nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    with waiting("fetching it"):
        time.sleep(0.2)
    assert "fetching it" in terminal.getvalue()
    assert "bytes" not in terminal.getvalue()


@pytest.mark.usefixtures("impatient")
def test_no_bar_where_another_program_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    with waiting("fetching it", bar=False):
        time.sleep(0.1)
    assert terminal.getvalue() == "fetching it …\n"
