"""`tailscale serve`: remembered and shown; nothing is proxied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lab.tailnet.flags import WrongFlagsError, parse
from lab.tailnet.nodes import Node

FLAGS: dict[str, str | bool] = {
    "bg": False, "yes": False, "https": "", "http": "", "tcp": "", "set-path": "", "json": False,
}  # fmt: skip


def serve(node: Node, words: Sequence[str]) -> list[str]:
    """Run `serve WORDS`; returns what it prints."""
    if words[:1] == ["status"]:
        given, _ = parse(words[1:], FLAGS)
        return json.dumps(node.serve, indent=2).splitlines() if given.get("json") else _told(node)
    if words == ["reset"]:
        node.serve = {}
        return []
    given, rest = parse(words, FLAGS)
    target, off = (rest or [""])[0], rest[-1:] == ["off"]
    if not target or not (given.get("bg") or off):
        raise WrongFlagsError("tailscale serve (stand-in): only serve --bg TARGET is covered")
    port = str(given.get("https") or given.get("http") or given.get("tcp") or "443")
    if off:
        _forget(node, port)
        return []
    return _remember(node, given, port, target)


def _remember(node: Node, given: dict[str, str | bool], port: str, target: str) -> list[str]:
    if target.isdigit():
        target = f"127.0.0.1:{target}"
    ports: dict[str, Any] = node.serve.setdefault("TCP", {})
    if given.get("tcp"):
        ports[port] = {"TCPForward": target.removeprefix("tcp://")}
    else:
        proxy = target if "://" in target else f"http://{target}"
        ports[port] = {"HTTP": True} if given.get("http") else {"HTTPS": True}
        site = node.serve.setdefault("Web", {}).setdefault(f"{node.dns_name}:{port}", {})
        site.setdefault("Handlers", {})[str(given.get("set-path") or "/")] = {"Proxy": proxy}
    kind = next((one for one in ("http", "tcp") if given.get(one)), "https")
    return [
        "Available within your tailnet:",
        "",
        *_lines(node, "|-- proxy "),
        "",
        "Serve started and running in the background.",
        f"To disable the proxy, run: tailscale serve --{kind}={port} off",
    ]


def _forget(node: Node, port: str) -> None:
    if node.serve.get("TCP", {}).pop(port, None) is None:
        raise WrongFlagsError("error: failed to remove web serve: handler does not exist")
    node.serve.get("Web", {}).pop(f"{node.dns_name}:{port}", None)
    if not node.serve["TCP"]:
        node.serve = {}


def _told(node: Node) -> list[str]:
    return _lines(node, "|-- / proxy ", " (tailnet only)") or ["No serve config"]


def _lines(node: Node, before: str, after: str = "") -> list[str]:
    lines = []
    for name, site in node.serve.get("Web", {}).items():
        host, _, port = name.rpartition(":")
        scheme = "http" if node.serve["TCP"][port].get("HTTP") else "https"
        shown = host if (scheme, port) in (("https", "443"), ("http", "80")) else name
        for path, handler in site["Handlers"].items():
            where = f"{scheme}://{shown}{path if not after else ''}{after}"
            lines += [where, before + handler["Proxy"]]
    for port, entry in node.serve.get("TCP", {}).items():
        if "TCPForward" in entry:
            lines += [f"|-- tcp://{node.dns_name}:{port}{after}", f"|--> {entry['TCPForward']}"]
    return lines
