"""The lab's AgentAPI: with a program that echoes, and against the published contract."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.target import ROOT
from lab.standins.agentapi.build import build
from tests.unit.conftest import on_linux

pytestmark = on_linux
DOCUMENT = ROOT.parent / "shared" / "reference" / "agentapi-openapi-0.12.1.json"
# The contract in our own words: path → method, status → the fields that are always there.
CONTRACT: dict[str, tuple[str, dict[int, set[str]]]] = {
    "/status": ("GET", {200: {"status", "agent_type", "transport"}}),
    "/messages": ("GET", {200: {"messages"}}),
    "/message": ("POST", {200: {"ok"}}),
    "/upload": ("POST", {200: {"ok", "filePath"}}),
    "/events": ("GET", {}),
}
ECHO = """import sys
print("ready")
for line in sys.stdin:
    line = line.replace("\\x1b[200~", "").replace("\\x1b[201~", "").strip()
    if line == "end": sys.exit(3)
    print("you said", line, flush=True)
"""


class Agent:
    """A running stand-in."""

    def __init__(self, path: Path, *more: str, stdin: str = "") -> None:
        self.path, self.state = path, path / "state.json"
        program = path / "agentapi"
        program.write_bytes(build())
        program.chmod(0o755)
        (path / "echo.py").write_text(ECHO)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        hosts = "localhost,127.0.0.1,agent.example"
        flags = ["--type", "claude", "--port", str(self.port), "--allowed-hosts", hosts]
        flags += ["--state-file", str(self.state), *more]
        self.process = subprocess.Popen(
            [str(program), "server", *flags, "--", sys.executable, "-u", str(path / "echo.py")],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdin
        self.process.stdin.write(stdin)
        self.process.stdin.close()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def post(self, content: object, kind: object = "user") -> httpx.Response:
        return self.client.post("/message", json={"content": content, "type": kind})

    def idle(self) -> None:
        for _ in range(150):
            try:
                if self.get("/status").json()["status"] == "stable":
                    return
            except httpx.HTTPError:
                assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError("it is never idle")

    def says(self, words: str) -> None:
        """Wait until the last message has these words: the screen is looked at now and then."""
        for _ in range(150):
            if words in self.get("/messages").json()["messages"][-1]["content"]:
                return
            time.sleep(0.1)
        raise AssertionError(f"it never says {words!r}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    found = Agent(tmp_path_factory.mktemp("agent"))
    found.idle()
    yield found
    found.end()


def test_it_says_what_it_is(agent: Agent) -> None:
    said = agent.get("/status").json()
    assert (said["status"], said["agent_type"], said["transport"]) == ("stable", "claude", "pty")
    (first,) = agent.get("/messages").json()["messages"]
    assert (first["id"], first["role"], first["content"]) == (0, "agent", "ready")


def test_a_message_is_answered(agent: Agent) -> None:
    agent.idle()
    assert agent.post("hello there").json()["ok"] is True
    assert agent.get("/status").json()["status"] == "running"
    refused = agent.post("too early")
    assert refused.status_code == 500
    assert refused.headers["content-type"] == "application/problem+json"
    words = "message can only be sent when the agent is waiting for user input"
    assert refused.json()["errors"] == [{"message": words}]
    agent.idle()
    *_, mine, answer = agent.get("/messages").json()["messages"]
    assert (mine["role"], mine["content"]) == ("user", "hello there")
    assert answer["role"] == "agent"
    assert "you said hello there" in answer["content"]
    time.sleep(1.2)
    assert json.loads(agent.state.read_text())[-1]["content"] == answer["content"]


def test_raw_keys_are_pressed_at_any_time(agent: Agent) -> None:
    assert agent.post("by hand\n", "raw").json()["ok"] is True
    agent.says("you said by hand")
    agent.idle()


def test_other_hosts_names_are_refused(agent: Agent) -> None:
    refused = agent.get("/status", headers={"host": "evil.example"})
    assert refused.status_code == 400
    assert refused.text.startswith("Invalid host header. Allowed hosts: localhost, ")
    for allowed in ("agent.example", "agent.example:3284", "AGENT.example"):
        assert agent.get("/status", headers={"host": allowed}).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"content": "x"}', "application/json", 422),
        (b'{"type": "user"}', "application/json", 422),
        (b'{"content": "x", "type": "other"}', "application/json", 422),
        (b'{"content": 3, "type": "user"}', "application/json", 422),
        (b"[]", "application/json", 422),
        (b"", "application/json", 422),
        (b"{", "application/json", 400),
        (b'{"content": "x", "type": "user"}', "text/plain", 415),
    ],
)
def test_what_is_no_message_is_refused(agent: Agent, body: bytes, kind: str, status: int) -> None:
    refused = agent.client.post("/message", content=body, headers={"content-type": kind})
    assert refused.status_code == status
    assert refused.json()["status"] == status


def test_a_file_can_be_uploaded(agent: Agent) -> None:
    said = agent.client.post("/upload", files={"file": ("a b.txt", b"content")}).json()
    assert Path(said["filePath"]).name == "a b.txt"
    assert Path(said["filePath"]).read_bytes() == b"content"
    assert agent.client.post("/upload", content=b"x").status_code == 422


def test_events_tell_everything_so_far_and_what_comes(agent: Agent) -> None:
    agent.idle()
    with agent.client.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        kinds = []
        for line in lines:
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            if kinds[-1:] == ["status_change"] and line.startswith("data: "):
                break
    assert kinds[0] == "message_update"
    assert json.loads(line.removeprefix("data: ")) == {"status": "stable", "agent_type": "claude"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/else", 404), ("GET", "/message", 405), ("PUT", "/status", 405)],
)
def test_what_there_is_not(agent: Agent, method: str, path: str, status: int) -> None:
    assert agent.client.request(method, path).status_code == status


def test_it_ends_with_its_agent(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.idle()
    agent.post("end", "raw")
    agent.post("\n", "raw")
    assert agent.process.wait(10) == 3


def test_what_comes_on_its_input_is_the_first_prompt_and_the_state_stays(tmp_path: Path) -> None:
    agent = Agent(tmp_path, stdin="begin with this\n")
    for _ in range(100):
        time.sleep(0.1)
        try:
            if "you said begin with this" in agent.get("/messages").text:
                break
        except httpx.HTTPError:
            continue
    agent.idle()
    time.sleep(1.2)
    assert agent.end() == 0
    again = Agent(tmp_path)
    again.idle()
    said = [one["content"] for one in again.get("/messages").json()["messages"]]
    assert "begin with this" in said
    again.end()


def test_the_contract_is_the_published_one(agent: Agent) -> None:
    """Ours is compared with AgentAPI's own OpenAPI document, where that is at hand."""
    for path, (method, answers) in CONTRACT.items():
        for status, fields in answers.items():
            if method == "GET":
                response = agent.client.request(method, path)
                assert response.status_code == status
                assert fields <= response.json().keys()
    if not DOCUMENT.exists():
        pytest.skip(f"there is no {DOCUMENT.name} beside this checkout")
    document = json.loads(DOCUMENT.read_text())
    known = {path: next(iter(methods)).upper() for path, methods in document["paths"].items()}
    ours = {path: method for path, (method, _) in CONTRACT.items()}
    assert ours.items() <= known.items()
    for path, (method, answers) in CONTRACT.items():
        for status, fields in answers.items():
            content = document["paths"][path][method.lower()]["responses"][str(status)]["content"]
            name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert fields == set(document["components"]["schemas"][name]["required"]), path


@pytest.mark.skipif(
    not DOCUMENT.exists(), reason=f"there is no {DOCUMENT.name} beside this checkout"
)
def test_the_published_document_finds_nothing_wrong(agent: Agent) -> None:
    """schemathesis asks whatever the document allows, and what it does not."""
    agent.idle()
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT)),
            *("--url", f"http://127.0.0.1:{agent.port}", "--max-examples", "8", "--seed", "1"),
            *("--exclude-path", "/events", "--request-timeout", "30", "--no-color"),
            *("--checks", "not_a_server_error,status_code_conformance,response_schema_conformance"),
            *(
                "--include-path",
                "/status",
                "--include-path",
                "/messages",
                "--include-path",
                "/upload",
            ),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        timeout=120,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
