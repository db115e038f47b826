"""The desk's questions to a gateway that runs: issue, end, kill."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.client import GatewayError
from orchestrator.tasks.payments import Payments
from tests.unit.conftest import on_linux
from tests.unit.orchestrator.conftest import Running, call
from tests.unit.orchestrator.tasks.fleets import USD

pytestmark = on_linux


def test_a_plans_session_has_its_cap_and_ends(gateway: Running) -> None:
    async def run() -> None:
        payments = Payments(gateway.admin)
        session, token = await payments.issue("rpi1", USD, "plan")
        assert call(gateway.url, token).status_code == 200
        await payments.end(session)
        assert call(gateway.url, token).status_code == 403

    asyncio.run(run())


def test_killed_is_who_was_named_and_nobody_without_a_name(gateway: Running) -> None:
    async def run() -> None:
        payments, token = Payments(gateway.admin), gateway.begin("rpi1")
        await payments.kill([])
        assert call(gateway.url, token).status_code == 200
        await payments.kill(["rpi1"])
        assert call(gateway.url, token).status_code == 403
        with pytest.raises(GatewayError, match="no host is called nowhere"):
            await payments.kill(["nowhere"])

    asyncio.run(run())
