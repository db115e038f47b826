"""What every host has: tools, directories, its name, the right time, a locked SSH, bounded logs."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.bundle import orchestrator_bundle
from fleet.cards import network_card
from fleet.learned import HOST_KEY, NETWORKING, public_key
from fleet.model import Os
from fleet.resources import (
    Directory,
    File,
    Manager,
    Package,
    Reading,
    Resources,
    RunningService,
    Setting,
)
from fleet.view import HostView

SSHD_CONFIG = "/etc/ssh/sshd_config.d/10-agentfleet.conf"
JOURNALD_CONFIG = "/etc/systemd/journald.conf.d/agentfleet.conf"
TIMESYNCD_CONFIG = "/etc/systemd/timesyncd.conf.d/agentfleet.conf"


def resources(view: HostView) -> Resources:
    """Everything `base` wants on this host."""
    role, mac = view.settings, view.host.is_mac
    return Resources(
        packages=_packages(view),
        directories=(
            Directory(role.state_dir),
            Directory(role.log_dir),
            Directory(role.libexec_dir),
            Directory(role.config_dir),
        ),
        files=(
            view.script("stamp", "services/stamp.sh.j2"),
            view.script("with-interface", "services/with-interface.sh.j2"),
            *((view.script("with-log", "services/with-log.sh.j2"),) if mac else ()),
            *((orchestrator_program(view),) if view.host == view.fleet.orchestrator else ()),
            sshd_drop_in(view, SSHD_CONFIG, "base/sshd.conf.j2", keys_only=True),
            *(() if mac else _linux_files(view)),
        ),
        settings=(
            *(_mac_settings(view) if mac else _linux_settings(view)),
            _passwords_refused(view),
        ),
        readings=(
            public_key(HOST_KEY, "/etc/ssh/ssh_host_ed25519_key.pub"),
            *((network_card(view.host),) if role.sees_network_card else ()),
            *((Reading(NETWORKING, "wslinfo --networking-mode"),) if role.in_windows else ()),
        ),
        services=() if mac else _linux_services(view),
    )


def orchestrator_program(view: HostView) -> File:
    """The orchestrator's own programs in one file, of which several capabilities run one."""
    path = f"{view.settings.libexec_dir}/orchestrator.pyz"
    return File(path, orchestrator_bundle(), "orchestrator")


def _packages(view: HostView) -> tuple[Package, ...]:
    tools = tuple(Package(name) for name in view.settings.base_packages)
    if view.host.is_mac:
        return tools
    # Arch has timesyncd inside its systemd package. Installing it would remove another one.
    time = Package(
        "systemd-timesyncd", {Manager.PACMAN: "systemd"}, unless=("chrony", "ntpsec", "openntpd")
    )
    return (*tools, Package("iproute2"), time)


def sshd_drop_in(
    view: HostView,
    path: str,
    template: str,
    *,
    keys_only: bool = False,
    values: Mapping[str, object] | None = None,
) -> File:
    """A file of sshd's, refused where it would have no effect.

    One that lets in `keys_only` is refused where the login user has none, too.
    """
    check = view.render("base/check-sshd.sh.j2", keys_only=keys_only).decode()
    return view.file(path, template, check=check, values=values)


def sshd_told(view: HostView, path: str, teller: str = "") -> RunningService:
    """The sshd of a Linux host, which has to take notice of such a file."""
    name = "sshd.service" if view.host.os is Os.ARCH else "ssh.service"
    return RunningService.notified(name, (path,), "systemctl try-reload-or-restart", teller)


def _passwords_refused(view: HostView) -> Setting:
    """Whether sshd really does what our file says: the first line that sets a value wins."""
    login = view.host.ssh.user
    return Setting(
        "ssh passwords",
        "refused",
        f"said=$(/usr/sbin/sshd -T -C user={login},host=localhost,addr=127.0.0.1) || echo unknown\n"
        "case $said in *'passwordauthentication yes'* | *'kbdinteractiveauthentication yes'*)\n"
        "echo accepted ;; ?*) echo refused ;; esac",
        ":",  # our file says it already
        f"sshd still accepts passwords: a line before {SSHD_CONFIG}, in /etc/ssh/sshd_config or a "
        "file beside it, turns them on; remove that line",
    )


def _linux_files(view: HostView) -> tuple[File, ...]:
    journald = view.file(JOURNALD_CONFIG, "base/journald.conf.j2")
    if not view.settings.time_servers:
        return (journald,)
    return (journald, view.file(TIMESYNCD_CONFIG, "base/timesyncd.conf.j2"))


def _linux_settings(view: HostView) -> tuple[Setting, ...]:
    if not view.settings.sets_hostname:
        return ()
    name = view.host.name
    # Debian resolves a host's own name by this line of /etc/hosts, and sudo asks for it each time.
    known = f"sed -i 's/^127\\.0\\.1\\.1[[:space:]].*/127.0.1.1\\t{name}/' /etc/hosts"
    write = f"hostnamectl set-hostname {name}\n{known}"
    return (Setting("hostname", name, "uname -n", write),)


def _mac_settings(view: HostView) -> tuple[Setting, ...]:
    name, server = view.host.name, view.settings.time_servers[0]
    names = tuple(
        Setting(which, name, f"scutil --get {which}", f"scutil --set {which} {name}")
        for which in ("HostName", "LocalHostName", "ComputerName")
    )
    time = Setting(
        "network time",
        "Network Time: On",
        "systemsetup -getusingnetworktime",
        "systemsetup -setusingnetworktime on",
    )
    source = Setting(
        "time server",
        f"Network Time Server: {server}",
        "systemsetup -getnetworktimeserver",
        f"systemsetup -setnetworktimeserver {server}",
    )
    return (*names, source, time)


def _linux_services(view: HostView) -> tuple[RunningService, ...]:
    """The distribution's services that have to take notice of our files.

    A Mac needs none: launchd starts an sshd for each connection.
    """
    time = RunningService("systemd-timesyncd.service", unless_virtual=True, unless_absent=True)
    told = RunningService.notified(time.name, (TIMESYNCD_CONFIG,), "systemctl try-restart")
    return (
        sshd_told(view, SSHD_CONFIG),
        RunningService.notified(
            "systemd-journald.service", (JOURNALD_CONFIG,), "systemctl restart"
        ),
        time,
        *((told,) if view.settings.time_servers else ()),
    )
