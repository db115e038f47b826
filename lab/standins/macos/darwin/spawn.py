"""The helpers around a job's process, named as on a Mac where it has such a name (xpcproxy)."""

import os
import random
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

from .common import edit_state, read_state
from .jobs import DEFAULT_PATH, Job, umask_of
from .launchd import Launchd, boot

EX_CONFIG: Final = 78  # launchd's status for a job that could not be spawned
LEAVING: Final = (0.5, 1.5)  # seconds that a job stays visible after its bootout


def throttle(label: str, root: Path) -> int:
    """Before a spawn: wait until ThrottleInterval has passed since the last one; count it."""
    launchd = Launchd(root)
    job, path = launchd.job(label), launchd.history_path(label)
    if job is None:
        return EX_CONFIG
    last = read_state(path).get("spawned")
    if last is not None:
        time.sleep(max(0.0, last + job.throttle - time.monotonic()))
    with edit_state(path) as history:
        history.update(spawned=time.monotonic(), runs=history.get("runs", 0) + 1)
    return 0


def reaped(label: str, root: Path) -> int:
    """After an exit: remember how it went; systemd tells by environment variables."""
    launchd = Launchd(root)
    if "EXIT_CODE" in os.environ and launchd.job(label) is not None:
        with edit_state(launchd.history_path(label)) as history:
            history["code"], history["status"] = os.environ["EXIT_CODE"], os.environ["EXIT_STATUS"]
    return 0


def forget(label: str, root: Path) -> int:
    """End a bootout after the moment that makes it asynchronous."""
    time.sleep(random.uniform(*LEAVING))  # noqa: S311 - a delay, not a secret
    Launchd(root).forget(label)
    return 0


def job_environment(job: Job) -> dict[str, str]:
    """All that a job's process gets; launchd gives a daemon no HOME, USER or SHELL."""
    given = {"PATH": DEFAULT_PATH, "XPC_SERVICE_NAME": job.label, "XPC_FLAGS": "0x0"}
    return {**given, **job.plist.get("EnvironmentVariables", {})}


def xpcproxy(label: str, root: Path) -> NoReturn:
    """Become the job: files, directory, umask and environment, as the job's own user."""
    job = Launchd(root).job(label)
    if job is None:
        sys.exit(EX_CONFIG)
    try:
        mask = umask_of(job.plist)
        if mask is not None:
            os.umask(mask)
        os.chdir(job.plist.get("WorkingDirectory", "/"))
        redirect(job)
        os.execvpe(job.program, job.arguments, job_environment(job))  # noqa: S606 - its purpose
    except OSError as error:
        sys.stderr.write(f"xpcproxy: {label}: {error}\n")
    sys.exit(EX_CONFIG)


def redirect(job: Job) -> None:
    """Open the job's files; without a key the hidden journal stands for /dev/null."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for key, number, flags in (
        ("StandardInPath", 0, os.O_RDONLY),
        ("StandardOutPath", 1, append),
        ("StandardErrorPath", 2, append),
    ):
        if key in job.plist:
            opened = os.open(job.plist[key], flags, 0o644)
            os.dup2(opened, number)
            os.close(opened)


def main(argv: list[str], root: Path) -> int:
    """The one entry of all helpers: the first argument says which."""
    if argv == ["boot"]:
        sys.stderr.writelines(f"launchd: {line}\n" for line in boot(Launchd(root)))
        return 0
    helpers = {"throttle": throttle, "reaped": reaped, "forget": forget, "xpcproxy": xpcproxy}
    return helpers[argv[0]](argv[1], root)
