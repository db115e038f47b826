"""What every host has: tools, directories, its name, the right time, a locked SSH, bounded logs."""

from __future__ import annotations

from fleet.model import Os
from fleet.resources import Directory, File, Manager, Package, Resources, RunningService, Setting
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
        ),
        files=(
            view.script("stamp", "services/stamp.sh.j2"),
            view.script("with-interface", "services/with-interface.sh.j2"),
            _sshd(view),
            *(() if mac else _linux_files(view)),
        ),
        settings=_mac_settings(view) if mac else _linux_settings(view),
        services=() if mac else _linux_services(view),
    )


def _packages(view: HostView) -> tuple[Package, ...]:
    tools = tuple(Package(name) for name in view.settings.base_packages)
    # Arch has timesyncd inside its systemd package; a Mac has its own.
    time = () if view.host.is_mac else (Package("systemd-timesyncd", {Manager.PACMAN: "systemd"}),)
    return (*tools, *time)


def _sshd(view: HostView) -> File:
    """Keys only. Refused where it would lock the login user out or have no effect."""
    check = view.render("base/check-sshd.sh.j2").decode()
    return view.file(SSHD_CONFIG, "base/sshd.conf.j2", check=check)


def _linux_files(view: HostView) -> tuple[File, ...]:
    journald = view.file(JOURNALD_CONFIG, "base/journald.conf.j2")
    if not view.settings.time_servers:
        return (journald,)
    return (journald, view.file(TIMESYNCD_CONFIG, "base/timesyncd.conf.j2"))


def _linux_settings(view: HostView) -> tuple[Setting, ...]:
    if not view.settings.sets_hostname:
        return ()
    name = view.host.name
    return (Setting("hostname", name, "uname -n", f"hostnamectl set-hostname {name}"),)


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
        f"systemsetup -setnetworktimeserver {server}; systemsetup -setusingnetworktime on",
    )
    return (*names, time)


def _linux_services(view: HostView) -> tuple[RunningService, ...]:
    """The distribution's services that have to take notice of our files.

    A Mac needs none: launchd starts an sshd for each connection.
    """
    ssh = "sshd.service" if view.host.os is Os.ARCH else "ssh.service"
    time = RunningService("systemd-timesyncd.service", unless_virtual=True)
    told = RunningService.notified(time.name, (TIMESYNCD_CONFIG,), "systemctl try-restart")
    return (
        RunningService.notified(ssh, (SSHD_CONFIG,), "systemctl try-reload-or-restart"),
        RunningService.notified(
            "systemd-journald.service", (JOURNALD_CONFIG,), "systemctl restart"
        ),
        time,
        *((told,) if view.settings.time_servers else ()),
    )
