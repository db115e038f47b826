"""Nobody gets past the guard by what they say of themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from orchestrator.web import who
from orchestrator.web.guard import BODY_LIMIT, SECURITY, Guard, csrf_token, is_csrf_token
from orchestrator.web.operations import MOST_FILE
from orchestrator.web.who import AT_ONCE, Door, Doorkeeper, Person, Whois

RIGHT = "right"
ADA = "100.64.0.7"
TEXT, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"


async def page(request: Request) -> PlainTextResponse:
    person = request.state.person
    return PlainTextResponse(f"{person.name} {person.where} {len(await request.body())}")


@pytest.fixture
def tailscale(tmp_path: Path) -> Path:
    """Knows Ada, a tagged device of hers, and somebody else; notes each question, and each answer.

    It is as slow as `delay` says.
    """
    answers = {
        ADA: {"Node": {}, "UserProfile": {"LoginName": "ada@example.org"}},
        "100.64.0.8": {
            "Node": {"Tags": ["tag:pi"]},
            "UserProfile": {"LoginName": "ada@example.org"},
        },
        "100.64.0.9": {"Node": {}, "UserProfile": {"LoginName": "eve@example.org"}},
    }
    for address, answer in answers.items():
        (tmp_path / address).write_text(json.dumps(answer))
    program = tmp_path / "tailscale"
    program.write_text(
        f"""#!/bin/sh
