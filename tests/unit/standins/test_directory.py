"""dscl and its relatives, on a passwd and a group file of the test's own."""

import plistlib
from pathlib import Path

import pytest

from lab.standins.macos.darwin import dscl, dseditgroup, sysadminctl
from lab.standins.macos.darwin.common import ToolError

USERS = "root:x:0:0:System Administrator:/var/root:/bin/sh\n"
GROUP = "wheel:x:0:root\nstaff:x:20:\nadmin:x:80:root\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(USERS)
    (tmp_path / "etc/group").write_text(GROUP)
    (tmp_path / "etc/shadow").write_text("root:*:1::::::\n")
    return tmp_path


def call(root: Path, text: str, *more: str) -> None:
    assert dscl.main([*text.split(), *more], root) == 0


def test_a_user_appears_with_its_id(root: Path) -> None:
    call(root, ". -create /Users/_web")
    assert (root / "etc/passwd").read_text() == USERS  # macOS: a record, but no user yet
    call(root, ". -create /Users/_web UniqueID 300")
    call(root, ". -create /Users/_web PrimaryGroupID 300")
    call(root, ". -create /Users/_web UserShell /usr/bin/false")
    call(root, ". -create /Users/_web RealName", "Web Server")
    line = "_web:x:300:300:Web Server:/var/empty:/usr/bin/false\n"
    assert (root / "etc/passwd").read_text() == USERS + line
    assert "\n_web:*:" in (root / "etc/shadow").read_text()
    call(root, ". -delete /Users/_web")
    assert (root / "etc/passwd").read_text() == USERS
    assert "_web" not in (root / "etc/shadow").read_text()


def test_reading(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(root, ". -create /Users/_web UniqueID 300")
    call(root, ". -create /Users/_web IsHidden 1")
    call(root, ". -create /Users/_web RealName", "Web Server")
    call(root, ". -read /Users/_web UniqueID IsHidden RealName")
    shown = capsys.readouterr().out
    assert shown == "UniqueID: 300\ndsAttrTypeNative:IsHidden: 1\nRealName:\n Web Server\n"
    call(root, "-plist . -read /Users/_web UniqueID")
    content = plistlib.loads(capsys.readouterr().out.encode())
    assert content == {"dsAttrTypeStandard:UniqueID": ["300"]}
    call(root, ". -list /Users UniqueID")
    assert capsys.readouterr().out == "_web  300\nroot  0\n"
    call(root, ". -search /Users UniqueID 300")
    assert capsys.readouterr().out == "_web\t\tUniqueID = (\n    300\n)\n"


@pytest.mark.parametrize("command", ["-read", "-delete"])
def test_a_missing_record(root: Path, command: str) -> None:
    with pytest.raises(ToolError) as caught:
        dscl.main([".", command, "/Users/_no"], root)
    assert caught.value.status == 56
    assert str(caught.value) == "<dscl_cmd> DS Error: -14136 (eDSRecordNotFound)"


def test_an_id_must_be_a_number(root: Path) -> None:
    with pytest.raises(ToolError):
        dscl.main([".", "-create", "/Users/_web", "UniqueID", "x:0"], root)
    assert (root / "etc/passwd").read_text() == USERS


def test_group_members(root: Path) -> None:
    call(root, ". -append /Groups/admin GroupMembership _web")
    assert "admin:x:80:root,_web\n" in (root / "etc/group").read_text()
    call(root, ". -delete /Groups/admin GroupMembership root")
    assert "admin:x:80:_web\n" in (root / "etc/group").read_text()


def test_dseditgroup_checks_membership(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked = ["-o", "checkmember", "-m", "root"]
    assert dseditgroup.main([*checked, "admin"], root) == 0
    assert capsys.readouterr().out == "yes root is a member of admin\n"
    with pytest.raises(ToolError) as caught:
        dseditgroup.main([*checked, "staff"], root)
    assert caught.value.status == 67


def test_sysadminctl_makes_role_accounts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sysadminctl.main(["-addUser", "web", "-UID", "300", "-roleAccount"], root) == 1
    assert sysadminctl.main(["-addUser", "_web", "-UID", "300", "-roleAccount"], root) == 0
    assert "_web:x:300:20:_web:/var/empty:/usr/bin/false\n" in (root / "etc/passwd").read_text()
    assert "Role accounts require" in capsys.readouterr().err
