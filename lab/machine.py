"""Settings of the whole machine that labs need: changed for the first one, undone after the last.

What the machine had set up itself is never touched.
"""

from pathlib import Path

from lab.errors import LabError
from lab.locks import locked
from lab.paths import RUN
from lab.shell import run

BINFMT = Path("/proc/sys/fs/binfmt_misc")
ENTRY = BINFMT / "qemu-aarch64"
QEMU = Path("/usr/bin/qemu-aarch64-static")
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# F: open the interpreter now, so that it works in every root; P, O, C: keep argv[0], the file
# descriptor and the credentials, without which sudo does not work.
REGISTRATION = f":{ENTRY.name}:M::{_MAGIC}:{_MASK}:{QEMU}:FPOC"
# Every systemd watches files with several inotify instances, and all hosts' root is one user of
# the kernel: its default of 128 ends at some thirty hosts.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 4096

_STATE = RUN / "machine"
USERS = _STATE / "users"  # a file for each lab that is up
MADE = _STATE / "binfmt-made"
_MOUNTED = _STATE / "binfmt-mounted"
_INOTIFY_BEFORE = _STATE / "inotify-before"
_LOCK = RUN / "machine.lock"


def acquire(user: str, *, emulation: bool) -> None:
    """Set what a lab needs; `emulation`: the kernel runs aarch64 programs through qemu-user."""
    with locked(_LOCK):
        USERS.mkdir(parents=True, exist_ok=True)
        (USERS / user).touch()
        before = int(INOTIFY.read_text())
        if before < INOTIFY_INSTANCES:
            _INOTIFY_BEFORE.write_text(str(before))
            INOTIFY.write_text(str(INOTIFY_INSTANCES))
        if emulation:
            _register()


def _register() -> None:
    if not (BINFMT / "register").exists():
        _MOUNTED.touch()
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)])
    if not ENTRY.exists():
        if not QEMU.exists():
            raise LabError(f"{QEMU} is missing: install qemu-user-static")
        MADE.touch()
        (BINFMT / "register").write_text(REGISTRATION)


def release(user: str) -> None:
    """A lab is down; the last one undoes what labs changed."""
    if not USERS.exists():
        return
    with locked(_LOCK):
        (USERS / user).unlink(missing_ok=True)
        if any(USERS.iterdir()):
            return
        if MADE.exists() and ENTRY.exists():
            ENTRY.write_text("-1")
        if _MOUNTED.exists():
            run(["umount", str(BINFMT)], check=False)
        if _INOTIFY_BEFORE.exists():
            INOTIFY.write_text(_INOTIFY_BEFORE.read_text())
        for mark in (MADE, _MOUNTED, _INOTIFY_BEFORE):
            mark.unlink(missing_ok=True)
        USERS.rmdir()
        _STATE.rmdir()
