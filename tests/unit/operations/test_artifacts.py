"""Pinned files reach a host whole and right, or not at all: the scripts run here for real."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fleet.resources import Artifact, Resources
from operations.artifacts import CAME, ELSEWHERE, SEAL, missing, pull, receive
from operations.change import wrap
from tests.unit.conftest import FakeHost, FakeProgram, RealHost, Run, on_linux

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
pytestmark = on_linux


@dataclass
class Server:
    """An HTTP server with ranges, as static ones have them; `cut` ends each answer early."""

    content: bytes = CONTENT
    cut: int | None = None
    lacks_it: bool = False
    asked: list[str] = field(default_factory=list)  # the Range of each request, or ""
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def relay() -> Iterator[Server]:
    """The one that is asked first."""
    with serving() as found:
        yield found


@contextmanager
def serving() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            served.asked.append(wanted)
            first = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", wanted)) else 0
            if self.path != f"/{SHA256}/it-1" or served.lacks_it:
                self.send_error(404)
            elif first >= len(served.content):
                self.send_error(416)
            else:
                body = served.content[first:]
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body)))
                last = len(served.content) - 1
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(served.content)}")
                self.end_headers()
                self.wfile.write(body if served.cut is None else body[: served.cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = listener.server_port
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        listener.shutdown()
        listener.server_close()


@pytest.fixture
def artifact(real_host: RealHost) -> Artifact:
    return Artifact("it", "1", str(real_host.root / SHA256 / "it-1"), SHA256, len(CONTENT))


def fetch(host: RealHost, artifact: Artifact, *mirrors: str) -> Run:
    return host.sh(wrap(pull(artifact, mirrors, host.context(Resources()))))


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def part(artifact: Artifact) -> Path:
    path = Path(f"{artifact.path}.part")
    path.parent.mkdir(exist_ok=True)
    return path


def assert_there(artifact: Artifact) -> None:
    assert Path(artifact.path).read_bytes() == CONTENT
    assert Path(artifact.path).stat().st_mtime == SEAL
    assert not part(artifact).exists()


def assert_not_there(artifact: Artifact) -> None:
    assert not Path(artifact.path).exists()


def test_it_comes_whole(real_host: RealHost, artifact: Artifact, server: Server) -> None:
    run = fetch(real_host, artifact, server.address)
    assert (run.returncode, run.stdout.strip()) == (0, CAME), run.stderr
    assert_there(artifact)


def test_what_came_before_is_continued(
    real_host: RealHost, artifact: Artifact, server: Server
) -> None:
    part(artifact).write_bytes(CONTENT[:5000])
    assert fetch(real_host, artifact, server.address).stdout.strip() == CAME
    assert_there(artifact)
    assert server.asked == ["bytes=5000-"]


def test_a_part_that_is_whole_only_gets_its_name(
    real_host: RealHost, artifact: Artifact, server: Server
) -> None:
    part(artifact).write_bytes(CONTENT)
    assert fetch(real_host, artifact, server.address).stdout.strip() == CAME
    assert_there(artifact)


@pytest.mark.parametrize("rubbish", [b"x" * 5000, b"x" * (len(CONTENT) + 7)], ids=["short", "long"])
def test_a_spoilt_part_is_fetched_anew(
    real_host: RealHost, artifact: Artifact, server: Server, rubbish: bytes
) -> None:
    part(artifact).write_bytes(rubbish)
    assert fetch(real_host, artifact, server.address).stdout.strip() == CAME
    assert_there(artifact)


def test_an_interrupted_answer_never_has_the_name(
    real_host: RealHost, artifact: Artifact, server: Server
) -> None:
    server.cut = 1000
    assert fetch(real_host, artifact, server.address).stdout.strip() == ELSEWHERE
    assert_not_there(artifact)
    server.cut = None
    assert fetch(real_host, artifact, server.address).stdout.strip() == CAME
    assert_there(artifact)


@pytest.mark.parametrize(
    "served",
    [CONTENT[:-1] + b"!", CONTENT[:-1], b"", CONTENT + b"more"],
    ids=["corrupted", "truncated", "empty", "longer"],
)
def test_wrong_bytes_never_have_the_name(
    real_host: RealHost, artifact: Artifact, server: Server, served: bytes
) -> None:
    server.content = served
    run = fetch(real_host, artifact, server.address)
    assert_not_there(artifact)
    if run.returncode:
        assert f"it came as {hashlib.sha256(served).hexdigest()}, pinned is {SHA256}" in run.stderr
        assert not part(artifact).exists()
    else:
        assert run.stdout.strip() == ELSEWHERE


def test_corruption_is_an_error_that_names_both_digests(
    real_host: RealHost, artifact: Artifact, server: Server
) -> None:
    server.content = CONTENT[:-1] + b"!"
    run = fetch(real_host, artifact, server.address)
    assert run.returncode == 1
    assert hashlib.sha256(server.content).hexdigest() in run.stderr
    assert SHA256 in run.stderr
    assert f"it is what {server.address}/" in run.stderr


def test_the_first_that_serves_is_the_only_one_asked(
    real_host: RealHost, artifact: Artifact, relay: Server, server: Server
) -> None:
    assert fetch(real_host, artifact, relay.address, server.address).stdout.strip() == CAME
    assert_there(artifact)
    assert (relay.asked, server.asked) == ([""], [])


@pytest.mark.parametrize("earlier", [b"", CONTENT[:5000]], ids=["nothing", "a part"])
@pytest.mark.parametrize("fault", ["down", "lacks it"])
def test_a_relay_that_does_not_serve_leaves_it_to_the_next(
    real_host: RealHost,
    artifact: Artifact,
    relay: Server,
    server: Server,
    earlier: bytes,
    fault: str,
) -> None:
    relay.lacks_it = True
    first = nobody() if fault == "down" else relay.address
    part(artifact).write_bytes(earlier)
    assert fetch(real_host, artifact, first, server.address).stdout.strip() == CAME
    assert_there(artifact)
    assert server.asked == ["bytes=5000-" if earlier else ""], "what had come is kept"


def test_what_a_relay_that_died_has_sent_is_continued(
    real_host: RealHost, artifact: Artifact, relay: Server, server: Server
) -> None:
    relay.cut = 1000
    assert fetch(real_host, artifact, relay.address, server.address).stdout.strip() == CAME
    assert_there(artifact)
    assert server.asked == ["bytes=1000-"]


def test_a_relay_that_has_other_bytes_is_an_error_not_a_detour(
    real_host: RealHost, artifact: Artifact, relay: Server, server: Server
) -> None:
    relay.content = CONTENT[:-1] + b"!"
    run = fetch(real_host, artifact, relay.address, server.address)
    assert run.returncode == 1
    assert f"it is what {relay.address}/" in run.stderr
    assert server.asked == []
    assert_not_there(artifact)


def test_nobody_who_serves_means_elsewhere(
    real_host: RealHost, artifact: Artifact, relay: Server
) -> None:
    relay.lacks_it = True
    assert fetch(real_host, artifact, nobody(), relay.address).stdout.strip() == ELSEWHERE
    assert_not_there(artifact)


def test_a_full_disk_is_said_before_anything_comes(
    real_host: RealHost, artifact: Artifact, server: Server, program: FakeProgram
) -> None:
    free = len(CONTENT) // 1024 - 1
    df = program("df", f"printf 'File 1K Used Free At\\n/dev/a 9 9 {free} 1%% /\\n'")
    real_host.path = f"{df}:{real_host.path}"
    run = fetch(real_host, artifact, server.address)
    assert run.returncode == 1
    assert "the disk is full: it takes 1 MB in" in run.stderr
    assert server.asked == []
    parcel = real_host.root / "parcel"
    parcel.write_bytes(CONTENT)
    run = real_host.sh(wrap(receive(artifact, str(parcel), real_host.context(Resources()))))
    assert "the disk is full" in run.stderr
    assert_not_there(artifact)
    part(artifact).write_bytes(CONTENT[:5000])
    assert fetch(real_host, artifact, server.address).returncode == 0, "only the rest has to fit"
    assert_there(artifact)


def test_a_server_that_is_down_means_elsewhere_and_keeps_the_part(
    real_host: RealHost, artifact: Artifact
) -> None:
    part(artifact).write_bytes(CONTENT[:5000])
    assert fetch(real_host, artifact, nobody()).stdout.strip() == ELSEWHERE
    assert_not_there(artifact)
    assert part(artifact).read_bytes() == CONTENT[:5000]


def test_a_server_without_the_file_means_elsewhere(
    real_host: RealHost, artifact: Artifact, server: Server
) -> None:
    run = fetch(real_host, artifact, f"{server.address}/other")
    assert run.stdout.strip() == ELSEWHERE
    assert_not_there(artifact)


def test_a_delivered_parcel_is_checked_before_it_has_its_name(
    real_host: RealHost, artifact: Artifact
) -> None:
    parcel = real_host.root / "parcel"
    context = real_host.context(Resources())
    parcel.write_bytes(CONTENT[:-1])
    run = real_host.sh(wrap(receive(artifact, str(parcel), context)))
    assert run.returncode == 1
    assert f"pinned is {SHA256}" in run.stderr
    assert hashlib.sha256(CONTENT[:-1]).hexdigest() in run.stderr
    assert_not_there(artifact)
    assert not parcel.exists()
    parcel.write_bytes(CONTENT)
    assert real_host.sh(wrap(receive(artifact, str(parcel), context))).returncode == 0
    assert_there(artifact)


@pytest.fixture
def beside(real_host: RealHost, artifact: Artifact) -> Artifact:
    """The same, which the host has for itself, too, in a directory with a space."""
    path = real_host.root / "own files" / "it-1"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return replace(artifact, beside=str(path))


def test_what_the_host_has_beside_it_is_copied(
    real_host: RealHost, beside: Artifact, server: Server
) -> None:
    run = fetch(real_host, beside, server.address)
    assert (run.returncode, run.stdout.strip()) == (0, CAME), run.stderr
    assert_there(beside)
    assert server.asked == []
    assert Path(beside.beside).read_bytes() == CONTENT, "and stays"
    assert Path(beside.path).stat().st_ino != Path(beside.beside).stat().st_ino


def test_what_began_to_come_does_not_spoil_the_copy(
    real_host: RealHost, beside: Artifact, server: Server
) -> None:
    part(beside).write_bytes(b"x" * (len(CONTENT) + 7))
    assert fetch(real_host, beside, server.address).stdout.strip() == CAME
    assert_there(beside)


@pytest.mark.parametrize("state", ["damaged", "torn", "empty", "gone", "directory"])
def test_what_is_beside_it_and_wrong_is_fetched(
    real_host: RealHost, beside: Artifact, server: Server, state: str
) -> None:
    path = Path(beside.beside)
    path.unlink()
    if state == "directory":
        path.mkdir()
    elif state != "gone":
        wrong = {"damaged": b"!" + CONTENT[1:], "torn": CONTENT[:-1], "empty": b""}
        path.write_bytes(wrong[state])
    run = fetch(real_host, beside, server.address)
    assert (run.returncode, run.stdout.strip()) == (0, CAME), run.stderr
    assert_there(beside)
    assert server.asked == [""]


def test_where_nobody_serves_what_is_beside_it_is_enough(
    real_host: RealHost, beside: Artifact
) -> None:
    """The orchestrator's own: it has no mirror."""
    assert fetch(real_host, beside).stdout.strip() == CAME
    assert_there(beside)


