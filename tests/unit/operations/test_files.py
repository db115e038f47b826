"""What `files` plans: why a file is written, what is said, what is refused."""

from __future__ import annotations

import hashlib

import pytest

from facts.manifests import Entry
from facts.paths import SHOWN_BYTES, Kind
from fleet.resources import Directory, File, Resources
from operations import files
from operations.change import Change, RefusedError
from operations.manifest import manifest
from tests.unit.conftest import FakeHost

FILE = File("/etc/a.conf", b"new\n", "cap/a.conf.j2")
KEY = File("/etc/key", b"hunter2\n", "cap/key.j2", mode="0400", secret="key")


def plan(host: FakeHost, *wanted: File, directories: tuple[Directory, ...] = ()) -> Change | None:
    want = Resources(files=wanted, directories=directories)
    return files.plan(want, host.context("cap", want), host.look)


def converged(*wanted: File) -> FakeHost:
    host = FakeHost().has(*wanted)
    host.manifests["cap"] = manifest("cap", Resources(files=wanted))
    return host


def test_nothing_to_do() -> None:
    assert plan(converged(FILE, KEY), FILE, KEY) is None


def test_a_new_file() -> None:
    change = plan(FakeHost().lacks(FILE.path), FILE)
    assert change
    assert change.says == ("file /etc/a.conf: create",)
    assert change.diffs == ("--- /dev/null\n+++ /etc/a.conf\n@@ -0,0 +1 @@\n+new",)


@pytest.mark.parametrize(
    ("differing", "reason"),
    [
        ({"sha256": "0" * 64}, "content"),
        ({"mode": "0600"}, "mode 0600 → 0644"),
        ({"mode": "4644"}, "mode 4644 → 0644"),
        ({"owner": "joe", "uid": "1000"}, "owner joe → root"),
        ({"group": "joe", "gid": "1000"}, "group joe → 0"),
        ({"kind": Kind.LINK}, "replace the link"),
        ({"kind": Kind.OTHER}, "replace the other"),
        ({"mode": "0600", "sha256": ""}, "content, mode 0600 → 0644"),
    ],
)
def test_why_a_file_is_written(differing: dict[str, str], reason: str) -> None:
    host = converged(FILE).has_file(FILE.path, FILE.content, **differing)
    change = plan(host, FILE)
    assert change
    assert change.says == (f"file /etc/a.conf: {reason}",)


def test_group_0_is_root_on_linux_and_wheel_on_a_mac() -> None:
    for host in (FakeHost(), FakeHost(mac=True)):
        host.has_file(FILE.path, FILE.content)
        host.manifests["cap"] = manifest("cap", Resources(files=(FILE,)))
        assert plan(host, FILE) is None


def test_a_diff_shows_what_changes() -> None:
    host = converged(FILE).has_file(FILE.path, b"old\nsame\n", shown=b"old\n")
    change = plan(host, FILE)
    assert change
    assert change.diffs == ("--- /etc/a.conf\n+++ /etc/a.conf\n@@ -1 +1 @@\n-old\n+new",)


def test_a_mode_alone_has_no_diff() -> None:
    change = plan(converged(FILE).has_file(FILE.path, FILE.content, mode="0600"), FILE)
    assert change
    assert change.diffs == ()


def digests(old: bytes, new: File) -> str:
    return f"sha256 {hashlib.sha256(old).hexdigest()[:12]} → {new.sha256[:12]}"


@pytest.mark.parametrize("old", [b"\xff\xfe\x00old", b"text"])
def test_a_binary_is_not_shown(old: bytes) -> None:
    binary = File("/etc/blob", b"\x00\xff\x01", "cap/blob")
    host = converged(binary).has_file(binary.path, old, shown=old)
    change = plan(host, binary)
    assert change
    assert change.diffs == (f"/etc/blob: binary, {digests(old, binary)}",)


