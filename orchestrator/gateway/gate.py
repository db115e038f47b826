"""What agents ask of their own budget: a number, or the words that a hook of Claude Code prints."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.types import Scope, Send

from orchestrator.gateway.asgi import answer, refuse
from orchestrator.gateway.caps import Purse, Purses, refusal, warning
from orchestrator.gateway.ledger import Session
from orchestrator.gateway.money import dollars
from orchestrator.gateway.proxy import UNKNOWN, UNKNOWN_TOKEN, Proxy

PREFIX = "/agentfleet/"
EVENTS = ("PreToolUse", "PostToolUse", "UserPromptSubmit")


async def gate(proxy: Proxy, scope: Scope, send: Send) -> None:
    """Answer `left` and `gate?event=…` for the session whose token is shown.

    May raise sqlite3.Error.
    """
    event = parse_qs(scope["query_string"].decode("latin-1")).get("event", [""])[0]
    session = await proxy.session(scope)
    if session is None:
        if event in EVENTS:  # in the hook's own language, so that the agent hears why
            await answer(send, 200, words(event, UNKNOWN, ""))
        else:
            await refuse(send, UNKNOWN_TOKEN, "permission_error", UNKNOWN)
        return
    caps, daily = proxy.config.hosts[session.host], proxy.config.daily
    purses = await proxy.book.ask(lambda ledger: ledger.purses(session, caps, daily))
    reason = refusal(purses, 0, session.host)
    near = warning(purses, proxy.config.warn_percent)
    match scope["method"], scope["path"].removeprefix(PREFIX):
        case "GET", "left":
            await answer(send, 200, left(session, purses, near=bool(near), reason=reason))
        case "POST", "gate" if event in EVENTS:
            await answer(send, 200, words(event, reason, near))
        case _:
            await refuse(send, 404, "not_found_error", "there is left, and gate?event=EVENT")


def left(session: Session, purses: Purses, *, near: bool, reason: str) -> dict[str, Any]:
    """What a session has spent and may spend, in dollars."""
    mine, day, fleet = purses
    known = [purse.left for purse in purses if purse.left is not None]
    return {
        "session": session.id,
        "host": session.host,
        "spent": dollars(mine.spent.settled),
        "reserved": dollars(mine.spent.reserved),
        "cap": dollars(session.cap),
        "left": dollars(min(known)),
        "day": of_day(day),
        "fleet": of_day(fleet),
        "warn": near,
        "reason": reason,
    }


def of_day(purse: Purse) -> dict[str, float | None]:
    """A day's sum and its cap, in dollars."""
    cap = None if purse.cap is None else dollars(purse.cap)
    return {"spent": dollars(purse.spent.settled), "cap": cap}


def words(event: str, reason: str, near: str) -> dict[str, Any]:
    """What a hook prints at that event: stop, block, or go on and know how things stand."""
    if reason:
        if event == "UserPromptSubmit":
            return {"decision": "block", "reason": reason}
        return {"continue": False, "stopReason": reason}
    if near:
        return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": near}}
    return {}
