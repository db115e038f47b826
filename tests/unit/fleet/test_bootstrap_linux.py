"""The script for a Linux machine's console, run on machines that are fresh, wrong, or half done."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.bootstrap import inside_windows, script_for
from fleet.lock import ArtifactsLock
from fleet.model import load_fleet
from fleet.view import HostView
from tests.unit.fleet.fresh import FINGERPRINT, Fresh
from tests.unit.fleet.test_trust import key

KEY = f"{key('w')} somebody's laptop"
SYSTEMS = {
    "berry": {},
    "boss": {"machine": "x86_64", "addresses": "10.0.0.1"},
    "deb": {"machine": "x86_64", "userland": "amd64", "addresses": "10.0.0.5"},
    "ubu": {"addresses": "10.0.0.6"},
    "win": {
        "machine": "x86_64",
        "userland": "amd64",
        "addresses": "172.20.0.9",
        "release": "5.15.1-microsoft-standard-WSL2",
    },
}
IDS = {"boss": "arch", "ubu": "ubuntu"}
Render = Callable[[str], str]
MORE = """\
  ubu: {role: pi, os: ubuntu, arch: aarch64, cores: 4, addresses: {lan: 10.0.0.6}}
"""


@pytest.fixture
def render(fleet_file: Path) -> Render:
    """The script of a host: of the small fleet, with Ubuntu, and Debian in WSL on port 2222."""
    text = fleet_file.read_text()
    win = "addresses: {lan: 10.0.0.4}}"
    assert win in text
    text = text.replace(win, "addresses: {lan: 10.0.0.4}, ssh: {port: 2222}}")
    debian = text.replace(
        "  boss: {role: orchestrator, os: arch", "  deb: {role: orchestrator, os: debian"
    )
    fleet_file.write_text(text + MORE)
    other = fleet_file.with_name("debian.yaml")
    other.write_text(debian.replace("10.0.0.1}", "10.0.0.5}"))

    def script(name: str) -> str:
        fleet = load_fleet(other if name == "deb" else fleet_file)
        view = HostView(fleet, fleet.host(name), ArtifactsLock())
        return (inside_windows if name == "win" else script_for)(view, (KEY,)).text

    return script


def machine(root: Path, name: str, /, **says: str) -> Fresh:
    """A fresh machine of the system that a host has."""
    fresh = Fresh(root / name, **{**SYSTEMS[name], **says})
    fresh.file("/etc/os-release").write_text(f"ID={IDS.get(name, 'debian')}\n")
    return fresh


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_fresh_machine_becomes_one_of_the_fleet(
    name: str, render: Render, tmp_path: Path
) -> None:
    fresh = machine(tmp_path, name)
    fresh.without_ssh()
    ended = fresh.run(render(name))
    assert (ended.code, ended.said("missing")) == (0, []), ended.out + ended.err
    assert "there is a login admin" in ended.said("changed")
    line = f"\n  fleet trust {name} --fingerprint {FINGERPRINT}\n"
    assert ended.out.endswith(line)
    home = fresh.file("/home/admin/.ssh")
    assert (home / "authorized_keys").read_text() == f"{KEY}\n"
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "authorized_keys").stat().st_mode & 0o777 == 0o600
    rule = fresh.file("/etc/sudoers.d/agentfleet-admin")
    assert rule.read_text() == "admin ALL=(ALL) NOPASSWD: ALL\n"
    assert rule.stat().st_mode & 0o777 == 0o440
    assert (fresh.state / "serving").read_text() == ("2222\n" if name == "win" else "22\n")
    assert [one.name for one in (fresh.state / "enabled").iterdir()] == [
        "sshd.service" if name == "boss" else "ssh.service"
    ]


@pytest.mark.parametrize("name", SYSTEMS)
def test_again_nothing_changes(name: str, render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, name)
    first = fresh.run(render(name))
    before, log = fresh.files(), fresh.log
    ended = fresh.run(render(name))
    assert ended.code == 0
    assert (ended.said("changed"), ended.said("would change")) == ([], [])
    assert (fresh.files(), fresh.log) == (before, log)
    assert ended.out.splitlines()[-1] == first.out.splitlines()[-1]


@pytest.mark.parametrize("name", SYSTEMS)
def test_to_check_changes_nothing(name: str, render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, name)
    fresh.without_ssh()
    before = fresh.files()
    ended = fresh.run(render(name), "--check")
    assert ended.code == 0, ended.out + ended.err
    assert fresh.files() == before
    assert ended.said("changed") == []
    would = ended.said("would change")
    assert "there is a login admin" in would
    assert "admin takes the keys of the fleet's operators" in would
    assert ended.out.endswith("Nothing was changed.\n"), "it is not ready"


def test_to_check_what_is_done(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.run(render("berry"))
    ended = fresh.run(render("berry"), "--check")
    assert (ended.code, ended.said("would change")) == (0, [])
    assert "fleet trust berry" in ended.out


WRONG = [
    ("berry", {"kernel": "Darwin"}, "this is Darwin; berry is Linux"),
    ("berry", {"machine": "x86_64"}, "the kernel is made for x86_64; berry is aarch64"),
    ("berry", {"userland": "armhf"}, "its programs are made for armhf; berry needs arm64"),
    ("berry", {"machine": "armv7l", "userland": "armhf"}, "the kernel is made for armv7l"),
    ("berry", {"uid": "1000"}, "only root may do this"),
    ("berry", {"addresses": ""}, "this machine has no address in a network"),
    ("berry", {"addresses": "10.0.0.2"}, "this is mac: fleet.yaml knows 10.0.0.2 as that host"),
    ("berry", {"name": "boss"}, "this is boss: fleet.yaml knows boss as that host"),
    ("berry", {"release": "5.15-microsoft-standard-WSL2"}, "this is the WSL of a Windows PC"),
    ("win", {"release": "6.1.0"}, "this is no WSL"),
    ("boss", {"bits": "32"}, "its programs are of 32 bits"),
]


@pytest.mark.parametrize(("name", "says", "word"), WRONG)
def test_a_wrong_machine_is_left_alone(
    name: str, says: dict[str, str], word: str, render: Render, tmp_path: Path
) -> None:
    fresh = machine(tmp_path, name, **says)
    before = fresh.files()
    ended = fresh.run(render(name))
    assert ended.code == 1
    assert word in ended.err
    assert ended.err.lstrip().startswith("Nothing was changed. Missing:")
    assert fresh.files() == before
    assert "fleet trust" not in ended.out


def test_another_distribution(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.file("/etc/os-release").write_text("ID=fedora\n")
    ended = fresh.run(render("berry"))
    assert ended.code == 1
    assert "this system calls itself fedora; berry is raspios" in ended.err
    assert fresh.log == []


def test_all_that_is_missing_is_said_at_once(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry", uid="1000", userland="armhf", addresses="")
    fresh.file("/run/systemd/system").rmdir()
    ended = fresh.run(render("berry"))
    for word in ("armhf", "only root", "no address", "systemd does not run"):
        assert word in ended.err
    assert "sudo sh berry.sh" in ended.err
    assert fresh.log == []


@pytest.mark.parametrize("name", ["berry", "boss"])
def test_without_the_internet_nothing_is_begun(name: str, render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, name)
    fresh.without_ssh()
    fresh.say("offline")
    before = fresh.files()
    ended = fresh.run(render(name))
    assert ended.code == 1
    package = "openssh" if name == "boss" else "openssh-server"
    assert f"cannot be downloaded: {package} (" in ended.err
    assert "no route" in ended.err
    fresh.state.joinpath("log").unlink()
    assert fresh.files() == before


def test_what_is_installed_needs_no_internet(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.say("offline")
    assert fresh.run(render("berry")).code == 0
    assert not [line for line in fresh.log if line.startswith("apt-get")]


def test_keys_that_are_there_stay(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.state.joinpath("users/admin").touch()
    file = fresh.file("/home/admin/.ssh/authorized_keys")
    file.parent.mkdir(parents=True)
    file.write_text(f"# {KEY}\n{key('x')} old, without an end of line")
    assert fresh.run(render("berry")).code == 0
    lines = file.read_text().splitlines()
    assert lines == [f"# {KEY}", f"{key('x')} old, without an end of line", KEY]


def test_a_key_with_another_comment_is_the_same(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.run(render("berry"))
    file = fresh.file("/home/admin/.ssh/authorized_keys")
    file.write_text(f'from="10.0.0.0/8" {key("w")} renamed\n')
    ended = fresh.run(render("berry"))
    assert ended.said("changed") == []
    assert file.read_text().count("ssh-ed25519") == 1


def test_keys_behind_a_link_are_not_written(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.state.joinpath("users/admin").touch()
    fresh.file("/home/admin").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fresh.file("/home/admin/.ssh").symlink_to(elsewhere)
    ended = fresh.run(render("berry"))
    assert ended.code == 1
    assert "not so: admin takes the keys" in ended.err
    assert list(elsewhere.iterdir()) == []


def test_a_home_that_others_may_write_to(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.run(render("berry"))
    fresh.file("/home/admin").chmod(0o775)
    ended = fresh.run(render("berry"))
    assert ended.code == 1
    assert f"chmod go-w {fresh.file('/home/admin')}" in ended.err
    assert "fleet trust" not in ended.out


@pytest.mark.parametrize(
    ("says", "word"),
    [
        ("pubkeyauthentication no", "sshd takes no keys"),
        ("allowusers pi\nallowusers administrator", "sshd lets only these in: pi administrator"),
        ("allowusers pi\nallowusers admin", ""),
        ("allowusers admin@10.0.0.*", ""),
    ],
)
def test_an_sshd_that_lets_the_login_in_or_not(
    says: str, word: str, render: Render, tmp_path: Path
) -> None:
    ended = machine(tmp_path, "berry", says=says).run(render("berry"))
    assert ended.code == (1 if word else 0)
    assert word in ended.err


@pytest.mark.parametrize(("rule", "code"), [("80/tcp ALLOW", 1), ("OpenSSH   ALLOW", 0)])
def test_a_firewall_of_the_system(rule: str, code: int, render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    ufw = fresh.file("/bin/ufw")
    ufw.write_text(f"#!/bin/sh\necho 'Status: active'; echo '{rule}   Anywhere'\n")
    ufw.chmod(0o755)
    ended = fresh.run(render("berry"))
    assert ended.code == code
    assert ("ufw allow 22/tcp" in ended.err) is (code == 1)


def test_a_server_that_dies(render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    fresh.say("dies")
    ended = fresh.run(render("berry"))
    assert ended.code == 1
    assert "journalctl -u ssh.service" in ended.err


def test_an_address_that_is_not_the_one_of_the_file(render: Render, tmp_path: Path) -> None:
    ended = machine(tmp_path, "berry", addresses="10.9.9.9").run(render("berry"))
    assert ended.code == 0
    assert "fleet.yaml says 10.0.0.3, and this machine has 10.9.9.9" in ended.out


def test_a_port_that_sshd_would_not_start_with_is_taken_back(
    render: Render, tmp_path: Path
) -> None:
    fresh = machine(tmp_path, "win")
    fresh.say("refuses")
    ended = fresh.run(render("win"))
    assert ended.code == 1
    assert "not so: sshd listens on port 2222" in ended.err
    assert not fresh.file("/etc/ssh/sshd_config.d/05-agentfleet-port.conf").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "[boot]\nsystemd=true\n"),
        ("[network]\nhostname = x\n", "[network]\nhostname = x\n[boot]\nsystemd=true\n"),
        (
            "[boot]\ncommand = a\nsystemd = false\n[user]\nsystemd=false\n",
            "[boot]\nsystemd=true\ncommand = a\n[user]\nsystemd=false\n",
        ),
        ("[boot]\nsystemd = true\n", "[boot]\nsystemd = true\n"),
    ],
)
def test_systemd_in_wsl(before: str | None, after: str, render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "win")
    fresh.file("/run/systemd/system").rmdir()
    conf = fresh.file("/etc/wsl.conf")
    if before is not None:
        conf.write_text(before)
    ended = fresh.run(render("win"))
    assert ended.code == 1
    assert "wsl.exe --shutdown" in ended.err
    assert conf.read_text() == after
    fresh.file("/run/systemd/system").mkdir()
    assert fresh.run(render("win")).code == 0


@pytest.mark.parametrize("words", [("--chek",), ("--check", "x"), ("--help",)])
def test_wrong_usage(words: tuple[str, ...], render: Render, tmp_path: Path) -> None:
    fresh = machine(tmp_path, "berry")
    ended = fresh.run(render("berry"), *words)
    assert ended.code == 64
    assert ended.err == "usage: sudo sh berry.sh [--check]\n"
    assert fresh.log == []


def test_half_a_script_does_nothing(render: Render, tmp_path: Path) -> None:
    """A download that was cut: at any line."""
    lines = render("berry").splitlines(keepends=True)
    fresh = machine(tmp_path, "berry")
    before = fresh.files()
    for end in range(0, len(lines) - 2, 23):
        fresh.run("".join(lines[:end]))
        assert fresh.files() == before, f"cut at line {end}"


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("shell", [["sh"], ["dash"], ["bash", "--posix"]])
def test_it_parses(name: str, shell: list[str], render: Render) -> None:
    try:
        done = subprocess.run(
            [*shell, "-n"], input=render(name), text=True, capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip(f"there is no {shell[0]} here")
    assert (done.returncode, done.stderr) == (0, "")
