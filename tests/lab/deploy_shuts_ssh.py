"""deploy.py with a mistake in the firewall's rules: they shut SSH out; and a short window."""

from __future__ import annotations

from dataclasses import replace

from deploys import firewall
from fleet.converge import converge
from fleet.resources import File, Resources
from fleet.view import HostView
from tests.lab.runs import SHORT_WINDOW_S

_right = firewall.resources


def _shut(file: File, port: int) -> File:
    """Once: pyinfra runs this file for every host, so the mistake is made on top of itself."""
    if f"port {port} drop".encode() in file.content or b"block drop" in file.content:
        return file
    if file.path.endswith(".nft"):
        line = f"tcp dport {port} accept".encode()
        assert line in file.content
        return replace(file, content=file.content.replace(line, f"tcp dport {port} drop".encode()))
    if file.path.endswith(".pf"):
        start, line = b"pass in quick proto tcp from any to any port ", f"{port} ".encode()
        assert start + line in file.content
        shut = b"block drop in quick proto tcp from any to any port " + line + b"# "
        return replace(file, content=file.content.replace(start + line, shut))
    return file


def _wrong(view: HostView) -> Resources:
    want = _right(view)
    assert want.guard
    return replace(
        want,
        files=tuple(_shut(file, view.host.ssh.port) for file in want.files),
        guard=replace(want.guard, window_s=SHORT_WINDOW_S),
    )


firewall.resources = _wrong

converge(firewall)
