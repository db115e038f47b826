"""A host with nothing but its system joins by the printed script and `fleet trust`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.bootstrap import inside_windows
from fleet.kinds import Role
from fleet.lock import ArtifactsLock
from fleet.model import load_fleet
from fleet.target import ROOT
from fleet.view import HostView
from lab import remote
from lab.api import Lab
from tests.lab import runs
from tests.lab.joining import as_real, of_kind
from tests.lab.runs import LONGEST_S, converge

SCRIPT = "/var/tmp/bootstrap.sh"  # noqa: S108 - on the host
# What is left is what a fresh install has: no login of ours, no key, no rule, no host key, no sshd.
# On Arch's stand-in the unit is an alias, which disabling would remove for good.
BARE = """
systemctl {stop}
rm -f /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/*agentfleet* /etc/sudoers.d/admin
sed -i '/^Port/d' /etc/ssh/sshd_config.d/00-lab.conf
loginctl terminate-user admin 2>/dev/null
userdel -rf admin 2>/dev/null
! id admin 2>/dev/null
"""
BARE_MAC = """
systemsetup -f -setremotelogin off
rm -rf /Users/admin/.ssh /etc/sudoers.d/admin /etc/ssh/sshd_config.d/*agentfleet*
pmset -a sleep 1 disksleep 10
"""


@pytest.fixture
def real(lab: Lab, tmp_path: Path) -> Path:
    return as_real(lab, tmp_path / "fleet.yaml")


def fleet(real: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The `fleet` command, with no word of a lab."""
    environment = {key: value for key, value in os.environ.items() if key != "FLEET_TARGET"}
    cache = str(real.with_name("cache"))
    return subprocess.run(
        [sys.executable, "-m", "fleet", *words],
        cwd=ROOT,
        env=environment | {"FLEET_FILE": str(real), "AGENTFLEET_CACHE": cache},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )


def printed(real: Path, name: str) -> str:
    """The script of a host; of a Windows PC what runs inside its WSL."""
    known = load_fleet(real)
    host = known.host(name)
    if host.role is Role.WINDOWS_WSL:
        return inside_windows(HostView(known, host, ArtifactsLock())).text
    said = fleet(real, "bootstrap", name)
    assert said.returncode == 0, said.stderr
    return said.stdout


def strip(lab: Lab, name: str, kind: str) -> None:
    """Leave a host with what a fresh install has."""
    remote.hang_up(lab.place, [name])
    stop = "stop sshd.service" if kind == "arch" else "disable --now ssh.service"
    text = BARE_MAC if kind == "macos" else BARE.format(stop=stop)
    done = lab.console(name, "sh", "-c", text)
    assert done.returncode == 0, done.stdout + done.stderr
    host = lab.fleet.host(name)
    assert not remote.listens(str(host.addresses.lan), host.ssh.port)


def stages(said: subprocess.CompletedProcess[str]) -> set[str]:
    return {one["stage"] for one in json.loads(said.stdout)["hosts"]}


def test_how_far_everybody_is(lab: Lab, real: Path) -> None:
    """As members of the lab; and as strangers, whose keys nobody has pinned."""
    members = runs.fleet("bootstrap", "--status", "--json")
    assert (members.returncode, stages(members)) == (0, {"converged"}), members.stderr
    strangers = fleet(real, "bootstrap", "--status", "--json")
    assert (strangers.returncode, stages(strangers)) == (2, {"answers SSH"})


@pytest.mark.parametrize("kind", ["raspios", "arch", "wsl", "macos"])
def test_a_bare_host_joins(kind: str, lab: Lab, real: Path) -> None:
    name = of_kind(lab, kind)
    strip(lab, name, kind)
    lab.console(name, "sh", "-c", f"cat >{SCRIPT}", stdin=printed(real, name))

    checked = lab.console(name, "sh", SCRIPT, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "would change  an" in checked.stdout or "would change  Remote Login" in checked.stdout
    first = lab.console(name, "sh", SCRIPT)
    assert first.returncode == 0, first.stdout + first.stderr
    again = lab.console(name, "sh", SCRIPT)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed" not in again.stdout, again.stdout

    lab.up([name])  # its host key is another one now
    words = shlex.split(first.stdout.splitlines()[-1])
    assert words[:3] == ["fleet", "trust", name]
    trusted = fleet(real, *words[1:])
    assert trusted.returncode == 0, trusted.stdout + trusted.stderr
    assert "logs admin in, who becomes root" in trusted.stdout
    run = converge("--limit", name)
    assert run.code == 0, run.output
    at_last = lab.console(name, "sh", SCRIPT)
    assert at_last.returncode == 0, "a member runs it, too"
    assert "changed" not in at_last.stdout, at_last.stdout


def test_at_the_console_of_another_host(lab: Lab, real: Path) -> None:
    name, other = of_kind(lab, "raspios"), of_kind(lab, "raspios", 1)
    lab.console(other, "sh", "-c", f"cat >{SCRIPT}", stdin=printed(real, name))
    done = lab.console(other, "sh", SCRIPT)
    assert done.returncode == 1
    assert f"this is {other}: fleet.yaml knows" in done.stderr
    assert "Nothing was changed" in done.stderr
