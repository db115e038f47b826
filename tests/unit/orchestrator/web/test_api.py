"""The API: what it does, what it refuses, and that nobody gets an answer who may not."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from starlette.routing import Route

from orchestrator.tasks.model import State
from orchestrator.web import api
from orchestrator.web.app import PROGRAMS, app, guarded
from orchestrator.web.guard import Guard
from orchestrator.web.who import Door, Doorkeeper, Whois
from tests.unit.orchestrator.web.desks import ALICE, ATTACK, MemoryDesk, config

TOKEN = "a-token-of-the-test"  # noqa: S105 - opens nothing
JSON = {"content-type": "application/json"}


class Client:
    """Asks the application through one of its doors; each call has a loop of its own."""

    def __init__(self, guard: Guard, headers: dict[str, str] | None = None, peer: str = "") -> None:
        self._guard, self._headers, self._peer = guard, headers or {}, peer

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            client = (self._peer, 50_000) if self._peer else ("127.0.0.1", 50_000)
            transport = httpx.ASGITransport(self._guard, client=client)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost:8080", headers=self._headers
            ) as session:
                return await session.request(method, path, **more)

        return asyncio.run(run())

    def get(self, path: str, **more: Any) -> Any:
        answer = self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **({"json": body} if body is not None else {}), **more)


def guard(tmp_path: Path, desk: MemoryDesk, door: Door) -> Guard:
    """In a tailnet that knows nobody."""
    known = config(tmp_path)
    (program,) = map(Path, known.tailscale)
    program.write_text('#!/bin/sh\necho "peer not found" >&2\nexit 1\n')
    program.chmod(0o755)
    keeper = Doorkeeper(known.operators, TOKEN, Whois(known.tailscale))
    return guarded(app(desk, b"forms"), door, keeper, known)


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def alice(tmp_path: Path, desk: MemoryDesk) -> Client:
    return Client(guard(tmp_path, desk, Door.SOCKET), {"x-agentfleet-who": ALICE})


def test_a_task_is_sent_and_seen(alice: Client, desk: MemoryDesk) -> None:
    kept = alice.ask("POST", "/api/v1/files?name=a%20b.txt", content=b"text").json()
    draft = {
        "prompt": "do it",
        "wish": {"host": "rpi2", "failover": False},
        "cap": 2_000_000,
        "attachments": [kept],
    }
    made = alice.post("/api/v1/tasks", draft)
    assert made.status_code == 200, made.text
    task = alice.get(f"/api/v1/tasks/{made.json()['id']}")
    assert (task["prompt"], task["by"], task["wish"]["host"]) == ("do it", ALICE, "rpi2")
    assert "run" not in task, "nobody needs to know which process of an agent it is"
    listed = alice.get("/api/v1/tasks?state=queued&most=1")
    assert [one["id"] for one in listed["tasks"]] == [task["id"]]
    assert listed["counts"]["queued"] >= 1
    done = alice.post(f"/api/v1/tasks/{task['id']}/cancel")
    assert done.json()["state"] in ("cancelled", "queued")
    actions = [(one["who"], one["action"]) for one in alice.get("/api/v1/audit")["audit"]]
    assert {(ALICE, "upload"), (ALICE, "send"), (ALICE, "cancel")} <= set(actions)


def test_what_may_be_asked_may_be_read(alice: Client) -> None:
    """Every GET, on a fleet in every state."""
    desk_tasks = alice.get("/api/v1/tasks?most=200")["tasks"]
    assert {one["state"] for one in desk_tasks} == {one.value for one in State}
    for one in desk_tasks:
        for part in ("", "/events", "/messages", "/patch"):
            alice.get(f"/api/v1/tasks/{one['id']}{part}")
    for path in ("agents", "strangers", "budgets", "cluster", "health", "plans", "audit"):
        alice.get(f"/api/v1/{path}")
    for plan in alice.get("/api/v1/plans")["plans"]:
        assert alice.get(f"/api/v1/plans/{plan['id']}")["plan"] == plan
    choice = alice.post("/api/v1/choose", {"wish": {"arch": "aarch64"}}).json()
    assert choice["why"]
    assert {one["host"] for one in choice["verdicts"]} > {"rpi1"}


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("GET", "/api/v1/tasks/999999", {}, 404),
        ("GET", f"/api/v1/tasks/{2**70}", {}, 404),
        ("GET", "/api/v1/tasks?most=0", {}, 422),
        ("GET", "/api/v1/tasks?most=x", {}, 422),
        ("GET", "/api/v1/tasks?state=dreaming", {}, 422),
        ("GET", "/api/v1/agents/nobody/messages", {}, 404),
        ("GET", "/api/v1/nothing", {}, 404),
        ("POST", "/api/v1/tasks", {"json": {}}, 422),
        ("POST", "/api/v1/tasks", {"json": {"prompt": "x", "state": "done"}}, 422),
        ("POST", "/api/v1/tasks", {"json": {"prompt": "x", "cap": -1}}, 422),
        ("POST", "/api/v1/tasks", {"json": {"prompt": "x", "wish": {"host": 3}}}, 422),
        ("POST", "/api/v1/tasks", {"content": b"{", "headers": JSON}, 400),
        ("POST", "/api/v1/tasks", {"content": b"prompt=x"}, 415),
        ("POST", "/api/v1/tasks", {"json": []}, 422),
        ("DELETE", "/api/v1/tasks", {}, 405),
        ("POST", "/api/v1/files", {"content": b"x"}, 422),
        ("POST", "/api/v1/kill", {"json": {}}, 422),
        ("POST", "/api/v1/kill", {"json": {"hosts": []}}, 422),
        ("POST", "/api/v1/kill", {"json": {"all": False}}, 422),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    alice: Client, method: str, path: str, how: dict[str, Any], status: int
) -> None:
    answer = alice.ask(method, path, **how)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == api.PROBLEM
    assert answer.json()["detail"]


def test_what_the_desk_refuses_is_a_conflict(alice: Client) -> None:
    (done,) = alice.get("/api/v1/tasks?state=done&most=1")["tasks"]
    answer = alice.post(f"/api/v1/tasks/{done['id']}/retry")
    assert answer.status_code == 409, answer.text


def every_route() -> list[tuple[str, str]]:
    """All that the application answers, the pages included, and two that it does not know."""
    values = {"number:int": "1", "host": "rpi1", "name": "page.js"}
    found = [("GET", "/nowhere"), ("POST", "/static/x")]
    for route in app(MemoryDesk(), b"forms").routes:
        assert isinstance(route, Route)
        path = re.sub("{(.*?)}", lambda match: values[match[1]], route.path)
        found += [(method, path) for method in sorted(route.methods or ()) if method != "HEAD"]
    assert len(found) > len(api.OPERATIONS) + 30
    return found


FORGED = {
    "tailscale-user-login": "alice@example.com",
    "tailscale-user-name": ALICE,
    "x-agentfleet-who": ALICE,
    "x-forwarded-for": "100.64.0.1",
    "x-forwarded-user": ALICE,
    "forwarded": "for=100.64.0.1",
    "authorization": "Bearer wrong",
    "cookie": f"token={TOKEN}",
}


@pytest.mark.parametrize("door", [Door.TAILNET, Door.LOOPBACK])
def test_nobody_gets_an_answer_without_credentials(
    tmp_path: Path, desk: MemoryDesk, door: Door
) -> None:
    """Every route, with every header that somebody could believe."""
    peer = "100.64.0.99" if door is Door.TAILNET else "127.0.0.1"
    stranger = Client(guard(tmp_path, desk, door), FORGED, peer)
    before = len(desk_audits(desk))
    for method, path in every_route():
        answer = stranger.ask(method, path, json={"prompt": "x"})
        assert answer.status_code in (401, 403), (method, path, answer.status_code)
        assert "rpi1" not in answer.text
    assert len(desk_audits(desk)) == before


def desk_audits(desk: MemoryDesk) -> tuple[Any, ...]:
    return asyncio.run(desk.audits())


def test_the_token_opens_loopback_alone(tmp_path: Path, desk: MemoryDesk) -> None:
    known = {"authorization": f"Bearer {TOKEN}"}
    assert Client(guard(tmp_path, desk, Door.LOOPBACK), known).get("/healthz")["ok"] is True
    outside = Client(guard(tmp_path, desk, Door.TAILNET), known, "100.64.0.9")
    assert outside.ask("GET", "/healthz").status_code == 403


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Whatever is in it, it comes as JSON, and breaks neither header nor stream."""
    desk = MemoryDesk(hostile=True)
    client = Client(guard(tmp_path, desk, Door.SOCKET), {"x-agentfleet-who": "alice"})
    assert "xss-was-here" in ATTACK
    for method, path in every_route():
        if method != "GET" or path.endswith("/live") or not path.startswith(PROGRAMS):
            continue  # test_pages.py looks at the pages
        answer = client.ask(method, path)
        assert answer.status_code in (200, 404, 409), (path, answer.text)
        assert "xss" not in json.dumps(dict(answer.headers))
        assert answer.headers["x-content-type-options"] == "nosniff"
        kind = answer.headers["content-type"]
        assert kind.startswith(("application/", "text/plain")), kind


def test_metrics_are_read_from_the_desk(alice: Client) -> None:
    text = alice.ask("GET", "/metrics").text
    assert 'agentfleet_tasks{state="lost"}' in text
    assert 'agentfleet_agent_condition{condition="idle",host="rpi1"}' in text


SCHEMA = schemathesis.openapi.from_dict(api.document())


@SCHEMA.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nothing_that_may_be_asked_is_answered_with_500(case: Any, tmp_path: Path) -> None:
    desk = MemoryDesk()
    client = Client(guard(tmp_path, desk, Door.SOCKET), {"x-agentfleet-who": "alice"})
    told = case.as_transport_kwargs()
    how = {
        name: told[name]
        for name in ("json", "data", "content", "params", "headers")
        if told.get(name) is not None
    }
    if "data" in how:
        how["content"] = how.pop("data")
    path = case.formatted_path
    answer = client.ask(case.method, path, **how)
    assert answer.status_code < 500, answer.text
