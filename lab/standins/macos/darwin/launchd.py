"""launchd's memory of its jobs, and the hidden systemd units that do its work."""

import plistlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .common import HIDDEN, edit_state, hidden, read_state, write_atomic
from .jobs import InvalidJobError, Job, check_owner, parse_job, read_job, render_timer, render_unit
from .jobs import unit_name as unit_of

SYSTEM_DAEMONS: Final = "System/Library/LaunchDaemons"
DAEMONS: Final = "Library/LaunchDaemons"
OVERRIDES: Final = "var/db/com.apple.xpc.launchd/disabled.plist"
SSHD: Final = "com.openssh.sshd"
SSHD_SOCKET: Final = "standin-sshd.socket"
SSHD_PLIST: Final = f"/{SYSTEM_DAEMONS}/ssh.plist"


@dataclass(frozen=True)
class Running:
    """What systemd knows about a job's process."""

    active: str  # systemd's ActiveState
    pid: int


class Launchd:
    """The system domain. `root` is where the file system is, for tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.records = root / "run/launchd"
        self.units = root / "run/systemd/system"

    # -- what is loaded ------------------------------------------------------------------
    def labels(self) -> list[str]:
        """Labels of all loaded jobs, sorted."""
        own = [path.name.removesuffix(".job") for path in self.records.glob("*.job")]
        return sorted([*own, SSHD] if self.sshd_loaded() else own)

    def job(self, label: str) -> Job | None:
        """The loaded job of a label, also while it is on its way out."""
        if label == SSHD:
            return self.sshd_job() if self.sshd_loaded() else None
        try:
            record = plistlib.loads((self.records / f"{label}.job").read_bytes())
        except FileNotFoundError:
            return None
        return parse_job(record["plist"], record["path"])

    def leaving(self, label: str) -> bool:
        """Whether a bootout is under way."""
        return (self.records / f"{label}.leaving").exists()

    def history(self, label: str) -> dict[str, Any]:
        """`runs`, and of the last exit `code` (exited|killed|dumped) and `status`."""
        return read_state(self.history_path(label))

    def history_path(self, label: str) -> Path:
        """Where the history of a loaded job is kept."""
        return self.records / f"{label}.history"

    def running(self, label: str) -> Running:
        """What systemd says about the job right now."""
        if label == SSHD:
            return Running("inactive", 0)
        shown = hidden("systemctl", "show", "-p", "ActiveState,MainPID", "--", unit_of(label))
        facts = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        return Running(facts.get("ActiveState", "inactive"), int(facts.get("MainPID", 0)))

    # -- overrides of launchctl enable and disable ---------------------------------------
    def overrides(self) -> dict[str, bool]:
        """Label -> disabled, as enable and disable wrote them."""
        try:
            loaded: dict[str, bool] = plistlib.loads((self.root / OVERRIDES).read_bytes())
        except FileNotFoundError:
            return {}
        return loaded

    def override(self, label: str, disabled: bool) -> None:
        """Remember enable or disable beyond a reboot."""
        changed = {**self.overrides(), label: disabled}
        write_atomic(self.root / OVERRIDES, plistlib.dumps(changed))

    def disabled(self, job: Job) -> bool:
        """The override if there is one, else the property list's own Disabled."""
        return self.overrides().get(job.label, bool(job.plist.get("Disabled", False)))

    # -- changes -------------------------------------------------------------------------
    def admit(self, path: Path) -> Job:
        """Read a property list for loading; InvalidJobError when launchd would refuse it."""
        job = read_job(path)
        check_owner(path.stat())
        if self.job(job.label) is not None:
            raise InvalidJobError("already loaded, or still on its way out")
        if self.disabled(job):
            raise InvalidJobError("disabled")
        return job

    def load(self, jobs: Iterable[Job]) -> None:
        """Make units of admitted jobs and start those that start at load."""
        loaded = list(jobs)
        for job in loaded:
            if job.label != SSHD:
                self.write_record(job)
        hidden("systemctl", "daemon-reload")
        for job in loaded:
            if job.label == SSHD:
                hidden("systemctl", "start", SSHD_SOCKET)
                continue
            if render_timer(job):
                hidden("systemctl", "start", unit_of(job.label).replace(".service", ".timer"))
            if job.starts_at_load:
                hidden("systemctl", "start", "--no-block", "--", unit_of(job.label))

    def write_record(self, job: Job) -> None:
        """Write what survives until the bootout: the record, the unit, perhaps a timer."""
        self.records.mkdir(parents=True, exist_ok=True)
        self.units.mkdir(parents=True, exist_ok=True)
        self.history_path(job.label).unlink(missing_ok=True)
        record = plistlib.dumps({"path": job.path, "plist": job.plist})
        write_atomic(self.records / f"{job.label}.job", record)
        unit = self.units / unit_of(job.label)
        unit.write_text(render_unit(job))
        timer = render_timer(job)
        if timer:
            unit.with_suffix(".timer").write_text(timer)

    def unload(self, label: str) -> None:
        """Begin a bootout; a hidden helper ends it a moment later (see `forget`).

        The helper comes first: a job that takes itself out is killed by what stops it.
        """
        if label == SSHD:
            hidden("systemctl", "stop", SSHD_SOCKET)
            return
        (self.records / f"{label}.leaving").touch()
        hidden("systemd-run", "--no-block", "--collect", "--quiet", "-p", "Type=exec",
               str(HIDDEN / "launchd-forget"), label)  # fmt: skip
        unit = unit_of(label)
        hidden("systemctl", "stop", "--no-block", "--", unit, unit.replace(".service", ".timer"))

    def forget(self, label: str) -> None:
        """End a bootout: wait for the process, then drop every trace of the job."""
        unit = unit_of(label)
        timer = unit.replace(".service", ".timer")
        hidden("systemctl", "stop", "--", unit, timer)
        (self.units / unit).unlink(missing_ok=True)
        (self.units / timer).unlink(missing_ok=True)
        hidden("systemctl", "daemon-reload")
        hidden("systemctl", "reset-failed", "--", unit)
        for suffix in ("job", "history", "leaving"):
            (self.records / f"{label}.{suffix}").unlink(missing_ok=True)

    def start(self, label: str, kill: bool) -> None:
        """Start a job now, whatever its throttle says; with `kill`, end a running one first."""
        if label == SSHD:
            return
        if self.history_path(label).exists():
            with edit_state(self.history_path(label)) as history:
                history.pop("spawned", None)
        waiting = self.running(label).active == "activating"  # in the throttle's pause
        verb = "restart" if kill or waiting else "start"
        hidden("systemctl", verb, "--", unit_of(label))

    def signal(self, label: str, name: str) -> bool:
        """Send a signal to the job's main process; False when it has none."""
        pid = self.running(label).pid
        sent = pid and hidden("systemctl", "kill", "--kill-who=main", f"--signal={name}", "--",
                              unit_of(label)).returncode == 0  # fmt: skip
        return bool(sent)

    # -- sshd, which the image starts through a socket ------------------------------------
    def sshd_loaded(self) -> bool:
        """Whether sshd's socket listens; sshd itself runs once per connection, as on a Mac."""
        return hidden("systemctl", "is-active", "--quiet", SSHD_SOCKET).returncode == 0

    def sshd_job(self) -> Job:
        """sshd's job, read from the system's own property list."""
        return read_job(self.root / SSHD_PLIST.lstrip("/"))


def boot(launchd: Launchd) -> list[str]:
    """Load every property list of the system and the machine, as launchd does at boot."""
    admitted: list[Job] = []
    refused: list[str] = []
    places = (launchd.root / SYSTEM_DAEMONS, launchd.root / DAEMONS)
    for path in (path for place in places for path in sorted(place.glob("*.plist"))):
        if path == launchd.root / SSHD_PLIST.lstrip("/"):
            continue  # its socket is up from the start
        try:
            job = launchd.admit(path)
            if job.label in {other.label for other in admitted}:
                raise InvalidJobError("label is taken")
            admitted.append(job)
        except (InvalidJobError, OSError) as error:
            refused.append(f"{path}: {error}")
    launchd.load(admitted)
    return refused
