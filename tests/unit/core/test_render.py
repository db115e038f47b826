"""`fleet render`: files with their modes, a listing, no secrets, no surprises."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from fleet import cli
from fleet.commands import render
from fleet.resources import (
    Artifact,
    Build,
    Directory,
    File,
    Guard,
    Manager,
    Package,
    Resources,
    RestartPolicy,
    RunningService,
    Setting,
    User,
)
from tests.golden import FLEET, PINS, files, views

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _golden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_FILE", str(FLEET))
    monkeypatch.delenv("FLEET_TARGET", raising=False)
    monkeypatch.setattr("fleet.target.artifacts_file", lambda: PINS)


def test_every_file_of_every_host(tmp_path: Path, capsys: Capture) -> None:
    for _ in ("anew", "again, over the first"):
        assert cli.main(["render", "--output", str(tmp_path)]) == 0
    for name, view in views().items():
        expected = {file.path: file for file in files(view)}
        root = tmp_path / name
        there = {f"/{p.relative_to(root)}" for p in root.rglob("*") if p.is_file()}
        assert there == expected.keys() | {"/resources.txt"}
        for path, file in expected.items():
            rendered = root / path[1:]
            assert rendered.read_bytes() == render.shown(file)
            assert f"{stat.S_IMODE(rendered.stat().st_mode):04o}" == file.mode
    assert capsys.readouterr().out.count(" files\n") == 2 * len(views())


def test_one_host_and_what_it_no_longer_gets(tmp_path: Path) -> None:
    name = next(iter(views()))
    stale = tmp_path / name / "etc" / "stale"
    assert cli.main(["render", "--host", name, "--output", str(tmp_path)]) == 0
    stale.write_text("")
    assert cli.main(["render", "--host", name, "--output", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert not stale.exists()


def test_list_writes_nothing(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["render", "--list"]) == 0
    printed = capsys.readouterr().out
    assert [line[2:] for line in printed.splitlines() if line[:2] == "# "] == list(views())
    assert list(tmp_path.iterdir()) == []


def test_a_host_nobody_knows(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["render", "--host", "nobody", "--output", str(tmp_path)]) == 1
    assert 'no host is called "nobody"' in capsys.readouterr().err


def test_somebody_elses_directory_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    name = next(iter(views()))
    (tmp_path / name).mkdir()
    (tmp_path / name / "diary").write_text("dear")
    assert cli.main(["render", "--output", str(tmp_path)]) == 1
    assert "holds something else than a render" in capsys.readouterr().err
    assert (tmp_path / name / "diary").read_text() == "dear"


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["render", "--output", str(tmp_path / "file" / "below")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fleet render: ")
    assert "Traceback" not in error
    assert "--output" in error


EVERYTHING = Resources(
    masked=("theirs.service",),
    packages=(Package("a"), Package("b", {Manager.APT: None}), Package("c", {Manager.APT: "d"})),
    users=(User("u", home="/h"),),
    directories=(Directory("/d", "0700", "u", "u"),),
    files=(File("/k", b"hunter2", "cap/k", mode="0400", secret="key", check="true"),),
    guard=Guard(("/k",), ":"),
    artifacts=(Artifact("src", "1", "/a", "0" * 64, 1),),
    builds=(Build("p", "1", "/b", "/s", Artifact("src", "1", "/a", "0" * 64, 1), Manager.APT),),
    settings=(Setting("name", "x", "read", "write"),),
    services=(
        RunningService("s", ("/in",), RestartPolicy.WHEN_IDLE, unless_virtual=True),
        RunningService.notified("t", (), "tell"),
    ),
)


def test_the_listing_knows_every_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(render, "wanted", lambda view: {"cap": EVERYTHING})
    (view,) = [view for view in views().values() if view.host.name == "rpi1"]
    assert render.listing(view).splitlines() == [
        "[cap]",
        "masked     theirs.service",
        "package    a",
        "package    d",
        "user       u, home /h, u",
        "directory  /d (0700 u:u)",
        "file       /k (0400 root:0, cap/k, secret key, checked, guarded)",
        f"artifact   /a (src 1, {'0' * 64})",
        f"build      p 1 with apt by /b, source {'0' * 64}",
        "setting    name = x",
        "service    s (restart when-idle; not where the kernel is not its own)",
        "    input  /in",
        "service    t (told by: tell)",
    ]
    assert cli.main(["render", "--host", "rpi1", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "rpi1" / "k").read_bytes() == render.SECRET
    assert stat.S_IMODE((tmp_path / "rpi1" / "k").stat().st_mode) == 0o400
    assert "hunter2" not in json.dumps([p.read_text() for p in tmp_path.rglob("*") if p.is_file()])
