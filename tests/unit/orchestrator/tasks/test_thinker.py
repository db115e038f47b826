"""Claude Code as a subprocess: what it is given, and what is made of what it prints."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from orchestrator.tasks.thinker import Thinker, ThinkError
from tests.unit.conftest import on_linux
from tests.unit.orchestrator.tasks.claudes import (
    API_ERROR,
    IN_WORDS,
    NO_FIT,
    asked,
    claude,
    success,
)
from tests.unit.orchestrator.tasks.fleets import USD

pytestmark = on_linux


def think(program: Path, timeout_s: float = 60.0) -> tuple[object, int]:
    thinker = Thinker(str(program), "http://127.0.0.1:1", "agentfleet-t", USD // 2, timeout_s)
    return asyncio.run(thinker.think("a question", {"type": "object"}))


def test_it_is_asked_in_a_home_of_its_own_without_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    assert think(claude(tmp_path, success({"a": 1}))) == ({"a": 1}, 5_000)
    said = asked(tmp_path)
    assert said["stdin"] == "a question"
    assert said["home"] == []
    assert said["cwd"] == said["environment"]["HOME"]
    assert not Path(said["cwd"]).exists()
    assert "ANTHROPIC_API_KEY" not in said["environment"]
    expected = {"ANTHROPIC_AUTH_TOKEN": "agentfleet-t", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}
    assert expected.items() <= said["environment"].items()
    assert "agentfleet-t" not in " ".join(said["arguments"])
    options = said["arguments"]
    assert json.loads(options[options.index("--json-schema") + 1]) == {"type": "object"}
    assert options[options.index("--tools") + 1] == ""
    assert options[options.index("--max-budget-usd") + 1] == "0.50"
    assert {"--print", "--restricted", "--strict-mcp-config"} < set(options)


@pytest.mark.parametrize(
    ("said", "code", "words", "cost"),
    [
        (API_ERROR, 1, "API Error: 402 budget", 0),
        (NO_FIT, 1, "after 5 attempts", 25_000),
        (IN_WORDS, 0, "in words instead of steps: Done, I said", 5_000),
        ("", 3, "said nothing, exit code 3", 0),
        ("[]", 0, "said nothing", 0),
        ("not JSON", 0, "said nothing", 0),
    ],
)
def test_no_answer_has_a_reason(
    said: object, code: int, words: str, cost: int, tmp_path: Path
) -> None:
    with pytest.raises(ThinkError, match=words) as error:
        think(claude(tmp_path, said, code))
    assert error.value.cost == cost


def test_who_thinks_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ThinkError, match="no answer within"):
        think(claude(tmp_path, success({}), seconds=600), timeout_s=0.2)


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ThinkError, match="No such file"):
        think(tmp_path / "claude")
