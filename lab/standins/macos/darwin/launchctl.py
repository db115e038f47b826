"""launchctl: the system domain with real property lists and launchd's timing."""

import signal
from pathlib import Path
from typing import Final

from .common import EX_USAGE, ToolError, is_root, locked, out, warn
from .jobs import InvalidJobError, Job, read_job
from .launchd import SSHD_PLIST, Launchd
from .launchprint import list_job, list_line, print_domain, print_job, view

BOOTSTRAP_FAILED: Final = "Bootstrap failed: 5: Input/output error"
RICHER: Final = "Try re-running the command as root for richer errors."
LEGACY: Final = ("load", "unload", "start", "stop", "submit", "remove")


def main(argv: list[str], root: Path) -> int:
    """Run one subcommand; ToolError carries launchctl's own exit status."""
    verb, *rest = argv or ["help"]
    if verb in LEGACY:
        raise ToolError(
            f"launchctl {verb} is a legacy subcommand and not covered by this stand-in: "
            "use bootstrap, bootout, kickstart, kill",
            EX_USAGE,
        )
    commands = {
        "bootstrap": bootstrap,
        "bootout": bootout,
        "print": print_,
        "print-disabled": print_disabled,
        "enable": enable,
        "disable": disable,
        "kickstart": kickstart,
        "kill": kill,
        "list": list_,
    }
    if verb == "managername":
        out("System" if is_root() else "Background")
        return 0
    if verb not in commands:
        raise ToolError(f"Unrecognized subcommand: {verb}", EX_USAGE)
    return commands[verb](rest, Launchd(root))


def bootstrap(args: list[str], launchd: Launchd) -> int:
    """`bootstrap system PATH...`: a directory stands for the property lists in it."""
    if len(args) < 2:
        raise ToolError("Usage: launchctl bootstrap <domain-target> [service-path ...]", EX_USAGE)
    only_system(args[0], "Bootstrap failed")
    if not is_root():
        raise ToolError(f"{BOOTSTRAP_FAILED}\n{RICHER}", 5)
    admitted, status = [], 0
    with locked(launchd.records / "all"):
        for path in plists(args[1:], launchd.root):
            try:
                admitted.append(admit(launchd, path))
            except (InvalidJobError, OSError):
                warn(BOOTSTRAP_FAILED)
                status = 5
        launchd.load(admitted)
    for job in admitted:
        if job.uncovered:
            warn(f"launchctl (stand-in): {job.label}: not covered: {', '.join(job.uncovered)}")
    return status


def admit(launchd: Launchd, path: Path) -> Job:
    """Admit a property list; the system's own sshd needs no check of its owner."""
    if str(path) == SSHD_PLIST and not launchd.sshd_loaded():
        return launchd.sshd_job()
    return launchd.admit(path)


def plists(names: list[str], root: Path) -> list[Path]:
    """The property lists that the arguments name, with absolute paths."""
    found: list[Path] = []
    for name in names:
        path = (Path.cwd() / name) if root == Path("/") else Path(name)
        found += sorted(path.glob("*.plist")) if path.is_dir() else [path]
    return found


def bootout(args: list[str], launchd: Launchd) -> int:
    """`bootout system/LABEL` or `bootout system PATH`: returns before the job is gone."""
    if not args:
        raise ToolError("Usage: launchctl bootout <domain-target> [service-path ...]", EX_USAGE)
    if "/" in args[0]:
        label = label_of(args[0], "Boot-out failed")
    else:
        only_system(args[0], "Boot-out failed")
        label = label_in(args[1:])
    if not is_root():
        raise ToolError(f"Boot-out failed: 1: Operation not permitted\n{RICHER}", 1)
    with locked(launchd.records / "all"):
        if launchd.job(label) is None:
            raise ToolError("Boot-out failed: 3: No such process", 3)
        if launchd.leaving(label):
            raise ToolError("Boot-out failed: 36: Operation now in progress", 36)
        launchd.unload(label)
    return 0


def label_in(paths: list[str]) -> str:
    """The label in the property list that `bootout system PATH` names."""
    if len(paths) != 1:
        raise ToolError(
            "launchctl (stand-in): bootout of a domain or of many is not covered", EX_USAGE
        )
    try:
        return read_job(Path(paths[0])).label
    except InvalidJobError as error:
        raise ToolError("Boot-out failed: 5: Input/output error", 5) from error


