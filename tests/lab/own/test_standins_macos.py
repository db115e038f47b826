"""The Mac stand-in on real lab hosts: launchd's timing, and what a Mac has and lacks."""

import base64
import plistlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.api import Lab

pytestmark = pytest.mark.lab

LABEL = "org.example.standin"
TARGET = f"system/{LABEL}"
OUT = "/tmp/standin.out"  # noqa: S108 - on a host of the lab
PLIST = f"/Library/LaunchDaemons/{LABEL}.plist"


def mac(lab: Lab, variant: str = "") -> str:
    """The first Mac, or the first with a package manager."""
    for host in lab.hosts:
        if host.kind == "macos" and variant in ("", host.variant):
            return host.name
    pytest.skip(f"this fleet has no Mac with {variant or 'anything'}")


def status(lab: Lab, host: str, text: str) -> int:
    return lab.run(host, text, check=False).returncode


def write(lab: Lab, host: str, **keys: Any) -> None:
    plist = {"Label": LABEL, "ProgramArguments": ["/bin/sleep", "600"], "RunAtLoad": True, **keys}
    text = base64.b64encode(plistlib.dumps(plist)).decode()
    lab.run(host, f"echo {text} | base64 -d > {PLIST} && chmod 644 {PLIST}")


def bootstrap(lab: Lab, host: str, **keys: Any) -> None:
    """Load a job afresh, whatever was there before."""
    lab.run(host, f"launchctl bootout {TARGET}; launchctl enable {TARGET}", check=False)
    until(lambda: status(lab, host, f"launchctl print {TARGET}") == 113)
    write(lab, host, **keys)
    lab.run(host, f"launchctl bootstrap system {PLIST}")


def shown(lab: Lab, host: str) -> dict[str, str]:
    """The simple lines of `launchctl print`."""
    done = lab.run(host, f"launchctl print {TARGET}", check=False)
    pairs = (line.strip().partition(" = ") for line in done.stdout.splitlines())
    return {key: value for key, sign, value in pairs if sign and value != "{"}


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def test_a_mac_and_nothing_else(lab: Lab) -> None:
    host = mac(lab)
    gone = "systemctl journalctl apt-get dpkg ip getent useradd python3 timeout flock sha256sum nft"
    found = lab.run(host, f"for p in {gone}; do command -v $p; done; true").stdout
    assert found == ""
    assert lab.run(host, "uname -sr; sw_vers -productVersion").stdout == "Darwin 22.6.0\n13.6.9\n"
    assert lab.run(host, "echo $PATH").stdout == "/usr/bin:/bin:/usr/sbin:/sbin\n"
    assert lab.run(host, "stat -f '%Su:%Sg %OLp' /etc/passwd").stdout == "root:wheel 644\n"
    assert lab.run(host, "ls -d /etc/os-release /etc/debian_version", check=False).returncode


def test_a_job_runs_as_launchd_runs_it(lab: Lab) -> None:
    host = mac(lab)
    script = "id -un; pwd; ulimit -n; echo $PATH; echo home=$HOME; exec sleep 600"
    bootstrap(lab, host, ProgramArguments=["/bin/sh", "-c", script], UserName="admin",
              WorkingDirectory="/private/var/db", StandardOutPath=OUT)  # fmt: skip
    until(lambda: shown(lab, host).get("state") == "running")
    until(lambda: len(lab.run(host, f"cat {OUT}", check=False).stdout.splitlines()) == 5)
    lines = lab.run(host, f"cat {OUT}").stdout.splitlines()
    assert lines == ["admin", "/var/db", "256", "/usr/bin:/bin:/usr/sbin:/sbin", "home="]


def test_keep_alive_brings_a_killed_process_back(lab: Lab) -> None:
    host = mac(lab)
    bootstrap(lab, host, KeepAlive=True, ThrottleInterval=2)
    until(lambda: "pid" in shown(lab, host))
    first = shown(lab, host)["pid"]
    lab.run(host, f"kill -9 {first}")
    until(lambda: shown(lab, host).get("pid", first) != first)
    after = shown(lab, host)
    assert (after["runs"], after["last terminating signal"]) == ("2", "Killed: 9")
    lab.run(host, f"launchctl kickstart -k {TARGET}")
    until(lambda: shown(lab, host).get("runs") == "3")


def test_bootout_takes_its_time(lab: Lab) -> None:
    host = mac(lab)
    bootstrap(lab, host, KeepAlive=True)
    hasty = f"launchctl bootout {TARGET} && launchctl bootstrap system {PLIST}"
    done = lab.run(host, hasty, check=False)
    assert (done.returncode, done.stderr) == (5, "Bootstrap failed: 5: Input/output error\n")
    until(lambda: status(lab, host, f"launchctl print {TARGET}") == 113)
    lab.run(host, f"launchctl bootstrap system {PLIST}")
    assert status(lab, host, f"launchctl bootstrap system {PLIST}") == 5  # it is loaded


@pytest.mark.parametrize("spoil", ["chmod 666", "chown admin", "chgrp staff"])
def test_a_loose_property_list_is_refused(lab: Lab, spoil: str) -> None:
    host = mac(lab)
    bootstrap(lab, host)
    lab.run(host, f"launchctl bootout {TARGET}")
    until(lambda: status(lab, host, f"launchctl print {TARGET}") == 113)
    lab.run(host, f"{spoil} {PLIST}")
    assert status(lab, host, f"launchctl bootstrap system {PLIST}") == 5
    lab.run(host, f"rm {PLIST}")


