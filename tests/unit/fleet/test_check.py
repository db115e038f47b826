"""What `fleet check` expects of a host, and the script that asks it, on this machine."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from fleet.expected import expected_host, inside_script
from fleet.plan import wanted
from orchestrator.health.inside import read_inside
from tests.golden import views
from tests.unit.conftest import SHELLS, on_linux

BOSS = "arch-orchestrator"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_every_program_of_every_host_can_be_compared_with_what_is_pinned() -> None:
    """agentapi is the pinned file; Claude Code is in one that the orchestrator keeps."""
    members = expected_host(views()[BOSS]).members
    for name, view in views().items():
        found = expected_host(view)
        assert found.programs
        for path in found.programs.values():
            assert (path in found.digests) != (path in members), (name, path)
    assert {member for _, member in members.values()} == {"package/claude"}
    assert {archive for archive, _ in members.values()} <= set(expected_host(views()[BOSS]).files)


def test_everything_that_is_pinned_and_installed_is_read() -> None:
    for view in views().values():
        script = inside_script(view, deep=True).decode()
        for want in wanted(view).values():
            paths = {one.path for one in want.programs}
            paths |= {one.path for one in want.artifacts if not one.kept}
            assert all(f"'{path}'" in script for path in paths)


@on_linux
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("deep", [False, True])
def test_the_script_reads_programs_files_and_what_is_in_archives(
    shell: str, deep: bool, tmp_path: Path
) -> None:
    view = views()[BOSS]
    found = expected_host(view)
    script = inside_script(view, deep=deep).decode()
    for folder in (view.settings.programs_dir, view.settings.state_dir):
        script = script.replace(f"'{folder}/", f"'{tmp_path}{folder}/")

    def put(path: str, content: bytes, mode: int = 0o644) -> None:
        there = tmp_path / path.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(content)
        there.chmod(mode)

    program = next(path for name, path in found.programs.items() if name.startswith("claude"))
    archive, member = found.members[program]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"true"))
    put(program, b"false", 0o755)
    put(archive, packed.getvalue())
    done = subprocess.run(
        [*SHELLS[shell], "-s"], input=script, capture_output=True, text=True, check=False
    )
    seen = read_inside(done.stdout.replace(str(tmp_path), ""), 0, 1)
    assert not seen.fault, done.stderr
    assert seen.programs[program] == (digest(b"false") if deep else "there")
    lacking = next(path for path in found.programs.values() if path != program)
    assert seen.programs[lacking] == ""
    if deep:
        assert seen.files[archive] == digest(packed.getvalue())
        assert seen.members[program] == digest(b"true")
    else:
        assert not seen.files
        assert not seen.members