cd {tmp_path}
echo "$*" >> asked
[ ! -e delay ] || sleep "$(cat delay)"
echo "$*" >> answered
cat "${{3%:*}}" 2>/dev/null || {{ echo "peer not found" >&2; exit 1; }}
"""
    )
    program.chmod(0o755)
    return program


def ask(
    tailscale: Path,
    door: Door,
    *,
    peer: str = ADA,
    method: str = "GET",
    path: str = "/x",
    headers: Mapping[str, str] | None = None,
    content: bytes | AsyncIterator[bytes] = b"",
    times: int = 1,
    token: str = RIGHT,
) -> httpx.Response:
    keeper = Doorkeeper({"ada@example.org": "ada"}, token, Whois((str(tailscale),)))
    routes = [Route("/{path:path}", page, methods=["GET", "POST"])]
    guard = Guard(Starlette(routes=routes), door, keeper, ("fleet", "127.0.0.1"), 8080)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(guard, client=(peer, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://fleet:8080") as client:
            for _ in range(times):
                got = await client.request(method, path, headers=headers, content=content)
        return got

    return asyncio.run(run())


def test_operator_is_known_by_address_and_asked_for_once(tailscale: Path) -> None:
    assert ask(tailscale, Door.TAILNET, times=3).text == f"ada {ADA} 0"
    assert (tailscale.parent / "asked").read_text() == f"whois --json {ADA}:5000\n"


@pytest.mark.parametrize("peer", ["100.64.0.8", "100.64.0.9", "100.64.0.10", "127.0.0.1", "::1"])
@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"Tailscale-User-Login": "ada@example.org", "Tailscale-User-Name": "ada"},
        {"X-Forwarded-For": ADA, "X-Real-IP": ADA, "Forwarded": f"for={ADA}"},
        {"X-Agentfleet-Who": "ada"},
        {"Authorization": "Bearer right"},
    ],
)
def test_nobody_else_gets_in_from_the_tailnet(
    tailscale: Path, peer: str, forged: dict[str, str]
) -> None:
    got = ask(tailscale, Door.TAILNET, peer=peer, headers=forged)
    assert (got.status_code, got.text.endswith("ask ada.\n")) == (403, True)


@pytest.mark.parametrize("said", [None, "Bearer wrong", "Bearer ", "Basic right", "Bearer ü"])
def test_loopback_needs_the_token(tailscale: Path, said: str | None) -> None:
    told = {"X-Agentfleet-Who": "ada"} | ({} if said is None else {"Authorization": said})
    headers = httpx.Headers(told, encoding="utf-8")
    assert ask(tailscale, Door.LOOPBACK, peer="127.0.0.1", headers=headers).status_code == 401
    sound = {"Authorization": "Bearer right"}
    assert ask(tailscale, Door.LOOPBACK, headers=sound).text == "token token 0"


def test_empty_token_lets_nobody_in(tailscale: Path) -> None:
    headers = {"Authorization": "Bearer "}
    assert ask(tailscale, Door.LOOPBACK, headers=headers, token="").status_code == 401


def test_socket_takes_a_printable_name(tailscale: Path) -> None:
    got = ask(tailscale, Door.SOCKET, headers={"X-Agentfleet-Who": "bob\x1b[2J" + "y" * 99})
    name, where, _ = got.text.rsplit(" ", 2)
    assert (name[:7], len(name), where) == ("bob[2Jy", 64, "socket")


@pytest.mark.parametrize("host", ["evil.example", "fleet:81", "fleet.evil.example", "", "fleet@x"])
def test_another_name_is_another_site(tailscale: Path, host: str) -> None:
    assert ask(tailscale, Door.TAILNET, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://fleet:8080", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://fleet:9"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_sites_change_nothing(tailscale: Path, headers: dict[str, str], status: int) -> None:
    assert ask(tailscale, Door.TAILNET, method="POST", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/x", BODY_LIMIT),
        ("/tasks/7/cancel", BODY_LIMIT),
        ("/api/v1/tasks", BODY_LIMIT),
        ("/api/v1/files", MOST_FILE + (1 << 20)),
        ("/tasks", MOST_FILE + (1 << 20)),
    ],
)
def test_bodies_are_bounded_in_pieces_too(tailscale: Path, path: str, limit: int) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * (size // 4)
        yield b"x" * (size % 4)

    def status(content: bytes | AsyncIterator[bytes]) -> int:
        got = ask(tailscale, Door.TAILNET, method="POST", path=path, content=content)
        return got.status_code

    assert [status(b"x" * limit), status(pieces(limit))] == [200, 200]
    assert [status(b"x" * (limit + 1)), status(pieces(limit + 1))] == [413, 413]


@pytest.mark.parametrize("peer", [ADA, "100.64.0.9"])
def test_every_answer_is_hardened(tailscale: Path, peer: str) -> None:
    got = ask(tailscale, Door.TAILNET, peer=peer)
    assert {name: got.headers.get(name) for name in SECURITY} == SECURITY
    assert got.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"headers": {"Host": "evil.example"}}, 421),
        ({"method": "POST", "headers": {"Origin": "http://evil.example"}}, 403),
        ({"method": "POST", "headers": {"Content-Length": str(2**40)}}, 413),
        ({"peer": "100.64.0.9"}, 403),
    ],
)
def test_browsers_get_a_page_that_says_why(tailscale: Path, how: Any, status: int) -> None:
    how = {"headers": {}, **how}
    line = ask(tailscale, Door.TAILNET, **how)
    assert (line.status_code, line.headers["content-type"]) == (status, TEXT)
    how["headers"] = {**how["headers"], "Accept": "text/html,*/*;q=0.8"}
    shown = ask(tailscale, Door.TAILNET, **how)
    assert (shown.status_code, shown.headers["content-type"]) == (status, HTML)
    assert f"<p>{escape(line.text.strip())}</p>" in shown.text
    assert '<html lang="en">' in shown.text
    assert shown.text.count("<h1>") == 1
    assert {name: shown.headers.get(name) for name in SECURITY} == SECURITY


def test_names_that_are_hostile_are_escaped(tailscale: Path) -> None:
    said = {"Node": {}, "UserProfile": {"LoginName": "<script>\u001b[2Jalert(1)</script>@x"}}
    (tailscale.parent / "100.64.0.9").write_text(json.dumps(said))
    got = ask(tailscale, Door.TAILNET, peer="100.64.0.9", headers={"Accept": "text/html"})
    assert "&lt;script&gt;[2Jalert(1)&lt;/script&gt;@x is not among" in got.text
    assert "<script" not in got.text


def test_tailnet_that_does_not_answer_is_no_denial(tailscale: Path) -> None:
    tailscale.write_text("#!/bin/sh\necho 'failed to connect\x1b to <tailscaled>' >&2; exit 1\n")
    got = ask(tailscale, Door.TAILNET)
    words = "The tailnet does not say who you are: "
    assert (got.status_code, got.text[: len(words)]) == (503, words)
    assert "\x1b" not in got.text
    got = ask(tailscale, Door.TAILNET, headers={"Accept": "text/html"})
    assert "&lt;tailscaled&gt;" in got.text
    got = ask(tailscale.parent / "none", Door.TAILNET)
    assert got.text == f"{words}there is no tailscale on this host.\n"
    assert ask(tailscale.parent / "none", Door.TAILNET, peer="127.0.0.1").status_code == 403


def test_tailnet_that_takes_too_long(tailscale: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One process, as it is in truth: of two the second would be waited for, whoever ends the first.
    tailscale.write_text("#!/bin/sh\nexec sleep 20\n")
    monkeypatch.setattr(who, "PATIENCE_S", 0.1)
    got = ask(tailscale, Door.TAILNET)
    assert (got.status_code, "does not answer" in got.text) == (503, True)


def test_whoever_is_nobody_is_asked_for_once_in_a_while(
    tailscale: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(tailscale, Door.TAILNET, peer="100.64.0.10", times=5)
    asked = tailscale.parent / "asked"
    assert asked.read_text().count("100.64.0.10") == 1
    monkeypatch.setattr(who, "UNKNOWN_S", 0.0)
    ask(tailscale, Door.TAILNET, peer="100.64.0.10", times=3)
    assert asked.read_text().count("100.64.0.10") == 4


def test_a_few_questions_at_a_time_and_one_for_each_address(tailscale: Path) -> None:
    places = [f"100.64.1.{number}" for number in range(2 * AT_ONCE)]
    folder = tailscale.parent
    (folder / "delay").write_text("0.3")

    async def run() -> int:
        whois = Whois((str(tailscale),))
        all_of_them = asyncio.gather(*(whois.login(place, 1) for place in places * 3))
        most = 0
        while not all_of_them.done():
            # Answers are counted first: a question between the two counts may only add to them.
            answered = lines(folder / "answered")
            most = max(most, lines(folder / "asked") - answered)
            await asyncio.sleep(0.01)
        return most

    most = asyncio.run(run())
    assert lines(folder / "asked") == len(places), "each is asked for once"
    assert 1 < most <= AT_ONCE + 1  # one may have ended, and the next begun, between two counts


def test_whoever_gives_up_waiting_takes_no_answer_from_others(tailscale: Path) -> None:
    (tailscale.parent / "delay").write_text("0.3")

    async def run() -> str:
        whois = Whois((str(tailscale),))
        first = asyncio.create_task(whois.login(ADA, 1))
        second = asyncio.create_task(whois.login(ADA, 1))
        await asyncio.sleep(0.1)
        first.cancel()
        return await second

    assert asyncio.run(run()) == "ada@example.org"


def lines(path: Path) -> int:
    """How many a file has, which may not be there yet."""
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_forms_are_of_one_person() -> None:
    ada, eve = Person("ada", ADA), Person("eve", ADA)
    token = csrf_token(b"secret", ada)
    assert is_csrf_token(b"secret", ada, token)
    assert not is_csrf_token(b"secret", eve, token)
    assert not is_csrf_token(b"other", ada, token)
    assert not is_csrf_token(b"secret", ada, "ü")
