"""The lab's Messages API, as the process that a lab runs, on loopback."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fleet.target import ROOT
from lab.anthropic.process import LabAnthropic
from lab.anthropic.replies import prompt_of, reply
from lab.anthropic.server import CONFIG, REQUESTS, VERSION_PATH, code_version
from lab.place import Place

KEY = "sk-ant-lab-of-the-test"
BASH = {"tools": [{"name": "Bash"}]}
STARTS_WITHIN_S = 20.0


@dataclass(frozen=True)
class Api:
    """One process, and what a caller sees of it."""

    port: int
    folder: Path

    def open(
        self, method: str, path: str, body: Any = None, key: str = KEY, **headers: str
    ) -> http.client.HTTPResponse:
        """A response whose body is still to be read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, sent, {"x-api-key": key, **named})
        return connection.getresponse()

    def ask(self, prompt: str, **more: Any) -> dict[str, Any]:
        """One message, not streamed."""
        with self.open("POST", "/v1/messages?beta=true", asked(prompt, **more)) as answer:
            assert answer.status == 200
            return dict(json.load(answer))

    def refused(self, method: str, path: str, body: Any = None, key: str = KEY) -> tuple[int, str]:
        """The status and the kind of an error in the API's shape."""
        with self.open(method, path, body, key) as answer:
            said = json.load(answer)
        assert said["type"] == "error"
        assert said["error"]["message"]
        return answer.status, said["error"]["type"]


def asked(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "claude-test-1", "messages": [{"role": "user", "content": prompt}], **more}


def words(answer: dict[str, Any]) -> str:
    return str(answer["content"][0]["text"])


def events(text: str) -> list[dict[str, Any]]:
    """Server-sent events, each of which names its kind twice."""
    found = []
    for one in text.strip().split("\n\n"):
        kind, data = one.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert kind == f"event: {found[-1]['type']}"
    return found


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("anthropic")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "key").write_text(KEY + "\n")
    (folder / CONFIG).write_text(json.dumps({"address": "127.0.0.1", "port": port}))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.anthropic", str(folder)], cwd=ROOT, stderr=log
        )
    it = Api(port, folder)
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            it.open("HEAD", "/").close()
            break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    try:
        yield it
    finally:
        process.kill()
        process.wait()


def test_it_listens_on_its_address_alone(api: Api) -> None:
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", api.port))


@pytest.mark.parametrize("key", ["", "sk-ant-another", KEY + "x"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_another_key_is_refused_as_the_real_one_does(api: Api, key: str, path: str) -> None:
    assert api.refused("POST", path, asked("say yes"), key) == (401, "authentication_error")
    assert api.refused("GET", "/v1/models", key=key) == (401, "authentication_error")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null"])
def test_a_body_that_is_no_object_is_refused_in_words(api: Api, body: bytes) -> None:
    assert api.refused("POST", "/v1/messages", body) == (400, "invalid_request_error")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/files"), ("POST", "/v1/batches")])
def test_what_it_does_not_have_is_not_found(api: Api, method: str, path: str) -> None:
    assert api.refused(method, path, {}) == (404, "not_found_error")


def test_what_else_a_client_asks(api: Api) -> None:
    with api.open("GET", "/v1/models?limit=5") as models:
        assert json.load(models)["data"] == []
    with api.open("POST", "/v1/messages/count_tokens", asked("x" * 4000)) as counted:
        assert json.load(counted)["input_tokens"] >= 1000
    with api.open("GET", VERSION_PATH, key="") as version:
        assert version.read().decode() == code_version()


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("say all is well", "all is well"),
        ("say all is well usage=7/8", "all is well"),
        ("Say it", "it"),
        ("hello", "This is the lab's Claude: it understands nothing and costs nothing."),
        ("loop", "This is the lab's Claude: it understands nothing and costs nothing."),
    ],
)
def test_it_says_what_it_is_told(api: Api, prompt: str, answer: str) -> None:
    said = api.ask(prompt)
    assert words(said) == answer
    assert said["stop_reason"] == "end_turn"
    assert said["model"] == "claude-test-1"


