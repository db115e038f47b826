"""The tailnet on disk: one file, replaced as a whole at each change; auth keys as digests only."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from pathlib import Path
from typing import Any

from lab.tailnet.nodes import AuthKey, Node, Tailnet, digest

STATE, KEY = "state.json", "auth-key"


def load(folder: Path, number: int) -> Tailnet:
    """Read the tailnet of a lab; a new one where there is none."""
    try:
        data: dict[str, Any] = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return Tailnet(number)
    nodes = [Node(**{**node, "tags": tuple(node["tags"])}) for node in data.pop("nodes")]
    keys = [AuthKey(**key) for key in data.pop("keys")]
    return Tailnet(**{**data, "number": number}, nodes=nodes, keys=keys)


def save(folder: Path, tailnet: Tailnet) -> None:
    """Write the tailnet."""
    replace(folder / STATE, json.dumps(dataclasses.asdict(tailnet), indent=1) + "\n")


def new_key(folder: Path, tailnet: Tailnet) -> str:
    """Make an auth key: reusable, without tags. Its text is in a file for those who join hosts."""
    text = f"tskey-auth-k{secrets.token_hex(6)}CNTRL-{secrets.token_hex(16)}"
    tailnet.keys.append(AuthKey(digest(text)))
    replace(folder / KEY, text + "\n")
    return text


def expire_key(folder: Path, tailnet: Tailnet) -> None:
    """Let the present auth key be one that has expired."""
    present = digest((folder / KEY).read_text())
    for key in tailnet.keys:
        key.expired = key.expired or key.digest == present


def replace(file: Path, text: str) -> None:
    """Write a file whole or not at all, for root only."""
    part = file.with_name(f".{file.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.rename(file)
