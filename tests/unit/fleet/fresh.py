"""A fresh machine in a directory: its files, and stand-ins for what would change a real one.

A script's absolute paths are turned into paths below that directory. No link leads to a program of
the machine that runs the tests; what is not stood in for and could change something fails.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

FINGERPRINT = "SHA256:2bZ9kQ0000000000000000000000000000000000000"
_PATHS = (
    "/etc/",
    "/run/s",
    "/Users/",
    "/var/lib/pacman",
    "/usr/local/bin/brew",
    "/opt/local/bin/port",
    "/tmp/.com",  # noqa: S108 - Apple's own name, replaced here
)
_ALL = {
    "id": 'case $* in -u) cat $S/uid ;; *) [ -e "$S/users/$2" ] ;; esac',
    "uname": "case $1 in -s) cat $S/kernel ;; -m) cat $S/machine ;; -r) cat $S/release ;; "
    "*) cat $S/name ;; esac",
    "chown": 'echo "chown $*" >>$S/log',
    "sleep": ":",
    # There is no such user here: whose a file is cannot be asked.
    "find": 'for word do shift; case $word in -user) skip=yes ;; *) if [ "${skip-}" ]; then skip=; '
    'else set -- "$@" "$word"; fi ;; esac; done; exec /usr/bin/find "$@"',
    "sudo": '[ "$*" = "-n -u admin sudo -k -n true" ] || exit 99\n'
    "cat $ROOT/etc/sudoers.d/* 2>/dev/null | grep -q '^admin .*NOPASSWD: ALL$'",
    "visudo": 'echo "visudo $*" >>$S/log; grep -q "NOPASSWD: ALL$" "$2"',
    "ssh-keygen": 'case $1 in -A) echo "ssh-keygen -A" >>$S/log; mkdir -p $ROOT/etc/ssh\n'
    "echo ssh-ed25519 AAAA >$ROOT/etc/ssh/ssh_host_ed25519_key.pub ;;\n"
    f'*) echo "256 {FINGERPRINT} root@fresh (ED25519)" ;; esac',
    "ssh-keyscan": 'while [ "$1" != -p ]; do shift; done\n'
    'grep -qx "$2" $S/serving 2>/dev/null && echo "127.0.0.1 ssh-ed25519 AAAA" || exit 1',
    "sshd": "[ -e $ROOT/etc/ssh/ssh_host_ed25519_key.pub ] || exit 1\n"
    'ports=$(cat $ROOT/etc/ssh/sshd_config.d/*.conf 2>/dev/null | sed -n "s/^Port /port /p")\n'
    'case $1 in -t) [ ! -e $S/refuses ] ;; *) echo "${ports:-port 22}"; cat $S/says ;; esac',
}
_LINUX = {
    "getent": '[ -e "$S/users/$2" ] && echo "$2:x:1000:1000::$ROOT/home/$2:/bin/bash"',
    "getconf": "echo $(cat $S/bits)",
    "dpkg": "cat $S/userland",
    "ip": 'while read -r a; do echo "2: eth0 inet $a/24 scope global"; done <$S/addresses',
    "useradd": 'echo "useradd $*" >>$S/log; for name do :; done\n'
    "touch $S/users/$name; mkdir -p -m 755 $ROOT/home/$name",
    "apt-get": 'echo "apt-get $*" >>$S/log\n'
    '[ ! -e $S/offline ] || { echo "E: no route"; exit 100; }\n'
    "case $* in *download-only*) ;; *install*) cp $S/sshd $ROOT/bin/sshd ;; esac",
    "pacman": 'echo "pacman $*" >>$S/log\n'
    '[ ! -e $S/offline ] || { echo "error: no route"; exit 1; }\n'
    "case $* in *downloadonly*) ;; *-S*) cp $S/sshd $ROOT/bin/sshd ;; esac",
    "systemctl": '[ "$1" != -q ] || shift\n'
    'case $1 in is-enabled) [ -e "$S/enabled/$2" ]; exit ;; esac\n'
    'echo "systemctl $*" >>$S/log\n'
    'case $1 in enable) touch "$S/enabled/$2" ;;\n'
    "restart) [ -e $S/dies ] || sshd -T | sed -n 's/^port //p' >$S/serving ;; esac",
}
_MAC = {
    "sysctl": "cat $S/silicon",
    "scutil": "cat $S/name",
    "ifconfig": 'echo "	inet 127.0.0.1 netmask 0xff000000"\n'
    'while read -r a; do [ -z "$a" ] || echo "	inet $a netmask 0xffffff00"; done <$S/addresses',
    "dscl": 'verb=$2 path=$3; name=${path##*/}\ncase $verb:$path in\n'
    '-read:*Users*) [ -e "$S/users/$name" ] && echo "NFSHomeDirectory: $ROOT/Users/$name" ;;\n'
    "-read:*access_ssh) [ -e $S/chosen ] ;;\n"
    "-list:*) echo 'root 0'; echo 'somebody 502' ;;\n"
    '-create:*) echo "dscl $*" >>$S/log; touch "$S/users/$name" ;; *) exit 99 ;; esac',
    "dseditgroup": "case $* in *checkmember*)\n"
    'grep -q "^$4 ${5}$" $S/members 2>/dev/null; exit ;; esac\n'
    'echo "dseditgroup $*" >>$S/log; echo "$4 $7" >>$S/members',
    "systemsetup": 'echo "systemsetup $*" >>$S/log\n'
    "[ ! -e $S/no-disk-access ] && echo 22 >$S/serving",
    "launchctl": 'echo "launchctl $*" >>$S/log; case $1 in bootstrap) echo 22 >$S/serving ;; esac',
    "pmset": 'case "$*" in "-g custom") cat $S/power ;; "-g cap") cat $S/capabilities ;;\n'
    "-g) cat $S/closed ;; *) echo \"pmset $*\" >>$S/log; shift\n"
    'while [ "$1" ]; do if [ "$1" = disablesleep ]; then echo " SleepDisabled 1" >$S/closed\n'
    'else sed -i "s/^ $1 .*/ $1 $2/" $S/power; fi; shift 2; done ;; esac',
    "fdesetup": 'echo "FileVault is $(cat $S/vault)."',
    "sw_vers": "cat $S/version",
    "xcode-select": "[ -e $S/tools ]",
    "xcrun": "[ -e $S/tools ]",
    "softwareupdate": 'echo "softwareupdate $*" >>$S/log; case $1 in --list) cat $S/updates ;; '
    "--install) touch $S/tools ;; esac",
}  # fmt: skip
_SAID = {
    "uid": "0",
    "kernel": "Linux",
    "machine": "aarch64",
    "release": "6.12.1",
    "name": "fresh",
    "bits": "64",
    "userland": "arm64",
    "addresses": "10.0.0.3",
    "says": "pubkeyauthentication yes\npasswordauthentication yes",
    "silicon": "0",
    "power": "AC Power:\n sleep 1\n disksleep 10\n autorestart 0",
    "capabilities": "Capabilities for AC Power:\n sleep\n autorestart",
    "closed": "System-wide power settings:",
    "vault": "Off",
    "version": "13.6.9",
    "updates": "* Label: Command Line Tools for Xcode-15.1\n\tTitle: Command Line Tools",
}


@dataclass(frozen=True)
class Ended:
    """How a script ended."""

    code: int
    out: str
    err: str

    def said(self, word: str) -> list[str]:
        """What stands on the lines that begin with a word: ok, changed, would change, missing."""
        found = [re.split(r" {2,}", line, maxsplit=1) for line in self.out.splitlines()]
        return [parts[1] for parts in found if len(parts) == 2 and parts[0] == word]


class Fresh:
    """The machine. `says` are the answers of its programs, by their names in `_SAID`."""

    def __init__(self, root: Path, **says: str) -> None:
        self.root, self.state = root, root / "state"
        for folder in (
            "bin",
            "state/users",
            "state/enabled",
            "etc/sudoers.d",
            "run/systemd/system",
            "tmp",
        ):
            (root / folder).mkdir(parents=True)
        (root / "etc/os-release").write_text("ID=debian\n")
        for name, text in {**_SAID, **says}.items():
            self.say(name, text)
        for name, body in {**_ALL, **_LINUX, **_MAC}.items():
            self._program(root / "bin" / name, body)
        self._program(self.state / "sshd", _ALL["sshd"])

    def _program(self, path: Path, body: str) -> None:
        path.write_text(f"#!/bin/sh\nROOT={self.root}\nS=$ROOT/state\n{body}\n")
        path.chmod(0o755)

    def say(self, name: str, text: str = "") -> None:
        """Let its programs say something else from now on."""
        (self.state / name).write_text(text + "\n")

    def without_ssh(self) -> None:
        """Leave the SSH server out."""
        (self.root / "bin/sshd").unlink()

    def file(self, path: str) -> Path:
        """Where a file of it is here."""
        return self.root / path.lstrip("/")

    def run(self, text: str, *words: str) -> Ended:
        """Run a script there."""
        text = re.sub(r"(?m)^export PATH=.*$", f"export PATH={self.root}/bin:/usr/bin:/bin", text)
        for path in _PATHS:
            text = re.sub(rf"(?<![\w.$]){re.escape(path)}", f"{self.root}{path}", text)
        script = self.root.parent / f"{self.root.name}.sh"
        script.write_text(text)
        done = subprocess.run(
            ["/bin/sh", str(script), *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.root,
            check=False,
            timeout=300,  # a machine that is busy takes its time
        )
        assert "not found" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    @property
    def log(self) -> list[str]:
        """What was asked of the programs that change something."""
        path = self.state / "log"
        return path.read_text().splitlines() if path.exists() else []

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Every file of it with its mode and content; sshd's directory in memory is none."""
        return {
            str(path.relative_to(self.root)): (
                path.stat().st_mode,
                b"" if path.is_dir() else path.read_bytes(),
            )
            for path in sorted(self.root.rglob("*"))
            if path.name != "sshd" or path.is_file()
        }
