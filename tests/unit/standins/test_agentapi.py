"""The lab's AgentAPI, with a program that repeats what it is told."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.standins.agentapi.build import build
from tests.unit.conftest import on_linux
from tests.unit.standins.agentapi import WAIT_S, Agent, run

pytestmark = on_linux
Begin = Callable[..., Agent]
NOT_STABLE = "message can only be sent when the agent is waiting for user input"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    found = Agent(tmp_path_factory.mktemp("agent"))
    found.idle()
    yield found
    found.end()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts agents, one after the other, and leaves none behind."""
    begun: list[Agent] = []

    def one(*flags: str, **more: Any) -> Agent:
        begun.append(Agent(tmp_path, *flags, **more))
        return begun[-1]

    yield one
    for agent in begun:
        if agent.process.poll() is None:
            agent.end()


def test_it_says_what_it_is(agent: Agent) -> None:
    said = agent.get("/status").json()
    assert (said["status"], said["agent_type"], said["transport"]) == ("stable", "claude", "pty")
    assert agent.messages() == [("agent", "ready")]


def test_a_message_is_answered(agent: Agent) -> None:
    agent.idle()
    assert agent.post("hello there").json()["ok"] is True
    assert agent.get("/status").json()["status"] == "running"
    refused = agent.post("too early")
    assert refused.status_code == 500
    assert refused.headers["content-type"] == "application/problem+json"
    assert NOT_STABLE in refused.json()["errors"][0]["message"]
    agent.idle()
    assert agent.messages()[1:] == [("user", "hello there"), ("agent", "you said hello there")]


def test_the_same_words_are_answered_again(agent: Agent) -> None:
    for _ in range(2):
        agent.idle()
        agent.post("  and again\n")
        agent.idle()
    assert agent.messages()[-4:] == 2 * [("user", "and again"), ("agent", "you said and again")]


def test_it_is_running_while_the_screen_changes_and_the_message_grows(agent: Agent) -> None:
    agent.idle()
    agent.post("slowly")
    time.sleep(0.5)
    early = agent.messages()[-1][1]
    assert "you said" not in early
    assert agent.get("/status").json()["status"] == "running"
    agent.idle()
    late = agent.messages()[-1][1]
    assert late.startswith(early)
    assert late == "step 0\nstep 1\nstep 2\nyou said slowly"


def test_a_message_that_is_empty_is_refused(agent: Agent) -> None:
    agent.idle()
    refused = agent.post(" \n")
    assert refused.status_code == 500
    assert "message must not be empty" in refused.json()["errors"][0]["message"]


def test_raw_keys_are_pressed_at_any_time_and_are_no_message(agent: Agent) -> None:
    agent.idle()
    agent.post("one")
    before = len(agent.messages())
    assert agent.post("by hand\n", "raw").json()["ok"] is True
    agent.says("you said by hand")
    assert len(agent.messages()) == before


def test_status_waits_while_a_message_is_sent(agent: Agent) -> None:
    agent.idle()
    thread = threading.Thread(target=agent.post, args=("patience",))
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert agent.get("/status").json()["status"] == "running"
    assert time.monotonic() - began > 0.2, "the paste is awaited for a while"
    thread.join()


@pytest.mark.parametrize("name", ["evil.example", "agent.example.evil", "[::1]", "", "::1"])
@pytest.mark.parametrize("path", ["/status", "/nothing"])
def test_other_names_of_the_host_are_refused_on_every_path(
    agent: Agent, name: str, path: str
) -> None:
    refused = agent.get(path, headers={"host": name})
    assert refused.status_code == 400
    assert refused.headers["content-type"].startswith("text/plain")
    hosts = "localhost, 127.0.0.1, agent.example"
    assert refused.text == f"Invalid host header. Allowed hosts: {hosts}\n"


@pytest.mark.parametrize("name", ["agent.example", "agent.example:3284", "AGENT.example"])
def test_names_are_compared_without_port_and_case(agent: Agent, name: str) -> None:
    assert agent.get("/status", headers={"host": name}).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"content": "x"}', "application/json", 422),
        (b'{"type": "user"}', "application/json", 422),
        (b'{"content": "x", "type": "other"}', "application/json", 422),
        (b'{"content": 3, "type": "user"}', "application/json", 422),
        (b'{"content": "x", "type": "user", "more": 1}', "application/json", 422),
        (b"[]", "application/json", 422),
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"content": "x", "type": "user"}', "text/plain", 415),
        (b" " * (1 << 20) + b" ", "application/json", 413),
    ],
)
def test_what_is_no_message_is_refused(agent: Agent, body: bytes, kind: str, status: int) -> None:
    before = agent.messages()
    refused = agent.client.post("/message", content=body, headers={"content-type": kind})
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == status
    assert agent.messages() == before


