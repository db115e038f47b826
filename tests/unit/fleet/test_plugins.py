"""What is plugged in, read once."""

from __future__ import annotations

import importlib.metadata

import pytest
from pyinfra.api import connectors

from fleet import plugins


@pytest.mark.parametrize("group", ["pyinfra.connectors", "console_scripts", "nobody.has.this"])
def test_the_same_is_found(group: str) -> None:
    theirs, ours = plugins.theirs(group=group), plugins.known(group=group)
    assert {(one.name, one.value) for one in theirs} == {(one.name, one.value) for one in ours}
    assert bool(theirs) == (group != "nobody.has.this")


def test_metadata_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = importlib.metadata.entry_points()
    monkeypatch.setattr(importlib.metadata, "entry_points", importlib.metadata.entry_points)
    monkeypatch.setattr(connectors, "entry_points", connectors.entry_points)
    reads = []

    def read() -> object:
        reads.append(1)
        return everything

    monkeypatch.setattr(plugins, "theirs", read)
    plugins._all.cache_clear()
    plugins.read_once()
    importlib.metadata.entry_points(group="console_scripts")
    assert {"ssh", "local"} <= set(connectors.get_all_connectors())
    plugins._all.cache_clear()
    assert reads == [1]
