"""Host keys for real: OpenSSH, ssh-keyscan and pyinfra's client against a server on this machine.

The server lets nobody in. A client that trusts its key gets as far as being refused.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from fleet import reach
from fleet.hostkeys import describe, fingerprint, known_hosts, shown
from fleet.inventory import HostKeyWords, groups
from fleet.lock import FleetLock, LockedHost
from fleet.model import Addresses, Host, Ssh
from fleet.ssh import as_root, route
from fleet.target import ROOT, Target
from tests.golden import target

pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="needs OpenSSH's client")
NAME = "rpi1"
LEARNED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEYo0jyZxoeTBGlJGcOIMa1Ff6oH7PmZBmCSoGOGZPbF"


class Server:
    """An SSH server with keys of its own."""

    def __init__(self, tmp_path: Path) -> None:
        file = tmp_path / "server_key"
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)]
        subprocess.run(make, check=True)
        self.keys = [
            paramiko.Ed25519Key.from_private_key(io.StringIO(file.read_text())),
            paramiko.ECDSAKey.generate(),
        ]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def key(self) -> str:
        """Its preferred key."""
        return self.pinned(0)

    def pinned(self, index: int) -> str:
        key = self.keys[index]
        return f"{key.get_name()} {key.get_base64()}"

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            for key in self.keys:
                transport.add_server_key(key)
            try:
                transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())
            except (paramiko.SSHException, EOFError, OSError):
                continue


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AGENTFLEET_CACHE", str(tmp_path / "cache"))
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    one = Server(tmp_path)
    yield one
    one.close()


def there(server: Server, *keys: str) -> tuple[Host, Target]:
    """The server as a host of a fleet, with these keys pinned."""
    found = target()
    host = found.fleet.host(NAME).model_copy(
        update={
            "addresses": Addresses(lan="127.0.0.1", tailnet="100.64.0.9"),
            "ssh": Ssh(user="nobody", port=server.port),
        }
    )
    lock = FleetLock(hosts={NAME: LockedHost(host_keys=keys)}) if keys else FleetLock()
    fleet = found.fleet.model_copy(update={"hosts": (host,)})
    return host, replace(found, fleet=fleet, lock=lock)


def said(server: Server, *keys: str) -> str:
    answer = as_root(route(*there(server, *keys)), "true", 20)
    assert not answer.reached
    assert not answer.nobody_there
    return answer.stderr


def test_the_pinned_key_is_believed(server: Server) -> None:
    for index in range(len(server.keys)):
        assert "Permission denied" in said(server, server.pinned(index))


def test_another_key_is_not(server: Server) -> None:
    assert said(server, LEARNED) == (
        "the host key of rpi1 is not the one that is known: make sure why it changed, then run "
        "fleet trust rpi1 --replace"
    )


def test_a_host_that_nobody_knows(server: Server) -> None:
    assert said(server) == "no host key is pinned for rpi1: run fleet trust rpi1"


def test_a_scan_shows_the_preferred_key_first(server: Server) -> None:
    assert shown("127.0.0.1", server.port) == (server.pinned(0), server.pinned(1))
    server.close()


def test_a_scan_of_nobody(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert shown("127.0.0.1", port) == ()


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(LEARNED + "\n")
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(file)], capture_output=True, text=True, check=True
    )
    assert listed.stdout.split()[1] == fingerprint(LEARNED)
    assert describe(LEARNED) == f"ssh-ed25519 {fingerprint(LEARNED)}"


def test_a_host_has_a_file_with_all_its_names_and_only_its_keys(server: Server) -> None:
    host, its = there(server, LEARNED)
    path = known_hosts(host, its)
    assert path
    names, key = path.read_text().rstrip("\n").split(" ", 1)
    port = server.port
    assert names == f"rpi1,[rpi1]:{port},[127.0.0.1]:{port},[100.64.0.9]:{port}"
    assert key == LEARNED
    plain = host.model_copy(update={"ssh": Ssh(user="a")})
    known_hosts(plain, its)
    assert path.read_text().split()[0] == "rpi1,127.0.0.1,100.64.0.9"
    written = path.stat().st_mtime_ns
    known_hosts(plain, its)
    assert path.stat().st_mtime_ns == written, "others may be reading it"


def test_a_lab_knows_its_hosts_by_other_names(server: Server, tmp_path: Path) -> None:
    """Of a host that it does not know its file says so."""
    host, its = there(server, LEARNED)
    file = tmp_path / "known_hosts"
    another = f"{LEARNED[:-4]}AAAA"
    file.write_text(f"other,192.0.2.9 {another}\nrpi1,[192.0.2.1]:22 {LEARNED}\n")
    lab = replace(its, name="lab", known_hosts=file)
    path = route(host, lab).known_hosts
    assert path
    assert path != file
    assert path.read_text().split(" ", 1)[1] == f"{LEARNED}\n"
    assert "[100.64.0.9]" in path.read_text()
    file.unlink()
    assert route(host, lab).known_hosts == file


# the same through pyinfra

INVENTORY = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from dataclasses import replace
from fleet import reach
from fleet.inventory import groups
from fleet.lock import FleetLock, LockedHost
from fleet.model import Addresses, Ssh
from tests.golden import target as _target
reach.knock = lambda place, port: place == "127.0.0.1"
_found = _target()
_host = _found.fleet.host("rpi1").model_copy(update=dict(
    addresses=Addresses(lan="192.0.2.1", tailnet="127.0.0.1"), ssh=Ssh(user="a", port={port})))
_lock = FleetLock(hosts=dict(rpi1=LockedHost(host_keys={keys!r})))
globals().update(groups(replace(
    _found, fleet=_found.fleet.model_copy(update=dict(hosts=(_host,))), lock=_lock)))
"""


def pyinfra(server: Server, tmp_path: Path, *keys: str) -> str:
    inventory = tmp_path / "inventory.py"
    inventory.write_text(INVENTORY.format(root=str(ROOT), port=server.port, keys=keys))
    program = Path(sys.executable).with_name("pyinfra")
    command = [str(program), "-y", str(inventory), "exec", "--", "true"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return run.stdout + run.stderr


def test_pyinfra_believes_the_pinned_key(server: Server, tmp_path: Path) -> None:
    """Over the address that answers, which is the second here."""
    assert "No authentication methods available" in pyinfra(server, tmp_path, server.key)


def test_pyinfra_believes_no_other_and_names_the_remedy(server: Server, tmp_path: Path) -> None:
    output = pyinfra(server, tmp_path, LEARNED)
    assert "the host key of rpi1 is not the one that is known" in output
    assert "fleet trust rpi1 --replace" in output
    assert "ssh-keygen" not in output


def test_pyinfra_trusts_nobody_new(server: Server, tmp_path: Path) -> None:
    output = pyinfra(server, tmp_path)
    assert "no host key is pinned for rpi1: run fleet trust rpi1" in output
    assert output.count("127.0.0.1") == 0, "and it is said once, of the host"
    assert not (tmp_path / ".ssh").exists()


def test_other_words_stay(caplog: pytest.LogCaptureFixture) -> None:
    words = HostKeyWords((("10.0.0.1", "box"),))
    record = logging.LogRecord("pyinfra", logging.ERROR, "", 1, "%s: no", ("[box]",), None)
    assert words(record)
    assert record.getMessage() == "[box]: no"


def test_asking_twice_adds_no_second_filter(server: Server) -> None:
    _, its = there(server)
    before = len(logging.getLogger("pyinfra").filters)
    for _ in range(3):
        groups(its)
    assert len(logging.getLogger("pyinfra").filters) == before + 1
    reach._answering.cache_clear()
