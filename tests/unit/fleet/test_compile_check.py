"""`fleet compile-check`: who is to compile where, how a job is judged, what the command says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import cli, compilecheck, ssh
from fleet.cluster import Node
from fleet.commands import compile_check, session
from fleet.commands.workers import Worker
from fleet.compileplan import Job, Pair, fingerprint, jobs, lacks, pairs
from fleet.compileproof import machine, prove, read, script
from fleet.kinds import Arch
from fleet.lock import ArtifactsLock
from fleet.model import Fleet
from fleet.ssh import Answer, Route
from fleet.target import ROOT, Target
from fleet.view import HostView
from tests.unit.conftest import SHELLS
from tests.unit.fleet.compilers import equipped

Capture = pytest.CaptureFixture[str]
BOTH = ("clang", "gcc")
ELF = "7f454c460201010000000000000000000100"
X86, ARM = f"{ELF}3e00", f"{ELF}b700"


# who compiles where


def test_every_client_uses_every_worker(fleet_file: Path) -> None:
    assert pairs(equipped(fleet_file)) == (
        Pair("boss", "berry", ("clang",)),
        Pair("boss", "win", BOTH),
        Pair("mac", "boss", ("clang",)),
        Pair("mac", "berry", ("clang",)),
        Pair("mac", "win", ("clang",)),
        Pair("berry", "boss", ("clang",)),
        Pair("berry", "win", ("clang",)),
        Pair("win", "boss", BOTH),
        Pair("win", "berry", ("clang",)),
    )


def test_a_client_without_clang_has_its_gcc(fleet_file: Path) -> None:
    fleet = equipped(fleet_file, without=("win", "mac"))
    assert [pair for pair in pairs(fleet) if pair.client == "win"] == [
        Pair("win", "boss", ("gcc",))
    ]
    assert not [pair for pair in pairs(fleet) if pair.client == "mac"]
    holes = {(lack.client, lack.is_hole) for lack in lacks(fleet)}
    assert holes == {("win", True), ("mac", False)}, "a Mac without it compiles at home by design"


def test_hosts_that_send_nothing_are_no_clients(fleet_file: Path) -> None:
    text = fleet_file.read_text()
    fleet_file.write_text(
        text.replace("role: windows-wsl,", "role: windows-wsl, without: [icecream],")
    )
    fleet = equipped(fleet_file)
    assert not [pair for pair in pairs(fleet) if "win" in (pair.client, pair.worker)]


def test_a_pair_is_four_jobs_at_most() -> None:
    assert [job.program for job in jobs(Pair("win", "boss", BOTH))] == [
        "clang",
        "clang++",
        "gcc",
        "g++",
    ]


def test_a_fingerprint_changes_with_either_compiler_and_the_environment(fleet_file: Path) -> None:
    pair = Pair("win", "berry", ("clang",))
    fleet = equipped(fleet_file)
    same = fingerprint(fleet, pair)

    def other(name: str, **update: Any) -> str:
        hosts = tuple(
            host.model_copy(update=update) if host.name == name else host for host in fleet.hosts
        )
        return fingerprint(fleet.model_copy(update={"hosts": hosts}), pair)

    assert other("boss", cores=2) == same
    assert other("win", compiler="16.0.6+0f1e2d ba9876543210") != same
    assert other("berry", compiler="16.0.6+0f1e2d ba9876543210") != same
    old = fleet.host("berry").environments[0]
    assert other("berry", environments=(old.model_copy(update={"content": "c" * 64}),)) != same
    assert fingerprint(fleet, Pair("win", "berry", BOTH)) != same


# how a job is judged: lines as icecc 1.4 logged them

STAMP = "ICECC[5827] 2026-11-26 11:30:54: "
THERE = f"log 0 {STAMP}Have to use host 100.64.0.3:10245 - Job ID: 1 - env: aarch64 - has env: true"
GREEN = [
    "Welcome to win",
    f"local clang-small-c yes {X86}-",
    "try 0",
    THERE,
    f"done 0 0 210 yes yes {X86}-",
    "end",
]
JOB = Job("berry", "clang", "C")


def judged(*lines: str) -> str:
    told = read(lines)
    at, here, there = "100.64.0.3", Arch.X86_64, Arch.AARCH64
    return prove(JOB, told.get("0"), told.get(JOB.id), at, here, there).reason


def changed(old: str, new: str) -> list[str]:
    assert any(old in line for line in GREEN)
    return [line.replace(old, new) for line in GREEN]


def test_green() -> None:
    told = read(GREEN)
    proof = prove(JOB, told["0"], told[JOB.id], "100.64.0.3", Arch.X86_64, Arch.AARCH64)
    assert (proof.reason, proof.ran_on, proof.seconds) == ("", "100.64.0.3", 2.1)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (changed(THERE, f"log 0 {STAMP}no local daemon found"), "silently: no local daemon found"),
        (
            changed(THERE, f"log 0 {STAMP}building myself, but telling localhost"),
            "silently: the scheduler gave it back",
        ),
        (changed(THERE, "try 0"), "icecc logged nothing"),
        (changed("100.64.0.3", "100.64.0.1"), "compiled on 100.64.0.1 instead"),
        (
            changed("env: aarch64", "env: x86_64"),
            "an environment for x86_64, the worker is aarch64",
        ),
        (changed("0 210 yes", "0 210 no"), "differs from the one compiled at home"),
        (changed("210 yes yes", "210 yes no"), "links to no working program"),
        (changed(f"yes yes {X86}", f"yes yes {ARM}"), "is for aarch64, the client is x86_64"),
        (changed("done 0 0", "said 0 ld: no space\ndone 0 1"), "not tried to the end"),
        (["said 0 cc1: no space", *changed("done 0 0", "done 0 1")], "with 1: cc1: no space"),
        (changed("done 0 0", "done 0 124"), "longer than 300 s"),
        (changed("small-c yes", "small-c no"), "clang fails at home already"),
        (GREEN[:3], "was cut off"),
        (GREEN[2:], "clang was not tried at home"),
    ],
)
def test_what_is_not_green(lines: list[str], reason: str) -> None:
    assert reason in judged(*lines)


def test_a_worker_that_gives_up_is_not_where_it_was_compiled() -> None:
    gave_up = [
        f"log 0 {STAMP}the server ran out of memory, recompiling locally",
        f"log 0 {STAMP}local build forced by remote exception: Error 101 - out of memory",
        f"log 0 {STAMP}invoking: /usr/bin/gcc -c small.c -o there.o",
    ]
    assert "silently: local build forced by remote" in judged(*GREEN[:4], *gave_up, *GREEN[4:])


def test_machines() -> None:
    assert machine(bytes.fromhex(X86)) == "x86_64"
    assert machine(bytes.fromhex(ARM)) == "aarch64"
    assert machine(bytes.fromhex(f"{ELF}2800")) == "ELF machine 40"
    assert machine(bytes.fromhex("cffaedfe07000001" + "00" * 12)) == "x86_64"
    assert machine(bytes.fromhex("cffaedfe0c000001" + "00" * 12)) == "aarch64"
    assert "no object" in machine(b"int main(void) {}   ")
    assert "empty" in machine(b"")


# the script, with compilers that are shell scripts

STUB = r"""#!/bin/sh
# An "object" is its machine's header; what is linked of it prints what its source should.
echo "$ICECC $*" >>"$STUB_DIR/calls"
for word; do last=$word; done
case " $* " in
*" -c "*)
	case "$*" in *small.cpp*) tail=cpp ;; *) tail=c ;; esac
	printf '\177ELF\002\001\001\0\0\0\0\0\0\0\0\0\001\0\076\0' >"$last"
	echo "$tail${STUB_ALTERS:+$ICECC_PREFERRED_HOST}" >>"$last"
	[ -z "$ICECC_LOGFILE" ] || [ -n "$STUB_SILENT" ] ||
		echo "ICECC[1] 2026-11-26 11:00:00: Have to use host 100.64.0.3:1 - env: aarch64" \
			>"$ICECC_LOGFILE"
	[ -z "$STUB_HANGS" ] || [ -z "$ICECC_PREFERRED_HOST" ] || exec sleep 60
	;;
