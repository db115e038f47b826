"""One service model, two renderings: what a unit and a LaunchDaemon make of it."""

from __future__ import annotations

import plistlib
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleet.daemons import HARDENING, daemon
from fleet.resources import RestartPolicy, Service
from fleet.view import HostView
from tests.golden import views

LINUX, MAC = "rpi1", "imac"


def view(name: str) -> HostView:
    return views()[name]


def service(**more: Any) -> Service:
    return Service(**{"name": "d", "description": "a daemon", "command": ("/usr/bin/d",)} | more)


def unit(**more: Any) -> dict[str, str]:
    """The unit's lines, by key; the last one of each."""
    (file, *_), _ = daemon(view(LINUX), service(**more))
    return dict(line.split("=", 1) for line in file.content.decode().splitlines() if "=" in line)


def job(**more: Any) -> dict[str, Any]:
    (file, *_), _ = daemon(view(MAC), service(**more))
    found: dict[str, Any] = plistlib.loads(file.content)
    return found


def test_names_and_inputs() -> None:
    (file, *_), running = daemon(
        view(LINUX), service(inputs=("/in",), wait_for_address="100.64.0.1")
    )
    assert file.path == "/etc/systemd/system/agentfleet-d.service"
    assert running.name == "agentfleet-d.service"
    helper = "/usr/local/libexec/agentfleet/with-interface"
    assert running.inputs == (file.path, helper, "/in")
    (file, *_), running = daemon(view(MAC), service(inputs=("/in",)))
    assert file.path == "/Library/LaunchDaemons/org.agentfleet.d.plist"
    assert (running.name, running.inputs) == (
        "org.agentfleet.d",
        (file.path, "/usr/local/libexec/agentfleet/with-log", "/in"),
    )


def test_what_is_stamped_is_what_is_compared() -> None:
    """Else a service would start anew at every run."""
    more: dict[str, Any] = {"inputs": ("/in", "/also"), "wait_for_address": "100.64.0.1"}
    _, running = daemon(view(LINUX), service(**more))
    assert unit(**more)["ExecStartPre"].split()[1:] == ["d", *running.inputs]
    _, running = daemon(view(MAC), service(**more))
    words = job(**more)["ProgramArguments"]
    assert words[1 : words.index("--")] == ["d", *running.inputs]


def test_policy_and_question_reach_the_operation() -> None:
    _, running = daemon(view(LINUX), service(policy=RestartPolicy.WHEN_IDLE, busy="is-busy"))
    assert (running.policy, running.busy) == (RestartPolicy.WHEN_IDLE, "is-busy")


def test_user_nice_environment() -> None:
    more: dict[str, Any] = {"user": "joe", "nice": 5, "environment": {"B": "2", "A": "1"}}
    lines = unit(**more)
    assert (lines["User"], lines["Nice"]) == ("joe", "5")
    found = job(**more | {"user": "root"})
    assert found["Nice"] == 5
    assert found["EnvironmentVariables"].keys() == {"PATH", "A", "B"}
    assert "User" not in unit()
    assert "UserName" not in job()


def test_another_user_comes_last_on_a_mac() -> None:
    """What is before it writes where that user may not."""
    words = job(user="u", wait_for_address="100.64.0.1")["ProgramArguments"]
    command = words[words.index("--") + 1 :]
    assert command[2:] == [
        *("/usr/local/libexec/agentfleet/with-interface", "100.64.0.1"),
        *("/usr/sbin/chroot", "-u", "u", "-g", "u", "-G", "u", "/"),
        "/usr/bin/d",
    ]
    assert "UserName" not in job(user="u")


def test_launchd_keeps_no_credentials() -> None:
    with pytest.raises(ValueError, match="no credentials"):
        job(credentials={"key": "/etc/key"})


def test_a_log_can_be_rotated() -> None:
    log = "/var/log/agentfleet/d.log"
    words = job()["ProgramArguments"]
    assert words[-3:] == ["/usr/local/libexec/agentfleet/with-log", log, "/usr/bin/d"]
    (_, rotation), _ = daemon(view(MAC), service())
    assert rotation.path == "/etc/newsyslog.d/agentfleet-d.conf"
    assert rotation.content.decode().splitlines()[-1].split() == [
        log,
        "640",
        "5",
        "5120",
        "*",
        "NZ",
    ]
    assert job(hup_reopens=True)["ProgramArguments"][-2:] == ["--", "/usr/bin/d"]
    (_, rotation), _ = daemon(view(MAC), service(hup_reopens=True))
    assert rotation.content.decode().split()[-2:] == ["/var/run/agentfleet/d.pid", "1"]


