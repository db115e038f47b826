"""The lab for programs: `Lab("test").up()`. Every method raises LabError with words for people."""

import functools
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from fleet.model import Fleet, load_fleet
from fleet.target import fleet_file
from lab import boot, cgroups, disks, machine, network, preflight, remote, snapshot
from lab.anthropic.process import LabAnthropic
from lab.errors import LabError
from lab.hosts import create, host_files
from lab.images.recipes import image
from lab.layers import Builder
from lab.locks import locked
from lab.paths import RUN, cache_dir
from lab.place import find_place, remember, remember_hosts, settled
from lab.progress import Reporter
from lab.shell import run
from lab.spec import LabHost, chosen, lab_hosts
from lab.status import HostStatus, look
from lab.tailnet.process import LabTailnet

PARALLEL = 4  # hosts made or started at once
HOST_MEGABYTES = 100  # what a host writes until it is of use, about
CONSOLE_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_TAG = "default"


class Lab:
    """One lab by its name. Changes hold the lab's lock; looking and running commands do not."""

    def __init__(
        self,
        name: str | None = None,
        fleet: Fleet | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.place = find_place(name)
        self.reporter = reporter or Reporter(quiet=True)
        self._fleet = fleet

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.place.name

    @property
    def tailnet(self) -> LabTailnet:
        """The lab's tailnet: its nodes, its policy, its auth key."""
        return LabTailnet(self.place)

    @property
    def anthropic(self) -> LabAnthropic:
        """The lab's Messages API: its key, and what it was asked."""
        return LabAnthropic(self.place)

    @property
    def fleet(self) -> Fleet:
        """The fleet with the lab's addresses, user and key; runs learn addresses, so ask anew."""
        from lab.overlay import overlay

        return overlay(self._source, self.name).fleet

    @functools.cached_property
    def _source(self) -> Fleet:
        return self._fleet or load_fleet(fleet_file())

    @functools.cached_property
    def hosts(self) -> tuple[LabHost, ...]:
        """The lab's hosts, in the order of the fleet file."""
        return settled(self.place, lab_hosts(self._source))

    @property
    def ssh_config(self) -> Path:
        """The file for `ssh -F`, which knows every host by its name."""
        return self.place.ssh_config

    def up(self, hosts: Iterable[str] | None = None) -> None:
        """Build what is missing, start these hosts (or all) and wait for their SSH."""
        preflight.require_root()
        wanted = chosen(self.hosts, hosts)
        emulated = any(host.emulated for host in wanted)
        preflight.ready(self.place.state.parent, self.reporter, emulation=emulated)
        with self._lock():
            remember(self.place)
            remember_hosts(self.place, self.hosts)
            remote.write_key(self.place)
            machine.acquire(self.name, emulation=emulated)
            lowers = self._build(wanted)
            if not network.switch_is_complete(self.place):
                self._stop_all()
                network.ensure_switch(self.place)
            self.tailnet.start(self.hosts)
            self.anthropic.start()
            halted = [host for host in wanted if not boot.is_alive(self.place, host.name)]
            self._start(halted, lowers)
            self._await(wanted)

    def down(self) -> None:
        """Stop everything and leave nothing on the machine but the hosts' files."""
        preflight.require_root()
        with self._lock():
            self._down()

    def destroy(self) -> None:
        """Stop everything and forget the hosts and their snapshots."""
        preflight.require_root()
        with self._lock():
            self._down()
            shutil.rmtree(self.place.state, ignore_errors=True)

    def reset(self, names: Iterable[str] | None = None) -> None:
        """Make these hosts (or all) pristine again, and start them."""
        preflight.require_root()
        wanted = chosen(self.hosts, names)
        with self._lock():
            for host in wanted:
                self._halt(host.name)
                shutil.rmtree(host_files(self.place, host.name).directory, ignore_errors=True)
        self.up([host.name for host in wanted])

    def snapshot(self, tag: str = DEFAULT_TAG) -> None:
        """Keep the state of every host that was ever started, under a tag."""
        preflight.require_root()
        with self._lock(), self.reporter.step(f"snapshot {tag}"):
            names = [h.name for h in self.hosts if host_files(self.place, h.name).made.exists()]
            if not names:
                raise LabError(f"the lab {self.name} has no hosts yet: `fleet lab up` first")
            snapshot.take(self.place, tag, names)

    def restore(self, tag: str = DEFAULT_TAG) -> None:
        """Bring all hosts of a snapshot back to it, and start them."""
        preflight.require_root()
        with self._lock(), self.reporter.step(f"restoring {tag}"):
            names = snapshot.kept(self.place, tag)
            remote.hang_up(self.place, names)
            self.tailnet.stop()
            snapshot.put_back(self.place, tag, names)
        known = {host.name for host in self.hosts}
        self.up([name for name in names if name in known])

    def has_snapshot(self, tag: str = DEFAULT_TAG) -> bool:
        """Whether there is a snapshot of that tag."""
        return tag in snapshot.tags(self.place)

    def status(self) -> list[HostStatus]:
        """What each host is doing."""
        return look(self.place, self.hosts)

    def run(
        self, host: str, text: str, *, check: bool = True, timeout: float | None = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run shell text as root on a host, over SSH as everything else comes there."""
        (target,) = chosen(self.hosts, [host])
        command = f"sudo -n sh -c {shlex.quote(text)}"
        done = subprocess.run(
            remote.ssh(self.place, target.name, command),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise LabError(
                f"on {host}: {text}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def console(
        self, host: str, *command: str, stdin: str = "", timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root at a host's console, where no SSH is needed; it may fail."""
        (target,) = chosen(self.hosts, [host])
        spaces = ("mount", "uts", "ipc", "net", "pid")
        return run(
            [*boot.inside(self.place, target.name, *spaces), *command],
            check=False,
            stdin=stdin,
            env={"PATH": CONSOLE_PATH, "HOME": "/root"},
            timeout=timeout,
        )

    def poweroff(self, host: str) -> None:
        """Pull a host's plug."""
        preflight.require_root()
        (target,) = chosen(self.hosts, [host])
        with self._lock():
            self._halt(target.name)

    def poweron(self, host: str) -> None:
        """Start a host that is off, and wait for its SSH."""
        self.up([host])

    def wait_ssh(self, names: Iterable[str] | None = None) -> None:
        """Wait until these hosts take commands."""
        remote.wait_ssh(self.place, chosen(self.hosts, names))

    def limit_disk(self, host: str, path: str, size: int) -> None:
        """Put an empty disk of `size` bytes on a directory of a running host."""
        disks.limit(self.place, host, path, size)

    def unlimit_disk(self, host: str, path: str) -> None:
        """Take that disk away."""
        disks.unlimit(self.place, host, path)

    def _build(self, hosts: Sequence[LabHost]) -> dict[str, str]:
        """Build the images of these hosts; return what each kind's overlay stands on."""
        images = {host.kind: image(host.kind) for host in hosts}
        builder = Builder(cache_dir(), self.reporter)
        builder.ensure([layer for stack in images.values() for layer in stack])
        return {
            kind: ":".join(str(builder.path(layer)) for layer in stack)
            for kind, stack in images.items()
        }

    def _lock(self) -> AbstractContextManager[None]:
        return locked(RUN / f"{self.name}.lock", self.reporter.say)

    def _start(self, hosts: Sequence[LabHost], lowers: dict[str, str]) -> None:
        if hosts:
            what = f"{len(hosts)} hosts"
            preflight.require_space(
                self.place.state, HOST_MEGABYTES * len(hosts), what, "AGENTFLEET_LAB_STATE"
            )
            with self.reporter.step(f"starting {what}"):
                _each(lambda host: create(self.place, host, lowers[host.kind]), hosts)
                remote.write_ssh_files(self.place, self.hosts)
                remote.hang_up(self.place, [host.name for host in hosts])
                _each(lambda host: boot.start(self.place, host), hosts)

    def _await(self, hosts: Sequence[LabHost]) -> None:
        remote.write_ssh_files(self.place, self.hosts)
        with self.reporter.step(f"waiting for {len(hosts)} hosts"):
            remote.wait_ssh(self.place, hosts)

    def _halt(self, name: str) -> None:
        remote.hang_up(self.place, [name])
        boot.stop(self.place, name)

    def _stop_all(self) -> None:
        """End every process of the lab, also of hosts that the fleet no longer has."""
        folders = self.place.state.glob("hosts/*")
        names = {folder.name for folder in folders}
        remote.hang_up(self.place, sorted(names))
        for name in names:
            boot.stop(self.place, name)
        groups = cgroups.find(self.place)
        cgroups.kill(groups)
        cgroups.remove(groups)

    def _down(self) -> None:
        with self.reporter.step(f"stopping the lab {self.name}"):
            self._stop_all()
            network.remove_hosts(self.place)
            network.remove_switch(self.place)
            machine.release(self.name)
            shutil.rmtree(self.place.run, ignore_errors=True)


def _each(action: Callable[[LabHost], None], hosts: Sequence[LabHost]) -> None:
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(action, hosts))
