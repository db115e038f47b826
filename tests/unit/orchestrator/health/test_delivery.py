"""Messages arrive as ntfy and webhooks take them; no address is ever told to anybody."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.health import delivery
from orchestrator.health.alerts import Message, note
from orchestrator.health.delivery import CHANNELS, HEARTBEAT, NTFY, WEBHOOK, addresses, beat, send
from tests.unit.orchestrator.health.sink import Sink, sink

HOSTILE = 'FAILED: disk@pi: \x1b[31mfull\r\nX-Evil: 1\x00 "ü" \ud800'


@pytest.fixture
def taker() -> Iterator[Sink]:
    with sink() as found:
        yield found


def message(*lines: str, level: int = 2, title: str = "home: 1 worse") -> Message:
    return note(title, lines, level, CHANNELS, 5.0)


def test_a_message_arrives_at_both(taker: Sink) -> None:
    told = message(HOSTILE)
    to = {NTFY: taker.at("topic"), WEBHOOK: taker.at("hook")}
    assert send(told, to) == {NTFY: "", WEBHOOK: ""}
    (ntfy,), (hook,) = taker.of("topic"), taker.of("hook")
    assert (ntfy.method, hook.method) == ("POST", "POST")
    assert (ntfy.headers["Title"], ntfy.headers["Priority"]) == ("home: 1 worse", "4")
    assert ntfy.headers["Tags"] == "rotating_light"
    assert ntfy.headers["Idempotency-Key"] == hook.headers["Idempotency-Key"] == told.id
    assert "X-Evil" not in ntfy.headers
    text = ntfy.body.decode()
    assert text.count("\n") == 1
    assert text.strip().isprintable()
    said = json.loads(hook.body)
    assert said == {
        "id": told.id,
        "at": 5.0,
        "title": "home: 1 worse",
        "lines": said["lines"],
        "level": "failed",
    }


@pytest.mark.parametrize(
    ("level", "priority", "tag"), [(0, "3", "white_check_mark"), (1, "3", "warning")]
)
def test_what_recovered_does_not_wake_anybody(
    taker: Sink, level: int, priority: str, tag: str
) -> None:
    send(message("x", level=level), {NTFY: taker.at("topic")})
    headers = taker.heard[0].headers
    assert (headers["Priority"], headers["Tags"]) == (priority, tag)


def test_a_title_is_a_header(taker: Sink) -> None:
    assert send(message("x", title="hömé\r\nX-Evil: 1"), {NTFY: taker.at("t")}) == {NTFY: ""}
    assert taker.heard[0].headers["Title"] == "h?m???X-Evil: 1"
    assert "X-Evil" not in taker.heard[0].headers


def test_a_long_message_is_cut_at_a_line(taker: Sink) -> None:
    send(message(*("ü" * 200 for _ in range(30))), {NTFY: taker.at("t")})
    body = taker.heard[0].body
    assert len(body) <= delivery.MOST_BODY + 4
    assert body.decode().splitlines()[-1] == "…"
    assert {*body.decode().splitlines()[:-1]} == {"ü" * 200}


def test_only_what_is_left_is_sent(taker: Sink) -> None:
    assert send(message("x"), {WEBHOOK: taker.at("hook")}) == {WEBHOOK: ""}
    assert send(message("x"), {}) == {}
    assert [one.path for one in taker.heard] == ["/hook"]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 403, 404, 500, 503])
def test_anything_but_a_yes_is_a_fault_and_followed_nowhere(taker: Sink, status: int) -> None:
    taker.status = status
    fault = send(message("x"), {NTFY: taker.at("secret-topic")})[NTFY]
    assert str(status) in fault
    assert "secret-topic" not in fault
    assert taker.of("elsewhere") == []


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/secret",
        "ftp://x/secret",
        "http://[/secret",
        "http://a b/secret",
        "secret",
        "",
    ],
)
def test_an_address_that_leads_nowhere_is_told_to_nobody(address: str) -> None:
    fault = send(message("x"), {NTFY: address})[NTFY]
    assert fault.startswith("it cannot be reached: ")
    assert "secret" not in fault
    assert beat(address).startswith("it cannot be reached: ")


def test_silence_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SEND_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/secret"
        fault = send(message("x"), {NTFY: address})[NTFY]
    assert fault in ("no answer within 0.2 s", "it cannot be reached: ReadTimeout")


def test_the_heart_beats(taker: Sink) -> None:
    assert beat(taker.at("ping/uuid")) == ""
    assert [(one.method, one.path) for one in taker.heard] == [("GET", "/ping/uuid")]
    taker.status = 404
    assert beat(taker.at("ping/uuid")) == "it answers 404"


def test_addresses_are_what_systemd_put_there(tmp_path: Path) -> None:
    assert addresses(None) == addresses(tmp_path) == {}
    (tmp_path / NTFY).write_text("https://ntfy.example/topic\n")
    (tmp_path / HEARTBEAT).write_text("https://hc.example/ping\n")
    (tmp_path / "other").write_text("x")
    assert addresses(tmp_path) == {
        NTFY: "https://ntfy.example/topic",
        HEARTBEAT: "https://hc.example/ping",
    }