def test_where_nobody_serves_what_is_wrong_beside_it_has_to_be_delivered(
    real_host: RealHost, beside: Artifact
) -> None:
    Path(beside.beside).write_bytes(b"wrong")
    run = fetch(real_host, beside)
    assert (run.returncode, run.stdout.strip()) == (0, ELSEWHERE), run.stderr
    assert_not_there(beside)


def test_a_full_disk_is_said_before_anything_is_copied(
    real_host: RealHost, beside: Artifact, program: FakeProgram
) -> None:
    df = program("df", "printf 'File 1K Used Free At\\n/dev/a 9 9 3 1%% /\\n'")
    real_host.path = f"{df}:{real_host.path}"
    run = fetch(real_host, beside)
    assert run.returncode == 1
    assert "the disk is full: it takes 1 MB in" in run.stderr
    assert_not_there(beside)
    assert not part(beside).exists()


def test_one_that_is_kept_is_never_fetched(artifact: Artifact) -> None:
    old = replace(artifact, path=f"{artifact.path}-old", kept=True)
    host = FakeHost().lacks(artifact.path, old.path)
    want = Resources(artifacts=(old, artifact))
    assert missing(want, host.context("cap", want), host.look) == [artifact]
    assert ("artifact", old.path) in host.context("cap", want).wanted, "and never removed"
