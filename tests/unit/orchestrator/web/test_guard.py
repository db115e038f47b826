"""Nobody gets past the guard by what they say of themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from orchestrator.web.guard import SECURITY, Guard, csrf_token, is_csrf_token
from orchestrator.web.who import Door, Doorkeeper, Person, Whois

LIMIT = 1000
RIGHT = "right"
ADA = "100.64.0.7"


async def page(request: Request) -> PlainTextResponse:
    person = request.state.person
    return PlainTextResponse(f"{person.name} {person.where} {len(await request.body())}")


@pytest.fixture
def tailscale(tmp_path: Path) -> Path:
    """Knows Ada, a tagged device of hers, and somebody else; notes each question."""
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
        f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\nexec cat "{tmp_path}/${{3%:*}}" 2>/dev/null\n'
    )
    program.chmod(0o755)
    return program


def ask(
    tailscale: Path,
    door: Door,
    *,
    peer: str = ADA,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    content: bytes | AsyncIterator[bytes] = b"",
    times: int = 1,
    token: str = RIGHT,
) -> httpx.Response:
    keeper = Doorkeeper({"ada@example.org": "ada"}, token, Whois((str(tailscale),)))
    app = Starlette(routes=[Route("/x", page, methods=["GET", "POST"])])
    guard = Guard(app, door, keeper, ("fleet", "127.0.0.1"), 8080, LIMIT)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(guard, client=(peer, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://fleet:8080") as client:
            for _ in range(times):
                got = await client.request(method, "/x", headers=headers, content=content)
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


def test_bodies_are_bounded_in_pieces_too(tailscale: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 500

    assert ask(tailscale, Door.TAILNET, method="POST", content=b"x" * LIMIT).status_code == 200
    assert (
        ask(tailscale, Door.TAILNET, method="POST", content=b"x" * (LIMIT + 1)).status_code == 413
    )
    assert ask(tailscale, Door.TAILNET, method="POST", content=pieces()).status_code == 413


@pytest.mark.parametrize("peer", [ADA, "100.64.0.9"])
def test_every_answer_is_hardened(tailscale: Path, peer: str) -> None:
    got = ask(tailscale, Door.TAILNET, peer=peer)
    assert {name: got.headers.get(name) for name in SECURITY} == SECURITY
    assert got.headers["cache-control"] == "no-store"


def test_forms_are_of_one_person() -> None:
    ada, eve = Person("ada", ADA), Person("eve", ADA)
    token = csrf_token(b"secret", ada)
    assert is_csrf_token(b"secret", ada, token)
    assert not is_csrf_token(b"secret", eve, token)
    assert not is_csrf_token(b"other", ada, token)
    assert not is_csrf_token(b"secret", ada, "ü")
