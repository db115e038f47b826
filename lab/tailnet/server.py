"""The process behind a lab's tailnet: it answers every host's `tailscale` and `tailscaled`.

usage: python -m lab.tailnet DIRECTORY
"""

from __future__ import annotations

import hashlib
import json
import secrets
import selectors
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.tailnet import commands, links, requests, sockets, store
from lab.tailnet.commands import Caller
from lab.tailnet.console import CONTROLS
from lab.tailnet.nodes import LOGIN, Node, Refused, digest
from lab.tailnet.packets import filter_text
from lab.tailnet.policy import PolicyError
from lab.tailnet.session import Session, TailHost, secret_of
from lab.tailnet.show import World

CONFIG, CONTROL, HOSTS = "hosts.json", "control", "hosts"
SOCKET, APPLIED = "socket", "applied"  # in each host's directory, which it has as its own


def code_version() -> str:
    """The digest of this package: a process that runs older code is started anew."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@dataclass
class Server:
    """The tailnet, who is connected to it, and what the kernel was told."""

    folder: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    sessions: dict[str, Session] = field(default_factory=dict)  # by host
    hosts: dict[str, TailHost] = field(default_factory=dict)
    listeners: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    plugged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    filter: str = ""
    version: str = field(default_factory=code_version)

    def __post_init__(self) -> None:
        config = json.loads((self.folder / CONFIG).read_text())
        self.switch: str = config["switch"]
        self.tailnet = store.load(self.folder, config["number"])
        if not (self.folder / store.KEY).exists():
            store.new_key(self.folder, self.tailnet)
        self.know_hosts()
        self.apply()
        control = sockets.listen(self.folder / CONTROL, 0o600)
        self.listeners.register(control, selectors.EVENT_READ, None)

    def know_hosts(self) -> None:
        """Read which hosts there are, and listen for those that are new."""
        config = json.loads((self.folder / CONFIG).read_text())
        for entry in config["hosts"]:
            host = TailHost(**entry)
            if self.hosts.get(host.name) is None:
                directory = self.folder / HOSTS / host.name
                directory.mkdir(parents=True, exist_ok=True)
                listener = sockets.listen(directory / SOCKET, 0o666)
                self.listeners.register(listener, selectors.EVENT_READ, host.name)
            self.hosts[host.name] = host

    def serve(self) -> None:
        """Answer everybody, each in a thread of its own, until the end."""
        while True:
            for key, _ in self.listeners.select():
                listener: Any = key.fileobj
                connection, _ = listener.accept()
                work = self.answer_host if key.data else self.answer_lab
                threading.Thread(target=work, args=(connection, key.data), daemon=True).start()

    def answer_host(self, connection: socket.socket, name: str) -> None:
        """Answer one request from a host."""
        requests.answer(self, name, connection)

    def answer_lab(self, connection: socket.socket, _: None) -> None:
        """Answer one request of the lab: a JSON object in a line, and one back."""
        with connection, connection.makefile("rw") as stream:
            request = json.loads(stream.readline())
            try:
                with self.lock:
                    answer = {"answer": CONTROLS[request.pop("do")](self, **request)}
            except (PolicyError, Refused, LookupError) as error:
                answer = {"error": str(error)}
            stream.write(json.dumps(answer) + "\n")

    def world(self) -> World:
        """Everything at this moment."""
        systems = {host.name: host.system for host in self.hosts.values()}
        machines = frozenset(node.machine for node in self.running().values())
        return World(self.tailnet, machines, systems, time.time())

    def running(self) -> dict[str, Node]:
        """The nodes that are connected, by host."""
        found = {}
        for name, session in self.sessions.items():
            node = self.tailnet.of_machine(session.machine)
            if node and node.wanted and not node.needs_login(time.time()):
                found[name] = node
        return found

    def apply(self) -> None:
        """Keep what the tailnet has become, and bring kernel and hosts there."""
        store.save(self.folder, self.tailnet)
        running, world = self.running(), self.world()
        ports = {self.hosts[name].port: node for name, node in running.items()}
        wanted = filter_text(self.tailnet, ports, world.now)
        if wanted != self.filter:
            links.load_filter(self.switch, wanted)
            self.filter = wanted
        for host in self.hosts.values():
            self._plug(host, running.get(host.name))
        for name, session in self.sessions.items():
            own = self.tailnet.of_machine(session.machine)
            session.tell_state(logged_in=own is not None and own.logged_in)
            node = running.get(name)
            told = node is not None and node.prefs.get("accept-dns", True)
            session.tell_names(list(commands.names(world, node)) if node and told else [])

    def _plug(self, host: TailHost, node: Node | None) -> None:
        addresses = self.tailnet.addresses(node) if node else ()
        if self.plugged.get(host.name) != addresses:
            links.plug(host.namespace, host.interface, addresses)
            self.plugged[host.name] = addresses

    def connect(self, name: str, connection: socket.socket, state: str) -> Session:
        """Take a host's tailscaled in; one without a secret is given one."""
        secret = secret_of(state) or secrets.token_hex(32)
        machine = digest(secret)
        with self.lock:
            host = self.hosts[name]
            applied = self.folder / HOSTS / name / APPLIED
            applied.unlink(missing_ok=True)
            session = Session(secret, state, connection, applied)
            self.plugged.pop(name, None)  # its interface may be another than before
            self.sessions[name] = session
            if host.is_windows and self.tailnet.of_machine(machine) is None:
                self.take_windows_in(name, machine)
            self.apply()
        say(f"{name}: connected")
        return session

    def take_windows_in(self, name: str, machine: str) -> None:
        """Its person logged in long ago; what happens to the distribution is nothing to Windows."""
        known = next((node for node in self.tailnet.nodes if node.host == name), None)
        if known:
            known.machine = machine
        else:
            self.tailnet.join(machine, name, name, LOGIN, (), time.time())

    def disconnect(self, name: str, session: Session) -> None:
        """A host's tailscaled is gone."""
        with self.lock:
            if self.sessions.get(name) is session:
                del self.sessions[name]
                self.apply()
        say(f"{name}: gone")

    def command(self, name: str, user: int, key: str, words: list[str]) -> commands.Answer:
        """Run one `tailscale …` of a host, with all that follows from it."""
        with self.lock:
            host, session = self.hosts[name], self.sessions.get(name)
            if session is None and words[:1] not in (["version"], ["--version"]):
                return commands.Answer(err=[host.not_running], code=1)
            machine = session.machine if session else ""
            may = user == 0 or host.is_windows
            answer = commands.run(self.world(), Caller(name, machine, may, name, key), words)
            self.apply()
        say(f"{name}: {' '.join(words[:1])} ended with {answer.code}")
        if session:
            session.await_notice()
        return answer


def say(text: str) -> None:
    """Write a line of the log."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
