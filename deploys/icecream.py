"""The compile cluster: a scheduler where fleet.yaml says, iceccd on every host."""

from __future__ import annotations

from facts.look import Look
from fleet.daemons import daemon
from fleet.model import Os
from fleet.pins import artifact
from fleet.resources import (
    NO_MANAGER,
    Build,
    Directory,
    File,
    Manager,
    Package,
    Resources,
    Service,
    User,
)
from fleet.toolchains import cache_mb, why_no_jobs
from fleet.view import HostView

SOURCE = "icecream-source"
RECIPE_RELEASE = 1  # raise when the build below changes, so that hosts build again

# The units that the packages bring: they know neither -i nor -p nor the scheduler's -r, and
# Debian's would start at once, on all interfaces.
PACKAGED_UNITS = {
    Os.ARCH: ("icecream.service", "icecream-scheduler.service"),
    Os.DEBIAN: ("iceccd.service", "icecc-scheduler.service"),
    Os.RASPIOS: ("iceccd.service", "icecc-scheduler.service"),
    Os.UBUNTU: ("iceccd.service", "icecc-scheduler.service"),
    Os.MACOS: (),
}

NO_ADDRESS = "0.0.0.0"  # noqa: S104 - rendered, never brought to a host: see `unavailable`
UNKNOWN_ADDRESS = (
    "the tailnet address of {host} is not known yet: a run learns it once {host} is in the tailnet"
)

_ONLY_APT: dict[Manager, str | None] = {
    Manager.PACMAN: None,
    Manager.BREW: None,
    Manager.PORT: None,
}
PROGRAMS = (
    # Arch has it only in the AUR, MacPorts not at all: there it is built from the pinned source.
    Package("icecc", {Manager.PACMAN: None, Manager.BREW: "icecream", Manager.PORT: None}),
    Package("icecream-sundae", _ONLY_APT),
    # A Mac has both compilers from the Command Line Tools.
    Package("gcc", {Manager.BREW: None, Manager.PORT: None}),
    Package("g++", _ONLY_APT),
    Package("clang", {Manager.BREW: None, Manager.PORT: None}),
    Package("make", {Manager.BREW: None, Manager.PORT: None}),
)
_NO_BUILD: dict[Manager, str | None] = {Manager.APT: None, Manager.BREW: None}
BUILD_REQUIREMENTS = (
    Package("autoconf", _NO_BUILD),
    Package("automake", _NO_BUILD),
    Package("libtool", _NO_BUILD),
    Package("pkgconf", _NO_BUILD | {Manager.PORT: "pkgconfig"}),
    Package("fakeroot", _NO_BUILD | {Manager.PORT: None}),
    Package("lzo", _NO_BUILD | {Manager.PORT: "lzo2"}),
    Package("zstd", _NO_BUILD),
    Package("libarchive", _NO_BUILD),
    Package("libcap-ng", _NO_BUILD | {Manager.PORT: None}),
)


def resources(view: HostView) -> Resources:
    """Everything `icecream` wants on this host."""
    built_here = view.host.os in (Os.ARCH, Os.MACOS)
    daemons = [daemon(view, service) for service in _services(view)]
    builds, recipe = _build(view) if built_here else ((), ())
    return Resources(
        masked=PACKAGED_UNITS[view.host.os],
        packages=PROGRAMS + BUILD_REQUIREMENTS,
        users=_users(view, built_here),
        directories=_directories(view, built_here),
        files=(*recipe, *(file for files, _ in daemons for file in files)),
        builds=builds,
        services=tuple(running for _, running in daemons),
        remarks=(why_no_jobs(view.host),) if view.host.is_behind_nat else (),
    )


def unavailable(view: HostView, look: Look) -> str:
    """Why this host cannot be in the cluster now: nothing to install it with, or no tailnet.

    A worker started without its address would wait for it and look like one that works.
    """
    if view.host.is_mac and look.system.manager is None:
        return NO_MANAGER
    scheduler = view.fleet.scheduler_host
    if not scheduler.addresses.tailnet:
        return UNKNOWN_ADDRESS.format(host=scheduler.name)
    if why_no_jobs(view.host):
        return ""
    address = view.host.addresses.tailnet
    if not address:
        return UNKNOWN_ADDRESS.format(host=view.host.name)
    if address not in look.system.addresses:
        return f"no interface holds the tailnet address {address}: is Tailscale up on it?"
    return ""


def compile_user(view: HostView) -> User:
    """The account that other hosts' compile jobs run as."""
    home = view.settings.icecc_env_dir
    return User(view.settings.icecc_user, home=home, comment="icecream compile jobs")


def _users(view: HostView, built_here: bool) -> tuple[User, ...]:
    # On Linux the firewall's rules name the account, and made it before.
    compiles = (compile_user(view),) if view.host.is_mac else ()
    builder = User(view.settings.build_user, home=_build_dir(view), comment="builds from source")
    return (*compiles, builder) if built_here else compiles


