"""Let the kernel run aarch64 programs through qemu-user: one entry for the whole machine.

The entry is made when it is absent, and removed again when the last lab that needs it is gone;
one that the machine had before is never touched.
"""

from pathlib import Path

from lab.errors import LabError
from lab.locks import locked
from lab.paths import RUN
from lab.shell import run

MOUNT = Path("/proc/sys/fs/binfmt_misc")
ENTRY = MOUNT / "qemu-aarch64"
QEMU = Path("/usr/bin/qemu-aarch64-static")
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# F: open the interpreter now, so that it works in every root; P, O, C: keep argv[0], the file
# descriptor and the credentials, without which sudo does not work.
REGISTRATION = f":{ENTRY.name}:M::{_MAGIC}:{_MASK}:{QEMU}:FPOC"
_STATE = RUN / "binfmt"
USERS = _STATE / "users"  # a file for each lab that needs the entry
MADE = _STATE / "made"  # it is the lab's, not the machine's
_LOCK = RUN / "binfmt.lock"


def acquire(user: str) -> None:
    """Make sure of the entry on behalf of a lab."""
    with locked(_LOCK):
        USERS.mkdir(parents=True, exist_ok=True)
        if not (MOUNT / "register").exists():
            (_STATE / "mounted").touch()
            run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(MOUNT)])
        if not ENTRY.exists():
            if not QEMU.exists():
                raise LabError(f"{QEMU} is missing: install qemu-user-static")
            MADE.touch()
            (MOUNT / "register").write_text(REGISTRATION)
        (USERS / user).touch()


def release(user: str) -> None:
    """A lab needs the entry no more; the last one removes what the lab made."""
    if not USERS.exists():
        return
    with locked(_LOCK):
        (USERS / user).unlink(missing_ok=True)
        if any(USERS.iterdir()):
            return
        if MADE.exists() and ENTRY.exists():
            ENTRY.write_text("-1")
        MADE.unlink(missing_ok=True)
        if (_STATE / "mounted").exists():
            run(["umount", str(MOUNT)], check=False)
            (_STATE / "mounted").unlink()
        USERS.rmdir()
        _STATE.rmdir()
