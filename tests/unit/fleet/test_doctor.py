"""`fleet doctor`: each fault of a machine, found, named, and with what helps against it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet import cli, ssh
from fleet.doctor import access, files, hosts, machine
from fleet.doctor.check import LONGEST, Check, Verdict, guarded, run, tidy
from fleet.kinds import Power
from fleet.lock import LockedHost, write_fleet_lock
from fleet.problems import FleetError
from fleet.ssh import Answer
from fleet.target import ROOT, Target, load_target
from tests.golden import target as golden

Capture = pytest.CaptureFixture[str]
Put = Callable[..., None]
SECRET = "correct-horse-battery-staple"  # noqa: S105 - of nothing


@pytest.fixture
def put(programs: Path) -> Put:
    """A program of this machine, in sh."""

    def write(name: str, body: str) -> None:
        path = programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    return write


@pytest.fixture
def bare(programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no program but those that a test puts there."""
    monkeypatch.setenv("PATH", str(programs))
    return programs


@pytest.fixture
def small_target(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    return load_target()


def only(found: Any) -> Check:
    (one,) = found
    assert isinstance(one, Check)
    return one


# The machine


def test_a_python_that_is_too_old() -> None:
    found = only(machine.python(ROOT, (3, 9, 2)))
    assert found.verdict is Verdict.FAULT
    assert found.says == "3.9.2, and agentfleet needs 3.11 or newer"
    assert found.fix == "make venv PYTHON=python3.11"
    assert only(machine.python(ROOT)).verdict is Verdict.OK


def test_packages_that_are_missing_or_others(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('dependencies = [\n    "needed>=1",\n]\n')
    lock = tmp_path / "requirements.lock"
    lock.write_text("needed==1.0 \\\n    --hash=sha256:00\nclick==0.1\nhelpful==2\n")
    missing, other = machine.packages(tmp_path)
    assert (missing.verdict, missing.says) == (Verdict.FAULT, "not installed: needed")
    assert other.verdict is Verdict.WARNING
    assert "instead of 0.1" in other.says
    assert missing.fix == other.fix == "make venv"
    lock.write_text("helpful==2\n")
    assert only(machine.packages(tmp_path)).verdict is Verdict.WARNING


def test_the_packages_here_are_those_of_the_lock() -> None:
    assert only(machine.packages(ROOT)).verdict is Verdict.OK


def test_a_pyinfra_that_does_not_start(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("python", "echo Traceback >&2; echo 'ImportError: greenlet: wrong ELF class' >&2; exit 1")
    monkeypatch.setattr(sys, "executable", "python")
    found = only(machine.pyinfra())
    assert found.verdict is Verdict.FAULT
    assert found.says == "does not start: ImportError: greenlet: wrong ELF class"


def test_a_terminal_that_knows_no_arrow() -> None:
    found = only(machine.terminal(["utf-8", "ascii"]))
    assert found.verdict is Verdict.WARNING
    assert found.fix == "export LC_ALL=C.UTF-8"
    assert only(machine.terminal(["utf-8"])).verdict is Verdict.OK


# The files


def test_a_broken_file_is_a_row_and_stops_nothing(
    fleet_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, bare: Path
) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    fleet_file.write_text(fleet_file.read_text().replace("role: pi", "role: pie"))
    fleet_file.with_name("fleet.lock.yaml").write_text("hosts: []\n")
    assert cli.main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    by_name = {one["what"]: one for one in report["checks"]}
    assert by_name["fleet.yaml"]["fix"] == "fleet validate"
    assert "hosts.berry.role" in by_name["fleet.yaml"]["says"]
    assert by_name["fleet.lock.yaml"]["verdict"] == "fault"
    assert by_name["hosts"]["verdict"] == "skipped"
    assert by_name["ssh"]["verdict"] == "fault"
    assert by_name["cache"]["verdict"] in ("ok", "warning")


def test_a_file_that_is_absent(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_FILE", str(tmp_path / "none.yaml"))
    assert cli.main(["doctor", "--offline"]) == 1
    assert "none.yaml" in capsys.readouterr().out


def test_a_check_that_raises_is_a_row() -> None:
    found = only(guarded("it", lambda: [][0]))
    assert found.verdict is Verdict.FAULT
    assert found.says == "could not be looked at: IndexError: list index out of range"


def test_a_check_that_knows_the_remedy_says_it() -> None:
    def look() -> list[Check]:
        raise FleetError.of("ssh-keyscan", "there is no such program here", "install it")

    assert only(guarded("it", look)) == Check(
        "it", Verdict.FAULT, "there is no such program here", "install it"
    )


def test_what_is_not_in_git(tmp_path: Path) -> None:
    file, lock = tmp_path / "fleet.yaml", tmp_path / "fleet.lock.yaml"
    file.write_text("version: 1\n")

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        assert run(["git", "-C", str(tmp_path), *who, *words]).code == 0

    found = only(files.committed((file, lock)))
    assert (found.verdict, "in no repository" in found.says) == (Verdict.WARNING, True)
    git("init", "-q")
    found = only(files.committed((file, lock)))
    assert found.says == "not committed: fleet.yaml"
    assert found.fix.startswith("git add, then git -C ")
    git("add", "fleet.yaml")
    git("commit", "-qm", "x")
    assert only(files.committed((file, lock))).verdict is Verdict.OK
    file.write_text("version: 2\n")
    found = only(files.committed((file, lock)))
    assert (found.verdict, found.says) == (Verdict.WARNING, "not committed: fleet.yaml")


def test_no_git(tmp_path: Path, bare: Path) -> None:
    assert only(files.committed((tmp_path / "fleet.yaml",))).fix == "install git"


def with_secrets(**references: str) -> Target:
    fleet = golden().fleet.model_copy(update={"secrets": references})
    return replace(golden(), fleet=fleet)


def test_secrets_are_asked_for_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THERE", SECRET)
    monkeypatch.delenv("ELSEWHERE", raising=False)
    open_file = tmp_path / "open"
    open_file.write_text(SECRET)
    open_file.chmod(0o644)
    ran = tmp_path / "ran"
    known = with_secrets(
        tailscale_auth_key="env:THERE",
        anthropic_api_key="env:ELSEWHERE",
        claude_subscription_token=f"file:{open_file}",
        other=f"command:touch {ran}; echo {SECRET}",
    )
    there, absent, readable, command = files.secrets(known, commands=False)
    assert (there.verdict, there.says) == (Verdict.OK, "is there (env:)")
    assert (absent.verdict, absent.says) == (Verdict.FAULT, "$ELSEWHERE is not set")
    assert absent.fix.startswith("export ELSEWHERE=")
    assert readable.fix.startswith(f"chmod 600 {open_file}")
    assert (command.verdict, command.fix) == (Verdict.SKIPPED, "fleet doctor --secrets")
    assert not ran.exists()
    *_, command = files.secrets(known, commands=True)
    assert command.verdict is Verdict.OK
    assert ran.exists()
    assert SECRET not in str((there, absent, readable, command))


def test_a_secrets_command_that_fails_says_its_last_words() -> None:
    known = with_secrets(other="command:echo locked >&2; exit 3")
    found = only(files.secrets(known, commands=True))
    assert (found.verdict, found.says) == (Verdict.FAULT, "the command ended with 3: locked")


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("AGENTFLEET_CACHE", str(file / "cache"))
    found = only(files.cache(None))
    assert found.verdict is Verdict.FAULT
    assert "cannot be written" in found.says


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(0, Verdict.FAULT), (900_000_000, Verdict.WARNING), (9_000_000_000, Verdict.OK)],
)
def test_a_disk_without_room(
    free: int, verdict: Verdict, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(free))
    assert only(files.cache(golden())).verdict is verdict


class Usage:
    def __init__(self, free: int) -> None:
        self.free = free


# ssh


def test_no_ssh(bare: Path) -> None:
    found = only(access.program())
    assert (found.verdict, found.says) == (Verdict.FAULT, "there is no such program")
    assert "openssh-client" in found.fix


def test_another_ssh_and_no_ssh_keyscan(bare: Path, put: Put) -> None:
    put("ssh", "echo 'dropbear 2022.83' >&2")
    other, keyscan = access.program()
    assert other.verdict is keyscan.verdict is Verdict.WARNING
    assert "dropbear 2022.83" in other.says


@pytest.mark.parametrize(
    ("mode", "verdict"), [(0o700, Verdict.OK), (0o755, Verdict.WARNING), (0o775, Verdict.FAULT)]
)
def test_who_else_gets_at_the_keys(tmp_path: Path, mode: int, verdict: Verdict) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh").chmod(mode)
    assert only(access.folder(tmp_path)).verdict is verdict


def test_a_configuration_that_others_may_write(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    config = tmp_path / ".ssh" / "config"
    config.write_text("")
    config.chmod(0o664)
    assert only(access.folder(tmp_path)).fix == f"chmod go-w {config}"


def make_key(path: Path, passphrase: str = "") -> Path:
    made = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)])
    assert made.code == 0, made.stderr
    return path


