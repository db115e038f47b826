"""Secrets in fleet.yaml: references are taken, and what may be a secret is never repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.cli import main
from fleet.model import load_fleet
from fleet.problems import Problem
from tests.unit.fleet.test_operators import ED25519

Problems = Callable[..., tuple[Problem, ...]]
ROOT = Path(__file__).resolve().parents[3]
CANARY = "c4n4ry"


def block(text: str) -> tuple[str, str]:
    """Put `secrets:` with this text on the line before the hosts, line 5."""
    return "hosts:", f"secrets: {text}\nhosts:"


def test_references_of_every_kind(fleet_file: Path, problems: Problems) -> None:
    stated = {
        "tailscale_auth_key": "env:TS_AUTH_KEY",
        "anthropic_api_key": "command:pass show x | head -n 1",
    }
    assert problems(block(json.dumps(stated))) == ()
    assert load_fleet(fleet_file).secrets == stated
    assert problems(block("{claude_subscription_token: file:~/.config/token}")) == ()
    assert problems(block("{claude_subscription_token: file:/etc/token}")) == ()


def test_a_fleet_needs_no_secret(fleet_file: Path) -> None:
    assert load_fleet(fleet_file).secrets == {}


def test_a_mistyped_name_gets_a_guess(problems: Problems) -> None:
    (problem,) = problems(block("{antropic_api_key: env:X}"))
    assert (problem.line, problem.key) == (5, "secrets.antropic_api_key")
    assert 'did you mean "anthropic_api_key"?' in problem.fix


def test_agents_have_one_way_to_pay(problems: Problems) -> None:
    both = "{anthropic_api_key: env:X, claude_subscription_token: env:Y}"
    (problem,) = problems(block(both))
    assert problem.fault == "there is an anthropic_api_key as well"


@pytest.mark.parametrize(
    "reference",
    ["env:", "env:A-B", "env:1A", "file:", "file:relative", "command:", "vault:x", "word", "''"],
)
def test_what_is_no_reference(problems: Problems, reference: str) -> None:
    (problem,) = problems(block(f"{{anthropic_api_key: {reference!r}}}"))
    assert (problem.line, problem.key) == (5, "secrets.anthropic_api_key")
    assert problem.fix


# Where a secret can be pasted instead of a reference to it.
PASTED = {
    "as the value": f"{{anthropic_api_key: sk-ant-api03-{CANARY}}}",
    "as another value": f"{{tailscale_auth_key: tskey-auth-{CANARY}-x}}",
    "a value without a shape": f"{{anthropic_api_key: 'pass word {CANARY}'}}",
    "after env:": f"{{anthropic_api_key: env:sk-ant-api03-{CANARY}}}",
    "as a path": f"{{anthropic_api_key: file:sk-ant-api03-{CANARY}}}",
    "after another scheme": f"{{anthropic_api_key: vault:{CANARY}}}",
    "as a list's item": f"{{anthropic_api_key: [{CANARY}]}}",
    "as a mapping's key": f"{{anthropic_api_key: {{{CANARY}: 1}}}}",
    "as the whole block": f"sk-ant-api03-{CANARY}",
    "as the whole block without a shape": CANARY,
    "as an item of the block": f"[{CANARY}]",
    "as a name": f"{{sk-ant-api03-{CANARY}: env:X}}",
    "as a name with a bad value": f"{{tskey-auth-{CANARY}: 1}}",
    "as a name without a shape": f"{{{CANARY}: env:X}}",
    "as a name, twice": f"{{tskey-auth-{CANARY}: env:X, tskey-auth-{CANARY}: env:X}}",
    "as a tag": f"!tskey-auth-{CANARY} {{}}",
}


@pytest.mark.parametrize("text", PASTED.values(), ids=PASTED)
@pytest.mark.parametrize("command", [["validate"], ["validate", "--json"], ["hosts"]])
def test_a_pasted_secret_is_refused_unseen(
    fleet_file: Path,
    problems: Problems,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    command: list[str],
) -> None:
    found = problems(block(text))
    assert found
    assert all(CANARY not in repr(problem) for problem in found)
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "secrets" in captured.out + captured.err
    assert CANARY not in captured.out + captured.err


def test_a_number_is_not_repeated_either(problems: Problems) -> None:
    (problem,) = problems(block("{anthropic_api_key: 4111111111111111}"))
    assert "4111" not in str(problem)


def test_a_pasted_secret_is_masked_anywhere_in_the_file(problems: Problems) -> None:
    (problem,) = problems(("role: pi", f"role: sk-ant-api03-{CANARY}{'x' * 90}"))
    assert problem.key == "hosts.berry.role"
    assert "*** is not known here" in problem.fault.replace('"', "")
    assert CANARY not in str(problem)


def test_the_manual_in_fleet_yaml_can_be_taken_out_of_its_comments(tmp_path: Path) -> None:
    text = (ROOT / "fleet.yaml").read_text()
    assert load_fleet(ROOT / "fleet.yaml").operators == ()
    for key in ("operators", "secrets"):
        examples = re.search(rf"^# {key}:\n(#   .*\n)+", text, re.MULTILINE)
        assert examples, key
        text = text.replace(examples[0], re.sub(r"(?m)^# ", "", examples[0]))
    path = tmp_path / "fleet.yaml"
    path.write_text(text.replace("ssh-ed25519 AAAA…", ED25519))
    fleet = load_fleet(path)
    assert [operator.login for operator in fleet.operators] == ["alice@example.com"]
    assert set(fleet.secrets) == {"tailscale_auth_key", "anthropic_api_key"}
