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
        f'''#!/bin/sh
echo "$*" >> {tmp_path}/asked
[ ! -e {tmp_path}/down ] || {{ echo "failed to connect to local tailscaled" >&2; exit 1; }}
[ ! -e {tmp_path}/slow ] || sleep 0.3
cat "{tmp_path}/${{3%:*}}" 2>/dev/null || {{ echo "peer not found" >&2; exit 1; }}
'''
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


def test_who_nobody_can_tell_is_asked_to_come_again(tailscale: Path, tmp_path: Path) -> None:
    (tmp_path / "down").touch()
    got = ask(tailscale, Door.TAILNET)
    assert (got.status_code, "failed to connect to local tailscaled" in got.text) == (503, True)
    (tmp_path / "down").unlink()
    assert ask(tailscale, Door.TAILNET).status_code == 200
    got = ask(tmp_path / "nothing", Door.TAILNET)
    assert (got.status_code, "not installed" in got.text) == (503, True)


def test_whoever_knocks_often_is_asked_for_once(tailscale: Path, tmp_path: Path) -> None:
    """All at once, and again right after; a device that the tailnet does not know, too."""
    (tmp_path / "slow").touch()

    async def run() -> list[str]:
        whois = Whois((str(tailscale),))
        many = [whois.login(peer, 5000) for peer in [ADA, "100.64.0.10"] * 10]
        found = await asyncio.gather(*many)
        assert await whois.login("100.64.0.10", 5001) == ""
        return list(found)

    assert asyncio.run(run()) == ["ada@example.org", ""] * 10
    assert len((tmp_path / "asked").read_text().splitlines()) == 2


def test_one_who_goes_away_takes_the_answer_from_nobody(tailscale: Path, tmp_path: Path) -> None:
    (tmp_path / "slow").touch()

    async def run() -> str:
        whois = Whois((str(tailscale),))
        first = asyncio.ensure_future(whois.login(ADA, 5000))
        second = asyncio.ensure_future(whois.login(ADA, 5000))
        await asyncio.sleep(0.05)
        first.cancel()
        return await second

    assert asyncio.run(run()) == "ada@example.org"


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "*/*", None])
def test_a_browser_gets_a_page_that_says_no(tailscale: Path, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    got = ask(tailscale, Door.TAILNET, peer="100.64.0.9", headers=headers)
    is_page = got.headers["content-type"].startswith("text/html")
    assert (got.status_code, is_page) == (403, accept is not None and "html" in accept)
    assert "eve@example.org is not among the fleet" in got.text


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


def test_bodies_are_longer_only_where_files_are_taken(tailscale: Path) -> None:
    keeper = Doorkeeper({"ada@example.org": "ada"}, RIGHT, Whois((str(tailscale),)))
    app = Starlette(routes=[Route(path, page, methods=["POST"]) for path in ("/x", "/files")])
    longer = {"/files": 2 * LIMIT}
    guard = Guard(app, Door.TAILNET, keeper, ("fleet",), 8080, LIMIT, longer)

    async def run() -> dict[str, int]:
        transport = httpx.ASGITransport(guard, client=(ADA, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://fleet:8080") as client:
            return {
                f"{path} {size}": (await client.post(path, content=b"x" * size)).status_code
                for path in ("/x", "/files", "/files/")
                for size in (LIMIT + 1, 2 * LIMIT + 1)
            }

    assert asyncio.run(run()) == {
        **{"/x 1001": 413, "/x 2001": 413, "/files 1001": 200, "/files 2001": 413},
        **{"/files/ 1001": 413, "/files/ 2001": 413},
    }


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
