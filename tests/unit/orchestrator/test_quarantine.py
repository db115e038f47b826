"""The quarantine, whole: who is blocked and who says so, what a crash and a restart leave."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.bundle import orchestrator_bundle
from orchestrator.client import Quarantine, QuarantineError
from orchestrator.plain import NO_TLS
from orchestrator.quarantine import keeper, reports
from orchestrator.quarantine.notes import KEPT
from tests.unit.conftest import on_linux
from tests.unit.orchestrator import nursery
from tests.unit.orchestrator.conftest import free_port, from_bundle
from tests.unit.orchestrator.scheduler import Daemon, Scheduler, until

pytestmark = on_linux
HOSTS = {
    "boss": {"addresses": ["127.0.0.1", "fd7a::1"], "worker": True},
    "berry": {"addresses": ["127.0.0.2", "fd7a::2"], "worker": True},
    "mac": {"addresses": ["127.0.0.3"], "worker": False},
}
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
BERRY, BOSS = Daemon("berry", "127.0.0.2"), Daemon("boss", "127.0.0.1")
FORM = {"worker": "berry", "compiler": "clang", "source": "x.c", "detail": "byte 40: 7 is 8"}


class Running:
    """A quarantine with a directory of its own; it can be killed and started again."""

    def __init__(self, path: Path, scheduler: Scheduler) -> None:
        self.path, self.port, self.config = path, free_port(), path / "quarantine.json"
        self.bundle: Path | None = None
        self.configure(scheduler=scheduler)
        self.process: nursery.Process | None = None
        self.start()

    def configure(self, scheduler: Scheduler, hosts: Any = HOSTS) -> None:
        known = {
            "listen": "127.0.0.1",
            "port": self.port,
            "notes": str(self.path / "notes.sqlite"),
            "socket": str(self.path / "admin.sock"),
            "scheduler": "127.0.0.1",
            "console": scheduler.port,
            "hosts": hosts,
        }
        self.config.write_text(json.dumps(known))

    def start(self) -> None:
        words, log = ("quarantine", str(self.config)), self.path / "log"
        self.process = (
            from_bundle(self.bundle, *words, environment=ENVIRONMENT, log=log)
            if self.bundle
            else nursery.Child(words, ENVIRONMENT, self.path / "out", log)
        )
        until(self._is_up, 30)

    def _is_up(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log
        try:
            self.admin.blocked()
        except QuarantineError:
            return False
        return True

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(20)

    @property
    def admin(self) -> Quarantine:
        return Quarantine(self.path / "admin.sock")

    @property
    def log(self) -> str:
        return (self.path / "log").read_text()

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith("WARNING")]

    def ask(self, method: str, path: str, place: str = "127.0.0.1", **more: Any) -> httpx.Response:
        """As the host at that address."""
        way = httpx.HTTPTransport(local_address=place, verify=NO_TLS)
        with httpx.Client(transport=way, timeout=30) as client:
            return client.request(method, f"http://127.0.0.1:{self.port}{path}", **more)

    def report(self, place: str = "127.0.0.1", **differing: str) -> httpx.Response:
        return self.ask("POST", "/reports", place, data=FORM | differing)

    def blocked(self) -> dict[str, Any]:
        return {one["worker"]: one for one in self.ask("GET", "/blocked").json()["blocked"]}


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    found = Scheduler()
    found.login(BOSS, BERRY)
    yield found
    found.stop()


@pytest.fixture
def quarantine(tmp_path: Path, scheduler: Scheduler) -> Iterator[Running]:
    found = Running(tmp_path, scheduler)
    yield found
    if found.process and found.process.poll() is None:
        found.kill(signal.SIGTERM)


def test_who_is_reported_is_out_and_stays_out(quarantine: Running, scheduler: Scheduler) -> None:
    answer = quarantine.report()
    assert (answer.status_code, answer.text) == (200, "berry is blocked\n")
    assert scheduler.names() == ["boss"]
    scheduler.login(BERRY, Daemon("another-name", "127.0.0.2"), Daemon("berry", "127.0.0.9"))
    assert scheduler.names() == ["boss"]


def test_everybody_can_see_whom_and_why(quarantine: Running) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    quarantine.report()
    (found,) = quarantine.ask("GET", "/blocked", "127.0.0.3").json()["blocked"]
    assert before <= datetime.fromisoformat(found["since"]) <= datetime.now(UTC)
    assert (found["worker"], found["by"], found["taken"], found["count"]) == (
        "berry",
        "boss",
        True,
        1,
    )
    (one,) = found["reports"]
    assert (one["compiler"], one["source"], one["detail"]) == ("clang", "x.c", "byte 40: 7 is 8")


@pytest.mark.parametrize("worker", ["berry", "127.0.0.2", "fd7a::2"])
def test_json_by_name_or_address(worker: str, quarantine: Running, scheduler: Scheduler) -> None:
    said = {"worker": worker, "compiler": "clang", "source": "x.c", "detail": "…"}
    answer = quarantine.ask("POST", "/reports", "127.0.0.3", json=said)
    assert answer.text == "berry is blocked\n"
    assert quarantine.blocked()["berry"]["by"] == "mac"
    assert scheduler.names() == ["boss"]


def test_a_shell_can_say_it(quarantine: Running) -> None:
    """As a wrapper in POSIX sh does, with whatever characters are in the file's name."""
    words = ["worker=berry", "compiler=clang", "source=a b&worker=boss ü.c", "detail=100 % +1"]
    data = [word for one in words for word in ("--data-urlencode", one)]
    url = f"http://127.0.0.1:{quarantine.port}/reports"
    done = subprocess.run(["curl", "-sSf", *data, url], capture_output=True, text=True, check=True)
    assert done.stdout == "berry is blocked\n"
    (one,) = quarantine.blocked()["berry"]["reports"]
    assert (one["source"], one["detail"]) == ("a b&worker=boss ü.c", "100 % +1")


