"""Start and stop hosts: systemd in systemd-nspawn, on a machine that may run no systemd itself."""

import os
import subprocess
from pathlib import Path

from lab import cgroups, network
from lab.errors import LabError
from lab.hosts import HostFiles, host_files, prepare
from lab.paths import HERE
from lab.place import Place
from lab.spec import LabHost

SCRIPT = HERE / "host.sh"
CONSOLE_LINES = 12
NSPAWN_RUN = Path("/run/systemd/nspawn")  # it leaves empty directories there when killed


def start(place: Place, host: LabHost) -> None:
    """Start a halted host; return at once, without waiting until it answers."""
    files = host_files(place, host.name)
    stop(place, host.name)
    network.connect(place, host)
    prepare(files)
    groups = cgroups.create(place, host.name)
    files.boot_env.write_text(
        f"CGROUPS='{' '.join(str(group) for group in groups)}'\n"
        f"LOWERS='{files.lowers}'\n"
        f"NAMESPACE='{place.namespace(host)}'\n"
        f"TAILSCALE='{place.tailnet_sockets(host.name)}'\n"
        f"HOST='{host.name}'\n"
        f"CGROUP_V1='{'' if cgroups.is_v2() else 'yes'}'\n"
    )
    # A session of its own: the host outlives this command, and a Ctrl-C does not reach it.
    argv = ["setsid", "--fork", "unshare", "--mount", "--propagation", "slave"]
    with files.console.open("w") as console:
        subprocess.run(
            [*argv, "sh", str(SCRIPT), str(files.directory), machine(place, host.name)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")},
        )


def machine(place: Place, name: str) -> str:
    """Return the name of a host's container: two labs may have hosts of the same name."""
    return f"{place.name}-{name}"[:63].rstrip("-")


def stop(place: Place, name: str) -> None:
    """End a host as a power cut does; all that it had written stays."""
    for pid in _strays(host_files(place, name)):
        cgroups.end_process(pid)
    groups = cgroups.find(place, name)
    cgroups.kill(groups)
    cgroups.remove(groups)
    for leftover in NSPAWN_RUN.glob(f"*/{machine(place, name)}"):
        leftover.rmdir()


def first_process(place: Place, name: str) -> int | None:
    """Return the process that is a running host's PID 1, None for a host that is off."""
    return cgroups.first_process(cgroups.find(place, name))


def inside(place: Place, name: str, *spaces: str) -> list[str]:
    """Return what a command begins with to run in these namespaces of a host, as root there."""
    pid = first_process(place, name)
    if pid is None:
        raise LabError(f"{name} is off: start it first")
    return ["nsenter", "--target", str(pid), *(f"--{one}" for one in spaces), "--root", "--wd"]


def is_alive(place: Place, name: str) -> bool:
    """Tell whether anything of a host runs, its start or a reboot included."""
    files = host_files(place, name)
    return bool(cgroups.processes(cgroups.find(place, name)) or _strays(files))


def _strays(files: HostFiles) -> list[int]:
    """Return processes of host.sh that may not have reached their cgroup yet."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(SCRIPT).encode() in words and str(files.directory).encode() in words:
            found.append(int(process.name))
    return found


def console_tail(place: Place, name: str) -> str:
    """Return the last lines of a host's console, indented, for an error message."""
    file = host_files(place, name).console
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    shown = [f"  {line.strip()}" for line in lines if line.strip()][-CONSOLE_LINES:]
    return "\n".join(shown) or "  (its console is empty)"