*)
	case "$(tail -n 1 "$1")" in
	*cpp*) say='largest object, nothing to choose from' ;;
	*) say='area 12.750' ;;
	esac
	printf '#!/bin/sh\necho "%s"\n' "$say" >"$last"
	chmod +x "$last"
	;;
esac
"""


@pytest.fixture(params=SHELLS)
def script_of(
    request: Any, fleet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the script of win for berry; standard input stays open, as ssh keeps it."""
    wrappers, scratch = tmp_path / "wrappers", tmp_path / "scratch"
    wrappers.mkdir()
    scratch.mkdir()
    for name in ("clang", "clang++"):
        (wrappers / name).write_text(STUB)
        (wrappers / name).chmod(0o755)
    fleet = equipped(fleet_file)
    view = HostView(fleet, fleet.host("win"), ArtifactsLock())
    text = script(view, jobs(Pair("win", "berry", ("clang",))))
    text = text.replace(view.settings.compilers_dir, str(wrappers))
    running = []

    def start(limit_s: int = 300, **stub: str) -> subprocess.Popen[str]:
        run = subprocess.Popen(
            [*SHELLS[request.param], "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(scratch), "STUB_DIR": str(tmp_path)} | stub,
        )
        running.append(run)
        assert run.stdin
        run.stdin.write(text.replace("-lt 300", f"-lt {limit_s}"))
        run.stdin.flush()
        return run

    yield start
    for run in running:
        run.kill()
        run.wait()
    assert not list(scratch.iterdir()), "it left something"


def reasons(run: subprocess.Popen[str]) -> list[str]:
    assert run.stdout
    lines = run.stdout.read().splitlines()
    assert lines[-1] == "end"
    assert run.wait(10) == 0
    told = read(lines)
    at, here, there = "100.64.0.3", Arch.X86_64, Arch.AARCH64
    listed = jobs(Pair("win", "berry", ("clang",)))
    return [
        prove(job, told.get(str(number)), told.get(job.id), at, here, there).reason
        for number, job in enumerate(listed)
    ]


def test_the_script(script_of: Any, tmp_path: Path) -> None:
    assert reasons(script_of()) == ["", ""]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "disable -O2 -c small.c -o clang-small-c.o" in calls
    assert " -O2 -c small.cpp -o there.o" in calls


def test_the_script_notices_what_is_wrong(script_of: Any) -> None:
    for stub, reason in (
        ({"STUB_ALTERS": "1"}, "differs"),
        ({"STUB_SILENT": "1"}, "icecc logged nothing"),
    ):
        found = reasons(script_of(**stub))
        assert len(found) == 2
        assert all(reason in one for one in found), found


def test_the_script_waits_for_no_job_for_ever(script_of: Any) -> None:
    found = reasons(script_of(limit_s=1, STUB_HANGS="1"))
    assert found == ["it took longer than 300 s"] * 2


@pytest.mark.parametrize("how", ["hang up", "terminate"])
def test_the_script_ends_when_nobody_listens(script_of: Any, how: str) -> None:
    run = script_of(STUB_HANGS="1")
    for line in run.stdout:
        if line.startswith("try"):
            break
    if how == "hang up":
        run.stdin.close()
    else:
        run.send_signal(signal.SIGTERM)
    assert run.wait(10) != 0, "soon, not when the job's time is over"


# as_login: a stub instead of ssh


@pytest.fixture
def fake_ssh(programs: Path) -> Callable[[str], Route]:
    def install(body: str) -> Route:
        (programs / "ssh").write_text(f"#!/bin/sh\n{body}\n")
        (programs / "ssh").chmod(0o755)
        return Route("192.0.2.1", 22, "admin", None, None, "pi")

    return install


def test_lines_come_as_they_are_said(fake_ssh: Any) -> None:
    heard: list[str] = []
    answer = ssh.as_login(fake_ssh("exec sh -s"), "echo one\necho two\nexit 7\n", 10, heard.append)
    assert (answer.code, heard) == (7, ["one", "two"])


def test_ssh_that_takes_no_script(fake_ssh: Any) -> None:
    way = fake_ssh("echo 'ssh: connect to host: Connection refused' >&2; exit 255")
    answer = ssh.as_login(way, "echo x\n" * 50_000, 10, print)
    assert answer.nobody_there


def test_one_that_says_nothing_is_ended(fake_ssh: Any) -> None:
    answer = ssh.as_login(fake_ssh("exec sleep 60"), "exit\n", 0.2, print)
    assert answer.nobody_there


def test_who_hears_may_end_it(fake_ssh: Any) -> None:
    def refuse(line: str) -> None:
        raise InterruptedError(line)

    with pytest.raises(InterruptedError):
        ssh.as_login(fake_ssh("echo one; exec sleep 60"), "exit\n", 30, refuse)


# the command, with hosts that are told


class Hosts:
    """What every client answers to its script, and who is there."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.nodes = {
            host.name: Node(host.name, host.addresses.tailnet or "", 10245, host.arch, 0, 4)
            for host in fleet.hosts
            if not host.is_mac
        }
        self.blocked: dict[str, Any] = {}
        self.faults: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.spoilt: dict[str, str] = {}  # client → text in its lines that is left out
        self.asked: list[str] = []

    def look(self, target: Any) -> Any:
        found = [Worker(name, node, self.blocked.get(name)) for name, node in self.nodes.items()]
        return tuple(found), self.faults

    def as_login(self, name: str, text: str, timeout_s: float, heard: Any) -> Answer:
        self.asked.append(name)
        if name in self.answers:
            return self.answers[name]
        if text == "exit\n":
            return Answer(0, "", "")
        header = X86 if self.fleet.host(name).arch is Arch.X86_64 else ARM
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["at_home"] and len(words) == 4:
                heard(f"local {words[1]} yes {header}-")
            if words[:1] == ["away"] and len(words) == 6:
                self._job(words, header, heard, self.spoilt.get(name, "(nothing)"))
        heard("end")
        return Answer(0, "", "")

    def _job(self, words: list[str], header: str, heard: Any, spoilt: str) -> None:
        worker = self.fleet.host(words[5])
        place = f"Have to use host {worker.addresses.tailnet}:10245 - env: {worker.arch}"
        heard(f"try {words[1]}")
        heard(f"log {words[1]} {STAMP}{place}".replace(spoilt, "nowhere"))
        heard(f"done {words[1]} 0 150 yes yes {header}-")


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch, fleet_file: Path, cache: Path) -> Hosts:
    fleet = equipped(fleet_file)
    found = Hosts(fleet)
    target = Target("real", fleet, None, ArtifactsLock(), ROOT)
    monkeypatch.setattr(session.Session, "target", lambda _: target)
    monkeypatch.setattr(compile_check, "look", found.look)
    monkeypatch.setattr(compilecheck, "route", lambda host, _: host.name)
    monkeypatch.setattr(compilecheck, "as_login", found.as_login)
    return found


def answer(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    code = cli.main(["compile-check", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def states(found: dict[str, Any]) -> dict[str, str]:
    return {f"{one['client']} {one['worker']}": one["state"] for one in found["pairs"]}


def test_all_green(hosts: Hosts, capsys: Capture) -> None:
    assert cli.main(["compile-check"]) == 0
    said = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in said.out.splitlines()}
    assert rows["CLIENT"] == ["berry", "win", "boss"]
    assert rows["win"] == ["1.5", "s", "-", "1.5", "s"]
    assert "boss → berry: clang++ (2 of 6) …" in said.err
    assert sorted(hosts.asked) == ["berry", "boss", "mac", "win"], "one connection a client"


def test_a_job_that_was_compiled_at_home(hosts: Hosts, capsys: Capture) -> None:
    hosts.spoilt["win"] = "100.64.0.3"
    assert cli.main(["compile-check"]) == 1
    out = capsys.readouterr().out
    assert "win → berry: clang C, clang C++: compiled on nowhere instead" in out


def test_only_changed_pairs(hosts: Hosts, capsys: Capture) -> None:
    hosts.spoilt["win"] = "100.64.0.3"
    assert answer(capsys)[0] == 1
    hosts.spoilt.clear()
    hosts.asked.clear()
    code, found = answer(capsys, "--pairs", "changed")
    assert code == 0
    assert hosts.asked == ["win"]
    green = {name for name, state in states(found).items() if state == "green"}
    assert green == {"win berry"}, "what failed is tried again, nothing else"
    hosts.asked.clear()
    assert answer(capsys, "--pairs", "changed")[0] == 0
    assert not hosts.asked
    assert answer(capsys)[0] == 0
    assert len(hosts.asked) == 4, "the default tries all"


def test_what_is_off_and_may_be(
    hosts: Hosts, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Answer(255, "", "ssh: connect to host win port 22: Connection timed out")
    hosts.nodes.pop("win")
    hosts.answers["win"] = silent
    code, found = answer(capsys)
    assert code == 1, "it is always on"
    assert {states(found)[name] for name in ("boss win", "win boss")} == {"failed"}
    assert "timed out" in next(one["reason"] for one in found["clients"] if one["name"] == "win")
    sleeping = hosts.fleet.host("win").model_copy(update={"power": "sleeps"})
    others = tuple(sleeping if one.name == "win" else one for one in hosts.fleet.hosts)
    fleet = hosts.fleet.model_copy(update={"hosts": others})
    target = Target("real", fleet, None, ArtifactsLock(), ROOT)
    monkeypatch.setattr(session.Session, "target", lambda _: target)
    code, found = answer(capsys)
    assert code == 3
    assert {states(found)[name] for name in ("boss win", "win boss")} == {"off"}
    hosts.answers.pop("win")  # up, but without its daemon
    code, found = answer(capsys, "--host", "boss")
    assert code == 1
    assert states(found) == {"boss berry": "green", "boss win": "failed"}


def test_a_blocked_worker_is_said_to_be(hosts: Hosts, capsys: Capture) -> None:
    report = {"by": "win", "at": "now", "compiler": "clang", "source": "x.c", "detail": "7 is 8"}
    hosts.blocked["berry"] = {"worker": "berry", "count": 1, "taken": True, "reports": [report]}
    code, found = answer(capsys)
    assert code == 1
    assert states(found)["boss berry"] == "blocked"
    reason = next(one["reason"] for one in found["pairs"] if one["worker"] == "berry")
    assert "win reported a wrong object" in reason


def test_a_client_that_is_cut_off(
    hosts: Hosts, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(name: str, text: str, timeout_s: float, heard: Any) -> Answer:
        heard(f"local clang-small-c yes {X86}-")
        return Answer(255, "", "client_loop: send disconnect: Broken pipe")

    monkeypatch.setattr(compilecheck, "as_login", cut)
    code, found = answer(capsys, "--host", "boss")
    assert code == 1
    assert set(states(found).values()) == {"failed"}
    assert found["clients"][0]["reason"].endswith("Broken pipe")


def test_a_scheduler_that_does_not_answer(hosts: Hosts, capsys: Capture) -> None:
    hosts.nodes.clear()
    hosts.faults.append("boss: timed out")
    assert cli.main(["compile-check"]) == 1
    assert "boss: timed out" in capsys.readouterr().out
    assert not hosts.asked


def test_wrong_clients(hosts: Hosts, capsys: Capture) -> None:
    assert cli.main(["compile-check", "--host", "bos"]) == 1
    assert 'did you mean "boss"?' in capsys.readouterr().err