def test_a_prompt_says_what_a_call_has_used(api: Api) -> None:
    said = api.ask("loop usage=200000/50000")["usage"]
    assert said == {"input_tokens": 200_000, "output_tokens": 50_000}
    assert api.ask("hello")["usage"] == {"input_tokens": 2000, "output_tokens": 150}


def test_a_loop_calls_bash_for_ever(api: Api) -> None:
    request = asked("loop usage=10/20", **BASH)
    names = set()
    for number in range(1, 4):
        with api.open("POST", "/v1/messages", request) as answer:
            said = json.load(answer)
        (call,) = said["content"]
        assert (call["type"], call["name"], said["stop_reason"]) == ("tool_use", "Bash", "tool_use")
        assert call["input"]["command"] == "echo again"
        names |= {call["id"], said["id"]}
        assert len(names) == 2 * number, "every call and message has a name of its own"
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "again"}
        request["messages"] += [
            {"role": "assistant", "content": said["content"]},
            {"role": "user", "content": [result]},
        ]


@pytest.mark.parametrize(
    ("prompt", "command"), [("run id -un", "id -un"), ("List files in the current directory", "ls")]
)
def test_a_command_is_run_once(api: Api, prompt: str, command: str) -> None:
    first = api.ask(prompt, **BASH)
    assert first["content"][0]["input"]["command"] == command
    blocks = [{"type": "text", "text": "a-file\n"}]
    result = {"type": "tool_result", "tool_use_id": first["content"][0]["id"], "content": blocks}
    request = asked(prompt, **BASH)
    request["messages"].append({"role": "assistant", "content": first["content"]})
    request["messages"].append({"role": "user", "content": [result]})
    with api.open("POST", "/v1/messages", request) as answer:
        assert words(json.load(answer)) == "It printed: a-file"


def test_a_command_runs_where_the_code_is() -> None:
    prompt = "run cd {code} && ls\n\nThe code is in /home/work/task-1, at commit 0f. Work there."
    answer = reply(asked(prompt, tools=[{"name": "Bash"}]))
    assert answer.said["command"] == "cd /home/work/task-1 && ls"


def test_a_form_is_filled_with_the_steps_that_the_goal_says() -> None:
    goal = "plan: a@rpi1: run hostname > f; b@imac<a: say so it is; c<a,b: look at it"
    prompt = f"Split a goal.\n--- 0f the goal ---\n{goal}\n--- 0f end ---"
    answer = reply(asked(prompt, tools=[{"name": "StructuredOutput"}]))
    assert answer.tool == "StructuredOutput"
    first, second, third = answer.said["steps"]
    assert (first["key"], first["where"], first["after"]) == ("a", {"host": "rpi1"}, [])
    assert first["prompt"] == "run hostname > f"
    assert (second["where"], second["after"]) == ({"host": "imac"}, ["a"])
    assert (third["where"], third["after"]) == ({}, ["a", "b"])


@pytest.mark.parametrize("prompt", ["make it so", "plan: ", "plan: a@rpi1", "plan: a: x; : y"])
def test_a_goal_that_says_no_steps_is_answered_in_words(prompt: str) -> None:
    assert reply(asked(prompt, tools=[{"name": "StructuredOutput"}])).tool == ""


def test_what_claude_code_adds_is_not_what_the_user_said() -> None:
    added = {"type": "text", "text": "<system-reminder>\nsay no\n</system-reminder>"}
    said = {"type": "text", "text": "say yes"}
    messages = [
        {"role": "user", "content": [added, said]},
        {"role": "assistant", "content": "what else?"},
        {"role": "user", "content": [{"type": "tool_result", "content": "say never"}, added]},
        {"role": "system", "content": "say nothing"},
    ]
    assert prompt_of({"messages": messages}) == "say yes"
    assert prompt_of({}) == ""