def test_a_log_that_the_user_may_not_write(lab: Lab) -> None:
    host = mac(lab)
    bootstrap(lab, host, UserName="admin", StandardErrorPath="/var/log/standin/err.log")
    until(lambda: shown(lab, host).get("last exit code") == "78: EX_CONFIG")


def test_what_a_reboot_brings_back(lab: Lab) -> None:
    host = mac(lab)
    bootstrap(lab, host)
    lab.poweroff(host)
    lab.poweron(host)
    until(lambda: shown(lab, host).get("state") == "running", 30)
    lab.run(host, f"launchctl disable {TARGET}")
    lab.poweroff(host)
    lab.poweron(host)
    until(lambda: status(lab, host, "launchctl print system/com.openssh.sshd") == 0, 30)
    assert status(lab, host, f"launchctl print {TARGET}") == 113
    lab.run(host, f"launchctl enable {TARGET}; rm {PLIST}")


def test_pf_filters_until_the_reboot(lab: Lab) -> None:
    host = mac(lab)
    peer = next(one.name for one in lab.hosts if one.name != host and not one.emulated)
    knock = f"nc -z -w 3 {host} 7777"
    rules, anchor = "/etc/pf.anchors/standin", "com.apple/standin"
    lab.run(host, f"echo 'block return in proto tcp from any to any port 7777' > {rules}")
    lab.run(host, "nc -lk 0.0.0.0 7777 > /dev/null 2>&1 < /dev/null &")
    until(lambda: status(lab, peer, knock) == 0)
    lab.run(host, f"pfctl -a {anchor} -f {rules} && pfctl -E")
    assert status(lab, peer, knock) == 1
    lab.run(host, f"pfctl -a {anchor} -F all")
    assert status(lab, peer, knock) == 0
    lab.run(host, f"pfctl -a {anchor} -f {rules}")
    lab.poweroff(host)
    lab.poweron(host)
    until(lambda: 'anchor "com.apple/*" all' in lab.run(host, "pfctl -sr").stdout.splitlines())
    assert lab.run(host, f"pfctl -a {anchor} -sr; rm {rules}").stdout == ""
    assert "7777" not in lab.run(host, "/opt/standin/libexec/nft list ruleset").stdout


def test_a_user_made_by_dscl_is_one(lab: Lab) -> None:
    host = mac(lab)
    lab.run(host, "for pair in 'UniqueID 398' 'PrimaryGroupID 20' 'UserShell /bin/sh'; do "
                  "dscl . -create /Users/_standin $pair; done")  # fmt: skip
    assert lab.run(host, "sudo -n -u _standin id -un").stdout == "_standin\n"
    lab.run(host, "dscl . -delete /Users/_standin")
    assert status(lab, host, "id _standin") == 1
    assert status(lab, host, "dscl . -read /Users/_standin") == 56


def test_brew_pours_an_iceccd_that_runs(lab: Lab) -> None:
    host = mac(lab, "brew")
    brew = "sudo -n -u admin env HOMEBREW_NO_AUTO_UPDATE=1 /usr/local/bin/brew"
    assert status(lab, host, "/usr/local/bin/brew list") == 1  # as root
    lab.run(host, f"{brew} install --quiet icecream")
    assert lab.run(host, f"{brew} list --versions icecream").stdout == "icecream 1.4\n"
    usage = lab.run(host, "/usr/local/sbin/iceccd --nonsense 2>&1", check=False).stdout
    assert "--no-remote" in usage


def test_icecream_configures_with_macports(lab: Lab) -> None:
    host = mac(lab, "port")
    port = "/opt/local/bin/port"
    assert status(lab, host, f"{port} -N install icecream") == 1
    ports = "pkgconfig autoconf automake libtool lzo2 libarchive zstd"
    lab.run(host, f"{port} -N install {ports}")
    lab.run(
        host,
        "rm -rf /tmp/build && mkdir /tmp/build && cd /tmp/build && "
        "tar xf /srv/artifacts/icecream-1.4.tar.gz && cd * && "
        "export PATH=/opt/local/bin:$PATH && ./autogen.sh && "
        "CPPFLAGS=-I/opt/local/include LDFLAGS=-L/opt/local/lib "
        "./configure --prefix=/usr/local --without-man",
    )
    lab.run(host, "rm -rf /tmp/build")


@pytest.mark.parametrize(
    ("variant", "install", "place"),
    [
        (
            "brew",
            "sudo -n -u admin env HOMEBREW_NO_AUTO_UPDATE=1 /usr/local/bin/brew install llvm@{}",
            "/usr/local/opt/llvm@{}/bin",
        ),
        ("port", "/opt/local/bin/port -N install clang-{}", "/opt/local/libexec/llvm-{}/bin"),
    ],
)
@pytest.mark.parametrize("major", [14, 16])
def test_a_compiler_by_its_major(
    lab: Lab, variant: str, install: str, place: str, major: int
) -> None:
    host = mac(lab, variant)
    compiler = f"{place.format(major)}/clang"
    plain = lab.run(host, "clang --version").stdout
    lab.run(host, install.format(major))
    assert f"version {major}." in lab.run(host, f"{compiler} --version").stdout
    assert lab.run(host, "clang --version").stdout == plain
    assert lab.run(host, f"command -v clang-{major}", check=False).stdout == ""
    source = r"#include <vector>\nint main() { return std::vector<int>{7}.front(); }"
    build = f"printf '{source}' | {compiler}++ -O1 -xc++ - -o /tmp/by-major"
    assert status(lab, host, f"{build} && /tmp/by-major; s=$?; rm /tmp/by-major; exit $s") == 7