def test_json_is_assumed_where_nothing_is_said(agent: Agent) -> None:
    agent.idle()
    body = b'{"content": "quietly", "type": "raw", "$schema": "http://example.com/x"}'
    assert agent.client.post("/message", content=body).status_code == 200


def test_a_file_can_be_uploaded(agent: Agent) -> None:
    said = agent.client.post("/upload", files={"file": ("../a b.txt", b"content\r\n\0")}).json()
    path = Path(said["filePath"])
    assert (path.name, path.parent.parent.name[:17]) == ("a b.txt", "agentapi-uploads-")
    assert path.read_bytes() == b"content\r\n\0"


def test_what_is_no_upload_is_refused(agent: Agent) -> None:
    post = agent.client.post
    assert post("/upload", content=b"x").status_code == 422
    assert post("/upload", files={"other": ("a", b"x")}).status_code == 422
    two = [("file", ("a", b"x")), ("file", ("b", b"y"))]
    assert post("/upload", files=two).status_code == 422
    large = post("/upload", files={"file": ("a", b"x" * ((10 << 20) + 1))})
    assert large.status_code == 400
    assert large.json()["detail"] == "file size exceeds 10MB limit"


def _events(agent: Agent, path: str = "/events") -> Iterator[tuple[str, dict[str, Any]]]:
    with agent.client.stream("GET", path) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


def test_events_tell_everything_so_far_and_what_comes(agent: Agent) -> None:
    agent.idle()
    agent.post("before")
    agent.idle()
    events = _events(agent)
    told = [next(events) for _ in agent.messages()]
    assert [(one["role"], one["message"]) for _, one in told] == agent.messages()
    assert {name for name, _ in told} == {"message_update"}
    assert next(events) == ("status_change", {"status": "stable", "agent_type": "claude"})
    agent.post("after")
    came: list[tuple[str, object]] = []
    while ("status_change", "stable") not in came:
        name, data = next(events)
        came.append((name, data.get("status", data.get("message"))))
    assert next(word for name, word in came if name == "status_change") == "running"
    assert ("message_update", "after") in came
    assert ("message_update", "you said after") in came


def test_the_screen_can_be_watched(agent: Agent) -> None:
    name, data = next(_events(agent, "/internal/screen"))
    assert name == "screen"
    assert data["screen"].startswith("ready\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/else", 404),
        ("GET", "/message", 405),
        ("PUT", "/status", 405),
        ("HEAD", "/status", 405),
        ("BREW", "/status", 405),
    ],
)
def test_what_there_is_not(agent: Agent, method: str, path: str, status: int) -> None:
    assert agent.client.request(method, path).status_code == status
    assert agent.get("/status?x=1").status_code == 200, "the connection goes on"


def test_other_origins_are_not_answered(agent: Agent) -> None:
    ask = {"access-control-request-method": "POST"}
    for origin, allowed in (("http://localhost:3000", True), ("http://evil.example", False)):
        for response in (
            agent.get("/status", headers={"origin": origin}),
            agent.client.options("/message", headers={"origin": origin, **ask}),
        ):
            assert response.status_code == 200
            assert response.headers.get("access-control-allow-origin") == (
                origin if allowed else None
            )


# its life


@pytest.mark.parametrize(("word", "code"), [("end", 3), ("kill", 128 + signal.SIGKILL)])
def test_it_ends_with_its_agent(begin: Begin, word: str, code: int) -> None:
    agent = begin()
    agent.idle()
    agent.post(f"{word}\n", "raw")
    assert agent.process.wait(WAIT_S) == code


def test_when_it_is_ended_its_agent_ends_too(begin: Begin, tmp_path: Path) -> None:
    """One that does not want to, and what that has started."""
    script = """import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
child = os.fork()
if child: print("pids", os.getpid(), child, flush=True)
time.sleep(100)
"""
    pid_file = tmp_path / "pid"
    agent = begin("--pid-file", str(pid_file), script=script)
    agent.idle()
    assert int(pid_file.read_text()) == agent.process.pid
    upload = agent.client.post("/upload", files={"file": ("a", b"x")}).json()["filePath"]
    _, *pids = agent.messages()[0][1].split()
    assert len(pids) == 2
    assert agent.end() == 0
    for pid in pids:
        assert not _lives(int(pid))
    assert not Path(upload).exists()
    assert not pid_file.exists()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # dead, and its new parent has not looked yet


