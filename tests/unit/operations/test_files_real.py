"""The scripts of `files`, really run: what is on the disk afterwards, whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from fleet.resources import Artifact, Resources
from operations.change import wrap
from tests.unit.conftest import FakeProgram, RealHost

AS_ROOT = os.getuid() == 0
PRIVATE = "0400" if AS_ROOT else "0600"  # only root writes to what nobody may write to


def mode(path: str | Path) -> str:
    return f"{stat.S_IMODE(Path(path).stat().st_mode):04o}"


def manifest_of(host: RealHost) -> str:
    path = host.state_dir / "manifests" / "cap.json"
    return path.read_text() if path.exists() else ""


def test_files_arrive_and_the_second_run_finds_nothing(real_host: RealHost) -> None:
    want = Resources(
        directories=(real_host.directory("made/deep", "0750"),),
        files=(
            real_host.file("etc/a.conf", b"a\n"),
            real_host.file("etc/empty", b""),
            real_host.file('etc/with space/it\'s "$HOME".conf', b"quoted\n"),
            real_host.file("bin2/tool", b"#!/bin/sh\nexit 0\n", mode="0755"),
            real_host.file("etc/key", b"secret", mode=PRIVATE, secret="key"),
        ),
    )
    run = real_host.bring(want)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    for file in want.files:
        assert Path(file.path).read_bytes() == file.content
        assert mode(file.path) == file.mode
    assert mode(want.directories[0].path) == "0750"
    assert real_host.litter() == []
    assert real_host.plan(want) is None


def test_what_changed_by_hand_is_put_right(real_host: RealHost) -> None:
    a, b = real_host.file("a", b"a\n"), real_host.file("b", b"b\n", mode="0600")
    want = Resources(files=(a, b))
    real_host.bring(want)
    Path(a.path).write_bytes(b"edited\n")
    Path(b.path).chmod(0o644)
    change = real_host.plan(want)
    assert change
    assert change.says == (f"file {a.path}: content", f"file {b.path}: mode 0644 → 0600")
    assert change.diffs == (f"--- {a.path}\n+++ {a.path}\n@@ -1 +1 @@\n-edited\n+a",)
    assert real_host.run(change).returncode == 0
    assert real_host.plan(want) is None


def test_a_refused_file_leaves_everything_as_it_was(real_host: RealHost) -> None:
    theirs = real_host.root / "b"
    theirs.write_bytes(b"theirs\n")
    good = real_host.file("a", b"a\n")
    bad = real_host.file("b", b"bad\n", check="grep -q good {path}")
    before = real_host.tree()
    run = real_host.bring(Resources(files=(good, bad)))
    assert run.returncode == 1
    assert f"agentfleet: {bad.path} is refused by its check; nothing changed" in run.stderr
    assert real_host.tree() == before
    assert real_host.litter() == []
    assert manifest_of(real_host) == "", "nothing of it is ours yet"

    mended = real_host.file("b", b"good\n", check="grep -q good {path}")
    assert real_host.bring(Resources(files=(good, mended))).returncode == 0
    assert real_host.retire().returncode == 0
    assert real_host.tree() == {"b": b"theirs\n"}


def test_a_check_sees_the_staged_file_with_its_mode(real_host: RealHost) -> None:
    note = real_host.root / "seen"
    check = f"ls -l {{path}} >{note}\n[ ! -e '{real_host.root}/a' ]\nsh -n {{path}}"
    file = real_host.file("a", b"exit 0\n", mode="0750", check=check)
    assert real_host.bring(Resources(files=(file,))).returncode == 0
    assert note.read_text().startswith("-rwxr-x---")


def test_what_stood_there_comes_back(real_host: RealHost) -> None:
    for name, content in (("plain", b"theirs\n"), ("dangling", None), ("todir", None)):
        path = real_host.root / name
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o640)
    (real_host.root / "folder").mkdir()
    (real_host.root / "dangling").symlink_to("nowhere")
    (real_host.root / "todir").symlink_to("folder")
    before = real_host.tree()
    names = ("plain", "dangling", "todir", "new")
    want = Resources(files=tuple(real_host.file(name, b"ours\n") for name in names))
    assert real_host.bring(want).returncode == 0
    assert real_host.tree() == dict.fromkeys(sorted(names), b"ours\n")
    assert real_host.plan(want) is None
    later = Resources(files=tuple(real_host.file(name, b"ours, later\n") for name in names))
    assert real_host.bring(later).returncode == 0
    assert real_host.retire().returncode == 0
    assert real_host.tree() == before
    assert mode(real_host.root / "plain") == "0640"


def test_orphans_go_and_others_stay(real_host: RealHost) -> None:
    stays, goes = real_host.file("d/stays", b"1"), real_host.file("d/e/goes", b"2")
    nested = (real_host.directory("d"), real_host.directory("d/e"))
    assert real_host.bring(Resources(files=(stays, goes), directories=nested)).returncode == 0
    (real_host.root / "d" / "theirs").write_text("3")
    run = real_host.bring(Resources(files=(stays,)))
    assert run.returncode == 0
    assert real_host.tree() == {"d/stays": b"1", "d/theirs": b"3"}
    assert not (real_host.root / "d/e").exists(), "empty now"
    assert "goes" not in manifest_of(real_host)
    assert real_host.plan(Resources(files=(stays,))) is None


@pytest.mark.parametrize("wanted", [True, False])
def test_the_last_artifact_takes_a_directory_along_that_nobody_wants(
    real_host: RealHost, wanted: bool
) -> None:
    folder = real_host.directory("envs")
    one = Artifact("env", "1", f"{folder.path}/one", "0" * 64, 3)
    assert real_host.bring(Resources(directories=(folder,), artifacts=(one,))).returncode == 0
    (real_host.root / "envs/one").write_text("env")
    left = Resources(directories=(folder,) if wanted else ())
    assert real_host.bring(left).returncode == 0
    assert (real_host.root / "envs").exists() is wanted
    assert real_host.plan(left) is None


def test_the_goodbye_takes_everything_but_what_is_not_ours(real_host: RealHost) -> None:
    want = Resources(
        files=(real_host.file("d/a", b"1"),),
        directories=(real_host.directory("d"), real_host.directory("d/full")),
    )
    real_host.bring(want)
    (real_host.root / "d/full/theirs").write_text("3")
    assert real_host.retire().returncode == 0
    assert real_host.tree() == {"d/full/theirs": b"3"}
    assert manifest_of(real_host) == ""


def test_a_secret_is_never_readable_by_others(real_host: RealHost) -> None:
    """The staged file has its mode before its content, and lies in a directory of root's before."""
    seen = real_host.root / "seen"
    check = f"stat -c %a {{path}} >{seen}; stat -c %a {real_host.state_dir}/stage.* >>{seen}"
    key = real_host.file("key", b"hunter2", mode=PRIVATE, secret="key", check=check)
    change = real_host.plan(Resources(files=(key,)))
    assert change
    assert real_host.run(change).returncode == 0
    assert seen.read_text().split() == [PRIVATE[1:], "700"]
    assert "hunter2" not in manifest_of(real_host)
    assert key.sha256 not in manifest_of(real_host)
    script = wrap(change.script)
    put = script[script.index("put() {") :]
    assert put.index("chown") < put.index("chmod") < put.index("cat ")