def print_(args: list[str], launchd: Launchd) -> int:
    """`print system` or `print system/LABEL`; 113 for a service that is not there."""
    if args == ["system"]:
        views = [view(launchd, label) for label in launchd.labels()]
        out(*print_domain([seen for seen in views if seen]))
        return 0
    seen = view(launchd, label_of(args[0] if args else "", "Bad request"))
    if seen is None:
        raise absent(args[0])
    out(*print_job(seen))
    return 0


def print_disabled(args: list[str], launchd: Launchd) -> int:
    """`print-disabled system`: what enable and disable wrote."""
    only_system(args[0] if args else "", "Could not print disabled services")
    words = {True: "disabled", False: "enabled"}
    rows = sorted(launchd.overrides().items())
    out("", "\tdisabled services = {", *(f'\t\t"{k}" => {words[v]}' for k, v in rows), "\t}")
    return 0


def enable(args: list[str], launchd: Launchd) -> int:
    """`enable system/LABEL`, also for a label that no property list has."""
    return override(args, launchd, "enable", disabled=False)


def disable(args: list[str], launchd: Launchd) -> int:
    """`disable system/LABEL`: binds the next bootstrap and boot, ends nothing."""
    return override(args, launchd, "disable", disabled=True)


def override(args: list[str], launchd: Launchd, verb: str, *, disabled: bool) -> int:
    """Write an override of a job's Disabled key."""
    label = label_of(args[0] if args else "", f"Could not {verb} service")
    if not is_root():
        raise ToolError(f"Could not {verb} service: 1: Operation not permitted", 1)
    launchd.override(label, disabled)
    return 0


def kickstart(args: list[str], launchd: Launchd) -> int:
    """`kickstart [-k] [-p] system/LABEL`: run it now."""
    flags = "".join(arg[1:] for arg in args if arg.startswith("-"))
    target = next((arg for arg in args if not arg.startswith("-")), "")
    label = label_of(target, "Could not kickstart service")
    if not is_root():
        raise ToolError(f'Could not kickstart service "{label}": 1: Operation not permitted', 1)
    if launchd.job(label) is None or launchd.leaving(label):
        raise absent(target)
    launchd.start(label, kill="k" in flags)
    if "p" in flags:
        out(f"service spawned with pid: {launchd.running(label).pid}")
    return 0


def kill(args: list[str], launchd: Launchd) -> int:
    """`kill SIGNAL system/LABEL`: the name with or without SIG, or the number."""
    if len(args) != 2:
        raise ToolError("Usage: launchctl kill <signal-number|signal-name> <target>", EX_USAGE)
    label = label_of(args[1], "Could not kill service")
    if not is_root():
        raise ToolError("Could not signal service: 1: Operation not permitted", 1)
    if launchd.job(label) is None:
        raise absent(args[1])
    if not launchd.signal(label, signal_name(args[0])):
        raise ToolError("Could not signal service: 3: No such process", 3)
    return 0


def signal_name(text: str) -> str:
    """SIGTERM for SIGTERM, TERM and 15."""
    try:
        if text.isdigit():
            return signal.Signals(int(text)).name
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"].name
    except (KeyError, ValueError) as error:
        raise ToolError(f"Unrecognized signal: {text}", EX_USAGE) from error


def list_(args: list[str], launchd: Launchd) -> int:
    """`list [LABEL]`: root sees the system domain, others their own empty one."""
    labels = launchd.labels() if is_root() else []
    if args:
        seen = view(launchd, args[0]) if args[0] in labels else None
        if seen is None:
            raise ToolError(f'Could not find service "{args[0]}" in domain for system', 113)
        out(*list_job(seen))
        return 0
    views = [view(launchd, label) for label in labels]
    out("PID\tStatus\tLabel", *(list_line(seen) for seen in views if seen))
    return 0


def only_system(domain: str, failure: str) -> None:
    """Over SSH without a login at the screen there is no gui domain; user domains: not covered."""
    kind = domain.partition("/")[0]
    if kind in ("gui", "user", "login"):
        raise ToolError(f"{failure}: 125: Domain does not support specified action", 125)
    if domain != "system":
        raise ToolError(f"Unrecognized target specifier, did not understand: {domain}", EX_USAGE)


def label_of(target: str, failure: str) -> str:
    """The label of a service target such as system/com.example.job."""
    domain, _, label = target.partition("/")
    only_system(domain, failure)
    if not label or "/" in label:
        raise ToolError(f"{failure}: the target needs the form system/LABEL: {target}", EX_USAGE)
    return label


def absent(target: str) -> ToolError:
    """The fault for a label that is not loaded."""
    label = target.partition("/")[2]
    return ToolError(f'Could not find service "{label}" in domain for system', 113)