# who may say what


def test_a_stranger_is_refused_whatever_it_claims(
    quarantine: Running, scheduler: Scheduler
) -> None:
    claims = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    for method, path in (("POST", "/reports"), ("GET", "/blocked")):
        answer = quarantine.ask(method, path, "127.0.0.9", headers=claims)
        assert answer.status_code == 403
        assert answer.text == "127.0.0.9 is no address of this fleet's\n"
    # And who is in the fleet is who they are, not whom they name.
    quarantine.ask("POST", "/reports", "127.0.0.3", data=FORM, headers=claims)
    assert quarantine.blocked()["berry"]["by"] == "mac"


@pytest.mark.parametrize("worker", ["mac", "127.0.0.3", "nobody", "", "berry boss", "127.0.0.9"])
def test_nobody_but_a_worker_can_be_blocked(
    worker: str, quarantine: Running, scheduler: Scheduler
) -> None:
    answer = quarantine.report(worker=worker)
    assert (answer.status_code, answer.text) == (
        422,
        f'"{worker}" is no worker of this fleet\n',
    )
    assert quarantine.blocked() == {}
    assert scheduler.names() == ["boss", "berry"]
    assert not any(line.startswith("blockcs") for line in scheduler.said)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"content": b"worker=berry"}, 415),
        ({"json": ["berry"]}, 422),
        ({"json": {"worker": ["berry"]}}, 422),
        ({"json": {"worker": "berry", "detail": "x" * reports.BODY_LIMIT}}, 413),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[" * 16000, "headers": {"content-type": "application/json"}}, 400),
        ({"data": {str(number): "x" for number in range(100)}}, 400),
        ({"content": b"\xff=1", "headers": {"content-type": reports.FORM}}, 400),
    ],
)
def test_what_is_no_report(more: dict[str, Any], status: int, quarantine: Running) -> None:
    answer = quarantine.ask("POST", "/reports", **more)
    assert answer.status_code == status, answer.text
    assert answer.text.count("\n") == 1
    assert quarantine.blocked() == {}


