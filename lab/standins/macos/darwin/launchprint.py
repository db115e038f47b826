"""What `launchctl print` and `launchctl list` say about a job, in the Mac's words."""

import signal
from dataclasses import dataclass
from typing import Any

from .jobs import DEFAULT_PATH, EXIT_TIMEOUT, Job
from .launchd import Launchd, Running

SPAWN_FAILURES = range(200, 244)  # systemd could not set the process up: launchd's EX_CONFIG


@dataclass(frozen=True)
class View:
    """A loaded job and what is known about its process."""

    job: Job
    running: Running
    history: dict[str, Any]

    @property
    def state(self) -> str:
        """launchd's word for the job's state."""
        runs = self.history.get("runs", 0)
        if self.running.active in ("active", "reloading") and self.running.pid:
            return "running"
        if self.running.active == "deactivating":
            return "SIGTERMed"
        starting = self.job.starts_at_load and not runs and not self.history.get("code")
        if self.running.active == "activating" or starting:
            return "spawn scheduled"
        return "not running"

    @property
    def pid(self) -> int:
        """The main process; 0 without one."""
        return self.running.pid if self.state in ("running", "SIGTERMed") else 0

    @property
    def exit_code(self) -> int | None:
        """Exit status of the last run; None when it never exited or a signal ended it."""
        if self.history.get("code") != "exited":
            return None
        status = int(self.history["status"])
        return 78 if status in SPAWN_FAILURES else status

    @property
    def exit_signal(self) -> signal.Signals | None:
        """The signal that ended the last run."""
        if self.history.get("code") not in ("killed", "dumped"):
            return None
        return signal.Signals[f"SIG{self.history['status']}"]


def view(launchd: Launchd, label: str) -> View | None:
    """Look at a loaded job; None when no such job is loaded."""
    job = launchd.job(label)
    if job is None:
        return None
    return View(job, launchd.running(label), launchd.history(label))


def block(name: str, lines: list[str]) -> list[str]:
    """A nested block as launchctl prints it."""
    return [f"\t{name} = {{", *(f"\t\t{line}" for line in lines), "\t}"]


def exit_lines(seen: View) -> list[str]:
    """How the last run ended."""
    if seen.exit_signal is not None:
        text = signal.strsignal(seen.exit_signal)
        return [f"\tlast terminating signal = {text}: {int(seen.exit_signal)}"]
    if seen.exit_code is None:
        return ["\tlast exit code = (never exited)"]
    suffix = ": EX_CONFIG" if seen.exit_code == 78 else ""
    return [f"\tlast exit code = {seen.exit_code}{suffix}"]


def print_job(seen: View) -> list[str]:
    """The lines of `launchctl print system/LABEL`."""
    job, plist = seen.job, seen.job.plist
    lines = [f"system/{job.label} = {{", f"\tactive count = {1 if seen.pid else 0}"]
    lines += [f"\tpath = {job.path}", "\ttype = LaunchDaemon", f"\tstate = {seen.state}", ""]
    lines += [f"\tprogram = {job.program}", *block("arguments", job.arguments), ""]
    for key, name in (
        ("WorkingDirectory", "working directory"),
        ("StandardInPath", "stdin path"),
        ("StandardOutPath", "stdout path"),
        ("StandardErrorPath", "stderr path"),
    ):
        if key in plist:
            lines += [f"\t{name} = {plist[key]}"]
    lines += block("default environment", [f"PATH => {DEFAULT_PATH}"])
    given = {**plist.get("EnvironmentVariables", {}), "XPC_SERVICE_NAME": job.label}
    lines += ["", *block("environment", [f"{k} => {v}" for k, v in given.items()]), ""]
    lines += ["\tdomain = system"]
    lines += [f"\tusername = {plist['UserName']}"] if "UserName" in plist else []
    lines += [f"\tgroup = {plist['GroupName']}"] if "GroupName" in plist else []
    lines += [f"\tminimum runtime = {job.throttle}"]
    lines += [f"\texit timeout = {plist.get('ExitTimeOut', EXIT_TIMEOUT)}"]
    lines += [f"\truns = {seen.history.get('runs', 0)}"]
    lines += [f"\tpid = {seen.pid}"] if seen.pid else []
    lines += [*exit_lines(seen), "", "\tspawn type = daemon (3)", ""]
    return [*lines, f"\tproperties = {properties(job)}", "}"]


def properties(job: Job) -> str:
    """The flags that launchctl shows for a job."""
    flags = ["keepalive"] if job.plist.get("KeepAlive") else []
    flags += ["runatload"] if job.plist.get("RunAtLoad") else []
    flags += [] if "Program" in job.plist else ["inferred program"]
    return " | ".join(flags)


def list_line(seen: View) -> str:
    """A row of `launchctl list`: PID, last status (a signal is negative), label."""
    status = -int(seen.exit_signal) if seen.exit_signal else seen.exit_code or 0
    return f"{seen.pid or '-'}\t{status}\t{seen.job.label}"


def list_job(seen: View) -> list[str]:
    """The lines of `launchctl list LABEL`."""
    status = int(seen.exit_signal) if seen.exit_signal else (seen.exit_code or 0) << 8
    lines = ["{", '\t"LimitLoadToSessionType" = "System";', f'\t"Label" = "{seen.job.label}";']
    lines += [f'\t"OnDemand" = {"false" if seen.job.plist.get("KeepAlive") else "true"};']
    lines += [f'\t"LastExitStatus" = {status};']
    lines += [f'\t"PID" = {seen.pid};'] if seen.pid else []
    lines += [f'\t"Program" = "{seen.job.program}";', '\t"ProgramArguments" = (']
    return [*lines, *(f'\t\t"{argument}";' for argument in seen.job.arguments), "\t);", "};"]


def print_domain(views: list[View]) -> list[str]:
    """The lines of `launchctl print system`, as far as anyone reads them."""
    rows = [f"\t\t{seen.pid:8} {'-':>6} \t{seen.job.label}" for seen in views]
    head = ["system = {", "\ttype = system", "\thandle = 0", "\tactive count = 1"]
    return [*head, "\tservices = {", *rows, "\t}", "}"]