def test_what_comes_on_its_input_is_the_first_prompt_and_the_state_stays(begin: Begin) -> None:
    agent = begin(stdin="begin with this\n")
    agent.idle()
    said = [("agent", "ready"), ("user", "begin with this"), ("agent", "you said begin with this")]
    assert agent.messages() == said
    assert agent.end() == 0
    again = begin(stdin="begin with this\n")
    again.idle()
    assert again.messages() == said, "it was told already"
    again.post("more")
    again.idle()
    assert again.messages() == [*said, ("user", "more"), ("agent", "you said more")]
    again.process.kill()  # what was said a second ago has been written by then
    again.process.wait()
    kept = json.loads(agent.state.read_text())
    assert [one["content"] for one in kept["messages"]][-2:] == ["more", "you said more"]
    forgetful = begin("--load-state=false", "--save-state=false")
    forgetful.idle()
    assert forgetful.messages() == [("agent", "ready")]
    assert json.loads(agent.state.read_text()) == kept


def test_a_state_file_that_cannot_be_read_is_told_to_listeners(
    begin: Begin, tmp_path: Path
) -> None:
    (tmp_path / "state.json").write_text("[1")
    agent = begin()
    agent.idle()
    told = dict(event for _, event in zip(range(3), _events(agent), strict=False))
    assert told["agent_error"]["level"] == "warning"
    assert "state.json" in told["agent_error"]["message"]


def test_an_agent_that_does_not_hear_is_an_error(begin: Begin) -> None:
    """No echo and no answer: an error in the end, and the message is not in the conversation."""
    script = "import os, time\nos.system('stty -echo')\nprint('deaf')\ntime.sleep(100)\n"
    agent = begin(script=script)
    agent.idle()
    refused = agent.post("hello")
    assert refused.status_code == 500
    assert "failed to wait for processing to start" in refused.json()["errors"][0]["message"]
    assert agent.messages() == [("agent", "deaf")]


def test_the_terminal_is_as_large_as_agentapis_from_the_start(begin: Begin) -> None:
    script = "import os, time\nprint(os.get_terminal_size(), os.environ['TERM'])\ntime.sleep(100)\n"
    agent = begin(script=script)
    agent.idle()
    size = os.terminal_size((80, 1000))
    assert agent.messages() == [("agent", f"{size} vt100")]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["server", "--port", "0"], 2, "the agent's command is missing"),
        (["server", "--port", "many", "--", "true"], 2, "invalid int value"),
        (["server", "--allowed-hosts", "a:3284", "--", "true"], 2, "must not include a port"),
        (["server", "--allowed-hosts", "http://a", "--", "true"], 2, "must not include http://"),
        (["server", "--type", "other", "--", "true"], 2, "invalid agent type"),
        (["server", "--port", "0", "--", "/nothing/here"], 1, "No such file"),
    ],
)
def test_wrong_usage(words: list[str], code: int, said: str) -> None:
    found, words_of_it = run(*words)
    assert found == code
    assert said in words_of_it
    assert "Traceback" not in words_of_it


def test_a_port_that_is_taken_is_an_error_and_no_agent_is_started(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    with socket.create_server(("::", 0), family=socket.AF_INET6) as taken:
        port = str(taken.getsockname()[1])
        code, said = run("server", "--port", port, "--", "touch", str(marker))
    assert code == 1
    assert f"cannot listen on port {port}" in said
    assert not marker.exists()


def test_variables_say_what_flags_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTAPI_PORT", "0")
    monkeypatch.setenv("AGENTAPI_ALLOWED_HOSTS", "one.example two.example")
    assert run("server", "--", "sh", "-c", "exit 7")[0] == 7
    monkeypatch.setenv("AGENTAPI_ALLOWED_HOSTS", "one.example,two.example")
    assert run("server", "--", "true")[0] == 2, "lists in variables have spaces"
    assert run("server", "--allowed-hosts", "one,two", "--", "sh", "-c", "exit 7")[0] == 7
    monkeypatch.setenv("AGENTAPI_PORT", "many")
    assert "'many'" in run("server", "--", "true")[1]


def test_as_one_file_it_is_the_same_every_time_and_works(begin: Begin) -> None:
    assert build() == build()
    agent = begin(installed=True)
    agent.idle()
    agent.post("hello")
    agent.idle()
    assert agent.messages()[1:] == [("user", "hello"), ("agent", "you said hello")]
    assert agent.end() == 0