def test_a_key_that_is_right(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    assert access.key_file(str(key), None).verdict is Verdict.OK


def test_a_key_that_others_may_read(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    key.chmod(0o640)
    found = access.key_file(str(key), None)
    assert (found.verdict, found.fix) == (Verdict.FAULT, f"chmod 600 {key}")


def test_a_key_that_is_absent_or_none(tmp_path: Path) -> None:
    assert "No such file" in access.key_file(str(tmp_path / "key"), None).says
    assert "mend ssh.key" in access.key_file("~nobody-of-that-name/key", None).fix
    assert access.key_file(str(tmp_path), None).says == "is no file"
    text = tmp_path / "text"
    text.write_text("no key\n")
    text.chmod(0o600)
    assert access.key_file(str(text), None).says.startswith("is no private key")


def test_a_key_with_a_passphrase_needs_an_agent(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", SECRET)
    found = access.key_file(str(key), ())
    assert (found.verdict, found.fix) == (Verdict.FAULT, f"ssh-add {key}")
    public = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    assert access.key_file(str(key), (public,)).verdict is Verdict.OK


def test_the_agent(put: Put, small_target: Target, tmp_path: Path) -> None:
    put("ssh-add", "echo 'ssh-ed25519 AAAA one'; echo 'ssh-rsa BBBB two'")
    agent, usual = access.keys(small_target, tmp_path)
    assert agent.says == "holds 2 keys"
    assert (usual.verdict, usual.says) == (Verdict.OK, "ssh tries those of its agent")
    put("ssh-add", "echo 'Could not open a connection' >&2; exit 2")
    agent, usual = access.keys(small_target, tmp_path)
    assert agent.verdict is Verdict.SKIPPED
    assert (usual.verdict, "ssh-keygen" in usual.fix) == (Verdict.FAULT, True)


def test_ssh_tries_a_usual_key(put: Put, small_target: Target, tmp_path: Path) -> None:
    put("ssh-add", "exit 2")
    (tmp_path / ".ssh").mkdir()
    key = make_key(tmp_path / ".ssh" / "id_ed25519")
    assert list(access.keys(small_target, tmp_path))[1].says == "ssh tries ~/.ssh/id_ed25519"
    key.chmod(0o644)
    found = list(access.keys(small_target, tmp_path))[1]
    assert (found.verdict, found.fix) == (Verdict.FAULT, f"chmod 600 {key}")


def test_hosts_whose_key_nobody_knows(put: Put, small_target: Target) -> None:
    put("ssh-keygen", '[ "$2" = 10.0.0.2 ]')  # in the user's own known_hosts
    lock = small_target.lock.with_host("boss", LockedHost(host_keys=golden_key()))
    write_fleet_lock(small_target.lock_file, lock)
    found = only(access.host_keys(load_target()))
    assert (found.verdict, found.fix) == (Verdict.FAULT, "fleet trust berry win")


def golden_key() -> tuple[str, ...]:
    return golden().fleet.orchestrator.host_keys


# The hosts


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Host → what it says when somebody logs in; hosts that are not in it do not answer."""
    said: dict[str, Any] = {}
    addresses = {"boss": "10.0.0.1", "mac": "10.0.0.2", "berry": "10.0.0.3", "win": "10.0.0.4"}

    def knock(place: str, port: int) -> bool:
        return place in [addresses[name] for name in said]

    def log_in(way: Any, script: str, timeout_s: float) -> Answer:
        answer = said[way.name]
        return answer if isinstance(answer, Answer) else Answer(0, answer(), "")

    monkeypatch.setattr("fleet.reach.knock", knock)
    monkeypatch.setattr(ssh, "briefly", log_in)
    monkeypatch.setattr(hosts, "_resolves", lambda place: place[0].isdecimal())
    return said


def root(ahead: int = 0) -> Callable[[], str]:
    return lambda: f"clock {int(time.time()) + ahead}\nroot\n"


def seen(small_target: Target) -> dict[str, Check]:
    return {one.what: one for one in hosts.hosts(small_target)}


def test_hosts_that_are_right(network: dict[str, Any], small_target: Target) -> None:
    network |= dict.fromkeys(("boss", "mac", "berry", "win"), root())
    found = seen(small_target)
    assert {one.verdict for one in found.values()} == {Verdict.OK}
    assert found["boss"].says == "answers at 10.0.0.1, logs admin in, who becomes root"


def test_a_host_that_does_not_answer(network: dict[str, Any], small_target: Target) -> None:
    found = seen(small_target)["berry"]
    assert found.verdict is Verdict.FAULT
    assert found.says == "no SSH server answers on port 22: 10.0.0.3, berry (no such name)"


def test_a_host_that_may_be_off(network: dict[str, Any], small_target: Target) -> None:
    host = small_target.fleet.host("win").model_copy(update={"power": Power.SLEEPS})
    (one,) = hosts.look(host, small_target).checks
    assert one.verdict is Verdict.WARNING
    assert one.says.endswith("it sleeps")


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("no host key is pinned for berry: run fleet trust berry", "fleet trust berry"),
        ("changed: fleet trust berry --replace", "fleet trust berry --replace"),
        ("admin@10.0.0.3: Permission denied (publickey).", "ssh-copy-id -p 22 admin@10.0.0.3"),
        ("kex_exchange_identification: reset", "ssh -v -p 22 admin@10.0.0.3"),
    ],
)
def test_a_login_that_is_refused(
    said: str, fix: str, network: dict[str, Any], small_target: Target
) -> None:
    network["berry"] = Answer(255, "", f"Welcome\n{said}")
    found = seen(small_target)["berry"]
    assert (found.verdict, found.fix) == (Verdict.FAULT, fix)
    assert "does not log admin in" in found.says


def test_a_login_that_does_not_become_root(network: dict[str, Any], small_target: Target) -> None:
    words = "sudo: a password is required\x1b[2J[red]"
    network["berry"] = Answer(0, f"clock {int(time.time())}\nno root: {words}\n", "")
    found = seen(small_target)["berry"]
    assert found.verdict is Verdict.FAULT
    assert "a password is required?[2J[red]" in found.says
    assert found.fix.endswith("admin ALL=(ALL) NOPASSWD: ALL")


def test_a_host_that_talks_nonsense(network: dict[str, Any], small_target: Target) -> None:
    network["berry"] = Answer(0, "clock ٣٣\nclock x\n" + "y" * 100_000, "z" * 100_000)
    found = seen(small_target)["berry"]
    assert found.verdict is Verdict.FAULT
    assert len(found.says) < LONGEST + 100


def test_clocks(network: dict[str, Any], small_target: Target) -> None:
    network |= {"boss": root(), "mac": root(), "berry": root(-3600), "win": root()}
    found = seen(small_target)["clocks"]
    assert found.verdict is Verdict.WARNING
    assert "berry by -35" in found.says or "berry by -3600" in found.says


def test_this_machines_clock(network: dict[str, Any], small_target: Target) -> None:
    network |= dict.fromkeys(("boss", "mac", "berry"), root(120))
    found = seen(small_target)["clocks"]
    assert found.verdict is Verdict.FAULT
    assert found.says.startswith("this one differs from most")


def test_without_ssh_no_host_is_asked(bare: Path, small_target: Target) -> None:
    assert only(hosts.hosts(small_target)).verdict is Verdict.SKIPPED


# The tailnet


def status(state: str, *addresses: str) -> str:
    node = {"DNSName": "desk.example.ts.net.", "TailscaleIPs": list(addresses)}
    return json.dumps({"BackendState": state, "Self": node})


def test_no_tailscale(bare: Path) -> None:
    found = only(hosts.tailnet(golden(), offline=False))
    assert (found.verdict, found.says) == (Verdict.WARNING, "is not installed here")


@pytest.mark.parametrize("said", [status("Stopped"), status("NeedsLogin"), "", "no JSON"])
def test_a_tailscale_that_is_not_connected(said: str, put: Put) -> None:
    put("tailscale", f"cat <<'END'\n{said}\nEND")
    found = only(hosts.tailnet(golden(), offline=False))
    assert (found.verdict, found.fix) == (Verdict.WARNING, "tailscale up")


def test_the_way_to_the_orchestrator(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("tailscale", f"cat <<'END'\n{status('Running', '100.101.0.99')}\nEND")
    mine, boss = hosts.tailnet(golden(), offline=False)
    assert mine.says == "connected as desk, 100.101.0.99"
    assert (boss.verdict, "tailscale ping" in boss.fix) == (Verdict.FAULT, True)
    monkeypatch.setattr("fleet.reach.knock", lambda place, port: place == "100.101.0.1")
    _, boss = hosts.tailnet(golden(), offline=False)
    assert boss.verdict is Verdict.OK
    assert only(hosts.tailnet(golden(), offline=True)).what == "tailscale"


def test_an_orchestrator_that_nobody_knows_in_the_tailnet(put: Put, small_target: Target) -> None:
    put("tailscale", f"cat <<'END'\n{status('Running', '100.101.0.99')}\nEND")
    _, boss = hosts.tailnet(small_target, offline=False)
    assert boss.verdict is Verdict.SKIPPED


# All of it


def test_offline_asks_nobody(
    small_target: Target, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def called(*_: Any, **__: Any) -> Any:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(hosts, "hosts", called)
    monkeypatch.setattr("fleet.reach.knock", called)
    assert cli.main(["doctor", "--offline"]) in (0, 1)
    said = capsys.readouterr().out
    assert "somebody was asked" not in said
    assert "not asked: --offline" in said


def test_the_exit_code_and_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, small_target: Target
) -> None:
    rows = [
        Check("one", Verdict.OK, "is right"),
        Check("another", Verdict.WARNING, "[bold]odd", "type this"),
    ]
    monkeypatch.setattr("fleet.commands.doctor.examine", lambda *_, **__: iter(rows))
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out == (
        "ok       one      is right\n"
        "warning  another  [bold]odd\n"
        "                  \u2192 type this\n"
        "2 checks: 0 faults, 1 warning\n"
    )
    rows.append(Check("last", Verdict.FAULT, "is broken"))
    assert cli.main(["doctor"]) == 1


def test_what_others_say_is_one_short_line() -> None:
    assert tidy("a\n\x1b[31mb\tc") == "a ?[31mb c"
    assert len(tidy("x" * 10_000)) == LONGEST + 1


def test_files_that_nobody_can_read_are_no_traceback() -> None:
    error = FleetError.of("fleet.yaml", "cannot be read: Permission denied", "chmod u+r fleet.yaml")
    found = only(files.undescribed(error))
    assert (found.what, found.fix) == ("fleet.yaml", "chmod u+r fleet.yaml")
