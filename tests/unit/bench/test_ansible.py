"""Ansible beside us: the same state in its words, its calls counted, its verdict read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import ansible
from bench.ansible import Measured, Play, hang_up, home, inventory, lines, recap, variables, x86
from bench.state import State, state_of
from fleet.model import load_fleet
from fleet.plan import ONLY, view_of
from fleet.resources import Directory, File, Manager
from tests.golden import target, views

needs_ansible = pytest.mark.skipif(
    not (home() / "ready").exists(), reason="`make bench` has not installed Ansible here yet"
)
LINUX = ("arch-orchestrator", "windows-desktop", "windows-laptop")


def test_all_three_are_compared_where_all_three_work() -> None:
    assert x86(target()) == LINUX


def test_the_state_is_what_agentfleet_wants_without_what_only_it_can() -> None:
    view = views()["arch-orchestrator"]
    state = state_of(view)
    assert state.manager is Manager.PACMAN
    assert state.items > 28
    assert not [file for file in state.files if file.secret], "nobody else has its content"
    assert len({file.path for file in state.files}) == len(state.files)
    assert "git" in state.packages
    mac = state_of(views()["imac"])
    assert (mac.manager, mac.packages, mac.users, mac.services) == (None, (), (), ())


def test_one_capability_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ONLY, "base")
    state = state_of(views()["windows-desktop"])
    assert {file.path for file in state.files} >= {"/etc/ssh/sshd_config.d/10-agentfleet.conf"}
    assert state.services == ()
    assert 10 < state.items < 28


def test_the_fleet_of_first_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ONLY, ansible.FIRST)
    fleet = load_fleet(ansible.FIRST_FLEET)
    first = replace(target(), fleet=fleet)
    assert x86(first) == tuple(host.name for host in fleet.hosts), "or it is there for nothing"
    states = {name: state_of(view_of(first, name)) for name in x86(first)}
    assert {state.manager for state in states.values()} == {Manager.PACMAN, Manager.APT}
    assert all(state.packages and state.files for state in states.values())


def test_the_inventory_has_what_each_host_wants(tmp_path: Path) -> None:
    hosts = inventory(target(), LINUX, tmp_path)["all"]["hosts"]
    boss = hosts["arch-orchestrator"]
    assert boss["ansible_host"] == "192.168.50.10"
    assert "StrictHostKeyChecking=yes" in boss["ansible_ssh_common_args"]
    wants = {file.path: file for file in state_of(views()["arch-orchestrator"]).files}
    assert {one["path"] for one in boss["files"]} == set(wants)
    for one in boss["files"]:
        assert Path(one["src"]).read_bytes() == wants[one["path"]].content
        assert one["mode"] == wants[one["path"]].mode
    json.dumps(hosts)


RECAP = """
PLAY RECAP *********************************************************************
hub                        : ok=7    changed=2    unreachable=0    failed=0    skipped=1
one                        : ok=7    changed=0    unreachable=0    failed=0    skipped=1
"""


def test_the_recap() -> None:
    assert recap(RECAP) == {"hub": 2, "one": 0}
    assert recap(RECAP.replace("unreachable=0", "unreachable=1", 1)) == {}
    assert recap(RECAP.replace("failed=0", "failed=1", 1)) == {}
    assert recap("nothing") == {}


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """The counting program, under the name ssh, and a real one that echoes what it is told."""
    real = tmp_path / "real"
    real.mkdir()
    for name in ("ssh", "sftp"):
        (real / name).write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
        (real / name).chmod(0o755)
        (tmp_path / name).symlink_to(ansible.PLAYBOOK / "counted.sh")
    return tmp_path


def call(counted: Path, name: str, *words: str) -> str:
    places = {"ANSIBLE_CALLS": str(counted / "calls"), "ANSIBLE_REAL": str(counted / "real")}
    env = os.environ | places
    return subprocess.run(
        [counted / name, *words], env=env, capture_output=True, text=True, check=True
    ).stdout


def test_calls_are_counted_and_passed_on_as_they_are(counted: Path) -> None:
    words = ("-C", "-o", "ControlMaster=auto", "-o", 'User="a"', "-tt", "10.0.0.1", "sh -c 'x y'")
    assert call(counted, "ssh", *words) == "|".join(words) + "|"
    call(counted, "sftp", "-b", "-", "-o", "Port=22", "[10.0.0.2]")
    call(counted, "ssh", "-o", "ControlPath=/x", "-O", "check", "10.0.0.1")
    call(counted, "ssh", "admin@10.0.0.1", "true")
    told = (counted / "calls").read_text()
    assert told == "ssh 10.0.0.1\nsftp 10.0.0.2\nssh 10.0.0.1\n"


def test_nothing_is_left_to_hang_up(tmp_path: Path) -> None:
    hang_up(tmp_path)


def test_the_report() -> None:
    found = {
        "items": {"hub": 40, "one": 28},
        "ways": {
            "agentfleet": Measured([1.0, 2.0, 3.0], {"hub": 1, "one": 1}).report(),
            "ansible": Measured([30.0], {"hub": 90, "one": 70}).report(),
        },
    }
    title, ours, theirs = lines("a run", found)
    assert title == "a run; items: hub 40, one 28"
    assert "2.00 s   1.00 x" in ours
    assert "15.00 x agentfleet  70 to 90 remote executions a host" in theirs


@needs_ansible
def test_ansible_reads_the_playbook(tmp_path: Path) -> None:
    (tmp_path / "hosts.json").write_text(json.dumps(inventory(target(), LINUX, tmp_path)))
    done = subprocess.run(
        [
            home() / "bin" / "ansible-playbook",
            "--syntax-check",
            "-i",
            tmp_path / "hosts.json",
            ansible.PLAYBOOK / "site.yml",
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ansible.PLAYBOOK / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr


SSH = """#!/bin/sh
for last; do :; done
exec sh -c "$last"
"""
SFTP = """#!/bin/sh
while read -r verb from to; do
    [ "$verb" = put ] && eval "cp $from $to"
