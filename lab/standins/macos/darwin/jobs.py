"""A launchd job: read from its property list, checked, and translated to hidden systemd units."""

import os
import plistlib
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from .common import ToolError, Value

DEFAULT_PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin"
THROTTLE: Final = 10  # seconds between two spawns, launchd.plist(5)
EXIT_TIMEOUT: Final = 5  # seconds from SIGTERM to SIGKILL
OPEN_FILES: Final = (256, 524288)  # launchd's soft limit, and what stands for "unlimited" here
CRASHES: Final = "SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGSEGV SIGSYS"
FAILURES: Final = " ".join(str(status) for status in range(1, 256))

# key -> the types that launchd takes; a wrong type makes the property list invalid
KEYS: Final[dict[str, tuple[type, ...]]] = {
    "Label": (str,),
    "Program": (str,),
    "ProgramArguments": (list,),
    "RunAtLoad": (bool,),
    "KeepAlive": (bool, dict),
    "Disabled": (bool,),
    "UserName": (str,),
    "GroupName": (str,),
    "WorkingDirectory": (str,),
    "EnvironmentVariables": (dict,),
    "StandardInPath": (str,),
    "StandardOutPath": (str,),
    "StandardErrorPath": (str,),
    "ThrottleInterval": (int,),
    "SoftResourceLimits": (dict,),
    "HardResourceLimits": (dict,),
    "Nice": (int,),
    "ExitTimeOut": (int,),
    "AbandonProcessGroup": (bool,),
    "StartInterval": (int,),
    "StartCalendarInterval": (dict, list),
    "Umask": (int, str),
    "ProcessType": (str,),
    "InitGroups": (bool,),
    "LowPriorityIO": (bool,),
}


class InvalidJobError(Exception):
    """The property list is not one that launchd would load; the message says why."""


@dataclass(frozen=True)
class Job:
    """One job as its property list says; `plist` holds every key."""

    label: str
    path: str
    program: str
    arguments: list[str]
    plist: dict[str, Any] = field(repr=False)

    @property
    def uncovered(self) -> list[str]:
        """Keys that the stand-in accepts and ignores."""
        keep_alive = self.plist.get("KeepAlive")
        inner = set(keep_alive) if isinstance(keep_alive, dict) else set()
        ignored = inner - {"SuccessfulExit", "Crashed"}
        return sorted(set(self.plist) - set(KEYS)) + [f"KeepAlive.{k}" for k in sorted(ignored)]

    @property
    def starts_at_load(self) -> bool:
        """Whether launchd starts it at once: RunAtLoad, KeepAlive, or SuccessfulExit in it."""
        keep_alive = self.plist.get("KeepAlive", False)
        implied = "SuccessfulExit" in keep_alive if isinstance(keep_alive, dict) else keep_alive
        return bool(self.plist.get("RunAtLoad", False) or implied)

    @property
    def throttle(self) -> int:
        """Seconds that must lie between two spawns."""
        return int(self.plist.get("ThrottleInterval", THROTTLE))


def read_job(path: Path) -> Job:
    """Read a property list; InvalidJobError when launchd would not load it."""
    try:
        plist = plistlib.loads(path.read_bytes())
    except OSError as error:
        raise InvalidJobError(f"cannot be read: {error.strerror}") from error
    except (plistlib.InvalidFileException, ExpatError, ValueError, TypeError) as error:
        raise InvalidJobError(f"not a property list: {error}") from error
    return parse_job(plist, str(path))


def parse_job(plist: Value, path: str) -> Job:
    """Check a property list's keys and make a job of it."""
    if not isinstance(plist, dict):
        raise InvalidJobError("the top of the property list is not a dictionary")
    for key, value in plist.items():
        wanted = KEYS.get(key)
        boolean = isinstance(value, bool)  # which Python takes for an int, but launchd does not
        if wanted and (not isinstance(value, wanted) or (boolean and bool not in wanted)):
            raise InvalidJobError(f"{key} has the wrong type: {type(value).__name__}")
    label, arguments = plist.get("Label", ""), plist.get("ProgramArguments", [])
    if not label or "/" in label:
        raise InvalidJobError("no Label, or one with a slash")
    if not all(isinstance(argument, str) for argument in arguments):
        raise InvalidJobError("ProgramArguments holds something that is not a string")
    program = plist.get("Program") or (arguments[0] if arguments else "")
    if not program:
        raise InvalidJobError("neither Program nor ProgramArguments")
    environment = plist.get("EnvironmentVariables", {})
    if not all(isinstance(value, str) for value in environment.values()):
        raise InvalidJobError("EnvironmentVariables holds something that is not a string")
    return Job(label, path, program, list(arguments) or [program], plist)


def check_owner(status: os.stat_result) -> None:
    """Refuse what launchd refuses: not root:wheel, or writable by group or others."""
    if (status.st_uid, status.st_gid) != (0, 0) or stat.S_IMODE(status.st_mode) & 0o022:
        raise InvalidJobError("bad ownership or permissions")


