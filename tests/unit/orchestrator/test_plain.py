"""Connections without TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from orchestrator.client import Gateway, Page, Quarantine
from orchestrator.plain import NO_TLS
from orchestrator.registry.agentapi import new_client


@pytest.mark.parametrize(
    "begin",
    [
        lambda: Gateway(Path("s")),
        lambda: Quarantine(Path("s")),
        lambda: Page(Path("s"), "x"),
        new_client,
    ],
)
def test_no_authorities_are_read_for_what_has_none(
    begin: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("all authorities of this machine are read")

    monkeypatch.setattr(ssl, "create_default_context", read)
    with pytest.raises(AssertionError, match="are read"):
        httpx.Client()
    begin()


def test_nobody_is_trusted() -> None:
    assert NO_TLS.verify_mode is ssl.CERT_REQUIRED
    assert NO_TLS.check_hostname
    assert NO_TLS.get_ca_certs() == []
