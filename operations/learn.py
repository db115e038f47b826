"""What only a host can tell of itself and the truth has to know: the run notes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import FunctionCommand

from facts.look import Look
from facts.looking import look
from fleet.learned import Learned
from operations.change import Change, Commands, Order, announce, failure, reason

Learn = Callable[[str, Learned], None]
Hear = Callable[[str, Look], tuple[Learned, Learned]]  # what was known, what is known now
_WORDS = {
    "ipv4": "its address in the tailnet is {}",
    "ipv6": "its IPv6 address in the tailnet is {}",
    "name": "its name in the tailnet is {}",
    "host_keys": "its SSH host key is {}",
    "dispatch_key": "it talks to agents with the SSH key {}",
    "health_key": "it asks hosts how they are with the SSH key {}",
    "compiler": "its clang for the fleet is {}",
    "environments": "it has packed {}",
    "mac_address": "its network card is {}",
    "networking": "its networking in WSL is {}",
}


@operation()
def ensure(order: Order, hear: Hear, learn: Learn) -> Commands:
    """Note what the host tells and is not known yet; `learn` writes it down."""
    try:
        context = order.context()
        before, now = hear(host.name, look(host, context.asked))
        if now == before:
            return
        announce("learn", context, Change(tuple(news(before, now)), ""))
    except Exception as error:
        yield failure(f"{order.capability}: {reason(error)}")
        return
    yield FunctionCommand(_learn, (now, learn), {})


def news(before: Learned, now: Learned) -> list[str]:
    """What is new, in words."""
    return [
        f"{_WORDS[field.name].format(_shown(getattr(now, field.name)))}, noted in fleet.lock.yaml"
        for field in fields(Learned)
        if getattr(now, field.name) != getattr(before, field.name)
    ]


def _shown(value: Any) -> str:  # noqa: ANN401 - a field's
    if isinstance(value, tuple):
        return ", ".join(str(getattr(one, "name", one)) for one in value) or "none"
    return str(value or "none")


def _learn(state: State, host: Host, now: Learned, learn: Learn) -> bool:
    try:
        learn(host.name, now)
    except Exception as error:
        logger.error(f"{host.print_prefix}learn: {reason(error)}")
        return False
    return True
