"""What roles mean, read from group_data/ with the narrower file winning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import roles
from fleet.kinds import Role
from fleet.problems import FleetError


@pytest.fixture
def group_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(roles, "GROUP_DATA", tmp_path)
    roles._merged.cache_clear()
    yield tmp_path
    roles._merged.cache_clear()


def test_the_narrower_file_wins(group_data: Path) -> None:
    for name, text in {
        "all": "a = b = c = d = 'all'",
        "linux": "b = c = d = 'linux'",
        "agents": "c = d = 'agents'",
        "pi": "d = 'pi'",
        "macos": "a = 'macos'",
    }.items():
        (group_data / f"{name}.py").write_text(text)
    assert roles.role_data("pi") == {"a": "all", "b": "linux", "c": "agents", "d": "pi"}
    assert roles.role_data("headless-mac")["a"] == "macos"


def test_only_values_count(group_data: Path) -> None:
    text = "import os\nfrom pathlib import Path\n_hidden = 1\nshown = 2\ndef f(): pass\n"
    (group_data / "all.py").write_text(text)
    assert roles.role_data("pi") == {"shown": 2}


def test_a_caller_cannot_change_what_a_role_means(group_data: Path) -> None:
    (group_data / "all.py").write_text("shown = 2")
    roles.role_data("pi")["shown"] = 3
    assert roles.role_data("pi") == {"shown": 2}


def test_a_file_that_does_not_run(group_data: Path) -> None:
    (group_data / "pi.py").write_text("1 / 0")
    with pytest.raises(FleetError, match=r"pi\.py: does not run: ZeroDivisionError"):
        roles.role_data("pi")


def test_reserved_cores(group_data: Path) -> None:
    assert roles.reserved_cores(Role.PI) == 0
    (group_data / "windows-wsl.py").write_text("reserved_cores = 2")
    assert roles.reserved_cores(Role.WINDOWS_WSL) == 2


def test_an_unknown_role_is_no_role() -> None:
    with pytest.raises(ValueError, match="no-role"):
        roles.role_data("no-role")


def test_every_role_keeps_a_number_of_cores() -> None:
    for role in Role:
        assert roles.reserved_cores(role) in range(5)
    assert roles.reserved_cores(Role.WINDOWS_WSL) == 2