def unit_name(label: str) -> str:
    """The hidden unit of a label; characters that systemd does not take are escaped."""
    safe = "".join(c if c.isalnum() or c in ":-_." else f"\\x{ord(c):02x}" for c in label)
    return f"launchd-{safe}.service"


def restart_lines(keep_alive: bool | dict[str, Any]) -> list[str]:
    """KeepAlive in systemd's words. Its conditions are joined by "or".

    launchd counts only exit status 0 as success; systemd also SIGTERM, so its own
    on-failure and on-success would be wrong.
    """
    if isinstance(keep_alive, bool):
        return ["Restart=always"] if keep_alive else ["Restart=no"]
    outcomes = {"success": "0", "failure": FAILURES, "crash": CRASHES, "signal": ""}
    wanted: set[str] = set()
    if "SuccessfulExit" in keep_alive:
        wanted |= {"success"} if keep_alive["SuccessfulExit"] else {"failure", "crash", "signal"}
    if "Crashed" in keep_alive:
        wanted |= {"crash"} if keep_alive["Crashed"] else {"success", "failure", "signal"}
    if "signal" in wanted:
        spared = [outcomes[name] for name in outcomes if name not in wanted]
        return ["Restart=always", *(f"RestartPreventExitStatus={text}" for text in spared)]
    forced = [outcomes[name] for name in outcomes if name in wanted]
    return ["Restart=no", *(f"RestartForceExitStatus={text}" for text in forced)]


def limit_line(plist: dict[str, Any]) -> str:
    """NumberOfFiles of both limit dictionaries, or launchd's defaults."""
    soft, hard = OPEN_FILES
    soft = plist.get("SoftResourceLimits", {}).get("NumberOfFiles", soft)
    hard = plist.get("HardResourceLimits", {}).get("NumberOfFiles", hard)
    return f"LimitNOFILE={min(soft, hard)}:{hard}"


def render_unit(job: Job, tools: str = "/opt/standin/libexec") -> str:
    """The service unit. What runs in it is xpcproxy, which reads the job's own record."""
    plist = job.plist
    lines = [
        f"# launchd job {job.label}, from {job.path}",
        "[Unit]",
        f"Description=launchd job {job.label}".replace("%", "%%"),
        "StartLimitIntervalSec=0",
        "[Service]",
        "Type=simple",
        f"ExecStartPre=+{tools}/launchd-throttle {quote(job.label)}",
        f"ExecStart={tools}/xpcproxy {quote(job.label)}",
        f"ExecStopPost=+{tools}/launchd-reaped {quote(job.label)}",
        *restart_lines(plist.get("KeepAlive", False)),
        "RestartSec=100ms",
        "TimeoutStartSec=infinity",
        f"TimeoutStopSec={plist.get('ExitTimeOut', EXIT_TIMEOUT) or 'infinity'}",
        f"KillMode={'process' if plist.get('AbandonProcessGroup') else 'control-group'}",
        limit_line(plist),
    ]
    for key, setting in (("UserName", "User"), ("GroupName", "Group"), ("Nice", "Nice")):
        if key in plist:
            lines.append(f"{setting}={plist[key]}")
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """One argument of a unit's command line."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'


def render_timer(job: Job) -> str | None:
    """The timer unit for StartInterval and StartCalendarInterval; None without either."""
    lines = []
    if "StartInterval" in job.plist:
        seconds = job.plist["StartInterval"]
        lines += [f"OnActiveSec={seconds}", f"OnUnitActiveSec={seconds}"]
    calendar = job.plist.get("StartCalendarInterval", [])
    for entry in calendar if isinstance(calendar, list) else [calendar]:
        lines += [f"OnCalendar={text}" for text in calendar_texts(entry)]
    if not lines:
        return None
    return "\n".join(["[Timer]", "AccuracySec=1s", *lines]) + "\n"


def calendar_texts(entry: dict[str, int]) -> list[str]:
    """One calendar dictionary; with both Day and Weekday either may match, as in cron."""

    def text(weekday: int | None, day: int | None) -> str:
        names = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
        prefix = f"{names[weekday % 7]} " if weekday is not None else ""
        date = f"*-{entry.get('Month', '*')}-{day if day is not None else '*'}"
        return f"{prefix}{date} {entry.get('Hour', '*')}:{entry.get('Minute', '*')}:00"

    weekday, day = entry.get("Weekday"), entry.get("Day")
    if weekday is not None and day is not None:
        return [text(weekday, None), text(None, day)]
    return [text(weekday, day)]


def umask_of(plist: dict[str, Any]) -> int | None:
    """Umask: an integer as it is, a string in octal, as launchd reads them."""
    value = plist.get("Umask")
    if value is None:
        return None
    try:
        return int(value, 8) if isinstance(value, str) else int(value)
    except ValueError as error:
        raise ToolError(f"Umask is not octal: {value}", 78) from error