def _directories(view: HostView, built_here: bool) -> tuple[Directory, ...]:
    user = view.settings.icecc_user
    # iceccd itself sets this mode at every start (cleanup_cache in daemon/environment.cpp).
    environments = Directory(view.settings.icecc_env_dir, mode="0775", owner=user, group=user)
    return (environments, Directory(_build_dir(view))) if built_here else (environments,)


def _services(view: HostView) -> tuple[Service, ...]:
    worker = _worker(view)
    return (worker, _scheduler(view)) if view.host == view.fleet.scheduler_host else (worker,)


def _worker(view: HostView) -> Service:
    host, role = view.host, view.settings
    why_not = why_no_jobs(host)
    command = [
        "iceccd",
        "--netname", view.fleet.name,
        "--name", host.name,
        "-s", f"{_scheduler_address(view)}:{role.scheduler_port}",
        "-u", role.icecc_user,
        "-b", role.icecc_env_dir,
        "--cache-limit", str(cache_mb(view.fleet, host)),
        "--nice", str(role.icecc_nice),
        "-m", str(host.max_jobs),
    ]  # fmt: skip
    if not why_not:
        # The daemon listens where the tailnet address is, and on loopback.
        command += ["-p", str(role.icecc_port), "-i", "{interface}"]
    else:
        command += ["--no-remote"]
    if host.is_mac:
        command += ["-l", f"{role.log_dir}/iceccd.log"]  # a file that it reopens on HUP
    return Service(
        name="iceccd",
        description=f"icecream compile worker (scheduler on {view.fleet.scheduler})",
        note=why_not,
        command=tuple(command),
        path=(*role.icecc_path, "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"),
        wait_for_address="" if why_not else _own_address(view),
        behind_wall=not why_not,
        runtime_directory="icecc",
        hup_reopens=True,
        inputs=tuple(f"{directory}/iceccd" for directory in role.icecc_path),
        exceptions={
            "CapabilityBoundingSet": (
                "CAP_SYS_CHROOT CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_CHOWN CAP_DAC_OVERRIDE "
                "CAP_FOWNER CAP_KILL",
                "starts as root, drops to its user and compiles for others in a chroot",
            ),
            "ProtectHome": ("read-only", "packs compilers wherever their users keep them"),
            "ReadWritePaths": (role.icecc_env_dir, "unpacked compiler environments"),
            "UMask": ("0022", "clients of every user connect to its socket"),
        },
    )


def _scheduler(view: HostView) -> Service:
    role = view.settings
    return Service(
        name="icecc-scheduler",
        description="icecream scheduler",
        command=(
            "icecc-scheduler",
            "-n", view.fleet.name,
            "-p", str(role.scheduler_port),
            "-i", "{interface}",
            "-r",  # keep clients when another scheduler announces itself
        ),
        user=role.icecc_user,
        path=(*role.icecc_path, "/usr/sbin", "/usr/bin"),
        wait_for_address=_own_address(view),
        behind_wall=True,
        inputs=tuple(f"{directory}/icecc-scheduler" for directory in role.icecc_path),
    )  # fmt: skip


def _own_address(view: HostView) -> str:
    """This host's tailnet address; until that is known, one that no interface holds."""
    return view.host.addresses.tailnet or NO_ADDRESS


def _scheduler_address(view: HostView) -> str:
    """The scheduler's tailnet address, on its own host too: it announces what it is called by."""
    return view.fleet.scheduler_host.addresses.tailnet or NO_ADDRESS


def _build_dir(view: HostView) -> str:
    return f"{view.settings.state_dir}/build/icecream"


def _build(view: HostView) -> tuple[tuple[Build, ...], tuple[File, ...]]:
    """How icecream is built where no package has it: makepkg on Arch, autotools with MacPorts."""
    source = artifact(view, SOURCE)
    directory = _build_dir(view)
    arch = view.host.os is Os.ARCH
    prefix = "/usr/lib/icecream" if arch else "/opt/agentfleet/icecream"
    values = {
        "directory": directory,
        "prefix": prefix,
        "source": source,
        "release": RECIPE_RELEASE,
    }
    template = "icecream/build-arch.sh.j2" if arch else "icecream/build-mac.sh.j2"
    script = view.file(
        f"{directory}/build", template, mode="0755", check="sh -n {path}", values=values
    )
    build = Build(
        name="icecream",
        version=f"{source.version}-{RECIPE_RELEASE}",
        script=script.path,
        stamp=f"{prefix}/.agentfleet-build",
        artifact=source,
        manager=Manager.PACMAN if arch else Manager.PORT,
    )
    if not arch:
        return (build,), (script,)
    recipe = view.file(f"{directory}/PKGBUILD", "icecream/PKGBUILD.j2", values=values)
    on_path = view.file(
        "/usr/local/bin/icecc",
        "icecream/icecc.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values=values,
    )
    return (build,), (recipe, script, on_path)
