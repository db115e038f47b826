"""A fleet of any size whose hosts only pretend: its files, and what each host would print.

A host answers a run's look in full, as one that is converged does. Every third has a file that
somebody edited, so that a dry run has something to plan and to show.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from facts.manifests import ManifestsProbe
from facts.packages import PackagesProbe
from facts.paths import PathsProbe
from facts.probe import Probe, compose
from facts.services import RUN_DIR, ServicesProbe, service_stem, told_stem
from facts.system import SystemProbe
from facts.tailnet import TailnetProbe
from facts.users import UsersProbe
from facts.values import ValuesProbe
from facts.windows import WindowsProbe
from fleet.kinds import Arch, Role
from fleet.learned import COMPILER, DISPATCH_KEY, ENVIRONMENTS, HEALTH_KEY, HOST_KEY
from fleet.lock import (
    LockedHost,
    LockedTailnet,
    lock_path,
    read_artifacts_lock,
    read_fleet_lock,
    write_fleet_lock,
)
from fleet.model import Host
from fleet.plan import context_of, equipped, view_of
from fleet.resources import Directory, File, Manager, Resources, RunningService, WindowsSide
from fleet.target import ROOT, Target, load_target
from fleet.toolchains import matrix
from fleet.view import HostView
from operations.artifacts import SEAL
from operations.manifest import manifest
from tests.unit.clusters import CLANG, environment

EDITED = b"# somebody was here\n"
PINS = ROOT / "tests" / "golden" / "artifacts.lock.yaml"
EVERY = 3  # of so many hosts one has an edited file
# After the orchestrator: who comes, again and again.
_KINDS = (
    (Role.PI, "raspios", "aarch64"),
    (Role.HEADLESS_MAC, "macos", "x86_64"),
    (Role.PI, "raspios", "aarch64"),
    (Role.WINDOWS_WSL, "debian", "x86_64"),
    (Role.PI, "debian", "aarch64"),
    (Role.WORKSTATION_MAC, "macos", "x86_64"),
)
_NETWORK, _LAN = ipaddress.ip_address("100.101.0.0"), ipaddress.ip_address("10.20.0.0")
_SIX = ipaddress.ip_address("fd7a:115c:a1e0::")


def describe(folder: Path, hosts: int) -> Path:
    """Write fleet.yaml and its lock for so many hosts; returns the path of the former."""
    path = folder / "fleet.yaml"
    entries = {f"host{number}": _entry(number) for number in range(hosts)}
    roles = sorted({entry["role"] for entry in entries.values()})
    text = {
        "version": 1,
        "name": "simulated",
        "ssh": {"user": "admin"},
        "toolchain": {"llvm": 16},
        "budgets": dict.fromkeys(roles, 5),
        "operators": {"alice": {"ssh_keys": [f"{_key(0)} alice@laptop"]}},
        "secrets": {"anthropic_api_key": "env:SIMULATED_KEY"},
        "hosts": entries,
    }
    path.write_text(yaml.safe_dump(text, sort_keys=False))
    lock = read_fleet_lock(lock_path(path))
    for number, name in enumerate(entries, 1):
        lock = lock.with_host(name, _locked(number, name))
    write_fleet_lock(lock_path(path), lock)
    return path


def pack(folder: Path) -> None:
    """Note in the lock what the builders of this fleet have packed; $FLEET_FILE names it."""
    fleet = load_target().fleet
    path = lock_path(folder / "fleet.yaml")
    lock = read_fleet_lock(path)
    for arch, builders in matrix(fleet).builders.items():
        for name in builders:
            packed = {"environments": (environment(Arch(arch)),)}
            lock = lock.with_host(name, lock.hosts[name].model_copy(update=packed))
    write_fleet_lock(path, lock)


def _entry(number: int) -> dict[str, Any]:
    role, system, arch = (
        (Role.ORCHESTRATOR, "arch", "x86_64") if number == 0 else _KINDS[number % len(_KINDS)]
    )
    return {
        "role": role.value,
        "os": system,
        "arch": arch,
        "cores": 4 if role is Role.PI else 8,
        "addresses": {"lan": str(_LAN + number + 1)},
    }


def _locked(number: int, name: str) -> LockedHost:
    tailnet = LockedTailnet(
        ipv4=str(_NETWORK + number), ipv6=str(_SIX + number), name=f"{name}.example.ts.net"
    )
    return LockedHost(
        tailnet=tailnet,
        host_keys=(_key(number),),
        dispatch_key=_key(10_000) if number == 1 else None,
        health_key=_key(10_001) if number == 1 else None,
        compiler=CLANG,
    )


def _key(number: int) -> str:
    """A public key that nobody has."""
    fields = (b"ssh-ed25519", hashlib.sha256(str(number).encode()).digest())
    wire = b"".join(len(one).to_bytes(4, "big") + one for one in fields)
    return f"ssh-ed25519 {base64.b64encode(wire).decode()}"


def simulated_target(name: str | None = None) -> Target:
    """What a run works on; pinned is all that there is, so that every capability comes."""
    return replace(load_target(name), artifacts=read_artifacts_lock(PINS))


def answers(target: Target) -> dict[str, list[str]]:
    """What each host prints when it is looked at, by its name, in lines."""
    return {
        host.name: _answer(target, host, edited=number % EVERY == EVERY - 1)
        for number, host in enumerate(target.fleet.hosts)
    }


def edited(target: Target) -> tuple[str, ...]:
    """The hosts that differ from what is wanted."""
    return tuple(host.name for host in target.fleet.hosts[EVERY - 1 :: EVERY])


def _answer(target: Target, host: Host, *, edited: bool) -> list[str]:
    view = view_of(target, host.name)
    asked = context_of("base", view).asked
    sections = {probe.name: list(_said(probe, view, edited=edited)) for probe in asked}
    script = [line for line in compose(asked).splitlines() if line.startswith("echo '@@")]
    lines: list[str] = []
    for line in script:  # in the order and under the names of the script itself
        mark = line.removeprefix("echo '").removesuffix("'")
        lines += [mark, *sections.get(mark.split()[-1], [])]
    return lines


def _said(probe: Probe, view: HostView, *, edited: bool) -> Iterable[str]:
    wants = equipped(view)
    match probe:
        case SystemProbe():
            return _system(view)
        case PathsProbe():
            return _paths(probe, view, wants, edited=edited)
        case PackagesProbe():
            return _packages(probe, view.host)
        case ServicesProbe():
            return _services(probe, view, wants)
        case UsersProbe():
            return probe.names
        case ValuesProbe():
            return _values(view, wants)
        case ManifestsProbe():
            return _manifests(probe, wants)
        case TailnetProbe():
            return _tailnet(view)
        case WindowsProbe():
            return _windows(probe.side) if probe.side else ()
        case _:
            raise TypeError(f"nobody knows what a host says to the probe {probe.name}")


def _system(view: HostView) -> Iterator[str]:
    host = view.host
    yield f"kernel={'Darwin' if host.is_mac else 'Linux'}"
    yield f"machine={host.arch}"
    if not host.is_mac:
        yield f"distribution={'debian' if host.os == 'raspios' else host.os}"
    yield f"manager={_manager(host).value}"
    if _manager(host) is Manager.APT:
        yield f"userland={'arm64' if host.arch is Arch.AARCH64 else 'amd64'}"
    addresses = (host.addresses.lan, host.addresses.tailnet, host.addresses.tailnet6)
    yield from (f"address {address}" for address in ("127.0.0.1", "::1", *addresses) if address)


def _windows(side: WindowsSide) -> Iterator[str]:
    """A Windows on which all is as it should be."""
    tcp = {"protocol": "TCP", "direction": "Inbound", "action": "Allow", "enabled": "True"}
    runs = f"C:\\Windows\\System32\\wsl.exe -d {side.distribution} --exec sleep infinity"
    words = {"trigger": "MSFT_TaskBootTrigger", "logon": "S4U", "level": "Highest"}
    told = {
        "build": 22631,
        "installer": "winget",
        "wslconfig": "[wsl2]\r\nnetworkingMode=mirrored\r\n",
        "rules": {
            rule.name: {**tcp, "ports": rule.ports, "sources": rule.sources} for rule in side.rules
        },
        "tasks": {side.keep_alive: {**words, "runs": runs, "state": "Running"}},
        "programs": {program.name: program.version or "1.0" for program in side.programs},
    }
    yield from ("mode mirrored", "conf [boot]", "conf systemd=true")
    yield f"said /run/WSL/1_interop True {base64.b64encode(json.dumps(told).encode()).decode()}"


def _manager(host: Host) -> Manager:
    if host.is_mac:
        return Manager.BREW
    return Manager.PACMAN if host.os == "arch" else Manager.APT


def _paths(
    probe: PathsProbe, view: HostView, wants: Mapping[str, Resources], *, edited: bool
) -> Iterator[str]:
    there: dict[str, str] = {}
    sums: dict[str, str] = {}
    changed = _first_plain(wants) if edited else ""
    for want in wants.values():
        for directory in want.directories:
            there[directory.path] = _stat(directory, "directory", 4096, 1, view)
        for file in want.files:
            there[file.path] = _stat(file, "regular file", len(file.content), 1, view)
            sums[file.path] = file.sha256
        for path, content in _made(want):
            there[path] = _stat(File(path, content, ""), "regular file", len(content), 1, view)
            sums[path] = hashlib.sha256(content).hexdigest()
        for artifact in want.artifacts:
            plain = File(artifact.path, b"", "")
            there[artifact.path] = _stat(plain, "regular file", artifact.size, SEAL, view)
    if changed:
        sums[changed] = hashlib.sha256(EDITED).hexdigest()
    asked = [path for path in probe.paths if path in there]
    yield from (there[path] for path in asked)
    yield "digests"
    yield from (f"{sums[p]}  {p}" for p in asked if p in sums and p not in probe.unread)
    yield "contents"
    if changed:
        yield from (changed, base64.b64encode(EDITED).decode())


def _made(want: Resources) -> Iterator[tuple[str, bytes]]:
    """Files beside those that are rendered, which a converged host has."""
    for build in want.builds:
        yield build.stamp, f"{build.version}\n".encode()
        if build.makes:
            yield build.makes, b"packed"
    for program in want.programs:
        yield program.path, b"program"
        yield program.current, f"{program.generation}\n".encode()
    if want.session:
        yield want.session.mark, b"session"


def _first_plain(wants: Mapping[str, Resources]) -> str:
    """A file without a guard, that a service has no interest in."""
    inputs = {path for want in wants.values() for s in want.services for path in s.inputs}
    return next(f.path for f in wants["base"].files if f.path not in inputs and not f.secret)


def _stat(it: File | Directory, kind: str, size: int, mtime: int, view: HostView) -> str:
    """A line of stat, by a host on which all accounts but root have the id 900."""
    root = "wheel" if view.host.is_mac else "root"
    group = root if it.group == "0" else it.group or it.owner
    uid = "0" if it.owner == "root" else "900"
    mode = it.mode.lstrip("0") if not view.host.is_mac else f"0 {it.mode[-3:]}"
    parts = (it.path, kind, mode, it.owner, group, uid, "0" if group == root else "900")
    return "\t".join((*parts, str(size), str(mtime)))


def _packages(probe: PackagesProbe, host: Host) -> Iterator[str]:
    for package in probe.packages:
        if name := package.under(_manager(host)):
            yield f"{name} 1.2.3-1"


def _values(view: HostView, wants: Mapping[str, Resources]) -> Iterator[str]:
    host = view.host
    packed = [
        f"{e.platform} {e.compiler} {e.content} {e.sha256} {e.size} {e.unpacked}"
        for e in host.environments
    ]
    readings = {
        HOST_KEY: host.host_keys[0],
        DISPATCH_KEY: host.dispatch_key or "",
        HEALTH_KEY: host.health_key or "",
        COMPILER: host.compiler or "",
        ENVIRONMENTS: ";".join(packed),
    }
    for want in wants.values():
        yield from (f"{setting.name}\t{setting.want}" for setting in want.settings)
        yield from (f"{r.name}\t{readings.get(r.name, '')}" for r in want.readings)


def _manifests(probe: ManifestsProbe, wants: Mapping[str, Resources]) -> Iterator[str]:
    for name, want in wants.items():
        listed = manifest(name, want)
        if listed.entries:
            yield f"manifest {probe.directory}/{name}.json"
            yield from listed.dump().decode().splitlines()
            yield ""


def _services(
    probe: ServicesProbe, view: HostView, wants: Mapping[str, Resources]
) -> Iterator[str]:
    services = [service for want in wants.values() for service in want.services]
    off = {service.name for service in services if service.off}
    masked = {unit for want in wants.values() for unit in want.masked}
    if view.host.is_mac:
        yield from (f'disabled \t\t"{name}" => disabled' for name in sorted(off))
    for name in probe.names:
        yield from _job(name, off) if view.host.is_mac else _unit(name, off, masked)
    yield "stamps"
    digests = {file.path: file.sha256 for want in wants.values() for file in want.files}
    for service in services:
        if service.inputs:
            yield f"stamp {_stamp(service, probe.state_dir)}"
            yield from (f"{digests[p]}  {p}" for p in service.inputs if p in digests)
    yield "busy"


def _stamp(service: RunningService, state_dir: str) -> str:
    if service.notify:
        return f"{state_dir}/notified/{told_stem(service.name, service.teller)}.stamp"
    return f"{RUN_DIR}/{service_stem(service.name)}.stamp"


def _unit(name: str, off: Iterable[str], masked: Iterable[str]) -> Iterator[str]:
    state = "masked" if name in masked else "loaded"
    runs = state == "loaded" and name not in off
    yield f"Id={name}"
    yield f"Names={name}"
    yield f"LoadState={state}"
    yield f"ActiveState={'active' if runs else 'inactive'}"
    yield f"UnitFileState={'enabled' if runs else state if state == 'masked' else 'disabled'}"
    yield "NeedDaemonReload=no"
    yield ""


def _job(name: str, off: Iterable[str]) -> Iterator[str]:
    yield f"label {name}"
    if name not in off:
        yield f"system/{name} = {{"
        yield f"\tpath = /Library/LaunchDaemons/{name}.plist"
        yield "\tstate = running"
        yield "\tpid = 321"
        yield "}"


def _tailnet(view: HostView) -> Iterator[str]:
    """A status, with all the others in it, as it is in a real tailnet; the look asks for a line."""
    yield f"program {view.settings.tailscale_programs[-1]}"
    if view.settings.tailscale_runs:
        yield "joined"
    peers = {f"nodekey:{h.name}": _node(h) for h in view.fleet.hosts if h != view.host}
    tag = view.settings.tailnet_tag
    myself = _node(view.host) | ({"Tags": [tag]} if tag else {})
    said = {"Version": "1.80.0", "BackendState": "Running", "Self": myself, "Peer": peers}
    yield json.dumps(said)


def _node(host: Host) -> dict[str, Any]:
    place = host.addresses
    return {
        "ID": f"n{host.name}CNTRL",
        "PublicKey": f"nodekey:{host.name}",
        "HostName": host.name,
        "DNSName": f"{place.tailnet_name}.",
        "OS": "macOS" if host.is_mac else "linux",
        "UserID": 1,
        "TailscaleIPs": [place.tailnet, place.tailnet6],
        "AllowedIPs": [f"{place.tailnet}/32", f"{place.tailnet6}/128"],
        "Addrs": None,
        "CurAddr": "",
        "Relay": "fra",
        "RxBytes": 0,
        "TxBytes": 0,
        "Created": "2026-01-01T00:00:00.0Z",
        "LastSeen": "0001-01-01T00:00:00Z",
        "LastHandshake": "0001-01-01T00:00:00Z",
        "Online": True,
        "ExitNode": False,
        "Active": False,
        "InNetworkMap": True,
        "InMagicSock": True,
        "InEngine": False,
    }
