"""What the lab asks of its tailnet: the part of Tailscale's admin console."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lab.tailnet import store
from lab.tailnet.nodes import DAY_S, Node, Refused
from lab.tailnet.policy import Policy

if TYPE_CHECKING:
    from lab.tailnet.server import Server


def _nodes(server: Server) -> list[dict[str, Any]]:
    world = server.world()
    return [
        {
            "name": node.label,
            "host": node.host,
            "ipv4": server.tailnet.ipv4(node),
            "ipv6": server.tailnet.ipv6(node),
            "tags": list(node.tags),
            "owner": "" if node.tags else node.owner,
            "online": node.machine in world.running,
            "expires": node.expires,
        }
        for node in server.tailnet.nodes
    ]


def _policy(server: Server, policy: dict[str, Any] | None) -> None:
    if policy is not None:
        Policy.of(policy)
    server.tailnet.policy = policy
    server.apply()


def _node(server: Server, name: str) -> Node:
    node = server.tailnet.named(name)
    if node is None:
        names = ", ".join(one.label for one in server.tailnet.nodes) or "none yet"
        raise Refused(f"no node of the tailnet is called {name}; there is: {names}")
    return node


def _remove(server: Server, name: str) -> None:
    server.tailnet.nodes.remove(_node(server, name))
    server.apply()


def _expire_node(server: Server, name: str, days: float) -> None:
    _node(server, name).expires = time.time() + days * DAY_S
    server.apply()


def _new_key(server: Server) -> str:
    text = store.new_key(server.folder, server.tailnet)
    server.apply()
    return text


def _expire_key(server: Server) -> None:
    store.expire_key(server.folder, server.tailnet)
    server.apply()


def _hosts(server: Server) -> None:
    server.know_hosts()
    server.apply()


CONTROLS: dict[str, Callable[..., Any]] = {
    "version": lambda server: server.version,
    "hosts": _hosts,
    "nodes": _nodes,
    "policy": _policy,
    "remove": _remove,
    "expire_node": _expire_node,
    "new_key": _new_key,
    "expire_key": _expire_key,
}
