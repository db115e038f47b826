"""AgentAPI's published contract: our own description of it, the stand-in, and the document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fleet.target import ROOT
from tests.unit.conftest import on_linux
from tests.unit.standins.agentapi import MIRROR, Agent

pytestmark = on_linux
DOCUMENT = ROOT.parent / "shared" / "reference" / "agentapi-openapi-0.12.1.json"
with_document = pytest.mark.skipif(
    not DOCUMENT.exists(), reason=f"there is no {DOCUMENT.name} beside this checkout"
)


@dataclass(frozen=True)
class Answer:
    """An endpoint: what is always in its answer, what has to be in its request, how it refuses."""

    method: str
    fields: frozenset[str]
    asked: frozenset[str] = frozenset()
    refused: int = 0  # the status of a request without anything in it


CONTRACT = {
    "/status": Answer("GET", frozenset({"status", "agent_type", "transport"})),
    "/messages": Answer("GET", frozenset({"messages"})),
    "/message": Answer("POST", frozenset({"ok"}), frozenset({"content", "type"}), 400),
    "/upload": Answer("POST", frozenset({"ok", "filePath"}), frozenset({"file"}), 422),
    "/events": Answer("GET", frozenset()),
}
MESSAGE = {"id", "role", "content", "time"}
PROBLEM = {"$schema", "title", "status", "detail", "errors", "type", "instance"}
EVENTS = {
    "message_update": {"id", "role", "message", "time"},
    "status_change": {"status", "agent_type"},
    "agent_error": {"level", "message", "time"},
}
WORDS = {
    "AgentStatus": {"running", "stable"},
    "ConversationRole": {"agent", "user"},
    "ErrorLevel": {"error", "warning"},
    "MessageType": {"raw", "user"},
    "Transport": {"acp", "pty"},
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    found = Agent(tmp_path_factory.mktemp("agent"), script=MIRROR)
    found.idle()
    yield found
    found.end()


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(DOCUMENT.read_text())


@pytest.mark.parametrize("path", sorted(CONTRACT.keys() - {"/events"}))
def test_the_stand_in_keeps_it(agent: Agent, path: str) -> None:
    agent.idle()
    sent: dict[str, Any] = {}
    if path == "/message":
        sent = {"json": {"content": "hello", "type": "user"}}
    if path == "/upload":
        sent = {"files": {"file": ("a", b"x")}}
    answer = CONTRACT[path]
    response = agent.client.request(answer.method, path, **sent)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == answer.fields | {"$schema"}
    for one in response.json().get("messages", []):
        assert one.keys() == MESSAGE
        assert one["role"] in WORDS["ConversationRole"]


@pytest.mark.parametrize("path", [path for path, one in CONTRACT.items() if one.refused])
def test_the_stand_in_refuses_as_it_says(agent: Agent, path: str) -> None:
    refused = agent.client.request(CONTRACT[path].method, path)
    assert refused.status_code == CONTRACT[path].refused
    assert refused.headers["content-type"] == "application/problem+json"
    assert {"$schema", "title", "status", "detail"} <= refused.json().keys() <= PROBLEM


def test_the_stand_ins_events_are_of_it(agent: Agent) -> None:
    seen = set()
    with agent.client.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        while "status_change" not in seen:
            line = next(lines)
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
                data = json.loads(next(lines).removeprefix("data: "))
                assert data.keys() == EVENTS[name]
                seen.add(name)
    assert seen == {"message_update", "status_change"}


@with_document
def test_its_paths_and_fields_are_those_of_the_document(document: Any) -> None:
    assert document["paths"].keys() == CONTRACT.keys()
    for path, answer in CONTRACT.items():
        assert [method.upper() for method in document["paths"][path]] == [answer.method]
        operation = document["paths"][path][answer.method.lower()]
        if answer.fields:
            schema = _schema(document, operation["responses"]["200"])
            assert set(schema["required"]) == answer.fields
            assert schema["properties"].keys() == answer.fields | {"$schema"}
        if answer.asked:
            assert set(_schema(document, operation["requestBody"])["required"]) == answer.asked
        problem = _schema(document, operation["responses"]["default"])
        assert problem["properties"].keys() == PROBLEM


@with_document
def test_its_words_and_events_are_those_of_the_document(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert {name: set(schemas[name]["enum"]) for name in WORDS} == WORDS
    assert set(schemas["Message"]["required"]) == MESSAGE
    content = document["paths"]["/events"]["get"]["responses"]["200"]["content"]
    kinds = content["text/event-stream"]["schema"]["items"]["oneOf"]
    found = {}
    for kind in kinds:
        name = kind["properties"]["data"]["$ref"].rpartition("/")[2]
        found[kind["properties"]["event"]["const"]] = set(schemas[name]["required"])
    assert found == EVENTS


def _schema(document: Any, said: Any) -> Any:
    (content,) = said["content"].values()
    schema = content["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


@with_document
@pytest.mark.skipif(not find_spec("schemathesis"), reason="schemathesis is not installed")
def test_the_document_finds_nothing_wrong(agent: Agent, tmp_path: Path) -> None:
    """schemathesis asks what the document allows and what it does not.

    A message of a user is refused with 500 while the agent works, so 500 is no failure there;
    the form of that answer is checked all the same.
    """
    agent.idle()
    checks = (
        "status_code_conformance,content_type_conformance,response_schema_conformance,"
        "negative_data_rejection,unsupported_method"
    )
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT)),
            *("--url", f"http://127.0.0.1:{agent.port}", "--exclude-path", "/events"),
            *("--max-examples", "6", "--phases", "examples,coverage,fuzzing", "--seed", "1"),
            *("--checks", checks, "--request-timeout", "40", "--no-color"),
            *("--generation-database", "none"),
        ],
        cwd=tmp_path,  # it keeps a cache where it runs
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
    agent.idle()
    assert agent.messages()[0][1].startswith("ready"), "it is still the same agent"
