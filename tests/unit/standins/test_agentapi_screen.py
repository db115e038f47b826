"""What is read off an agent's screen. The screens of Claude Code are real ones, of 2.1.330."""

# ruff: noqa: RUF001 - Claude Code's signs are what they are
from __future__ import annotations

from lab.standins.agentapi.agentapi.screen import said, talk

RULE = "─" * 80
STATE = " " * 60 + "◐ medium · /effort"
FOOTER = "  ⏵⏵ bypass permissions on (shift+tab to cycle) · ← for agents"
HEAD = [
    "",
    " ▐▛███▛█   Claude Code v2.1.330",
    "▝▜██████▀  Opus 5.5 · API Usage Billing",
    " ▝▝   ▝▝   ~/work",
]


def _claude(*lines: str, typed: str = "") -> list[str]:
    return [*HEAD, "", "", *lines, *[""] * 9, STATE, RULE, f"❯ {typed}".rstrip(), RULE, FOOTER]


def test_the_input_and_the_state_of_claude_code_are_no_message() -> None:
    assert talk(_claude()) == HEAD
    assert talk(_claude(typed="half a word")) == HEAD
    assert said([], talk(_claude())) == "\n".join(HEAD[1:])


def test_an_answer_comes_without_the_echo_of_the_prompt() -> None:
    after = talk(_claude("❯ say hello", "", "● Done.", "", "✻ Brewed for 0s · done 1:55 AM"))
    answer = "● Done.\n\n✻ Brewed for 0s · done 1:55 AM"
    assert said(talk(_claude()), after, "say hello") == answer


def test_the_same_prompt_and_answer_again() -> None:
    once = ["❯ say hello", "", "● Done."]
    assert said(talk(_claude(*once)), talk(_claude(*once, "", *once)), "say hello") == "● Done."


def test_an_echo_is_known_however_it_is_wrapped() -> None:
    echo = ["❯ again", "  with two lines, of which the", "  sec", "  ond is long"]
    prompt = "again\nwith two lines, of which the second is long"
    assert said(HEAD, [*HEAD, "", *echo, "", "● Yes."], prompt) == "● Yes."


def test_a_long_paste_is_echoed_as_a_remark() -> None:
    echo = "❯ [Pasted text #1 +39 lines]"
    assert said(HEAD, [*HEAD, echo, "", "● Yes."], "line\n" * 40) == "● Yes."


def test_lines_of_its_own_stay() -> None:
    """A table, a quotation, a rule: only the last two rules with an input between count."""
    table = ["● Here:", RULE, "> quoted", "and on", RULE, "❯ not yours"]
    assert said(HEAD, [*talk(_claude("❯ go", *table))], "go") == "\n".join(table)


def test_a_plain_prompt_is_no_message() -> None:
    before = ["the lab's", ">"]
    after = ["the lab's", "> hello", "you said hello", ">"]
    assert talk(before) == ["the lab's"]
    assert said(talk(before), talk(after), "hello") == "you said hello"


def test_the_marks_of_a_paste_on_a_terminal_that_echoes_them() -> None:
    after = ["ready", "^[[200~hello^[[201~", "you said hello"]
    assert said(["ready"], after, "hello") == "you said hello"


def test_an_agent_that_repeats_the_prompt_first_is_not_mistaken() -> None:
    assert said(["a"], ["a", "something else"], "hello") == "something else"
    assert said(["a"], ["a"], "hello") == ""
