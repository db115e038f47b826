"""What the orchestrator sees of the fleet, asked of everybody at the same time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from orchestrator.client import Page, Quarantine, ServiceError
from orchestrator.config import Config
from orchestrator.health.inside import plain
from orchestrator.health.model import AgentSeen, Member, Outside, Registered
from orchestrator.health.report import read_report
from orchestrator.plain import NO_TLS
from orchestrator.quarantine.console import ConsoleError, conversation
from orchestrator.registry.tailnet import TailnetError, run

STATUS_S = 25.0  # a message that is being taken holds up /status, for up to 17 s
CONNECT_S = 5.0
BODY_MOST = 300  # characters
PING_S = 8.0
AT_ONCE = 16
WHO = "fleet check"
HEALTH_TIMER = "agentfleet-health.timer"
SYSTEMD_S = 10.0
TIMER_STATE = ("LoadState", "ActiveState", "ActiveEnterTimestampMonotonic")


def gather(config: Config, *, watched: bool = True) -> Outside:
    """Ask everybody; `watched`: also whether the monitoring is alive."""
    return asyncio.run(_gather(config, watched=watched))


def keep(config: Config, path: Path) -> None:
    """Ask everybody for the monitoring, which may not ask itself, and put it where it looks."""
    said = {"outside": asdict(gather(config, watched=False)), "at": time.time()}
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(said), encoding="utf-8")
    new.chmod(0o644)  # its directory is closed to all but the two
    new.replace(path)


async def _gather(config: Config, *, watched: bool) -> Outside:
    limit = asyncio.Semaphore(AT_ONCE)
    names = {name: place for place, name in config.places.items() if ":" not in place}
    on = [one for one in config.agents if one.name not in config.off and one.url]
    async with httpx.AsyncClient(verify=NO_TLS, trust_env=False) as client:
        agents, pings, scheduler, page, blocked, monitoring = await asyncio.gather(
            asyncio.gather(*(_agent(client, one.url, limit) for one in on)),
            asyncio.gather(*(_ping(config, place, limit) for place in names.values())),
            _scheduler(config),
            asyncio.to_thread(_page, config.socket),
            asyncio.to_thread(_blocked, config.quarantine),
            asyncio.to_thread(_monitoring, config, watched=watched),
        )
    members, scheduler_fault = scheduler
    registered, strangers, page_fault = page
    return Outside(
        agents={one.name: seen for one, seen in zip(on, agents, strict=True)},
        pings=dict(zip(names, pings, strict=True)),
        members=members,
        scheduler_fault=scheduler_fault,
        blocked=blocked,
        registered=registered,
        page_fault=page_fault,
        strangers=strangers,
        monitoring=monitoring,
    )


def _monitoring(config: Config, *, watched: bool) -> str | None:
    """Why the monitoring is dead. What it found is not read: that is for people."""
    if config.health is None or not watched:
        return None
    asked = ("systemctl", "show", f"--property={','.join(TIMER_STATE)}", HEALTH_TIMER)
    try:
        run = subprocess.run(asked, capture_output=True, text=True, timeout=SYSTEMD_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"systemd does not say how {HEALTH_TIMER} is: {type(error).__name__}"
    timer = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    if timer.get("LoadState") == "masked":
        return f"{HEALTH_TIMER} is masked: no round can start"
    if timer.get("ActiveState") != "active":
        return f"{HEALTH_TIMER} does not run: no round starts"
    microseconds = timer.get(TIMER_STATE[-1], "")
    up_s = time.monotonic() - (int(microseconds) / 1e6 if microseconds.isdecimal() else 0)
    now = time.time()
    return read_report(config.health, config.health_s).silence(now, since=now - up_s)


async def _agent(client: httpx.AsyncClient, url: str, limit: asyncio.Semaphore) -> AgentSeen:
    timeout = httpx.Timeout(STATUS_S, connect=CONNECT_S)
    headers = {"accept-encoding": "identity"}
    try:
        async with (
            limit,
            asyncio.timeout(STATUS_S + CONNECT_S),
            client.stream("GET", f"{url}/status", timeout=timeout, headers=headers) as answer,
        ):
            body = b""
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > BODY_MOST:
                    break
            return AgentSeen(answer.status_code, _compact(body[:BODY_MOST]))
    except (httpx.HTTPError, TimeoutError) as error:
        return AgentSeen(0, plain(str(error) or type(error).__name__))


def _compact(body: bytes) -> str:
    """A body in one line; JSON without its spaces and without the schema that huma adds."""
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return plain(text)
    if isinstance(said, dict):
        said = {key: value for key, value in said.items() if key != "$schema"}
    return plain(json.dumps(said))


async def _ping(config: Config, place: str, limit: asyncio.Semaphore) -> str:
    words = ("ping", "--c", "1", "--timeout", "5s", "--until-direct=false", place)
    try:
        async with limit:
            await run(config.tailscale, *words, limit_s=PING_S)
    except TailnetError as error:
        return plain(str(error)) or "no answer"
    return ""


async def _scheduler(config: Config) -> tuple[tuple[Member, ...], str]:
    try:
        async with conversation(config.scheduler, config.console) as console:
            found = await console.daemons()
    except (ConsoleError, OSError, TimeoutError) as error:
        return (), plain(f"the scheduler does not answer: {error or type(error).__name__}")
    return tuple(Member(plain(one.name), plain(one.address), one.port) for one in found), ""


def _blocked(socket: Path) -> dict[str, str]:
    try:
        said = Quarantine(socket).blocked()["blocked"]
        return {plain(one["worker"]): plain(f"reported by {one['by']}") for one in said}
    except (ServiceError, LookupError, TypeError):
        return {}


def _page(socket: Path) -> tuple[dict[str, Registered], tuple[str, ...], str]:
    try:
        agents = _asked(socket, "/api/v1/agents")["agents"]
        strangers = _asked(socket, "/api/v1/strangers")["strangers"]
        registered = {str(one["host"]["name"]): _registered(one) for one in agents}
        found = tuple(plain(f"{one['name']} at {one['address']}") for one in strangers)
    except (ServiceError, LookupError, TypeError) as error:
        return {}, (), plain(str(error) or type(error).__name__)
    return registered, found, ""


def _registered(one: Mapping[str, Any]) -> Registered:
    money = one.get("money") or {}
    return Registered(
        plain(str(one["condition"])), plain(str(one.get("said") or "")), bool(money.get("near"))
    )


def _asked(socket: Path, path: str) -> Any:  # noqa: ANN401 - JSON
    with Page(socket, WHO).ask("GET", path, b"", "") as answer:
        body = answer.read()
        if answer.is_error:
            raise ServiceError(f"the page answers {answer.status_code} to {path}")
    try:
        return json.loads(body)
    except ValueError:
        raise ServiceError(f"the page answers something else than JSON to {path}") from None
