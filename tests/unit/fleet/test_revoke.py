"""An operator leaves fleet.yaml, and nothing else of the file changes."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.model import load_fleet
from fleet.problems import FleetError
from fleet.revoke import naming, operator, refuse_lockout, strike
from fleet.target import Target
from tests.golden import FLEET, target

BLOCK = """operators:
  # our people
  alice:
    login: alice@example.com
    ssh_keys:
      - {alice} alice # laptop
  # the new one
  bob: {{login: bob@example.com, ssh_keys: ["{bob}"]}} # since May
  carol:
    ssh_keys: [{carol},
      {carol2}]

"""


def key(letter: str) -> str:
    fields = (b"ssh-ed25519", letter.encode() * 32)
    blob = b"".join(len(one).to_bytes(4, "big") + one for one in fields)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    text = FLEET.read_text()
    before, rest = text.split("operators:\n")
    after = "secrets:" + rest.split("secrets:", 1)[1]
    block = BLOCK.format(alice=key("A"), bob=key("B"), carol=key("C"), carol2=key("D"))
    path = tmp_path / "fleet.yaml"
    path.write_text(before + block + after)
    path.chmod(0o640)
    return path


@pytest.mark.parametrize(
    ("name", "gone"), [("alice", 4), ("bob", 1), ("carol", 3)], ids=["block", "flow", "last"]
)
def test_the_entry_leaves_and_nothing_else(file: Path, name: str, gone: int) -> None:
    before = file.read_text().splitlines()
    strike(file, name)
    after = file.read_text().splitlines()
    assert len(before) - len(after) == gone
    assert [line for line in before if line in after] == after
    left = {"alice", "bob", "carol"} - {name}
    assert {one.name for one in load_fleet(file).operators} == left
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_entry_that_others_refer_to_stays(file: Path) -> None:
    text = file.read_text().replace(f'["{key("B")}"]', f'&keys ["{key("B")}"]')
    text = text.replace("carol:\n", "carol: {ssh_keys: *keys}\n  dave:\n")
    file.write_text(text)
    with pytest.raises(FleetError):
        strike(file, "bob")
    assert file.read_text() == text


def test_an_unknown_name_gets_a_guess() -> None:
    with pytest.raises(FleetError, match='did you mean "alice"'):
        operator(target().fleet, "alise")


def test_the_last_one_stays() -> None:
    found = target()
    with pytest.raises(FleetError, match="nobody could log in any more"):
        refuse_lockout(found, operator(found.fleet, "alice"))


def test_the_key_that_we_use_ourselves_stays(file: Path, tmp_path: Path) -> None:
    own = tmp_path / "id"
    own.with_suffix(".pub").write_text(f"{key('B')} me@here\n")
    file.write_text(file.read_text().replace("  user: admin", f"  user: admin\n  key: {own}"))
    found = target()
    mine = Target(found.name, load_fleet(file), None, found.artifacts, found.root)
    with pytest.raises(FleetError, match="is reached with bob's key"):
        refuse_lockout(mine, operator(mine.fleet, "bob"))
    refuse_lockout(mine, operator(mine.fleet, "alice"))


def test_every_file_that_names_them_is_meant_and_no_other() -> None:
    """Their keys everywhere; on the orchestrator the page and the backups too."""
    found = target()
    bob = found.fleet.operators[0].model_copy(
        update={"name": "bob", "login": "bob@example.com", "ssh_keys": (key("B"),)}
    )
    people = (*found.fleet.operators, bob)
    both = replace(found, fleet=found.fleet.model_copy(update={"operators": people}))
    named = naming(both, "bob")
    assert set(named) == {host.name for host in found.fleet.hosts}
    boss = found.fleet.orchestrator.name
    for host, by in named.items():
        assert set(by) == {"operators"} | ({"orchestrator", "backup"} if host == boss else set())
        for content in (file.content for files in by.values() for file in files):
            assert b"bob" not in content
            assert key("B").encode() not in content