done
"""
SUDO = """#!/bin/sh
while :; do case $1 in -u) shift 2 ;; -*) shift ;; *) break ;; esac; done
exec "$@"
"""
DPKG = """#!/bin/sh
for name; do :; done
[ ! -e {folder}/has-$name ] || printf installed
"""
APT = """#!/bin/sh
for word; do case $word in -* | install | update) ;; *) : >{folder}/has-$word ;; esac; done
"""


@needs_ansible
def test_ansible_brings_a_state_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the real Ansible, to a host that is this machine."""
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    programs = {"ssh": SSH, "sftp": SFTP, "sudo": SUDO, "dpkg-query": DPKG, "apt-get": APT}
    for name, body in programs.items():
        (fakes / name).write_text(body.replace("{folder}", str(fakes)))
        (fakes / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{fakes}:{os.environ['PATH']}")
    monkeypatch.setattr(
        ansible, "_counting", lambda scratch: _counting(scratch) | {"ANSIBLE_REAL": str(fakes)}
    )
    me, root = str(os.getuid()), tmp_path / "root"
    state = State(
        manager=Manager.APT,
        packages=("git", "curl"),
        users=(),
        directories=(Directory(str(root), "0750", me, ""),),
        files=(
            File(f"{root}/a", b"one\n", "", "0640", me, ""),
            File(f"{root}/b", b"\0\xff", "", "0600", me, ""),
        ),
        services=(),
    )
    host = {"ansible_host": "192.0.2.1", **variables(state, tmp_path)}
    host["ansible_python_interpreter"] = sys.executable
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"one": host}}}))
    play = Play(home() / "bin", tmp_path)
    changed, calls = play.run(counted=True)
    assert changed == {"one": 3}
    assert calls["one"] > 5
    assert {path.name for path in fakes.glob("has-*")} == {"has-git", "has-curl"}
    assert (root / "b").read_bytes() == b"\0\xff"
    assert (root / "a").stat().st_mode & 0o777 == 0o640
    changed, again = play.run(counted=True)
    assert changed == {"one": 0}
    assert again["one"] < calls["one"]


_counting = ansible._counting
