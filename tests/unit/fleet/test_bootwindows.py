"""The script that prepares a Windows PC: its syntax by a real grammar, and every way through it.

It really runs, in the lab's PowerShell, on a Windows that is told here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tree_sitter
import tree_sitter_powershell

from fleet.bootwindows import SYSTEMD, windows_script
from fleet.model import Os
from fleet.windows import MIRRORED_BUILD, OLDEST_BUILD, windows_side
from lab.standins.wsl.windows.cmdlets import Windows
from lab.standins.wsl.windows.powershell import ENVIRONMENT
from lab.standins.wsl.windows.shell import Call, Shell
from lab.standins.wsl.windows.values import CmdletError, Object, text
from tests.golden import views
from tests.unit.deploys.test_resources import view

HOSTS = ("windows-desktop", "windows-laptop")
INSIDE = "set -eu\necho 'prepared, with a quote: \"'\n"
DIGEST = hashlib.sha256(INSIDE.encode()).hexdigest()
HERE = r"C:\Users\owner\Downloads\it.ps1"


@cache
def script(name: str = HOSTS[0]) -> str:
    return windows_script(views()[name], INSIDE)


# the text


@cache
def tree(source: str) -> tree_sitter.Node:
    language = tree_sitter.Language(tree_sitter_powershell.language())
    return tree_sitter.Parser(language).parse(source.encode()).root_node


def nodes(node: tree_sitter.Node, *kinds: str) -> Iterator[tree_sitter.Node]:
    for child in node.children:
        if child.type in kinds:
            yield child
        yield from nodes(child, *kinds)


def said(node: tree_sitter.Node | None) -> str:
    return node.text.decode() if node and node.text else ""


def commands(node: tree_sitter.Node) -> list[str]:
    return [said(one) for one in nodes(node, "command_name")]


def sources() -> dict[str, str]:
    """Every PowerShell text that reaches a Windows."""
    side = windows_side(views()[HOSTS[0]])
    return {**{name: script(name) for name in HOSTS}, "look": side.look, "parts": side.functions}


@pytest.mark.parametrize("which", [*HOSTS, "look", "parts"])
def test_the_grammar_finds_no_error(which: str) -> None:
    root = tree(sources()[which])
    assert not root.has_error
    assert len(commands(root)) > 10


def test_the_grammar_would_find_one() -> None:
    assert tree("if ($a) { 'no end'\n").has_error


@pytest.mark.parametrize("which", [*HOSTS, "look", "parts"])
def test_nothing_is_taken_from_the_network_by_hand_or_run_from_text(which: str) -> None:
    """Only package managers fetch, which check what they fetch; Claude Code in its version."""
    root = tree(sources()[which])
    names = {name.lower() for name in commands(root)}
    forbidden = {"invoke-expression", "iex", "invoke-webrequest", "iwr", "curl", "wget", "irm",
                 "invoke-restmethod", "start-bitstransfer", "add-type"}  # fmt: skip
    assert not names & forbidden
    plain = said(root).lower()
    for word in ("webclient", "downloadstring", "downloadfile", 'frombase64string("', "http:"):
        assert word not in plain
    for call in nodes(root, "command"):
        if "claude-code@" in said(call):
            assert said(call).endswith('claude-code@$Version"')


@pytest.mark.parametrize("name", HOSTS)
def test_it_is_ascii_and_names_its_host(name: str) -> None:
    """PowerShell 5 takes a file without a mark for whatever Windows' language is written in."""
    assert script(name).isascii()
    assert f"$Name = '{name}'" in script(name)
    assert "$Port = 2222" in script(name)