def test_there_is_no_way_to_unblock_over_the_network(quarantine: Running) -> None:
    quarantine.report()
    assert quarantine.ask("DELETE", "/blocked/berry").status_code == 404
    assert quarantine.ask("DELETE", "/blocked").status_code == 405
    assert set(quarantine.blocked()) == {"berry"}
    mode = (quarantine.path / "admin.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o660, "its user and group alone"


# what is written down


def test_a_report_is_one_line_of_the_journal(quarantine: Running) -> None:
    evil = 'x.c\nWARNING boss is blocked: \x1b[31m\u202e\r\ud800 "quoted"'
    said = {"worker": "berry", "source": evil, "compiler": "a" * 1000, "detail": "ü" * 1000}
    body = json.dumps(said)  # with the half of a surrogate pair in it
    headers = {"content-type": "application/json"}
    assert quarantine.ask("POST", "/reports", content=body, headers=headers).status_code == 200
    (line,) = quarantine.warnings
    assert line.startswith('WARNING berry is blocked: boss reports a wrong object (compiler "aaa')
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 48 << 10, "the journal would break it in two"
    assert '\\"quoted\\"' in line
    (kept,) = quarantine.blocked()["berry"]["reports"]
    assert kept["source"] == 'x.c WARNING boss is blocked: ?[31m? ? "quoted"'
    assert len(kept["compiler"]) == 200


def test_reports_are_kept_up_to_a_bound_the_first_one_always(quarantine: Running) -> None:
    for number in range(KEPT + 5):
        quarantine.report(source=f"{number}.c")
    found = quarantine.blocked()["berry"]
    sources = [one["source"] for one in found["reports"]]
    assert found["count"] == KEPT + 5
    assert sources == ["0.c", *(f"{number}.c" for number in range(6, KEPT + 5))]


def test_notes_outlive_a_kill(quarantine: Running, scheduler: Scheduler) -> None:
    quarantine.report()
    before = quarantine.blocked()
    quarantine.kill()
    scheduler.stop()
    scheduler.start()
    scheduler.login(BERRY)
    assert "berry" in scheduler.names()
    quarantine.start()
    until(lambda: scheduler.names() == ["boss"])
    until(lambda: quarantine.blocked() == before)


# the scheduler


def test_a_scheduler_that_restarts_is_told_again_and_once(
    quarantine: Running, scheduler: Scheduler
) -> None:
    quarantine.report()
    quarantine.report()
    assert sorted(scheduler.blocks) == ["127.0.0.2", "berry"]
    scheduler.stop()
    scheduler.start()
    scheduler.login(BERRY)
    until(lambda: scheduler.names() == ["boss"])
    until(lambda: sorted(scheduler.blocks) == ["127.0.0.2", "berry"])
    time.sleep(1)  # several comparisons
    assert sorted(scheduler.blocks) == ["127.0.0.2", "berry"]


def test_a_report_while_the_scheduler_is_down(quarantine: Running, scheduler: Scheduler) -> None:
    scheduler.stop()
    answer = quarantine.report()
    assert answer.status_code == 200
    assert answer.text == "noted; berry is blocked as soon as the scheduler answers\n"
    assert quarantine.blocked()["berry"]["taken"] is False
    assert "does not answer" in quarantine.ask("GET", "/blocked").json()["fault"]
    scheduler.start()
    until(lambda: quarantine.blocked()["berry"]["taken"])
    assert scheduler.names() == ["boss"]
    assert quarantine.ask("GET", "/blocked").json()["fault"] == ""


def test_one_that_says_nothing_keeps_nobody_waiting_for_long(
    quarantine: Running, scheduler: Scheduler
) -> None:
    scheduler.mute = True
    began = time.monotonic()
    assert quarantine.report().text.startswith("noted; ")
    assert time.monotonic() - began < keeper.ANSWER_S + 4
    scheduler.mute = False
    until(lambda: quarantine.blocked()["berry"]["taken"])


def test_every_daemon_of_a_blocked_host_is_removed(
    quarantine: Running, scheduler: Scheduler
) -> None:
    """The console removes one at a time; what the others call themselves does not matter."""
    scheduler.login(*(Daemon(f"alias-{number}", "127.0.0.2") for number in range(3)))
    assert quarantine.report().text == "berry is blocked\n"
    assert scheduler.names() == ["boss"]


def test_a_forged_list_of_daemons_changes_nothing(
    quarantine: Running, scheduler: Scheduler
) -> None:
    scheduler.daemons.append(Daemon("x\n200 done\n berry (127.0.0.2:1) [x]\nboss", "127.0.0.9"))
    quarantine.report()
    assert "boss" in scheduler.names()
    assert {line.split()[0] for line in scheduler.said} <= {
        *("listcs", "listblocks", "blockcs", "removecs")
    }
    assert {word for line in scheduler.said for word in line.split()[1:]} <= {"berry", "127.0.0.2"}


# letting in again


def test_who_is_let_in_comes_back(quarantine: Running, scheduler: Scheduler) -> None:
    quarantine.report()
    scheduler.blocks += ["berry", "somebody-else"]  # by hand, on the console
    assert quarantine.admin.unblock("berry") == {"unblocked": "berry", "taken": True, "fault": ""}
    assert scheduler.blocks == ["somebody-else"]
    scheduler.login(BERRY)
    time.sleep(0.6)
    assert scheduler.names() == ["boss", "berry"]
    assert quarantine.blocked() == {}
    assert quarantine.warnings[-1].startswith("WARNING berry is not blocked any more")


def test_who_is_not_blocked_cannot_be_let_in(quarantine: Running) -> None:
    quarantine.report()
    with pytest.raises(QuarantineError, match=r'"bos/s" is not blocked \(blocked: berry\)'):
        quarantine.admin.unblock("bos/s")
    quarantine.admin.unblock("berry")
    with pytest.raises(QuarantineError, match="blocked: nobody is"):
        quarantine.admin.unblock("berry")


def test_let_in_while_the_scheduler_is_out_of_reach(
    quarantine: Running, scheduler: Scheduler
) -> None:
    """It has not forgotten the block: it is told whenever it can be, also after a crash of ours."""
    quarantine.report()
    blocks = list(scheduler.blocks)
    scheduler.stop()
    assert quarantine.admin.unblock("berry")["taken"] is False
    quarantine.kill()
    scheduler.start()
    scheduler.blocks += blocks
    quarantine.start()
    until(lambda: scheduler.blocks == [])


def test_a_worker_with_a_new_address_leaves_no_block_at_the_old_one(
    quarantine: Running, scheduler: Scheduler
) -> None:
    quarantine.report()
    quarantine.kill(signal.SIGTERM)
    berry = {"addresses": ["127.0.0.7"], "worker": True}
    quarantine.configure(scheduler, HOSTS | {"berry": berry})
    quarantine.start()
    until(lambda: sorted(scheduler.blocks) == ["127.0.0.7", "berry"])


def test_a_worker_that_left_the_fleet_can_be_let_in(
    quarantine: Running, scheduler: Scheduler
) -> None:
    quarantine.report()
    quarantine.kill(signal.SIGTERM)
    quarantine.configure(scheduler, {"boss": HOSTS["boss"]})
    quarantine.start()
    until(lambda: scheduler.blocks == ["berry"])
    assert quarantine.admin.unblock("berry")["taken"] is True
    assert scheduler.blocks == []


# the process


def test_it_ends_in_good_order_and_its_socket_goes(quarantine: Running) -> None:
    quarantine.report()
    assert quarantine.kill(signal.SIGTERM) == 0
    assert not (quarantine.path / "admin.sock").exists()


def test_the_commands_of_the_orchestrator(quarantine: Running) -> None:
    def run(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        config = str(quarantine.config)
        return nursery.run(verb, "--config", config, *words, environment=ENVIRONMENT)

    quarantine.report()
    assert json.loads(run("blocked").stdout)["blocked"][0]["worker"] == "berry"
    assert json.loads(run("unblock", "berry").stdout)["unblocked"] == "berry"
    done = run("unblock", "berry")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not blocked" in done.stderr
    quarantine.kill(signal.SIGTERM)
    assert "the quarantine does not answer" in run("blocked").stderr


def test_it_runs_from_the_bundle_alone(quarantine: Running) -> None:
    quarantine.kill(signal.SIGTERM)
    quarantine.bundle = quarantine.path / "orchestrator.pyz"
    quarantine.bundle.write_bytes(orchestrator_bundle())
    quarantine.start()
    assert quarantine.report().text == "berry is blocked\n"


def test_what_keeps_it_from_starting(tmp_path: Path, scheduler: Scheduler) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        known = {"listen": "127.0.0.1", "port": taken.getsockname()[1]}
        known |= {"notes": str(tmp_path / "n"), "socket": str(tmp_path / "s")}
        known |= {"scheduler": "127.0.0.1", "console": scheduler.port, "hosts": HOSTS}
        config = tmp_path / "quarantine.json"
        for fault, words in (
            ({}, "Address already in use"),
            ({"notes": str(tmp_path / "nowhere" / "n")}, "nothing could be noted"),
            ({"console": "x"}, "ValueError"),
        ):
            config.write_text(json.dumps(known | fault))
            done = nursery.run("quarantine", str(config), environment=ENVIRONMENT)
            assert done.returncode == 1
            assert words in done.stderr
            assert "Traceback" not in done.stderr


def test_notes_that_cannot_be_written_are_no_promise(
    quarantine: Running, scheduler: Scheduler
) -> None:
    with closing(sqlite3.connect(quarantine.path / "notes.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = quarantine.report()
        assert answer.status_code == 503
        assert answer.text == "nothing can be noted here now, and nobody was blocked\n"
    assert quarantine.blocked() == {}
    assert scheduler.names() == ["boss", "berry"]
    assert quarantine.report().text == "berry is blocked\n"