def test_five_megabytes_of_anything(real_host: RealHost) -> None:
    blob = bytes(range(256)) * (5 * 4096)
    file = real_host.file("blob", blob)
    assert real_host.bring(Resources(files=(file,))).returncode == 0
    assert (real_host.root / "blob").read_bytes() == blob
    other = real_host.file("blob", b"\x00\xff")
    change = real_host.plan(Resources(files=(other,)))
    assert change
    said = f"sha256 {file.sha256[:12]} → {other.sha256[:12]}"
    assert change.diffs == (f"{file.path}: longer than 65536 bytes, {said}",)


def test_a_directory_is_never_filled_instead_of_replaced(real_host: RealHost) -> None:
    (real_host.root / "folder").mkdir()
    (real_host.root / "link").symlink_to("folder")
    assert real_host.bring(Resources(files=(real_host.file("link", b"x"),))).returncode == 0
    assert list((real_host.root / "folder").iterdir()) == []
    assert (real_host.root / "link").is_file()


def test_a_full_disk_changes_nothing(real_host: RealHost) -> None:
    disk = real_host.root / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if not AS_ROOT or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted as root")
    try:
        (disk / "conf").write_bytes(b"theirs\n")
        fits = real_host.file("elsewhere", b"fits")
        big = real_host.file("disk/conf", os.urandom(100_000))
        run = real_host.bring(Resources(files=(fits, big)))
        assert run.returncode == 1
        assert f"cannot write {big.path}: is the disk full?" in run.stderr
        assert real_host.tree() == {"disk/conf": b"theirs\n"}
        assert real_host.litter() == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_killed_while_it_checks(dash_host: RealHost) -> None:
    started = dash_host.root / "started"
    slow = dash_host.file("a", b"1", check=f"touch {started}; sleep 60")
    change = dash_host.plan(Resources(files=(slow,)))
    assert change
    process = subprocess.Popen(["sh", "-s"], stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin
    process.stdin.write(wrap(change.script).encode())
    process.stdin.close()
    deadline = time.monotonic() + 10
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not Path(slow.path).exists()
    want = Resources(files=(dash_host.file("a", b"1"),))
    assert dash_host.bring(want).returncode == 0
    assert dash_host.plan(want) is None
    assert [p for p in dash_host.root.rglob("*") if "agentfleet-new" in p.name] == []


MUTATING = ("mv", "cp", "rm", "cat")
MANY = 100  # more than a script has steps


def test_killed_at_any_step_it_heals(dash_host: RealHost, program: FakeProgram) -> None:
    """Kill before the n-th change (amid a copy), for every n; then run again, then leave."""
    host, usual, count = dash_host, dash_host.path, dash_host.root / "bin" / "count"
    (host.root / "foreign").write_bytes(b"theirs\n")
    first = Resources(files=(host.file("orphan", b"o\n"), host.file("kept", b"old\n")))
    assert host.bring(first).returncode == 0
    want = Resources(
        files=(host.file("kept", b"new\n"), host.file("foreign", b"f\n"), host.file("n", b"n\n"))
    )
    change = host.plan(want)
    assert change
    for name in MUTATING:
        wrapper = f'''read -r n <"{count}"; echo $((n - 1)) >"{count}"
[ $n -gt 0 ] || {{ [ {name} != cp ] || head -c 3 "$2" >"$3"; kill -9 0; }}
exec /usr/bin/{name} "$@"'''
        directory = program(name, wrapper)
    before = dash_host.root.with_name("before")
    host.root.rename(before)
    for number in range(MANY):
        shutil.rmtree(host.root, ignore_errors=True)
        shutil.copytree(before, host.root)
        count.write_text(f"{number}\n")
        host.path = f"{directory}:{usual}"
        run = host.sh(wrap(change.script), start_new_session=True)
        host.path = usual
        _each_file_is_whole(host)
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL
        _heals(host, want, number)
    assert number > 12


def _files(host: RealHost) -> dict[str, bytes | str]:
    return {name: text for name, text in host.tree().items() if "agentfleet-new" not in name}


def _each_file_is_whole(host: RealHost) -> None:
    files = _files(host)
    assert files.get("kept") in (b"old\n", b"new\n")
    assert files.get("foreign") in (b"theirs\n", b"f\n")
    assert files.get("n") in (None, b"n\n")


def _heals(host: RealHost, want: Resources, step: int) -> None:
    if again := host.plan(want):
        assert host.run(again).returncode == 0
    assert _files(host) == {"foreign": b"f\n", "kept": b"new\n", "n": b"n\n"}
    assert host.retire().returncode == 0
    assert _files(host) == {"foreign": b"theirs\n"}, f"the pre-image is lost at step {step}"


def test_new_content_makes_untold_who_was_told_of_the_old(real_host: RealHost) -> None:
    a, b = real_host.file("a.conf", b"a\n"), real_host.file("b.conf", b"b\n")
    real_host.bring(Resources(files=(a, b)))
    notified = real_host.state_dir / "notified"
    notified.mkdir()
    for file, name in ((a, "one"), (b, "two")):
        (notified / f"{name}.stamp").write_text(f"{file.sha256}  {file.path}\n")
    Path(a.path).write_bytes(b"tampered with\n")
    Path(b.path).chmod(0o600)  # no new content: nobody has to be told
    real_host.bring(Resources(files=(a, b)))
    assert [stamp.name for stamp in notified.iterdir()] == ["two.stamp"]