LOOKS = {
    "get-command", "get-ciminstance", "get-executionpolicy", "get-netfirewallhypervrule",
    "get-netfirewallrule", "get-scheduledtask", "get-windowsoptionalfeature", "test-path",
    "new-object", "select-object", "foreach-object", "where-object", "convertfrom-json",
    "write-host", "write-warning", "out-null", "out-host", "split-path",
}  # fmt: skip
LOOKING_PROGRAMS = {
    "wsl.exe": ("--list --quiet", "--version"),
    "netsh.exe": ("interface portproxy show",),
    "tailscale": ("status --json",),
    "claude.cmd": ("--version",),
    "test-program": ("wsl.exe @('--version')", "wsl.exe @('--status')"),
    "test-inside": ("@('grep', ",),
}


def functions(root: tree_sitter.Node) -> dict[str, tree_sitter.Node]:
    return {said(one.child_by_field_name("name") or next(nodes(one, "function_name"))).lower(): one
            for one in nodes(root, "function_statement")}  # fmt: skip


def only_looks(call: tree_sitter.Node, known: dict[str, tree_sitter.Node]) -> bool:
    """Whether a command changes nothing, by itself and by what it calls."""
    name = said(next(nodes(call, "command_name"), None)).lower()
    if name in known and name not in LOOKING_PROGRAMS:
        return all(only_looks(inner, known) for inner in nodes(known[name], "command"))
    words = said(call).removeprefix("&").strip()
    if name in LOOKING_PROGRAMS:
        return any(f"{name} {form}" in words.lower() for form in LOOKING_PROGRAMS[name])
    return name in LOOKS


def test_every_step_looks_before_it_acts_and_asks_before_it_acts() -> None:
    root = tree(script())
    known = functions(root)
    made = said(known["step"])
    assert re.search(r"if \(& \$Test\) \{.*?return.*?\}.*?ShouldProcess.*?return.*?& \$Act.*?"
                     r"if \(-not \(& \$Test\)\) \{ throw", made, re.S)  # fmt: skip
    steps = [one for one in nodes(root, "command") if said(one).startswith("Step ")]
    assert len(steps) > 15
    for step in steps:
        test, act = list(_blocks(step))
        for call in nodes(test, "command"):
            assert only_looks(call, known), said(call)
        changing = [one for one in nodes(act, "command") if not only_looks(one, known)]
        assert changing, f"{said(step)} does nothing"


