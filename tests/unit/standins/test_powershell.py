"""The WSL stand-in's powershell.exe: it records, keeps state, answers questions."""

import base64
import json
import socket
from pathlib import Path

import pytest

from lab.standins.wsl.windows import powershell
from lab.standins.wsl.windows.interop import connected
from lab.standins.wsl.windows.shell import Shell
from lab.standins.wsl.windows.values import CmdletError, Object
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
    assert rules["fleet"]["LocalPorts"] == ["2222", "10245"]
    assert rules["fleet"]["DisplayName"] == "the fleet's ports"
    assert capsys.readouterr().out == ""
    ask("(Get-NetFirewallHyperVRule -Name fleet).LocalPorts", tmp_path)
    ask("Get-NetFirewallHyperVRule | Select-Object -ExpandProperty Name", tmp_path)
    assert capsys.readouterr().out == "2222\r\n10245\r\nfleet\r\n"


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
    assert task["Actions"] == [{"Execute": "wsl.exe", "Arguments": "-d Debian"}]


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


def said(script: str, **environment: str) -> list[str]:
    """What a script prints that asks Windows nothing."""

    def outside(shell: Shell, call: object, fed: list[object]) -> list[object]:
        raise CmdletError("there is no Windows")

    shell = Shell(outside, environment)
    shell.script(script)
    assert shell.errors == []
    return "\n".join(shell.printed).splitlines()


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("'it''s'; \"a$(1 + 1)b\"; \"${x}c\"", ["it's", "a2b", "c"]),
        ("$a = @('x', 'y'); $a += 'z'; $a -join '+'; $a.Count", ["x+y+z", "3"]),
        ("$t = @{ Name = 'n'; ports = 1, 2 }; $t.name; $t['Ports'] -contains 2", ["n", "True"]),
        ("if (-not $null -and 'Ab' -eq 'aB') { 'yes' } else { 'no' }", ["yes"]),
        ("if ($false) { 1 } elseif (2 -gt 1) { 'else' }", ["else"]),
        ("foreach ($i in 1, 2, 3) { if ($i -ge 2) { $i * 2 } }", ["4", "6"]),
        ("function F($A, [switch]$B) { \"$A$B\" }; F -B 'x'; F y", ["xTrue", "yFalse"]),
        ("function F { param([string]$A = 'd') return $A; 'never' }; F; F -A e", ["d", "e"]),
        ("$b = { param($n) $n + 1 }; & $b 4", ["5"]),
        ("'a', 'b', 'c' | Where-Object { $_ -ne 'b' } | ForEach-Object { \"<$_>\" }",
         ["<a>", "<c>"]),
        ("@{ a = 1 } | ConvertTo-Json -Compress", ['{"a": 1}']),
        ("('{\"a\": [1, 2]}' | ConvertFrom-Json).A[1]", ["2"]),
        ("try { throw 'x' } catch { \"caught $($_.Exception.Message)\" } finally { 'f' }",
         ["caught x", "f"]),
        ("'v22.1' -replace '^v(\\d+).*', '$1'; 'a,b' -split ','", ["22", "a", "b"]),
        ("@'\n$no\n'@", ["$no"]),
        ("'{0}-{1}' -f 'a', 'b'", ["a-b"]),
        ("$env:X = 'set'; $env:X", ["set"]),
        ("$s = if ($true) { 'one' }; [string]$s", ["one"]),
        ("1; exit 3; 2", ["1"]),
    ],
)  # fmt: skip
def test_the_language(script: str, printed: list[str]) -> None:
    assert said(script) == printed


def test_members_know_no_case() -> None:
    assert Object(LocalPorts="1").member("localports") == "1"


def test_networking_mode_and_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / ".wslconfig"
    assert networking_mode(config) == "nat"
    config.write_text("[wsl2]\r\nnetworkingMode=Mirrored\r\n")
    assert networking_mode(config) == "mirrored"
    wslpath(["-u", r"C:\Users\owner"])
    wslpath(["-w", "/mnt/c/Users"])
    assert capsys.readouterr().out == "/mnt/c/Users/owner\nC:\\Users\n"
