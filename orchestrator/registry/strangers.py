"""AgentAPIs in the tailnet that fleet.yaml does not know: anybody may run one, none gets work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from orchestrator.config import Config
from orchestrator.registry.agentapi import AgentApi, AgentApiError
from orchestrator.registry.model import Stranger
from orchestrator.registry.tailnet import TailnetError, ask

POLL_S = 180.0
KNOCK_S = 3.0
AT_ONCE = 8
NAME_SHOWN = 100  # characters
PORT = 3284  # AgentAPI's own


class Strangers:
    """Those that were found last. `changed` is called when they are others."""

    def __init__(
        self, config: Config, client: httpx.AsyncClient, changed: Callable[[], None]
    ) -> None:
        self._config, self._client, self._changed = config, client, changed
        self.found: tuple[Stranger, ...] = ()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Look now. Where the tailnet does not say who is in it, nothing changes."""
        try:
            status = await ask(self._config.tailscale, "status", "--json")
        except TailnetError:
            return
        turn = asyncio.Semaphore(AT_ONCE)

        async def knock(address: str, name: str) -> Stranger | None:
            async with turn:
                return await self._knock(address, name)

        peers = unknown_peers(status, self._config.places)
        seen = await asyncio.gather(*(knock(*peer) for peer in peers))
        before = {one.address for one in self.found}
        self.found = tuple(one for one in seen if one)
        if before != {one.address for one in self.found}:
            self._changed()

    async def _knock(self, address: str, name: str) -> Stranger | None:
        """Whoever answers as an AgentAPI does is one."""
        host = f"[{address}]" if ":" in address else address
        try:
            async with asyncio.timeout(KNOCK_S):
                await AgentApi(self._client, f"http://{host}:{PORT}").status()
        except AgentApiError as error:
            # It answers to its own names alone, and says so in its own words.
            if "Invalid host header" not in str(error):
                return None
        except TimeoutError:
            return None
        return Stranger(address, name[:NAME_SHOWN], time.time())


def unknown_peers(status: Any, places: Mapping[str, str]) -> list[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Address and name of each peer that is online and no host of the fleet."""
    return sorted(dict(_unknown(status, places)).items())


def _unknown(status: Any, places: Mapping[str, str]) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    peers = status.get("Peer") if isinstance(status, dict) else None
    for peer in peers.values() if isinstance(peers, dict) else ():
        if not isinstance(peer, dict) or not peer.get("Online"):
            continue
        addresses = [str(one) for one in peer.get("TailscaleIPs") or ()]
        if addresses and not any(one in places for one in addresses):
            yield addresses[0], str(peer.get("HostName") or peer.get("DNSName") or addresses[0])