def test_a_long_file_is_not_shown_cut() -> None:
    host = converged(FILE).has_file(FILE.path, b"old", shown=b"x\n" * (SHOWN_BYTES // 2))
    change = plan(host, FILE)
    assert change
    assert change.diffs == (
        f"/etc/a.conf: longer than {SHOWN_BYTES} bytes, {digests(b'old', FILE)}",
    )


def test_a_secret_is_nowhere_but_in_the_payload() -> None:
    host = FakeHost().has_file(KEY.path, b"hunter1\n", mode="0400")
    change = plan(host, KEY)
    assert change
    said = repr((change.says, change.diffs, change.pending)) + change.script
    assert "hunter" not in said
    assert KEY.sha256 not in said, "a digest of a short secret gives it away"
    assert change.diffs == ("/etc/key: secret, not shown",)


def test_directories() -> None:
    new, loose = Directory("/srv/new"), Directory("/srv/loose", mode="0700")
    host = FakeHost().lacks(new.path)
    host.has_file(loose.path, kind=Kind.DIRECTORY, sha256="", mode="0755")
    change = plan(host, directories=(new, loose))
    assert change
    assert change.says == ("directory /srv/new: create", "directory /srv/loose: mode 0755 → 0700")


def test_a_directory_in_a_files_place_is_refused() -> None:
    host = FakeHost().has_file(FILE.path, kind=Kind.DIRECTORY)
    with pytest.raises(RefusedError, match=r"/etc/a.conf is a directory, .*: move it away"):
        plan(host, FILE)


def test_a_file_in_a_directorys_place_is_refused() -> None:
    host = FakeHost().has_file("/srv/d")
    with pytest.raises(RefusedError, match="/srv/d is a file, a directory should be there"):
        plan(host, directories=(Directory("/srv/d"),))


def test_what_nobody_looked_at_raises() -> None:
    with pytest.raises(LookupError, match=r"nobody looked at /etc/a.conf"):
        plan(FakeHost(), FILE)


def test_the_manifest_alone_may_differ() -> None:
    change = plan(FakeHost().has(FILE), FILE)
    assert change
    assert change.says == ("manifest: update",)
    assert change.diffs == ()


def test_what_left_the_model_is_removed_children_first() -> None:
    host = converged(FILE).carries(
        "cap",
        *manifest("cap", Resources(files=(FILE,))).entries,
        Entry("directory", "/srv/d"),
        Entry("directory", "/srv/d/e"),
        Entry("file", "/etc/systemd/system/old.service"),
        Entry("service", "old.service"),
        Entry("mask", "theirs.service"),
    )
    change = plan(host, FILE)
    assert change
    assert change.says == (
        "service old.service: remove",
        "unit theirs.service: stays masked, since its package stays",
        "file /etc/systemd/system/old.service: remove",
        "directory /srv/d/e: remove",
        "directory /srv/d: remove",
    )
    removed = change.script.index("rm -f /etc/systemd/system/old.service")
    assert change.script.index("systemctl disable --now old.service") < removed
    assert removed < change.script.index("systemctl daemon-reload")
    assert change.script.index("rmdir /srv/d/e") < change.script.index("rmdir /srv/d ")


def test_what_moved_to_another_capability_stays() -> None:
    host = converged(FILE).carries(
        "cap",
        *manifest("cap", Resources(files=(FILE,))).entries,
        Entry("file", "/etc/moved"),
    )
    want = Resources(files=(FILE,))
    elsewhere = Resources(files=(File("/etc/moved", b"", "other/moved"),))
    change = files.plan(want, host.context("cap", want, elsewhere), host.look)
    assert change
    assert change.says == ("manifest: update",)
    assert "rm -f /etc/moved" not in change.script


def test_a_macs_jobs_leave_launchd() -> None:
    host = FakeHost(mac=True).carries("cap", Entry("service", "org.agentfleet.old"))
    change = plan(host)
    assert change
    assert "launchctl bootout system/org.agentfleet.old" in change.script
    assert "systemctl" not in change.script