@pytest.mark.parametrize("packed", [False, True])
def test_a_stream_is_whole(api: Api, packed: bool) -> None:
    more = {"accept_encoding": "gzip, br"} if packed else {}
    request = asked("say all is well usage=70/80", stream=True)
    with api.open("POST", "/v1/messages", request, **more) as answer:
        body = answer.read()
    assert answer.getheader("content-encoding") == ("gzip" if packed else None)
    got = events((gzip.decompress(body) if packed else body).decode())
    kinds = [one["type"] for one in got]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    pieces = [one["delta"]["text"] for one in got if one["type"] == "content_block_delta"]
    assert "".join(pieces) == "all is well"
    assert got[0]["message"]["usage"]["input_tokens"] == 70
    assert got[-2]["usage"] == {"input_tokens": 70, "output_tokens": 80}


def test_a_call_is_streamed_as_json_in_pieces(api: Api) -> None:
    with api.open("POST", "/v1/messages", asked("loop", stream=True, **BASH)) as answer:
        got = events(answer.read().decode())
    assert got[1]["content_block"]["input"] == {}
    pieces = [one["delta"]["partial_json"] for one in got if one["type"] == "content_block_delta"]
    assert json.loads("".join(pieces))["command"] == "echo again"
    assert got[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_slow_answer_comes_in_pieces(api: Api, encoding: str) -> None:
    started = time.monotonic()
    request = asked("slow 1", stream=True)
    with api.open("POST", "/v1/messages", request, accept_encoding=encoding) as answer:
        assert answer.read(20)
        first = time.monotonic() - started
        answer.read()
    assert first < 0.5
    assert time.monotonic() - started >= 0.9


def test_a_caller_that_goes_away_leaves_no_trace_in_the_log(api: Api) -> None:
    answer = api.open("POST", "/v1/messages", asked("slow 1", stream=True))
    assert answer.read(20)
    answer.close()  # the last that holds the connection: the next piece finds nobody
    time.sleep(1.3)
    assert words(api.ask("say still here")) == "still here"
    assert (api.folder / "log").read_text() == ""


def test_it_notes_what_was_asked_and_answered(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTFLEET_LAB_STATE", str(tmp_path))
    mine = LabAnthropic(Place("demo", 77))
    mine.place.state.mkdir()
    mine.place.anthropic.symlink_to(api.folder)
    assert mine.key == KEY
    mine.forget()
    assert mine.requests() == []
    session = {"x_claude_code_session_id": "the-session"}
    with api.open("POST", "/v1/messages", asked("say it usage=3/4"), **session) as answer:
        answer.read()
    api.refused("POST", "/v1/messages", asked("say it"), key="another")
    api.refused("POST", "/v1/messages", b"[]")
    (noted,) = mine.requests()
    assert noted.pop("time") == pytest.approx(time.time(), abs=20)
    assert noted == {
        "from": "127.0.0.1",
        "model": "claude-test-1",
        "prompt": "say it usage=3/4",
        "used": [3, 4],
        "session": "the-session",
    }
    assert KEY not in (api.folder / REQUESTS).read_text()


def test_many_may_come_at_once(api: Api) -> None:
    started = time.monotonic()
    request = asked("slow 0.5", stream=True)
    many = [api.open("POST", "/v1/messages", request) for _ in range(60)]
    for answer in many:
        assert b"message_stop" in answer.read()
        answer.close()
    assert time.monotonic() - started < 60 * 0.5 / 2


def test_one_that_runs_is_left_alone_and_no_proxy_is_asked(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTFLEET_LAB_STATE", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr(Place, "anthropic_url", f"http://127.0.0.1:{api.port}")
    made: list[str] = []
    monkeypatch.setattr("lab.daemon.end", lambda *_: made.append("ended"))
    monkeypatch.setattr("lab.daemon.launch", lambda *_: made.append("launched"))
    mine = LabAnthropic(Place("demo", 77))
    mine.place.state.mkdir()
    mine.start()
    assert made == []
    assert mine.place.anthropic_key.stat().st_mode & 0o777 == 0o600
    assert mine.key.startswith("sk-ant-lab-")
    key = mine.key
    monkeypatch.setattr("lab.anthropic.process.code_version", lambda: "newer")
    mine.start()
    assert made == ["ended", "launched"]
    assert mine.key == key
