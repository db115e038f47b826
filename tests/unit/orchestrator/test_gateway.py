"""The gateway, whole: what goes through, what is counted and refused, what a crash costs."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.client import GatewayError
from orchestrator.plain import NO_TLS
from tests.unit.conftest import on_linux
from tests.unit.orchestrator.conftest import KEY, MODEL, Running, call
from tests.unit.orchestrator.nursery import run
from tests.unit.orchestrator.upstream import Upstream, events

pytestmark = on_linux
COST = (1000 * 3 + 100 * 15) / 1e6  # of a call as `call` makes it, dollars
Start = Callable[..., Running]


def message(response: httpx.Response) -> str:
    assert response.json()["type"] == "error"
    return str(response.json()["error"]["message"])


def test_what_comes_back_is_what_was_sent(gateway: Running, upstream: Upstream) -> None:
    response = call(gateway.url, gateway.begin(), say="hello")
    assert response.status_code == 200
    assert response.content == upstream.answers[0]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert gateway.settled() == pytest.approx(COST)


def test_the_key_takes_the_place_of_the_token(gateway: Running, upstream: Upstream) -> None:
    token = gateway.begin()
    call(gateway.url, token)
    (asked,) = upstream.requests
    headers = {key.lower(): value for key, value in asked["headers"].items()}
    assert headers["x-api-key"] == KEY
    assert "authorization" not in headers
    assert headers["anthropic-version"] == "2023-06-01"
    assert asked["path"] == "/v1/messages?beta=true"
    assert token not in str(asked)
    for text in (gateway.log, Path(gateway.path / "ledger.sqlite").read_bytes().decode("latin-1")):
        assert token not in text
        assert KEY not in text


def test_a_subscription_pays_as_a_bearer(start: Start, tmp_path: Path, upstream: Upstream) -> None:
    (tmp_path / "claude_subscription_token").write_text("sk-ant-oat-x")
    gateway = start(credential="claude_subscription_token")
    call(gateway.url, gateway.begin())
    headers = {key.lower(): value for key, value in upstream.requests[0]["headers"].items()}
    assert headers["authorization"] == "Bearer sk-ant-oat-x"
    assert headers["anthropic-beta"] == "oauth-2025-04-20"
    assert "x-api-key" not in headers


@pytest.mark.parametrize("stream", [True, False])
def test_compression_passes_and_is_read(stream: bool, gateway: Running, upstream: Upstream) -> None:
    body = {
        "model": MODEL,
        "max_tokens": 10,
        "stream": stream,
        "messages": [{"role": "user", "content": json.dumps({"encoding": "gzip"})}],
    }
    headers = {"x-api-key": gateway.begin(), "accept-encoding": "gzip, deflate, br, zstd"}
    with httpx.stream(
        "POST", f"{gateway.url}/v1/messages", json=body, headers=headers, verify=NO_TLS
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw).startswith(b"event: message_start" if stream else b'{"type"')
    assert not stream or raw == upstream.answers[0]
    assert upstream.requests[0]["headers"]["accept-encoding"] == "gzip"
    assert gateway.settled() == pytest.approx(COST)


def test_an_encoding_that_cannot_be_read_costs_what_was_held(gateway: Running) -> None:
    call(gateway.url, gateway.begin(), encoding="br", output=10)
    assert gateway.settled() > 1000 * 15 / 1e6, "max_tokens of output"
    assert "charged what was reserved" in gateway.log


def test_a_hundred_at_once_are_whole(gateway: Running, upstream: Upstream) -> None:
    token = gateway.begin()

    async def all_of_them() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60, verify=NO_TLS) as client:

            async def one(number: int) -> httpx.Response:
                prompt = {"say": f"answer {number}", "pieces": 50, "pause": 0.02, "input": 10}
                content = json.dumps(prompt | {"output": 1})
                body = {
                    "model": MODEL,
                    "max_tokens": 1,
                    "stream": True,
                    "messages": [{"role": "user", "content": content}],
                }
                headers = {"x-api-key": token}
                return await client.post(f"{gateway.url}/v1/messages", json=body, headers=headers)

            return await asyncio.gather(*(one(number) for number in range(100)))

    for number, response in enumerate(asyncio.run(all_of_them())):
        prompt = {"say": f"answer {number}", "pieces": 50, "input": 10, "output": 1}
        assert response.content == b"".join(events(prompt, MODEL)), number
    assert gateway.settled() == pytest.approx(100 * (10 * 3 + 15) / 1e6)


# caps


def test_a_loop_ends_within_one_call_of_its_cap(gateway: Running, upstream: Upstream) -> None:
    token = gateway.begin()
    answers: list[httpx.Response] = []
    while len(answers) < 20:
        answers.append(call(gateway.url, token, input=200_000, output=80_000))  # $1.80
        gateway.settled()
        if answers[-1].status_code != 200:
            break
    assert [answer.status_code for answer in answers] == [200, 200, 200, 402]
    assert gateway.settled() == pytest.approx(5.40)
    said = message(answers[-1])
    assert said == (
        "budget: this session has spent $5.40 of its $5.00 "
        "(a new session has a new cap: fleet new-session rpi1)"
    )
    assert len(upstream.requests) == 3, "what is refused is not forwarded"


def test_five_at_once_are_cut_off_at_the_cap_plus_what_is_under_way(gateway: Running) -> None:
    token, codes = gateway.begin(), []

    def loop() -> None:
        for _ in range(6):
            code = call(gateway.url, token, input=200_000, output=80_000, pause=0.01).status_code
            codes.append(code)
            if code != 200:
                return

    threads = [threading.Thread(target=loop) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gateway.settled() <= 5 + 5 * 1.80
    assert codes.count(402) >= 4
    assert call(gateway.url, token).status_code == 402


def test_the_days_caps_hold_whatever_the_sessions_are(start: Start) -> None:
    hosts = {
        "rpi1": {"addresses": ["127.0.0.1"], "session": 5, "daily": 7},
        "imac": {"addresses": ["127.0.0.2"], "session": 10, "daily": None},
    }
    gateway = start(hosts=hosts, daily=8)
    for expected in (200, 200, 200, 402):
        answer = call(gateway.url, gateway.begin(), input=800_000, output=10)  # $2.40
        assert answer.status_code == expected
        gateway.settled()
    assert message(answer).startswith("budget: this host's day has spent $7.21 of its $7.00")
    assert gateway.host("imac")["reason"] == "", "the fleet's has $0.79 left"
    with gateway_from("127.0.0.2", gateway) as other:
        assert other(gateway.begin("imac"), input=800_000).status_code == 200
        gateway.settled("imac")
        answer = other(gateway.begin("imac"))
    assert message(answer).startswith("budget: the fleet's day has spent $9.61 of its $8.00")


class gateway_from:  # noqa: N801 - reads like a function
    """Calls from another address of this machine."""

    def __init__(self, address: str, gateway: Running) -> None:
        self.client = httpx.Client(
            transport=httpx.HTTPTransport(local_address=address, verify=NO_TLS)
        )
        self.url = gateway.url

    def __enter__(self) -> Callable[..., httpx.Response]:
        return self.call

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def call(self, token: str, **prompt: Any) -> httpx.Response:
        body = {
            "model": MODEL,
            "max_tokens": 10,
            "stream": True,
            "messages": [{"role": "user", "content": json.dumps(prompt)}],
        }
        headers = {"x-api-key": token}
        return self.client.post(f"{self.url}/v1/messages", json=body, headers=headers)


def test_what_the_api_refuses_costs_nothing(gateway: Running) -> None:
    assert call(gateway.url, gateway.begin(), status=529).status_code == 529
    assert gateway.settled() == 0


def test_an_api_that_is_away_costs_nothing(start: Start) -> None:
    gateway = start(upstream="http://127.0.0.1:1")
    answer = call(gateway.url, gateway.begin())
    assert answer.status_code == 502
    assert "cannot be reached" in message(answer)
    assert gateway.settled() == 0


# who, and what


def test_a_token_counts_from_its_own_host_alone(gateway: Running, upstream: Upstream) -> None:
    for token in (gateway.begin("imac"), "agentfleet-made-up", "x"):
        answer = call(gateway.url, token)
        assert answer.status_code == 403
        assert "none of a session" in message(answer)
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/complete"),
        ("POST", "/v1/files"),
        ("POST", "/v1/models"),
        ("GET", "/v1/models/../messages"),
        ("POST", "/v1/models/%2e%2e/messages"),
        ("POST", "/v1/messages/count_tokens/../"),
        ("POST", "/v1//messages"),
        ("GET", "/"),
    ],
)
def test_what_could_not_be_counted_does_not_go_through(
    method: str, path: str, gateway: Running, upstream: Upstream
) -> None:
    """As it is on the wire: a client library would tidy the path up."""
    body = b'{"model": "claude-sonnet-4-5", "messages": [{"content": "{}"}]}'
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {gateway.begin()}\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as wire:
        wire.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status = wire.recv(4096).split()[1]
    assert status == b"404"
    assert upstream.requests == []


def test_what_is_free_goes_through(gateway: Running, upstream: Upstream) -> None:
    headers = {"x-api-key": gateway.begin()}
    assert httpx.get(
        f"{gateway.url}/v1/models/claude-x", headers=headers, verify=NO_TLS
    ).json() == {"data": []}
    body = {"model": "claude-x", "messages": [{"role": "user", "content": "{}"}]}
    url = f"{gateway.url}/v1/messages/count_tokens"
    assert httpx.post(url, json=body, headers=headers, verify=NO_TLS).status_code == 200
    assert len(upstream.requests) == 2
    assert gateway.settled() == 0


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"model": "gpt-9"}, "the model gpt-9"),
        ({"model": "claude-sonnet-4-5", "speed": "fast"}, "claude-sonnet-4-5 with speed fast"),
        ({"model": "claude-opus-5-5", "speed": "ludicrous"}, "with speed ludicrous"),
        ({"model": "claude-opus-5-5", "inference_geo": "moon"}, "inference_geo moon"),
        ({"model": None}, "the model None"),
        (
            {"model": "claude-opus-5-5", "tools": [{"type": "code_execution_20260120"}]},
            "the tool code_execution_20260120",
        ),
    ],
)
def test_what_has_no_price_is_refused_by_name(
    asked: dict[str, Any], named: str, gateway: Running, upstream: Upstream
) -> None:
    body = {"max_tokens": 1, "messages": [], **asked}
    headers = {"x-api-key": gateway.begin()}
    answer = httpx.post(f"{gateway.url}/v1/messages", json=body, headers=headers, verify=NO_TLS)
    assert answer.status_code == 403
    assert f"{named} has no price" in message(answer)
    assert upstream.requests == []


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'"x"', b"{}"])
def test_a_request_that_is_none_is_refused(body: bytes, gateway: Running) -> None:
    headers = {"x-api-key": gateway.begin()}
    answer = httpx.post(f"{gateway.url}/v1/messages", content=body, headers=headers, verify=NO_TLS)
    assert answer.status_code in (400, 403)
    assert message(answer)


# ends


def test_killed_in_the_middle_nothing_is_uncounted(gateway: Running) -> None:
    token = gateway.begin()
    for _ in range(3):
        call(gateway.url, token)
    before = gateway.settled()
    failed = []

    def slow() -> None:
        try:
            call(gateway.url, token, pause=0.5, chunks=20)
        except httpx.HTTPError as error:
            failed.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    while gateway.host()["reserved"] == 0:
        time.sleep(0.02)
    held = gateway.host()["reserved"]
    gateway.kill()
    thread.join()
    assert failed
    gateway.start()
    assert before == pytest.approx(3 * COST)
    assert gateway.settled() == pytest.approx(before + held)
    assert "1 calls had no end" in gateway.log
    assert call(gateway.url, token).status_code == 200, "the session goes on"


def test_whoever_hangs_up_pays_for_what_was_written(gateway: Running, upstream: Upstream) -> None:
    token = gateway.begin()
    body = {
        "model": MODEL,
        "max_tokens": 8000,
        "stream": True,
        "messages": [{"role": "user", "content": json.dumps({"pause": 0.1, "pieces": 200})}],
    }
    with httpx.stream(
        "POST", f"{gateway.url}/v1/messages", json=body, headers={"x-api-key": token}, verify=NO_TLS
    ) as answer:
        next(answer.iter_raw())
    spent = gateway.settled()
    assert 1000 * 3 / 1e6 < spent < 8000 * 15 / 1e6
    assert "cut short" in gateway.log


def test_revoked_is_cut_off_at_once(gateway: Running) -> None:
    token, ended = gateway.begin(), []

    def slow() -> None:
        try:
            call(gateway.url, token, pause=1, chunks=30)
        except httpx.HTTPError:
            ended.append(time.monotonic())

    thread = threading.Thread(target=slow)
    thread.start()
    while gateway.host()["reserved"] == 0:
        time.sleep(0.02)
    killed = time.monotonic()
    assert [one["host"] for one in gateway.admin.kill(["rpi1"])["revoked"]] == ["rpi1"]
    thread.join()
    assert ended[0] - killed < 1
    assert call(gateway.url, token).status_code == 403
    assert gateway.admin.kill(None)["revoked"] == []


def test_a_new_session_ends_the_one_before(gateway: Running) -> None:
    first = gateway.begin()
    session, second = gateway.admin.issue("rpi1")
    assert call(gateway.url, first).status_code == 200, "until the new one has begun"
    gateway.admin.begin(session)
    assert call(gateway.url, first).status_code == 403
    assert call(gateway.url, second).status_code == 200
    assert gateway.settled() == pytest.approx(COST), "nothing of the other's"


def test_a_session_that_did_not_begin_is_forgotten(gateway: Running) -> None:
    first = gateway.begin()
    session, second = gateway.admin.issue("rpi1")
    gateway.admin.end(session)
    assert call(gateway.url, second).status_code == 403
    assert call(gateway.url, first).status_code == 200
    with pytest.raises(GatewayError, match="no session"):
        gateway.admin.begin(session)


def test_it_ends_in_good_order(gateway: Running) -> None:
    assert gateway.kill(signal.SIGTERM) == 0
    assert not gateway.socket.exists()


def test_it_runs_from_its_bundle_with_nothing_installed(start: Start) -> None:
    gateway = start(bundled=True)
    assert call(gateway.url, gateway.begin()).status_code == 200


# no ledger, no forwarding


def test_without_a_ledger_it_does_not_start(gateway: Running) -> None:
    gateway.kill()
    (gateway.path / "ledger.sqlite").write_bytes(b"this is no database, however long it may be")
    (gateway.path / "ledger.sqlite-wal").unlink(missing_ok=True)
    done = run("gateway", str(gateway.config), environment=gateway.environment)
    assert done.returncode == 1
    assert "without a ledger nothing is paid" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_ledger_that_cannot_be_written_forwards_nothing(
    gateway: Running, upstream: Upstream
) -> None:
    token = gateway.begin()
    with sqlite3.connect(gateway.path / "ledger.sqlite") as other:
        other.execute("DROP TABLE calls")
    answer = call(gateway.url, token)
    assert answer.status_code == 503
    assert "nothing is paid" in message(answer)
    assert upstream.requests == []


# the gate


def ask(gateway: Running, token: str, event: str) -> dict[str, Any]:
    url = f"{gateway.url}/agentfleet/gate?event={event}"
    answer = httpx.post(url, headers={"x-api-key": token}, verify=NO_TLS)
    assert answer.status_code == 200
    return dict(answer.json())


def test_the_gate_lets_go_on_then_warns_then_stops(gateway: Running) -> None:
    token = gateway.begin()
    assert ask(gateway, token, "PreToolUse") == {}
    call(gateway.url, token, input=1_400_000)  # $4.20
    gateway.settled()
    said = ask(gateway, token, "PostToolUse")["hookSpecificOutput"]
    assert said["hookEventName"] == "PostToolUse"
    assert said["additionalContext"].startswith("budget: 84 %: this session has spent $4.21")
    assert gateway.log.count("84 %") == 1
    call(gateway.url, token, input=300_000)
    gateway.settled()
    assert ask(gateway, token, "PreToolUse")["continue"] is False
    assert "$5.11 of its $5.00" in ask(gateway, token, "PostToolUse")["stopReason"]
    assert ask(gateway, token, "UserPromptSubmit")["decision"] == "block"
    assert "none of a session" in ask(gateway, "revoked", "PreToolUse")["stopReason"]


def test_what_is_left(gateway: Running) -> None:
    token = gateway.begin()
    call(gateway.url, token, input=1_000_000)
    gateway.settled()
    said = httpx.get(
        f"{gateway.url}/agentfleet/left", headers={"x-api-key": token}, verify=NO_TLS
    ).json()
    assert said["host"] == "rpi1"
    assert (said["spent"], said["cap"]) == (pytest.approx(3.0015), 5)
    assert said["left"] == pytest.approx(5 - 3.0015)
    assert said["day"] == {"spent": pytest.approx(3.0015), "cap": 15}
    assert (said["warn"], said["reason"]) == (False, "")
    for path in ("left", "gate?event=Stop", "gate", "else"):
        method = "GET" if path == "left" else "POST"
        bad = {"x-api-key": "no"} if path == "left" else {"x-api-key": token}
        answer = httpx.request(
            method, f"{gateway.url}/agentfleet/{path}", headers=bad, verify=NO_TLS
        )
        assert answer.status_code in (403, 404)


# the other door


def test_the_socket_is_its_groups_alone(gateway: Running) -> None:
    assert gateway.socket.stat().st_mode & 0o777 == 0o660


def test_what_the_report_says(gateway: Running) -> None:
    assert gateway.host()["session"] == ""
    token = gateway.begin()
    call(gateway.url, token)
    gateway.settled()
    found = gateway.admin.budget(3)
    (day,) = found["days"]
    assert day["day"] == time.strftime("%Y-%m-%d")
    assert day["hosts"] == [{"host": "rpi1", "spent": pytest.approx(COST), "calls": 1}]
    assert found["fleet"] == {"spent": pytest.approx(COST), "cap": 100}
    assert [host["host"] for host in found["hosts"]] == ["rpi1", "imac"]
    assert found["hosts"][1]["day"] == {"spent": 0, "cap": None}


@pytest.mark.parametrize(("wanted", "cap"), [(None, 5), (2.5, 2.5), (50, 5), (1e300, 5)])
def test_a_session_may_have_less_than_its_host_and_never_more(
    wanted: float | None, cap: float, gateway: Running
) -> None:
    session, _ = gateway.admin.issue("rpi1", wanted)
    gateway.admin.begin(session)
    assert gateway.host()["cap"] == cap


@pytest.mark.parametrize(
    "wrong", [{"cap": 0}, {"cap": -1}, {"cap": "2"}, {"cap": True}, {"purpose": "fun"}]
)
def test_a_session_that_is_none_is_not_issued(wrong: dict[str, Any], gateway: Running) -> None:
    with pytest.raises(GatewayError, match=r"a session is for|above 0"):
        gateway.admin._ask("POST", "/sessions", json={"host": "rpi1"} | wrong)


def test_a_plan_is_paid_beside_the_agent_and_killed_with_it(gateway: Running) -> None:
    token = gateway.begin()
    session, plan = gateway.admin.issue("rpi1", 1, "plan")
    gateway.admin.begin(session)
    assert call(gateway.url, token).status_code == call(gateway.url, plan).status_code == 200
    assert gateway.host()["session"] != session
    assert len(gateway.admin.kill(["rpi1"])["revoked"]) == 2
    assert call(gateway.url, plan).status_code == 403


@pytest.mark.parametrize("hosts", [["nobody"], []])
def test_killing_nobody_is_an_error(gateway: Running, hosts: list[str]) -> None:
    answer = httpx.Client(
        transport=httpx.HTTPTransport(uds=str(gateway.socket), verify=NO_TLS)
    ).post("http://gateway/kill", json={"hosts": hosts})
    assert answer.status_code in (404, 422)
    assert answer.json()["error"]
