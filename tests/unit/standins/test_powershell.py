"""The WSL stand-in's powershell.exe: it records, keeps state, answers questions."""

import base64
import json
import socket
from pathlib import Path

import pytest

from lab.standins.wsl.windows import powershell
from lab.standins.wsl.windows.interop import connected
from lab.standins.wsl.windows.script import parse_call, split, statements
from lab.standins.wsl.windows.wsl import networking_mode, wslpath

RULE = """
$ErrorActionPreference = 'Stop'
# opened once
if (-not (Get-NetFirewallHyperVRule -Name 'fleet' -ErrorAction SilentlyContinue)) {
  New-NetFirewallHyperVRule -Name 'fleet' -DisplayName "the fleet's ports" `
    -Direction Inbound -VMCreatorId '{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}' `
    -Protocol TCP -LocalPorts 2222,10245 | Out-Null
}
"""


def ask(script: str, state: Path) -> int:
    return powershell.answer(script, state)


def test_a_rule_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(RULE, tmp_path) == 0
    assert ask(RULE, tmp_path) == 0
    rules = json.loads((tmp_path / "windows.json").read_text())["rules"]
    assert rules["fleet"]["LocalPorts"] == "2222,10245"
    assert rules["fleet"]["DisplayName"] == "the fleet's ports"
    assert capsys.readouterr().out == ""
    ask("(Get-NetFirewallHyperVRule -Name fleet).LocalPorts", tmp_path)
    ask("Get-NetFirewallHyperVRule | Select-Object -ExpandProperty Name", tmp_path)
    assert capsys.readouterr().out == "2222,10245\r\nfleet\r\n"


def test_a_missing_rule_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("Get-NetFirewallHyperVRule -Name fleet", tmp_path) == 1
    assert "No MSFT_NetFirewallHyperVRule objects found" in capsys.readouterr().err


def test_tasks_keep_what_they_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(
        "$a = New-ScheduledTaskAction -Execute wsl.exe -Argument '-d Debian'\n"
        "Register-ScheduledTask -TaskName keep -Action $a -Force | Out-Null",
        tmp_path,
    )
    ask("Get-ScheduledTask -TaskName keep | ConvertTo-Json -Compress", tmp_path)
    task = json.loads(capsys.readouterr().out)
    assert task["Action"] == "(New-ScheduledTaskAction -Execute wsl.exe -Argument '-d Debian')"


def test_the_unknown_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("$env:USERPROFILE; Frobnicate-Thing -Now", tmp_path) == 1
    caught = capsys.readouterr()
    assert caught.out == "C:\\Users\\owner\r\n"
    assert "not covered: Frobnicate-Thing" in caught.err


def test_where_the_script_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "a.ps1"
    file.write_text("from a file")
    encoded = base64.b64encode("encoded".encode("utf-16-le")).decode()
    for argv, script in (
        (["-NoProfile", "-Command", "a", "b"], "a b"),
        (["-ExecutionPolicy", "Bypass", "-File", str(file)], "from a file"),
        (["-EncodedCommand", encoded], "encoded"),
        (["-Command", "-"], "stdin"),
        (["-NoProfile"], "stdin"),
        (["Get-ScheduledTask", "x"], "Get-ScheduledTask x"),
    ):
        assert powershell.script_of(argv, "stdin") == script


def test_only_a_live_socket_connects(tmp_path: Path) -> None:
    place = str(tmp_path / "1_interop")
    assert not connected({})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        assert not connected({"WSL_INTEROP": place})  # nobody listens yet
        server.listen()
        assert connected({"WSL_INTEROP": place})


def test_refuses_without_interop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WSL_INTEROP", raising=False)
    assert powershell.main(["-Command", "$env:USERPROFILE"], tmp_path) == 1
    assert "connect failed" in capsys.readouterr().err


def test_syntax() -> None:
    assert split("a {b;c}; 'd;e' ;f", ";") == ["a {b;c}", "'d;e'", "f"]
    assert statements("a `\n  -b\n# c\nd; e") == ["a -b", "d", "e"]
    call = parse_call("New-Thing -Ports 1, 2 -Force -Name 'it''s'")
    assert call.parameters == {"ports": "1,2", "force": "true", "name": "it's"}


def test_networking_mode_and_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / ".wslconfig"
    assert networking_mode(config) == "nat"
    config.write_text("[wsl2]\r\nnetworkingMode=Mirrored\r\n")
    assert networking_mode(config) == "mirrored"
    wslpath(["-u", r"C:\Users\owner"])
    wslpath(["-w", "/mnt/c/Users"])
    assert capsys.readouterr().out == "/mnt/c/Users/owner\nC:\\Users\n"
