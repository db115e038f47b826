"""One service model, two renderings: a systemd unit or a LaunchDaemon."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator

from fleet.resources import File, RunningService, Service
from fleet.view import MANAGED, HostView

LABEL_PREFIX = "org.agentfleet."
UNIT_PREFIX = "agentfleet-"
WALL = "wall"  # the daemon that keeps the host's firewall in force (deploys/firewall.py)

# Hardening that every daemon starts from; a service loosens single lines, each with its reason.
HARDENING = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictNamespaces": "yes",
    "LockPersonality": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "CapabilityBoundingSet": "",
    "UMask": "0077",
}


def daemon(view: HostView, service: Service) -> tuple[tuple[File, ...], RunningService]:
    """The files that define the service on this host, and what must hold of it there.

    The first one is the unit or the property list.
    """
    definition = _plist(view, service) if view.host.is_mac else _unit(view, service)
    rotation = (_rotation(view, service),) if view.host.is_mac else ()
    name = (LABEL_PREFIX if view.host.is_mac else UNIT_PREFIX) + service.name
    if not view.host.is_mac:
        name += ".service"
    inputs = (definition.path, *_stamped(view, service))
    running = RunningService(
        name, inputs=inputs, policy=service.policy, busy=service.busy, off=service.off
    )
    return (definition, *rotation), running


def once(view: HostView, service: Service) -> File:
    """The unit of a service that runs to its end whenever another unit starts it."""
    if view.host.is_mac:
        raise ValueError(f"{service.name}: launchd starts nothing for another unit")
    return _unit(view, service, once=True)


def timed(
    view: HostView,
    service: Service,
    calendar: str,
    *,
    after_boot: str = "10min",
    spread: str = "5min",
) -> tuple[tuple[File, ...], RunningService]:
    """The files of a service that runs to its end when systemd's `calendar` says, and after a boot.

    What has to run is its timer; the next start takes whatever files there are then. It starts up
    to `spread` later than it could.
    """
    definition = once(view, service)
    path = definition.path.removesuffix(".service") + ".timer"
    values = {
        "service": service,
        "calendar": calendar,
        "after_boot": after_boot,
        "spread": spread,
    }
    timer = view.file(path, "services/unit.timer.j2", values=values)
    return (definition, timer), RunningService(f"{UNIT_PREFIX}{service.name}.timer")


def _stamped(view: HostView, service: Service) -> tuple[str, ...]:
    ours = f"{view.settings.libexec_dir}/"
    helpers = (helper[0] for helper in _helpers(view, service) if helper[0].startswith(ours))
    return (*helpers, *service.inputs)


def _command(view: HostView, service: Service) -> tuple[str, ...]:
    """The command behind its helpers, each of which becomes what follows it."""
    return (*(word for helper in _helpers(view, service) for word in helper), *service.command)


def _helpers(view: HostView, service: Service) -> Iterator[tuple[str, ...]]:
    """What has to hold before the start: the firewall stands, an interface has the address.

    On a Mac also what systemd does by itself: a log that can be rotated, another user.
    """
    libexec = view.settings.libexec_dir
    if view.host.is_mac and not service.hup_reopens:
        yield (f"{libexec}/with-log", _log(view, service))
    if service.behind_wall and view.host.is_mac:  # systemd binds the unit to the wall's instead
        yield (f"{libexec}/behind-wall", LABEL_PREFIX + service.name)
    if service.wait_for_address:
        yield (f"{libexec}/with-interface", service.wait_for_address)
    if view.host.is_mac and service.user != "root":
        # launchd's UserName would make that user of everything before, too. Without -G the other
        # groups would stay root's.
        user = service.user
        yield ("/usr/sbin/chroot", "-u", user, "-g", user, "-G", user, "/")


def _stamp_command(view: HostView, service: Service, definition: str) -> tuple[str, ...]:
    return (
        f"{view.settings.libexec_dir}/stamp",
        service.name,
        definition,
        *_stamped(view, service),
    )


def _unit(view: HostView, service: Service, *, once: bool = False) -> File:
    path = f"/etc/systemd/system/{UNIT_PREFIX}{service.name}.service"
    hardening = [
        (key, *service.exceptions.get(key, (value, "")))
        for key, value in (_hardening(service) | dict.fromkeys(service.exceptions, "")).items()
    ]
    command = _command(view, service)
    # systemd looks for a bare name in places of its own, not on the PATH it sets.
    start = command if command[0].startswith("/") else ("/usr/bin/env", *command)
    environment = {"PATH": ":".join(service.path), **service.environment}
    values = {
        "service": service,
        "once": once,
        "command": [_word(word, "$") for word in start],
        "stamp": [_word(word, "$") for word in _stamp_command(view, service, path)],
        "prepare": [_word(word, "$") for word in service.prepare],
        "wall": f"{UNIT_PREFIX}{WALL}.service",
        "environment": [_word(f"{k}={v}") for k, v in sorted(environment.items())],
        "hardening": hardening,
    }
    return view.file(path, "services/unit.service.j2", values=values)


def _hardening(service: Service) -> dict[str, str]:
    """All or nothing: for another user than root most of it implies NoNewPrivileges."""
    return {"UMask": "0022"} if service.unconfined else HARDENING


def _word(text: str, also: str = "") -> str:
    """A word of a unit file that means itself: `%`, and what `also` lists, has a sense there."""
    for special in f"%{also}":
        text = text.replace(special, 2 * special)
    if re.search(r"[\s'\"\\;]", text):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _plist(view: HostView, service: Service) -> File:
    if service.credentials:
        raise ValueError(f"{service.name}: launchd keeps no credentials")
    label = LABEL_PREFIX + service.name
    path = f"/Library/LaunchDaemons/{label}.plist"
    log = _log(view, service)
    job: dict[str, object] = {
        "Label": label,
        "ProgramArguments": [
            *_stamp_command(view, service, path),
            "--",
            *_command(view, service),
        ],
        "EnvironmentVariables": {"PATH": ":".join(service.path), **service.environment},
        "KeepAlive": True,
        "RunAtLoad": True,
        "StandardOutPath": log,
        "StandardErrorPath": log,
        "ThrottleInterval": service.restart_delay_s,
    }
    if service.nice:
        job["Nice"] = service.nice
    template = "services"
    content = plistlib.dumps(job, sort_keys=True).decode()
    note = f"\n     {service.note.replace('--', '- -')}" if service.note else ""
    header = f"<!-- {MANAGED.format(template=template)}{note} -->\n<plist"
    content = content.replace("<plist", header, 1)
    return File(path, content.encode(), template, check="plutil -lint -s {path}")


def log_file(view: HostView, name: str) -> str:
    """Where the daemon of that name logs on a Mac; what was rotated away is beside it, `.0.gz`."""
    return f"{view.settings.log_dir}/{name}.log"


def _log(view: HostView, service: Service) -> str:
    return log_file(view, service.name)


def _rotation(view: HostView, service: Service) -> File:
    path = f"/etc/newsyslog.d/agentfleet-{service.name}.conf"
    values = {"service": service, "log": _log(view, service)}
    return view.file(path, "services/newsyslog.conf.j2", values=values)