def _blocks(step: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """A command's script blocks, without those inside them."""
    for child in step.children:
        if child.type == "script_block_expression":
            yield child
        else:
            yield from _blocks(child)


def test_nothing_is_changed_outside_a_step() -> None:
    root = tree(script())
    known = functions(root)
    (last,) = [one for name, one in known.items() if name == "invoke-preparation"]
    outside = [one for one in _commands_outside(last) if not said(one).startswith("Step ")]
    changing = [said(one) for one in outside if not only_looks(one, known)]
    assert changing == ["Suspend-UntilRestart"]
    inside = said(known["suspend-untilrestart"])
    assert "$Restart -and $PSCmdlet.ShouldProcess" in inside


def _commands_outside(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    for child in node.children:
        if child.type == "command":
            yield child
        if child.type != "script_block_expression":
            yield from _commands_outside(child)


# a Windows


Handler = Callable[["Pc", list[str]], "list[str] | int"]


class Pc(Windows):
    """A Windows PC as a test tells it; `did` is all that was changed, in order."""

    def __init__(self, root: Path) -> None:
        super().__init__({"programs": {}})
        self.root, self.did = root, list[str]()
        self.environment = {
            **ENVIRONMENT, "standin_drive": str(root), "standin_build": str(MIRRORED_BUILD)
        }  # fmt: skip
        self.feature, self.wsl, self.distributions = "Disabled", "", list[str]()
        self.systemd, self.marked, self.broken = False, False, ""
        self.policies = {"LocalMachine": "Undefined"}
        self.login: dict[str, Any] = {"BackendState": "NeedsLogin", "Self": {"HostName": "PC"}}
        self.forwarding, self.rules = "", set[str]()
        self.logged_in = r"WINDOWS\owner"
        self.printed = ""
        for folder in ("Users/owner/Downloads", "Program Files"):
            (root / "c" / folder).mkdir(parents=True)
        (root / "c/Users/owner/Downloads/it.ps1").write_text(script())
        self.programs.update(winget="v1.9", wsl="")

    def file(self, name: str) -> Path:
        return self.root / "c" / name

    @property
    def wslconfig(self) -> str:
        path = self.file("Users/owner/.wslconfig")
        return path.read_bytes().decode() if path.exists() else ""

    def prepare(self, *switches: str, source: str = "") -> int:
        shell = Shell(self.run, self.environment)
        shell.scope.variables["pscommandpath"] = HERE
        shell.scope.variables["profile"] = Object(
            CurrentUserAllHosts=r"C:\Users\owner\Documents\WindowsPowerShell\profile.ps1"
        )
        code = shell.script(source or script(), [(name, True) for name in switches])
        self.printed = "\n".join(shell.printed)
        assert not [line for line in shell.errors if "not covered" in line], shell.errors
        return code

    def run(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        name = call.name.lower().removesuffix(".exe").removesuffix(".cmd")
        if name in ("wsl", "tailscale", "netsh", "debian"):
            if name == self.broken:
                shell.scope.variables["lastexitcode"] = 1
                return ["it does not work"]
            answer = getattr(self, f"{name}_program")(call.raw)
            shell.scope.variables["lastexitcode"] = answer if isinstance(answer, int) else 0
            return answer if isinstance(answer, list) else []
        found = getattr(self, f"do_{name.replace('-', '_')}", None)
        if found:
            return found(shell, call, fed) or []
        before = str(self.registry)
        answer = super().run(shell, call, fed)
        if str(self.registry) != before:
            self.did.append(f"{call.name} {' '.join(call.raw)[:60]}")
        return answer

    # programs

    def wsl_program(self, words: list[str]) -> list[str] | int:
        match words:
            case ["--status"]:
                return [] if self.wsl else 1
            case ["--version"]:
                return [f"WSL version: {self.wsl}"] if self.wsl > "2" else 1
            case ["--list", "--quiet"]:
                return self.distributions
            case ["--install", "--no-distribution"] | ["--update"]:
                self.wsl, self.feature = "2.5.7.0", self.feature
            case ["--install", "--distribution", distribution, "--no-launch"]:
                self.distributions.append(distribution)
            case ["-d", _, "-u", "root", "--exec", "grep", "-qs", "^systemd=true", _]:
                return 0 if self.systemd and self.distributions else 1
            case ["-d", _, "-u", "root", "--exec", "grep", "-qsx", digest, mark]:
                assert mark == "/var/lib/agentfleet/bootstrap"
                return 0 if self.marked and digest == DIGEST else 1
            case ["-d", _, "-u", "root", "--cd", folder, "--exec", "sh", "./inside.sh"]:
                assert folder == r"C:\Program Files\agentfleet"
                return self.inside()
            case ["--shutdown"] | ["--terminate", _]:
                pass
            case _:
                raise AssertionError(f"nobody told what wsl {words} does")
        self.did.append(f"wsl {' '.join(words)}")
        return []

    def inside(self) -> int:
        path = self.file("Program Files/agentfleet/inside.sh")
        what = path.read_text()
        if what == SYSTEMD:
            self.systemd = True
        elif what == INSIDE:
            self.did.append("inside")
        else:
            assert DIGEST in what
            self.marked = True
        return 0

    def tailscale_program(self, words: list[str]) -> list[str] | int:
        if words[0] == "status":
            return [json.dumps(self.login)]
        self.did.append(f"tailscale {' '.join(words)}")
        name = next(w.removeprefix("--hostname=") for w in words if w.startswith("--hostname="))
        self.login = {"BackendState": "Running", "Self": {"HostName": name}}
        return []

    def netsh_program(self, words: list[str]) -> list[str] | int:
        if "show" in words:
            return [self.forwarding]
        self.did.append(f"netsh {' '.join(words)}")
        self.forwarding = "0.0.0.0         2222        127.0.0.1       2222"
        return []

    def debian_program(self, words: list[str]) -> list[str] | int:
        assert words == ["install", "--root"]
        self.distributions.append("Debian")
        self.did.append("debian install --root")
        return []

    # cmdlets

    def do_get_windowsoptionalfeature(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        return [Object(State=self.feature)]

    def do_enable_windowsoptionalfeature(
        self, shell: Shell, call: Call, fed: list[Any]
    ) -> list[Any]:
        assert "norestart" in call.parameters
        self.feature = "EnablePending"
        self.did.append("enable the platform")
        return [Object(RestartNeeded=True)]

    def do_restart_computer(self, shell: Shell, call: Call, fed: list[Any]) -> None:
        self.did.append("restart")

    def do_get_ciminstance(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        return [Object(UserName=self.logged_in)]

    def do_get_executionpolicy(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        return [self.policies.get(call.get("scope"), "Undefined")]

    def do_set_executionpolicy(self, shell: Shell, call: Call, fed: list[Any]) -> None:
        self.policies[call.get("scope")] = call.get("executionpolicy")
        self.did.append("policy")

    def do_test_path(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        return [self.place(call.get("literalpath")).exists()]

    def do_new_item(self, shell: Shell, call: Call, fed: list[Any]) -> None:
        self.place(call.get("path")).mkdir(parents=True)
        self.did.append(f"folder {call.get('path')}")

    def do_copy_item(self, shell: Shell, call: Call, fed: list[Any]) -> None:
        self.place(call.get("destination")).write_bytes(
            self.place(call.get("literalpath")).read_bytes()
        )

    def do_split_path(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        return [call.get("parent").rpartition("\\")[0]]

    def do_get_netfirewallrule(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        return [Object(Name=name) for name in self.rules if name == call.get("name")]

    def do_new_netfirewallrule(self, shell: Shell, call: Call, fed: list[Any]) -> list[Any]:
        self.rules.add(call.get("name"))
        self.did.append(f"rule {call.get('name')} {call.get('localport')}")
        return []

    def do_remove_netfirewallrule(self, shell: Shell, call: Call, fed: list[Any]) -> None:
        self.rules -= {row["Name"] for row in fed}

    def do_out_host(self, shell: Shell, call: Call, fed: list[Any]) -> None:
        shell.printed += [text(item) for item in fed if isinstance(item, str)]

    def place(self, path: str) -> Path:
        return self.file(path.removeprefix("C:\\").replace("\\", "/"))


@pytest.fixture
def pc(tmp_path: Path) -> Pc:
    return Pc(tmp_path)


@pytest.fixture
def restarted(pc: Pc) -> Pc:
    """A PC on which the first part is done, and Windows has restarted."""
    assert pc.prepare() == 3010
    pc.feature = "Enabled"
    pc.did.clear()
    return pc


@pytest.fixture
def prepared(restarted: Pc) -> Pc:
    assert restarted.prepare() == 0, restarted.printed
    return restarted


def refused(pc: Pc, *words: str) -> None:
    assert pc.prepare() == 1
    for word in words:
        assert word in pc.printed
    assert pc.did == []


# ways through it


def test_the_first_part_ends_where_windows_has_to_restart(pc: Pc) -> None:
    assert pc.prepare() == 3010
    assert pc.did[0] == "enable the platform"
    assert pc.file("Program Files/agentfleet/windows.ps1").read_text() == script()
    task = pc.registry["tasks"]["agentfleet-resume"]
    assert task["Actions"][0]["Arguments"].endswith(
        r'-File "C:\Program Files\agentfleet\windows.ps1"'
    )
    assert task["Principal"]["RunLevel"] == "Highest"
    assert "restart" not in pc.did
    assert "This goes on when you log in again" in pc.printed


def test_it_restarts_by_itself_where_it_may(pc: Pc) -> None:
    assert pc.prepare("Restart") == 3010
    assert pc.did[-1] == "restart"


def test_after_the_restart_it_goes_on_to_the_end(restarted: Pc) -> None:
    assert restarted.prepare() == 0, restarted.printed
    did = [line for line in restarted.did if not line.startswith(("folder", "winget"))]
    order = ["wsl --install --no-distribution", "wsl --install --distribution Debian --no-launch",
             "wsl --shutdown", "wsl --terminate Debian", "inside"]  # fmt: skip
    assert [line for line in did if line in order] == order
    assert restarted.wslconfig == "[wsl2]\r\nnetworkingMode=mirrored\r\n"
    rules = restarted.registry["rules"]
    assert rules["agentfleet-ssh"]["LocalPorts"] == ["2222"]
    assert rules["agentfleet-tailnet"]["RemoteAddresses"] == [
        "100.64.0.0/10", "fd7a:115c:a1e0::/48"
    ]  # fmt: skip
    tasks = restarted.registry["tasks"]
    assert set(tasks) == {"agentfleet-keep-alive"}, "nothing is left to resume"
    assert tasks["agentfleet-keep-alive"]["State"] == "Running"
    assert set(restarted.programs) >= {"git", "rg", "ccache", "node", "tailscale", "claude"}
    assert restarted.login["Self"]["HostName"] == HOSTS[0]
    assert "tailscale up --unattended --hostname=windows-desktop" in did
    assert restarted.policies["CurrentUser"] == "RemoteSigned"
    assert not restarted.forwarding
    assert f"fleet apply --limit {HOSTS[0]}" in restarted.printed


def test_a_second_run_changes_nothing(prepared: Pc) -> None:
    prepared.did.clear()
    before = {path: path.read_bytes() for path in prepared.root.rglob("*") if path.is_file()}
    assert prepared.prepare() == 0
    assert prepared.did == []
    after = {path: path.read_bytes() for path in prepared.root.rglob("*") if path.is_file()}
    assert after == before
    verdicts = prepared.printed.splitlines()[:-1]
    assert all(line.startswith("ok ") for line in verdicts)
    assert len(verdicts) > 15


@pytest.mark.parametrize("stage", ["pc", "restarted"])
def test_whatif_changes_nothing(stage: str, request: pytest.FixtureRequest) -> None:
    pc: Pc = request.getfixturevalue(stage)
    before = str(pc.registry)
    assert pc.prepare("WhatIf") == 0, pc.printed
    assert (pc.did, str(pc.registry)) == ([], before)
    assert 'What if: Performing the operation "WSL 2"' in pc.printed
    assert "is prepared" not in pc.printed


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"standin_elevated": "no"}, ("Run as administrator",)),
        ({"standin_build": str(OLDEST_BUILD - 1)}, (f"needs {OLDEST_BUILD}", "update Windows")),
        ({"username": "chief"}, (r"runs as WINDOWS\chief, and WINDOWS\owner is logged in",)),
    ],
)
def test_what_it_refuses(pc: Pc, environment: dict[str, str], words: tuple[str, ...]) -> None:
    pc.environment |= environment
    refused(pc, *words)


def test_nobody_at_the_screen_is_no_reason(pc: Pc) -> None:
    """So it is over a remote desktop."""
    pc.logged_in, pc.environment["username"] = "", "chief"
    assert pc.prepare() == 3010


def test_an_older_windows_keeps_nat(restarted: Pc) -> None:
    restarted.environment["standin_build"] = str(MIRRORED_BUILD - 1)
    assert restarted.prepare() == 0, restarted.printed
    assert "WARNING: this is build" in restarted.printed
    assert "and gets none" in restarted.printed
    assert restarted.wslconfig == ""
    assert "rules" not in restarted.registry
    (forwarded,) = [line for line in restarted.did if line.startswith("netsh")]
    assert forwarded.endswith("listenport=2222 listenaddress=0.0.0.0 connectport=2222"
                              " connectaddress=127.0.0.1")  # fmt: skip
    assert "rule agentfleet-ssh 2222" in restarted.did
    restarted.did.clear()
    assert restarted.prepare() == 0
    assert restarted.did == []


@pytest.mark.parametrize(
    ("there", "done"),
    [("2.5.7.0", ""), ("1.2.5.0", "wsl --update"), ("", "wsl --install --no-distribution")],
)
def test_the_wsl_that_is_there(restarted: Pc, there: str, done: str) -> None:
    restarted.wsl = there
    assert restarted.prepare() == 0
    kinds = ("wsl --update", "wsl --install --no-distribution")
    assert [line for line in restarted.did if line in kinds] == ([done] if done else [])


def test_a_distribution_of_the_older_kind(restarted: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--no-launch` installs it, and it registers itself when it is started."""
    plain = Pc.wsl_program

    def late(self: Pc, words: list[str]) -> list[str] | int:
        done = plain(self, words)
        if "--no-launch" in words:
            self.distributions.clear()
        return done

    monkeypatch.setattr(Pc, "wsl_program", late)
    assert restarted.prepare() == 0, restarted.printed
    assert "debian install --root" in restarted.did


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[wsl2]\r\nmemory=8GB\r\n", "[wsl2]\r\nnetworkingMode=mirrored\r\nmemory=8GB\r\n"),
        ("[wsl2]\r\nnetworkingMode = nat\r\nswap=0\r\n",
         "[wsl2]\r\nnetworkingMode=mirrored\r\nswap=0\r\n"),
        ("[experimental]\r\nsparseVhd=true\r\n",
         "[experimental]\r\nsparseVhd=true\r\n[wsl2]\r\nnetworkingMode=mirrored\r\n"),
    ],
)  # fmt: skip
def test_a_wslconfig_keeps_what_else_is_in_it(restarted: Pc, before: str, after: str) -> None:
    restarted.file("Users/owner/.wslconfig").write_bytes(before.encode())
    assert restarted.prepare() == 0
    assert restarted.wslconfig == after


def test_mirrored_already_restarts_no_wsl(restarted: Pc) -> None:
    restarted.file("Users/owner/.wslconfig").write_text("[wsl2]\nnetworkingMode=Mirrored\n")
    assert restarted.prepare() == 0
    assert "wsl --shutdown" not in restarted.did


def test_a_newer_inside_runs_again(prepared: Pc) -> None:
    prepared.did.clear()
    prepared.marked = False
    assert prepared.prepare() == 0
    assert prepared.did == ["inside"]


@pytest.mark.parametrize(
    ("login", "done"),
    [
        ({"BackendState": "Running", "Self": {"HostName": "DESKTOP-7"}},
         ["tailscale set --hostname=windows-desktop"]),
        ({"BackendState": "Stopped", "Self": {"HostName": "x"}},
         ["tailscale up --unattended --hostname=windows-desktop"]),
        ({"BackendState": "Running", "Self": {"HostName": "windows-desktop"}}, []),
    ],
)  # fmt: skip
def test_a_node_that_is_up_never_logs_in_again(
    prepared: Pc, login: dict[str, Any], done: list[str]
) -> None:
    prepared.did.clear()
    prepared.login = login
    assert prepared.prepare() == 0
    assert prepared.did == done


def test_chocolatey_does_as_well(restarted: Pc) -> None:
    del restarted.programs["winget"]
    restarted.programs["choco"] = "2.4"
    assert restarted.prepare() == 0, restarted.printed
    assert any(line.startswith("choco install nodejs-lts") for line in restarted.did)


def test_without_either_it_says_what_to_install(restarted: Pc) -> None:
    del restarted.programs["winget"]
    assert restarted.prepare() == 1
    assert "stopped: neither winget nor Chocolatey is here: install App Installer" in (
        restarted.printed
    )


def test_another_claude_code_becomes_the_fleets(prepared: Pc) -> None:
    prepared.programs["claude"] = "2.1.100 (Claude Code)"
    assert prepared.prepare() == 0
    assert prepared.programs["claude"] == "2.1.330 (Claude Code)"


def test_a_program_that_fails_stops_it_with_its_name(restarted: Pc) -> None:
    restarted.broken = "wsl"
    assert restarted.prepare() == 1
    assert "stopped: wsl.exe --install --no-distribution: exit code 1" in restarted.printed
    restarted.broken = ""
    assert restarted.prepare() == 0, "the next run goes on there"


def test_a_step_that_had_no_effect_is_a_failure(
    restarted: Pc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pc, "do_set_executionpolicy", lambda *_: None)
    assert restarted.prepare() == 1
    assert "stopped: scripts of this PC may run" in restarted.printed
    assert "it was tried, and is not so" in restarted.printed


@pytest.mark.parametrize(
    ("policies", "sets"),
    [
        ({"LocalMachine": "RemoteSigned"}, False),
        ({"CurrentUser": "Restricted", "LocalMachine": "RemoteSigned"}, True),
        ({"MachinePolicy": "Unrestricted"}, False),
        ({}, True),
    ],
)
def test_whether_scripts_may_run_already(
    restarted: Pc, policies: dict[str, str], sets: bool
) -> None:
    restarted.policies = dict(policies)
    assert restarted.prepare() == 0
    assert ("policy" in restarted.did) is sets


def test_the_profile_keeps_its_persons_lines(prepared: Pc) -> None:
    path = prepared.file("Users/owner/Documents/WindowsPowerShell/profile.ps1")
    fresh = path.read_bytes().decode()
    assert fresh.startswith("# agentfleet >>>")
    assert 'function cluster { wsl.exe -d Debian -- bash -lc "$args" }' in fresh
    old = "# agentfleet >>>\r\n$old = 1\r\n# <<< agentfleet\r\n"
    path.write_bytes(f"Set-Alias ll ls\r\n{old}$mine = 2\r\n".encode())
    assert prepared.prepare() == 0
    mended = path.read_bytes().decode()
    assert mended == f"Set-Alias ll ls\r\n$mine = 2\r\n{fresh}"


def test_ubuntu_is_ubuntu() -> None:
    made = windows_script(view(HOSTS[0], os=Os.UBUNTU), INSIDE)
    assert "$Distribution = 'Ubuntu'" in made
    assert "wsl.exe -d Ubuntu -- bash" in made


def test_nothing_of_the_inside_is_open_to_windows_quoting() -> None:
    assert INSIDE not in script()
    assert base64.b64encode(INSIDE.encode()).decode() in script()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "[boot]\nsystemd=true\n"),
        ("[user]\ndefault=me\n", "[user]\ndefault=me\n[boot]\nsystemd=true\n"),
        ("[boot]\nsystemd=false\ncommand=x\n", "[boot]\nsystemd=true\ncommand=x\n"),
    ],
)
def test_systemd_is_turned_on(tmp_path: Path, before: str | None, after: str) -> None:
    conf = tmp_path / "wsl.conf"
    if before is not None:
        conf.write_text(before)
    source = SYSTEMD.replace("/etc/wsl.conf", str(conf))
    subprocess.run(["sh", "-s"], input=source, text=True, check=True)
    assert conf.read_text() == after


def test_an_unknown_cmdlet_would_be_noticed(pc: Pc) -> None:
    with pytest.raises(AssertionError, match="not covered"):
        pc.prepare(source="[CmdletBinding()] param()\nFrobnicate-Thing\n")
    with pytest.raises(CmdletError):
        raise CmdletError("and this is how an error of Windows' own looks")
