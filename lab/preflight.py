"""Is this machine able to carry a lab? Say what is missing, and install what apt can bring."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from lab.errors import LabError
from lab.progress import Reporter
from lab.shell import isolated, run, tail

# Program or file → the Debian package that brings it.
TOOLS = {
    "dpkg-scanpackages": "dpkg-dev",
    "ip": "iproute2",
    "nft": "nftables",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
EMULATION = {"/usr/bin/qemu-aarch64-static": "qemu-user-static"}
IPV6 = Path("/proc/sys/net/ipv6")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_root() -> None:
    """Refuse to go on without what every change of the lab needs."""
    if sys.platform != "linux":
        raise LabError(
            "the lab needs Linux: its hosts are real systemd hosts in Linux namespaces.\n"
            "Run it on a Debian 12 machine, or work on the real fleet."
        )
    if os.geteuid() != 0:
        raise LabError(
            "the lab needs root: it makes network namespaces, mounts and cgroups.\n"
            "Run it again with sudo."
        )
    # A root shell made by `su` may lack the directories that the tools are in.
    known = os.environ.get("PATH", "").split(":")
    extra = [folder for folder in SYSTEM_PATH.split(":") if folder not in known]
    os.environ["PATH"] = ":".join([*filter(None, known), *extra])


def ready(state: Path, reporter: Reporter, *, emulation: bool) -> None:
    """Make this machine ready for a lab: its programs are installed, its kernel was asked."""
    require_root()
    _install(_missing({**TOOLS, **(EMULATION if emulation else {})}), reporter)
    _try_overlay(state)
    if not IPV6.exists():
        raise LabError(
            "this machine's kernel has no IPv6, which the hosts have among each other.\n"
            "Start it without `ipv6.disable=1`."
        )


def require_space(folder: Path, megabytes: int, what: str, setting: str) -> None:
    """Refuse to begin what would fill the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free // 2**20
    if free < megabytes:
        raise LabError(
            f"not enough disk space: {what} needs about {megabytes} MB in {folder}, {free} MB are "
            f"free.\nFree some, or point {setting} to a directory on a larger disk."
        )


def _missing(tools: dict[str, str]) -> list[str]:
    packages = {
        package
        for tool, package in tools.items()
        if not (Path(tool).exists() if tool.startswith("/") else shutil.which(tool))
    }
    return sorted(packages)


def _install(packages: list[str], reporter: Reporter) -> None:
    if not packages:
        return
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        raise LabError(f"the lab needs {names}, and this machine has no apt to install them with")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    with reporter.step(f"installing {names}"):
        done = run(install, check=False, env=env, mortal=False)
        if done.returncode != 0:
            run(["apt-get", "update", "-q"], check=False, env=env)
            done = run(install, check=False, env=env, mortal=False)
    if done.returncode != 0:
        raise LabError(
            f"apt could not install {names}:\n{tail(done)}\n"
            f"Run `apt-get install {names}` until it works, then try again."
        )


def _try_overlay(state: Path) -> None:
    """Mount an overlay once where the hosts will have theirs; say why not when it fails."""
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state, prefix=".try-") as folder:
        for name in ("lower", "upper", "work", "root"):
            Path(folder, name).mkdir()
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        mount = ["mount", "-t", "overlay", "lab-try", "-o", options, f"{folder}/root"]
        done = run([*isolated(), *mount], check=False)
        if done.returncode == 0:
            return
    raise LabError(
        f"this machine does not let the lab mount an overlay in {state}:\n{tail(done)}\n"
        "Inside a container it must be privileged, and the directory must be on a real file "
        "system: AGENTFLEET_LAB_STATE names another one."
    )
