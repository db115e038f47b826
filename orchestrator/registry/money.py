"""What agents have spent, as the gateway tells: asked again and again, and whenever it matters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.client import Gateway, ServiceError
from orchestrator.gateway.money import micros
from orchestrator.registry.model import Budgets, Day, Money, Purse

POLL_S = 5.0
DAYS = 14  # that the page shows


class Purses:
    """The budgets, as they were told last. `changed` is called when they are others."""

    def __init__(self, gateway: Gateway, changed: Callable[[], None]) -> None:
        self._gateway, self._changed = gateway, changed
        self.budgets = Budgets({}, fault="the gateway was not asked yet")

    def of(self, host: str) -> Money:
        """One host's."""
        return self.budgets.hosts.get(host, Money())

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(POLL_S)

    async def ask(self) -> None:
        """Ask now. Where nobody answers, what was known stays, with the reason."""
        before = self.budgets
        try:
            self.budgets = read(await asyncio.to_thread(self._gateway.budget, DAYS))
        except (ServiceError, LookupError, TypeError, ValueError) as error:
            self.budgets = Budgets(before.hosts, before.fleet, before.days, str(error))
        if self.budgets != before:
            self._changed()


def read(said: Mapping[str, Any]) -> Budgets:
    """What orchestrator/gateway/admin.py reports. Raises LookupError, TypeError or ValueError."""
    return Budgets(
        hosts={one["host"]: _money(one) for one in said["hosts"]},
        fleet=_purse(said["fleet"]),
        days=tuple(
            Day(
                day["day"],
                micros(day["spent"]),
                {one["host"]: micros(one["spent"]) for one in day["hosts"]},
            )
            for day in said["days"]
        ),
    )


def _money(one: Mapping[str, Any]) -> Money:
    return Money(
        session=one["session"],
        of_session=_purse(one),
        of_day=_purse(one["day"]),
        near=bool(one["warn"]),
        refused=one["reason"],
    )


def _purse(said: Mapping[str, Any]) -> Purse:
    cap = said["cap"]
    return Purse(micros(said["spent"]), None if cap is None else micros(cap))
