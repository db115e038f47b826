"""Looking at paths: really, on this machine, and on a Mac by what its tools print."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from facts.manifests import ManifestsProbe
from facts.paths import SHOWN_BYTES, Kind, PathsProbe, PathState
from facts.probe import compose, split
from tests.unit.conftest import SHELLS, on_linux


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def look(probe: PathsProbe, shell: str = "dash") -> dict[str, PathState]:
    script = compose((probe, ManifestsProbe("/nonexistent")))
    run = subprocess.run(
        [*SHELLS[shell], "-s"], input=script, capture_output=True, text=True, check=True
    )
    return dict(probe.parse(split(run.stdout.splitlines())["paths"]))


@on_linux
@pytest.mark.parametrize("shell", SHELLS)
def test_everything_that_can_have_a_name(tmp_path: Path, shell: str) -> None:
    (tmp_path / "file").write_bytes(b"text\n")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "a b  c").write_bytes(b"spaces")
    (tmp_path / "it's $HOME").write_bytes(b"quotes")
    (tmp_path / "dir").mkdir(0o750)
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo", 0o644)
    names = sorted(path.name for path in tmp_path.iterdir())
    paths = tuple(f"{tmp_path}/{name}" for name in (*names, "absent"))

    seen = look(PathsProbe(paths), shell)
    assert sorted(seen) == list(paths[:-1])
    state = {Path(path).name: it for path, it in seen.items()}
    assert {name: it.kind for name, it in state.items()} == {
        "a b  c": Kind.FILE,
        "dangling": Kind.LINK,
        "dir": Kind.DIRECTORY,
        "empty": Kind.FILE,
        "fifo": Kind.OTHER,
        "file": Kind.FILE,
        "it's $HOME": Kind.FILE,
        "link": Kind.LINK,
        "sticky": Kind.DIRECTORY,
    }
    assert (state["file"].mode, state["empty"].mode) == ("0640", "0600")
    assert (state["dir"].mode, state["sticky"].mode) == ("0750", "1777")
    assert state["file"].uid == str(os.getuid())
    assert state["file"].gid == str(os.getgid())
    assert state["file"].sha256 == sha(b"text\n")
    assert state["empty"].sha256 == sha(b"")
    assert state["a b  c"].sha256 == sha(b"spaces")
    assert state["it's $HOME"].sha256 == sha(b"quotes")
    assert state["dir"].sha256 == ""
    assert all(it.shown is None for it in seen.values()), "nobody wanted anything of them"


@on_linux
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("alone", [True, False])
def test_nothing_is_read_of_what_is_large(tmp_path: Path, shell: str, alone: bool) -> None:
    large, small = str(tmp_path / "large file"), str(tmp_path / "small")
    Path(large).write_bytes(b"12345")
    os.utime(large, (1, 946_684_800))
    Path(small).write_bytes(b"1")
    paths = (large,) if alone else (large, small)
    seen = look(PathsProbe(paths, unread=frozenset({large})), shell)
    state = seen[large]
    assert (state.kind, state.size, state.mtime) == (Kind.FILE, 5, 946_684_800)
    assert (state.sha256, state.shown) == ("", None)
    if not alone:
        assert seen[small].sha256 == sha(b"1")


@on_linux
@pytest.mark.parametrize("endless", ["fifo", "link"])
def test_what_never_ends_does_not_hold_up_the_look(tmp_path: Path, endless: str) -> None:
    path = tmp_path / endless
    path.symlink_to("/dev/zero") if endless == "link" else os.mkfifo(path)
    probe = PathsProbe((str(path),), {str(path): sha(b"x")})
    script = compose((probe,))
    run = subprocess.run(
        ["sh", "-s"], input=script, capture_output=True, text=True, timeout=10, check=True
    )
    seen = probe.parse(split(run.stdout.splitlines())["paths"])[str(path)]
    assert (seen.sha256, seen.shown) == ("", None)


@on_linux
@pytest.mark.parametrize("shell", SHELLS)
def test_only_what_differs_is_brought_along(tmp_path: Path, shell: str) -> None:
    contents = {
        "same": b"same\n",
        "differs": b"no newline at the end",
        "a b": bytes(range(256)),
        "emptied": b"",
        "secret": b"hunter2",
        "long": b"x" * (SHOWN_BYTES + 10),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    wanted = {
        f"{tmp_path}/{name}": sha(b"same\n")
        for name in (*contents, "absent")
        if name != "secret"  # the operation announces none of a secret
    }
    paths = tuple(f"{tmp_path}/{name}" for name in (*contents, "absent"))
    seen = look(PathsProbe(paths, wanted), shell)
    shown = {Path(path).name: it.shown for path, it in seen.items() if it.shown is not None}
    assert shown == {
        "differs": b"no newline at the end",
        "a b": bytes(range(256)),
        "emptied": b"",
        "long": b"x" * SHOWN_BYTES,
    }


def test_a_file_that_vanishes_while_one_looks(tmp_path: Path) -> None:
    """stat saw it, the digest did not: it counts as different, and nothing breaks."""
    path = str(tmp_path / "gone")
    probe = PathsProbe((path,), {path: sha(b"x")})
    stat_line = f"{path}\tregular file\t644\troot\troot\t0\t0\t1\t7"
    state = probe.parse([stat_line, "digests", "", "contents"])[path]
    assert (state.kind, state.sha256, state.shown) == (Kind.FILE, "", None)
    cut = probe.parse([stat_line, "digests", f"{sha(b'y')}  {path}", "contents", path])
    assert cut[path].shown is None


def test_no_paths_no_look() -> None:
    assert look(PathsProbe(())) == {}


def test_a_broken_output_is_an_error() -> None:
    with pytest.raises(ValueError, match="digests"):
        PathsProbe(("/a",)).parse(["something else"])


# stat -f '%N%t%HT%t%Mp %Lp%t%Su%t%Sg%t%u%t%g%t%z%t%m' and shasum -a 256 on macOS 12
MAC = """\
/etc/a\tRegular File\t0 644\troot\twheel\t0\t0\t3\t1700000000
/usr/bin/su do\tRegular File\t4 511\troot\twheel\t0\t0\t0\t0
/private/tmp\tDirectory\t1 777\troot\twheel\t0\t0\t64\t0
/etc/loose\tRegular File\t0 4\t_icecc\t_icecc\t300\t300\t5\t9
/etc\tSymbolic Link\t0 755\troot\twheel\t0\t0\t11\t0
/dev/null\tCharacter Device\t0 666\troot\twheel\t0\t0\t0\t0
digests
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  /etc/a
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  /usr/bin/su do
contents
/etc/a
YWJj
"""


def test_what_a_mac_prints() -> None:
    paths = ("/etc/a", "/usr/bin/su do", "/private/tmp", "/etc/loose", "/etc", "/dev/null", "/no")
    seen = PathsProbe(paths, {}, mac=True).parse(MAC.splitlines())
    assert {path: (it.kind.value, it.mode, it.owner) for path, it in seen.items()} == {
        "/etc/a": ("file", "0644", "root"),
        "/usr/bin/su do": ("file", "4511", "root"),
        "/private/tmp": ("directory", "1777", "root"),
        "/etc/loose": ("file", "0004", "_icecc"),
        "/etc": ("link", "0755", "root"),
        "/dev/null": ("other", "0666", "root"),
    }
    assert (seen["/etc/a"].sha256, seen["/etc/a"].shown) == (sha(b"abc"), b"abc")
    assert seen["/usr/bin/su do"].sha256 == sha(b"")
    assert (seen["/etc/a"].size, seen["/etc/a"].mtime) == (3, 1_700_000_000)
    assert (seen["/etc/loose"].uid, seen["/etc/loose"].gid) == ("300", "300")


def test_a_mac_is_asked_in_its_own_dialect() -> None:
    script = PathsProbe(("/a",), {"/a": sha(b"")}, mac=True).script()
    assert "stat -f '%N%t%HT%t" in script
    assert "shasum -a 256" in script
    assert "sha256sum" not in script
