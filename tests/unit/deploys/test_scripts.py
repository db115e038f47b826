"""The helper scripts that hosts get, as rendered for each platform, really run."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from facts.services import RUN_DIR, ServicesProbe
from fleet.resources import File
from tests.golden import files, views
from tests.unit.conftest import SHELLS, FakeProgram, on_linux

pytestmark = on_linux
HOSTS = {"linux": "rpi1", "mac": "imac"}


def rendered(host: str, name: str) -> File:
    (file,) = [file for file in files(views()[host]) if Path(file.path).name == name]
    return file


@dataclass
class Script:
    """A rendered script, made to work below tmp_path."""

    command: list[str]
    env: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, *arguments],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=10)
        return process.returncode, out, err


def script(tmp_path: Path, host: str, name: str, shell: Sequence[str]) -> Script:
    path = tmp_path / name
    text = rendered(host, name).content.decode()
    path.write_text(text.replace(RUN_DIR, str(tmp_path / "run")))
    directory = tmp_path / "bin"
    return Script([*shell, str(path)], {"PATH": f"{directory}:/usr/bin:/bin"})


@pytest.fixture(params=["linux-dash", "mac-bash"])
def platform(request: pytest.FixtureRequest, program: FakeProgram) -> tuple[str, list[str]]:
    """A host and the shell that is its sh."""
    system, shell = request.param.split("-")
    program("shasum", '[ "$1 $2" = "-a 256" ] && shift 2 && exec sha256sum "$@"')
    return HOSTS[system], SHELLS[shell]


@pytest.fixture
def stamp(tmp_path: Path, platform: tuple[str, list[str]]) -> Script:
    return script(tmp_path, platform[0], "stamp", platform[1])


def stamps(tmp_path: Path) -> dict[str, str]:
    """The stamp of the service d as the look reads it."""
    lines = (tmp_path / "run" / "d.stamp").read_text().splitlines()
    probe = ServicesProbe(("agentfleet-d.service",), False, "/s")
    seen = probe.parse(["stamps", f"stamp {RUN_DIR}/d.stamp", *lines, "busy"])
    return dict(seen["agentfleet-d.service"].stamp or {})


def test_stamp_notes_what_the_look_compares(stamp: Script, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two words"
    one.write_text("1")
    two.write_text("2")
    assert stamp.run("d", str(one), str(two), str(tmp_path / "absent")) == (0, "", "")
    assert stamps(tmp_path) == {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (one, two)
    }
    mode = (tmp_path / "run" / "d.stamp").stat().st_mode & 0o777
    assert mode == 0o600, "a digest of a short secret gives it away"
    assert not (tmp_path / "run" / "d.pid").exists()


def test_stamp_becomes_the_command(stamp: Script, tmp_path: Path) -> None:
    words = ["sh", "-c", 'umask; printf "<%s>" "$@"; echo $$', "x", "a b", "", "--", "$HOME"]
    process = stamp.start("d", "/etc/passwd", "--", *words)
    out, _ = process.communicate(timeout=10)
    umask, said = out.splitlines()
    assert umask == "0022", "the service's files are not the stamp's business"
    assert said == f"<a b><><--><$HOME>{process.pid}"
    assert (tmp_path / "run" / "d.pid").read_text() == f"{process.pid}\n"
    assert list(stamps(tmp_path)) == ["/etc/passwd"]


def test_a_new_stamp_replaces_the_old_one(stamp: Script, tmp_path: Path) -> None:
    stamp.run("d", "/etc/passwd")
    stamp.run("d")
    assert stamps(tmp_path) == {}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["d.stamp"]


IP = """cat <<'EOF'
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 192.168.50.31/24 brd 192.168.50.255 scope global eth0\\       valid_lft forever
3: docker0    inet 100.63.0.1/10 scope global docker0\\       valid_lft forever
4: tailscale0    inet 100.101.0.5/32 scope global tailscale0\\       valid_lft forever
EOF"""
IFCONFIG = """cat <<'EOF'
lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384
\tinet 127.0.0.1 netmask 0xff000000
en0: flags=8863<UP,BROADCAST,SMART,RUNNING> mtu 1500
\tether 00:11:22:33:44:55
\tinet6 fe80::1%en0 prefixlen 64
\tinet 192.168.50.22 netmask 0xffffff00 broadcast 192.168.50.255
bridge0: flags=8863<UP> mtu 1500
\tinet 100.63.0.1 netmask 0xffffff00
tailscale0: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1280
\tinet 100.101.0.5 --> 100.101.0.5 netmask 0xffffffff
EOF"""


@pytest.fixture
def waiter(tmp_path: Path, platform: tuple[str, list[str]], program: FakeProgram) -> Script:
    program("ip", IP)
    program("ifconfig", IFCONFIG)
    found = script(tmp_path, platform[0], "with-interface", platform[1])
    path = Path(found.command[-1])
    path.write_text(path.read_text().replace("/sbin/ifconfig", "ifconfig"))
    return found


@pytest.mark.parametrize("address", ["100.101.0.5"])
def test_the_interface_is_found_by_its_address(waiter: Script, address: str) -> None:
    code, out, err = waiter.run(
        address, "printf", "<%s>", "-i", "{interface}", "a b", "x{interface}"
    )
    assert (code, err) == (0, "")
    assert out == "<-i><tailscale0><a b><x{interface}>"


def test_a_part_of_an_address_is_not_the_address(waiter: Script, tmp_path: Path) -> None:
    (tmp_path / "bin" / "sleep").write_text("#!/bin/sh\nkill $PPID\n")
    (tmp_path / "bin" / "sleep").chmod(0o755)
    code, out, err = waiter.run("100.101.0.50", "echo", "started")
    assert code == -signal.SIGTERM
    assert out == ""
    assert err.startswith("waiting for an interface with the address 100.101.0.50\n")


def test_it_waits_until_the_tunnel_is_up(waiter: Script, tmp_path: Path) -> None:
    for tool in ("ip", "ifconfig"):
        path = tmp_path / "bin" / tool
        path.write_text(path.read_text().replace("cat <<", f"[ -e {tmp_path}/up ] && cat <<"))
    (tmp_path / "bin" / "sleep").write_text("#!/bin/sh\nexec /usr/bin/sleep 0.05\n")
    (tmp_path / "bin" / "sleep").chmod(0o755)
    process = waiter.start("100.101.0.5", "echo", "{interface}")
    time.sleep(0.3)
    assert process.poll() is None
    (tmp_path / "up").touch()
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "tailscale0\n")
    assert err.count("waiting for an interface") == 1, "said once"


@pytest.fixture
def sshd_check(tmp_path: Path, program: FakeProgram) -> Script:
    """The check that stands before the settings of sshd, on a machine below tmp_path."""
    file = rendered("rpi1", "10-agentfleet.conf")
    text = file.check.replace("{path}", str(tmp_path / "staged"))
    for old, new in (
        ("/etc/ssh/sshd_config;", f"{tmp_path}/sshd_config;"),
        ("/usr/sbin/sshd", str(tmp_path / "bin" / "sshd")),
        ('$(eval echo "~$login")', str(tmp_path)),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "check"
    path.write_text(text)
    program("sshd", f'echo "$*" >\'{tmp_path}/asked\'; exit "${{SSHD:-0}}"')
    (tmp_path / "sshd_config").write_text("# Port 22\nInclude /etc/ssh/sshd_config.d/*.conf\n")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "authorized_keys").write_text("ssh-ed25519 AAAA\n")
    return Script(["sh", str(path)], {"PATH": os.environ["PATH"]})


def test_sshd_settings_pass_where_they_work(sshd_check: Script, tmp_path: Path) -> None:
    assert sshd_check.run() == (0, "", "")
    assert (tmp_path / "asked").read_text() == f"-t -f {tmp_path}/staged\n"


def test_sshd_settings_are_refused_where_they_lock_out(sshd_check: Script, tmp_path: Path) -> None:
    (tmp_path / ".ssh" / "authorized_keys").write_text("")
    code, _, err = sshd_check.run()
    assert code == 1
    assert "turning passwords off would lock admin out; put a key there first" in err


def test_sshd_settings_are_refused_where_nobody_reads_them(
    sshd_check: Script, tmp_path: Path
) -> None:
    (tmp_path / "sshd_config").write_text("# Include /etc/ssh/sshd_config.d/*.conf\n")
    code, _, err = sshd_check.run()
    assert code == 1
    assert "add that Include as its first line" in err


def test_sshd_settings_are_refused_when_sshd_does(sshd_check: Script) -> None:
    sshd_check.env["SSHD"] = "255"
    assert sshd_check.run()[0] == 255


# logs


def test_a_log_goes_on_after_it_was_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line opens the file anew, and the daemon's process is still the one that was started."""
    log = tmp_path / "d.log"
    body = "echo $$; echo first; read -r _ <go; echo second >&2; read -r _ <go; printf third"
    helper = script(tmp_path, HOSTS["mac"], "with-log", SHELLS["bash"])
    (tmp_path / "go").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "go")
    # Open all the time: else a reader may meet the end of the line before, and leave us waiting.
    go = os.fdopen(os.open(tmp_path / "go", os.O_RDWR), "wb", buffering=0)
    monkeypatch.chdir(tmp_path)
    process = helper.start(str(log), "sh", "-c", body)
    _await(lambda: log.exists() and "first" in log.read_text())
    assert log.read_text().split() == [str(process.pid), "first"]
    log.rename(tmp_path / "d.log.0")
    go.write(b"\n")
    _await(lambda: log.exists() and "second" in log.read_text())
    go.write(b"\n")
    assert process.wait(10) == 0
    go.close()
    _await(lambda: "third" in log.read_text())
    assert log.read_text() == "second\nthird\n"
    assert list((tmp_path / "run").iterdir()) == [], "the pipe has no name any more"
    assert log.stat().st_mode & 0o007 == 0


def _await(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