def test_a_unit_with_secrets_a_group_and_a_limit() -> None:
    found = unit(credentials={"key": "/etc/key"}, group="g", memory_max="75%", user="u")
    assert (found["LoadCredential"], found["Group"], found["User"]) == ("key:/etc/key", "g", "u")
    assert (found["MemoryMax"], found["OOMPolicy"]) == ("75%", "continue")


def test_what_is_not_hardened_says_why() -> None:
    (file, *_), _ = daemon(view(LINUX), service(unconfined="it may become root"))
    text = file.content.decode()
    assert "# Not hardened: it may become root\nUMask=0022\n" in text
    assert "Protect" not in text
    assert "NoNewPrivileges" not in text


def test_off_is_said_of_what_runs() -> None:
    _, running = daemon(view(LINUX), service(off=True))
    assert running.off


def test_hardened_by_default_and_loosened_with_a_reason() -> None:
    lines = unit()
    assert {key: lines[key] for key in HARDENING} == HARDENING
    loose = {"ProtectHome": ("read-only", "reads homes"), "ReadWritePaths": ("/x", "writes there")}
    (file, *_), _ = daemon(view(LINUX), service(exceptions=loose))
    text = file.content.decode()
    assert "# reads homes\nProtectHome=read-only\n" in text
    assert "# writes there\nReadWritePaths=/x\n" in text
    assert text.count("ProtectHome=") == 1


def test_a_bare_name_is_found_on_the_path_of_the_service() -> None:
    """systemd itself would look in places of its own."""
    lines = unit(command=("d", "-x"), path=("/opt/d/sbin", "/usr/bin"))
    assert lines["ExecStart"] == "/usr/bin/env d -x"
    assert lines["Environment"] == "PATH=/opt/d/sbin:/usr/bin"


AWKWARD = ("/usr/bin/d", "100%", "$HOME", "a b", "it's", 'say "x"', "back\\slash", "semi;colon")


def test_words_mean_themselves_in_both() -> None:
    assert job(command=AWKWARD)["ProgramArguments"][-len(AWKWARD) :] == list(AWKWARD)
    written = unit(command=AWKWARD)["ExecStart"]
    assert "100%%" in written
    assert "$$HOME" in written
    read = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(written)]
    assert read == list(AWKWARD)


def test_systemd_itself_reads_the_words_so(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze here")
    (file, *_), _ = daemon(
        view(LINUX), service(command=("/bin/true", *AWKWARD[1:]), environment={"A": "100% b"})
    )
    text = file.content.decode().replace("/usr/local/libexec/agentfleet/stamp", "/bin/true")
    path = tmp_path / "agentfleet-d.service"
    path.write_text(text)
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert [line for line in run.stderr.splitlines() if path.name in line] == []


def test_a_note_stands_in_both_and_breaks_neither() -> None:
    note = "takes --no-remote & <nothing>"
    (file, *_), _ = daemon(view(LINUX), service(note=note))
    assert f"# {note}\n" in file.content.decode()
    (file, *_), _ = daemon(view(MAC), service(note=note))
    assert b"no-remote" in file.content
    assert plistlib.loads(file.content)["Label"] == "org.agentfleet.d"
    assert file.check == "plutil -lint -s {path}"


def test_what_stands_behind_the_wall_starts_after_it_and_falls_with_it() -> None:
    found = unit(behind_wall=True)
    assert found["BindsTo"] == "agentfleet-wall.service"
    assert found["After"] == "network-online.target agentfleet-wall.service"
    # Pulled in again by the wall's next start: what was stopped with a unit does not return alone.
    assert found["WantedBy"] == "multi-user.target agentfleet-wall.service"
    assert "BindsTo" not in unit()
    assert unit()["WantedBy"] == "multi-user.target"


def test_a_mac_waits_for_the_wall_before_all_else() -> None:
    words = job(behind_wall=True, wait_for_address="100.64.0.1")["ProgramArguments"]
    libexec = "/usr/local/libexec/agentfleet"
    command = words[words.index("--") + 1 :]
    assert command[:4] == [
        *(f"{libexec}/with-log", "/var/log/agentfleet/d.log"),
        *(f"{libexec}/behind-wall", "org.agentfleet.d"),
    ]
    assert command[4:] == [f"{libexec}/with-interface", "100.64.0.1", "/usr/bin/d"]
    assert {f"{libexec}/behind-wall", f"{libexec}/with-interface"} < set(words[: words.index("--")])


def test_an_early_daemon_is_there_before_the_network_and_prepared() -> None:
    (file, *_), _ = daemon(view(LINUX), service(early=True, prepare=("/usr/bin/d", "load it")))
    lines = file.content.decode().splitlines()
    assert "Before=network-pre.target shutdown.target" in lines
    assert "After=network-online.target" not in lines
    prepared = lines.index('ExecStartPre=/usr/bin/d "load it"')
    assert prepared < lines.index("ExecStart=/usr/bin/d")
