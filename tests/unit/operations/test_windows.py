"""Windows around a host in WSL: the look and the change, really run against its stand-in."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from facts import windows as facts
from facts.look import Look
from facts.probe import compose, split
from facts.windows import Rule, Windows, WindowsProbe, networks, version
from fleet import ini
from fleet.plan import wanted
from fleet.powershell import encoded, quoted
from fleet.resources import Resources, WindowsSide
from fleet.target import ROOT
from fleet.windows import MIRRORED_BUILD
from operations import windows
from operations.change import Change, wrap
from tests.golden import views
from tests.unit.conftest import on_linux

NAME = "windows-desktop"
LAUNCHER = f"""#!{sys.executable}
import os, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from lab.standins.wsl.windows.powershell import main
sys.exit(main(sys.argv[1:], Path({{state!r}})))
"""


def side() -> WindowsSide:
    found = wanted(views()[NAME])["windows"].windows
    assert found
    return found


@dataclass
class Pc:
    """A directory that plays a Windows PC and the WSL in it."""

    root: Path

    def state(self, **more: Any) -> dict[str, Any]:
        """What the stand-in knows, changed as said."""
        path = self.root / "windows.json"
        known: dict[str, Any] = json.loads(path.read_text()) | more
        path.write_text(json.dumps(known))
        return known

    def session(self, **environment: str) -> None:
        drive = {"standin_drive": str(self.root / "mnt")}
        self.state(environment=drive | environment)

    @property
    def wslconfig(self) -> Path:
        return self.root / "mnt/c/Users/owner/.wslconfig"

    @property
    def calls(self) -> int:
        log = self.root / "powershell.log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def sh(self, script: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.root / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, text=True, check=False,
            env={"PATH": path}, timeout=60,
        )  # fmt: skip

    def look(self) -> Windows:
        probe = WindowsProbe(side())
        run = self.sh(compose((probe,)))
        assert run.returncode == 0, run.stderr
        return probe.parse(split(run.stdout.splitlines())[probe.name])

    def plan(self) -> Change | None:
        return windows.plan(Resources(windows=side()), Look(windows=self.look()))

    def apply(self) -> subprocess.CompletedProcess[str]:
        change = self.plan()
        assert change
        return self.sh(wrap(change.script))


@pytest.fixture
def pc(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pc]:
    root = tmp_path_factory.mktemp("pc")  # short: a socket's path is
    found = Pc(root)
    for directory in ("bin", "run", "mnt/c/Users/owner"):
        (root / directory).mkdir(parents=True)
    program(root / "bin" / "powershell.exe", LAUNCHER.format(state=str(root)))
    program(root / "bin" / "wslinfo", f"#!/bin/sh\ncat {root / 'mode'}\n")
    (root / "mode").write_text("mirrored\n")
    (root / "wsl.conf").write_text("[boot]\nsystemd=true\n\n[user]\ndefault=admin\n")
    (root / "version").write_text("Linux version 6.6.87.2-Microsoft-standard-WSL2\n")
    (root / "WSLInterop").touch()
    (root / "windows.json").write_text("{}")
    found.wslconfig.write_text("[wsl2]\r\nmemory=8GB\r\nnetworkingMode=mirrored\r\n")
    found.session()
    for module in (facts, windows):
        monkeypatch.setattr(module, "POWERSHELL", str(root / "bin" / "powershell.exe"))
        monkeypatch.setattr(module, "WSL_CONF", str(root / "wsl.conf"))
    monkeypatch.setattr(facts, "INTEROP", str(root / "run"))
    monkeypatch.setattr(facts, "PROC_VERSION", str(root / "version"))
    monkeypatch.setattr(facts, "HANDLERS", f"{root}/WSLInterop*")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(root / "run/1_interop"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "run/12_interop"))
        server.listen(50)
        yield found


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def says(change: Change | None) -> tuple[str, ...]:
    return change.says if change else ()


pytestmark = on_linux


# the whole


def test_a_fresh_windows_is_brought_there_in_one_call_and_stays(pc: Pc) -> None:
    change = pc.plan()
    assert change
    assert change.pending == ()
    assert change.says == (
        "windows: firewall rule agentfleet-ssh: create: TCP 2222 from anywhere",
        "windows: firewall rule agentfleet-tailnet: create: TCP 3284, 10245"
        " from 100.64.0.0/10, fd7a:115c:a1e0::/48",
        "windows: scheduled task agentfleet-keep-alive: create",
        "windows: install rg with winget",
        "windows: install ccache with winget",
        "windows: install node with winget",
        "windows: Claude Code (none) → 2.1.330",
    )
    calls = pc.calls
    run = pc.apply()
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert pc.calls == calls + 2, "one to look, one to change"
    assert pc.plan() is None, "a second run changes nothing"
    known = pc.state()
    assert known["rules"]["agentfleet-tailnet"]["VMCreatorId"].startswith("{40E0AC32-")
    task = known["tasks"]["agentfleet-keep-alive"]
    assert task["State"] == "Running"
    assert task["Actions"][0]["Arguments"] == "-d Debian --exec sleep infinity"
    assert task["Settings"]["executiontimelimit"] == "00:00:00", "or Windows ends it after 3 days"
    assert known["programs"]["claude"] == "2.1.330 (Claude Code)"


def test_the_live_socket_counts(pc: Pc) -> None:
    assert pc.look().socket == str(pc.root / "run/12_interop")


def test_a_host_that_is_no_wsl_is_not_asked() -> None:
    assert WindowsProbe(None).script() == ":"
    assert WindowsProbe(None).parse(()) == Windows()
    assert windows.plan(Resources(), Look()) is None


# single differences


@pytest.fixture
def settled(pc: Pc) -> Pc:
    assert pc.apply().returncode == 0
    return pc


def test_a_rule_that_somebody_changed_is_made_anew(settled: Pc) -> None:
    rules = settled.state()["rules"]
    rules["agentfleet-ssh"]["LocalPorts"] = ["22"]
    rules["agentfleet-tailnet"]["Enabled"] = "False"
    rules["agentfleet-old"] = {**rules["agentfleet-ssh"], "Name": "agentfleet-old"}
    rules["theirs"] = {**rules["agentfleet-ssh"], "Name": "theirs"}
    settled.state(rules=rules)
    assert says(settled.plan()) == (
        "windows: firewall rule agentfleet-ssh: change: TCP 2222 from anywhere",
        "windows: firewall rule agentfleet-tailnet: change: TCP 3284, 10245"
        " from 100.64.0.0/10, fd7a:115c:a1e0::/48",
        "windows: firewall rule agentfleet-old: remove",
    )
    assert settled.apply().returncode == 0
    assert settled.plan() is None
    assert set(settled.state()["rules"]) == {"agentfleet-ssh", "agentfleet-tailnet", "theirs"}


def test_sources_count_however_windows_writes_them(settled: Pc) -> None:
    rules = settled.state()["rules"]
    for sources in (
        ["100.64.0.0/255.192.0.0", "fd7a:115c:a1e0::/48"],
        ["100.64.0.0-100.127.255.255", "fd7a:115c:a1e0::/48"],
    ):
        rules["agentfleet-tailnet"]["RemoteAddresses"] = sources
        settled.state(rules=rules)
        assert settled.plan() is None
    for sources in (["100.64.0.0/10"], ["LocalSubnet"], ["Any"]):
        rules["agentfleet-tailnet"]["RemoteAddresses"] = sources
        settled.state(rules=rules)
        assert len(says(settled.plan())) == 1


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({"State": "Ready"}, "start, it is ready"),
        ({"State": "Disabled"}, "change"),
        ({"Actions": [{"Execute": "C:/Windows/System32/wsl.exe", "Arguments": ""}]}, "change"),
        ({"Triggers": [{"CimClass": {"CimClassName": "MSFT_TaskLogonTrigger"}}]}, "change"),
        ({"Principal": {"LogonType": "S4U", "RunLevel": "Limited"}}, "change"),
    ],
)  # fmt: skip
def test_the_task_that_keeps_wsl_running(settled: Pc, differing: dict[str, Any], said: str) -> None:
    tasks = settled.state()["tasks"]
    tasks["agentfleet-keep-alive"] |= differing
    settled.state(tasks=tasks)
    assert says(settled.plan()) == (f"windows: scheduled task agentfleet-keep-alive: {said}",)
    assert settled.apply().returncode == 0
    assert settled.plan() is None


def test_another_claude_code_becomes_the_fleets(settled: Pc) -> None:
    programs = settled.state()["programs"]
    settled.state(programs=programs | {"claude": "2.1.100 (Claude Code)"})
    assert says(settled.plan()) == ("windows: Claude Code 2.1.100 → 2.1.330",)
    assert settled.apply().returncode == 0
    assert settled.plan() is None


def test_other_programs_may_have_any_version(settled: Pc) -> None:
    programs = settled.state()["programs"]
    settled.state(programs=programs | {"git": "git version 1.0", "node": "v18.0.0"})
    assert settled.plan() is None


def test_chocolatey_where_there_is_no_winget(pc: Pc) -> None:
    pc.state(programs={"tailscale": "1.80.0", "choco": "2.4.0"})
    assert "windows: install rg with choco" in says(pc.plan())
    assert pc.apply().returncode == 0
    assert pc.plan() is None


def test_neither_of_them(pc: Pc) -> None:
    pc.state(programs={"git": "git version 2.47.1.windows.1"})
    run = pc.apply()
    assert run.returncode == 1
    assert "neither winget nor Chocolatey is here" in run.stderr
    assert "agentfleet: Windows did not do it, see above" in run.stderr
    assert "agentfleet-ssh" in pc.state()["rules"], "what came before is done, and stays"
    assert "windows: install rg" in says(pc.plan()), "the next run goes on there"


def test_mirrored_networking_is_put_among_what_is_there(settled: Pc) -> None:
    settled.wslconfig.write_bytes(b"[wsl2]\r\nmemory=8GB\r\nnetworkingMode=nat\r\n[x]\r\ny=1\r\n")
    (settled.root / "mode").write_text("nat\n")
    change = settled.plan()
    assert change
    assert change.says == ("file .wslconfig: content",)
    assert "-networkingMode=nat\n+networkingMode=mirrored" in change.diffs[0]
    assert "memory=8GB" in change.diffs[0]
    assert change.pending == (f"WSL's networking is nat: mirrored {windows.RESTART}",)
    assert settled.apply().returncode == 0
    assert settled.wslconfig.read_bytes() == (
        b"[wsl2]\r\nmemory=8GB\r\nnetworkingMode=mirrored\r\n[x]\r\ny=1\r\n"
    )
    after = settled.plan()
    assert after
    assert (after.says, after.script) == ((), "")
    assert after.pending == change.pending, "until WSL has started anew"
    (settled.root / "mode").write_text("mirrored\n")
    assert settled.plan() is None


def test_without_a_wslconfig_there_will_be_one(settled: Pc) -> None:
    settled.wslconfig.unlink()
    assert settled.apply().returncode == 0
    assert ini.value(settled.wslconfig.read_text(), "wsl2", "networkingmode") == "mirrored"


def test_a_windows_that_cannot_mirror_is_left_with_nat(pc: Pc) -> None:
    """It has no Hyper-V firewall either."""
    pc.session(standin_build=str(MIRRORED_BUILD - 1))
    pc.wslconfig.unlink()
    (pc.root / "mode").write_text("nat\n")
    change = pc.plan()
    assert change
    assert change.pending == ()
    assert not [line for line in change.says if "rule" in line or ".wslconfig" in line]


def test_wsls_own_settings(settled: Pc) -> None:
    conf = settled.root / "wsl.conf"
    conf.write_text("[user]\ndefault=admin\n[interop]\nenabled = false\n")
    change = settled.plan()
    assert change
    assert change.says == (f"file {facts.WSL_CONF}: content",)
    assert change.pending == (f"{facts.WSL_CONF} {windows.RESTART}",)
    assert "+systemd=true" in change.diffs[0]
    assert settled.apply().returncode == 0
    assert conf.read_text() == (
        "[user]\ndefault=admin\n[interop]\nenabled=true\n[boot]\nsystemd=true\n"
    )
    assert conf.stat().st_mode & 0o777 == 0o644
    assert settled.plan() is None


# what a run cannot do


def test_a_session_without_an_administrators_rights(pc: Pc) -> None:
    pc.session(standin_elevated="no")
    change = pc.plan()
    assert change
    assert change.says == ("windows: Claude Code (none) → 2.1.330",), "npm's are their person's"
    assert len(change.pending) == 6
    for line in change.pending:
        assert line.endswith(f"that takes an administrator of Windows; {windows.PREPARE}")


def test_another_socket_may_have_more_rights(pc: Pc) -> None:
    """A person's own window is asked first, and the task's socket counts."""
    elevated = pc.root / "run" / "30_interop"
    launcher = (pc.root / "bin" / "powershell.exe").read_text()
    less = "os.environ['WSL_INTEROP'].endswith('12_interop')"
    program(
        pc.root / "bin" / "powershell.exe",
        launcher.replace(
            "sys.exit(",
            f"from lab.standins.wsl.windows import powershell\nif {less}:\n"
            "    powershell.ENVIRONMENT['standin_elevated'] = 'no'\nsys.exit(",
        ),
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(elevated))
        server.listen(50)
        found = pc.look()
        assert (found.socket, found.elevated) == (str(elevated), True)
        assert pc.apply().returncode == 0
        assert pc.plan() is None


@pytest.mark.parametrize("fault", ["interop", "automount"])
def test_a_windows_that_does_not_answer_waits(pc: Pc, fault: str) -> None:
    if fault == "interop":
        (pc.root / "run/12_interop").unlink()
    else:
        (pc.root / "bin/powershell.exe").unlink()
    change = pc.plan()
    assert change
    assert (change.says, change.script) == ((), "")
    (said,) = change.pending
    assert said == f"Windows does not answer: {windows._FAULTS[fault]}"


def test_a_powershell_that_says_something_else(pc: Pc) -> None:
    program(pc.root / "bin/powershell.exe", "#!/bin/sh\necho True bm9uc2Vuc2U=\n")
    change = pc.plan()
    assert change
    assert "what it says is not what was asked for" in change.pending[0]


def test_the_handler_is_registered_again(pc: Pc) -> None:
    (pc.root / "WSLInterop").unlink()
    change = pc.plan()
    assert change
    assert change.says == ("windows: tell the kernel how to start its programs",)
    assert change.script == "systemctl restart systemd-binfmt.service"
    (pc.root / "version").write_text("Linux version 6.1, another kernel\n")
    assert pc.look().fault == "", "elsewhere a run leaves the kernel alone"


def test_a_socket_that_is_gone_fails_that_host(pc: Pc) -> None:
    change = pc.plan()
    assert change
    (pc.root / "run/12_interop").unlink()
    run = pc.sh(wrap(change.script))
    assert run.returncode == 1
    assert "connect failed" in run.stderr
    assert "rules" not in pc.state()


# text


def test_nothing_in_a_name_is_taken_for_code() -> None:
    assert quoted("it's \u2019quoted\u2019 $x") == "'it''s \u2019\u2019quoted\u2019\u2019 $x'"
    assert base64.b64decode(encoded("é$x")).decode("utf-16-le") == "é$x"
    with pytest.raises(ValueError, match="too long"):
        encoded("x" * 12_000)


def test_what_travels_is_short_enough_even_when_everything_differs(pc: Pc) -> None:
    pc.wslconfig.unlink()
    change = pc.plan()
    assert change
    (command,) = [word for line in change.script.splitlines() for word in line.split()
                  if len(word) > 1000]  # fmt: skip
    assert len(command) < 30_000


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("git version 2.47.1.windows.1", "2.47.1"),
        ("v22.12.0", "22.12.0"),
        ("2.1.330 (Claude Code)", "2.1.330"),
        ("", ""),
        ("no version", ""),
    ],
)
def test_a_version_in_somebodys_words(said: str, found: str) -> None:
    assert version(said) == found


def test_networks_of_a_source() -> None:
    assert networks("fd7a:115c:a1e0::-fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff") == (
        ip_network("fd7a:115c:a1e0::/48"),
    )
    with pytest.raises(ValueError, match="LocalSubnet"):
        networks("LocalSubnet")
    assert Rule(frozenset()) != replace(Rule(frozenset()), open=False)
