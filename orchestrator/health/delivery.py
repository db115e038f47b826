"""Takes messages to where people read them: an ntfy topic, a webhook; and the heartbeat.

The addresses are secrets: they are in no log, no error and no state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from orchestrator.client import header
from orchestrator.health.alerts import NAMES, Message
from orchestrator.health.inside import plain

NTFY, WEBHOOK, HEARTBEAT = "alert_ntfy", "alert_webhook", "alert_heartbeat"  # secrets by name
CHANNELS = (NTFY, WEBHOOK)  # what messages go to
SEND_S = 20.0
MOST_BODY = 3500  # bytes: ntfy makes an attachment of what is longer than 4096
# By level: the priority, and the tag that is shown as a picture.
_NTFY = {0: ("3", "white_check_mark"), 1: ("3", "warning"), 2: ("4", "rotating_light")}


def addresses(folder: Path | None) -> dict[str, str]:
    """Channel → address, of those that systemd has put there for this service."""
    found = {}
    for name in (*CHANNELS, HEARTBEAT):
        path = folder / name if folder else None
        if path and path.is_file():
            found[name] = path.read_text(encoding="utf-8", errors="replace").strip()
    return found


def send(message: Message, to: Mapping[str, str]) -> dict[str, str]:
    """Send it to each channel that it is left for: channel → what went wrong, empty for nothing."""
    wanted = [name for name in message.left if name in to]

    async def all_of_them() -> list[str]:
        async with _client() as client:
            return await asyncio.gather(
                *(_send(client, name, to[name], message) for name in wanted)
            )

    return dict(zip(wanted, asyncio.run(all_of_them()), strict=True)) if wanted else {}


def beat(address: str) -> str:
    """Tell whoever waits for it that a round is done; what went wrong, empty for nothing."""

    async def once() -> str:
        async with _client() as client:
            return await _ask(client, "GET", address)

    return asyncio.run(once())


def _client() -> httpx.AsyncClient:
    # Not even where it is redirected: an address that has moved is for people to correct.
    return httpx.AsyncClient(timeout=SEND_S, follow_redirects=False, trust_env=False)


async def _send(client: httpx.AsyncClient, channel: str, address: str, message: Message) -> str:
    known = {"Idempotency-Key": message.id}  # for whoever wants to know it again
    if channel == WEBHOOK:
        return await _ask(client, "POST", address, headers=known, json=_as_json(message))
    priority, tag = _NTFY[message.level]
    headers = {**known, "Title": header(message.title), "Priority": priority, "Tags": tag}
    return await _ask(client, "POST", address, headers=headers, content=_as_text(message))


def _as_json(message: Message) -> dict[str, Any]:
    said = asdict(message)
    return {name: said[name] for name in ("id", "at", "title", "lines")} | {
        "level": NAMES[message.level]
    }


def _as_text(message: Message) -> bytes:
    """As many whole lines as there is room for."""
    text = b""
    for line in message.lines:
        more = f"{plain(line)}\n".encode("utf-8", "replace")
        if len(text) + len(more) > MOST_BODY:
            return text + "…\n".encode()
        text += more
    return text


async def _ask(client: httpx.AsyncClient, method: str, address: str, **more: Any) -> str:  # noqa: ANN401 - httpx's
    """What went wrong, without a word of the address; empty for nothing."""
    try:
        async with asyncio.timeout(SEND_S), client.stream(method, address, **more) as answer:
            if answer.is_redirect:
                return f"it answers {answer.status_code}: it has moved, so change the address"
            return "" if answer.is_success else f"it answers {answer.status_code}"
    except TimeoutError:
        return f"no answer within {SEND_S:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        return f"it cannot be reached: {type(error).__name__}"
