"""What an answer is, and what only looks like one."""

from __future__ import annotations

import pytest

from orchestrator.registry.agentapi import MessageUpdate, StatusChange
from orchestrator.tasks.model import Message
from orchestrator.tasks.outcome import answered, fault_of, since, substance
from orchestrator.tasks.view import View


def said(*words: str) -> list[Message]:
    return [Message(number, "agent", text, 0) for number, text in enumerate(words)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("● All is well", ""),
        ("● API Error: 402 budget: spent", "API Error: 402 budget: spent"),
        ("  ⎿  API Error: 529\n     overloaded", "API Error: 529 overloaded"),
        ("● Doing\n\n● API Error: 500", "API Error: 500"),
        ("● API Error: 500\n\n● But then it worked", ""),
        ("● I saw this in the log:\n  API Error: 500", ""),
        ("● The log has API Error: 500 in it", ""),
        ("● Invalid API key · Please run /login", "Invalid API key · Please run /login"),
        ("", ""),
    ],
)  # fmt: skip
def test_an_error_in_the_place_of_an_answer(text: str, fault: str) -> None:
    assert fault_of(said("API Error: earlier", text)) == fault


def test_a_long_fault_is_cut() -> None:
    assert len(fault_of(said("API Error: " + "x" * 5_000))) == 500


def test_an_answer_comes_after_the_prompt() -> None:
    welcome, prompt = Message(0, "agent", "Welcome", 0), Message(1, "user", "x", 0)
    assert not answered([welcome])
    assert not answered([welcome, prompt, Message(2, "agent", " \n", 0)])
    assert answered([welcome, prompt, Message(2, "agent", "y", 0)])


WELCOME = " ▐▛███▛█   Claude Code v2.1.330\n▝▜█████▀  Opus 5.5 · API Usage Billing\n ▝▝  ~/work"
AGAIN = "           Claude Code v2.1.330\n  Opus 5.5 · API Usage Billing\n  ~/work\n\n"

ECHO = "\u276f "


@pytest.mark.parametrize(
    ("text", "is_answer"),
    [
        (AGAIN, False),
        (AGAIN + ECHO + "run echo told >>log; sle\n  ep 600", False),
        (AGAIN + ECHO + "run echo told >>log; sle\n  ep 600\n● told", True),
        (AGAIN + ECHO + "run echo told >>log; sleep 600\n\n✢ Musing… (running hook · 2s)", False),
        (AGAIN + ECHO + "run echo told >>log; sleep 600", False),
        ("● Doing it\n✻ Thinking…\n  ⎿  Tip: use /clear", False),
        ("● It printed: told\n\n✻ Cooked for 7s · done 8:21 PM", True),
        ("● ~/work", True),  # words that it had before, but a paragraph of their own
        ("👍", True),
    ],
)  # fmt: skip
def test_a_screen_that_is_drawn_anew_is_no_answer(text: str, is_answer: bool) -> None:
    """Seen on a Pi that was short of time: for seconds nothing moved, and the task was done."""
    prompt = Message(1, "user", "run echo told >>log; sleep 600", 0)
    view = View(0, (), 0.0)
    view.correct("stable", [Message(0, "agent", WELCOME, 0), prompt], 1.0)
    view.correct(
        "stable", [Message(0, "agent", WELCOME, 0), prompt, Message(2, "agent", text, 0)], 2.0
    )
    assert answered(view.messages, view.before) is is_answer


def test_what_was_there_before_is_not_the_tasks() -> None:
    all_of_it = [Message(number, role, "", 0) for number, role in enumerate(("user", "agent") * 3)]
    assert [one.number for one in since(all_of_it, 1)] == [2, 3, 4, 5]
    assert [one.number for one in since(all_of_it, 2)] == [4, 5]
    assert since(all_of_it, 5) == ()


def test_a_spinner_is_nothing_new() -> None:
    assert substance(said("● a\n✻ Thinking… (3s)")) == substance(said("● a\n✽ Thinking… (9s)"))
    assert substance(said("● a")) != substance(said("● a\n● b"))


def test_a_view_hears_grows_and_is_put_right() -> None:
    prompt, answer = Message(4, "user", "x", 0), Message(5, "agent", "wor", 0)
    view = View(3, (), 0.0)
    view.hear(MessageUpdate(Message(3, "agent", "earlier", 0)), 1.0)
    view.hear(MessageUpdate(prompt), 1.0)
    view.hear(MessageUpdate(answer), 2.0)
    assert view.unwritten() == (prompt, answer)
    assert view.unwritten() == ()
    whole = Message(5, "agent", "works", 0)
    assert view.correct("stable", [prompt, whole], 3.0)
    assert view.unwritten() == (whole,)
    assert view.still_for(5.0) == 2.0
    assert view.correct("stable", [prompt, whole], 6.0)
    assert view.still_for(7.0) == 4.0
    view.hear(StatusChange("running"), 8.0)
    assert view.still_for(9.0) == 0.0
    assert not view.correct("stable", [whole], 10.0)  # the prompt is not there any more
    assert view.correct("stable", [whole], 11.0)
