"""What ssh's answers mean, and which command asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cluster import Node, parse
from fleet.ssh import UNREACHABLE, Answer, Route


@pytest.mark.parametrize(
    ("said", "off"),
    [
        ("ssh: connect to host 10.0.0.1 port 22: Connection timed out", True),
        ("ssh: connect to host 10.0.0.1 port 22: No route to host", True),
        ("ssh: connect to host 10.0.0.1 port 22: Connection refused", True),
        ("ssh: Could not resolve hostname box: Name or service not known", True),
        ("no answer within 60 s", True),
        ("Host key verification failed.", False),
        ("admin@10.0.0.1: Permission denied (publickey).", False),
    ],
)
def test_only_silence_means_off(said: str, off: bool) -> None:
    """A changed host key or a refused login is an alarm, whoever may be asleep."""
    assert Answer(UNREACHABLE, "", said).nobody_there is off


def test_a_host_that_answers_is_there() -> None:
    assert not Answer(1, "", "Connection refused by something on the host").nobody_there


def test_pinned_keys_are_the_only_ones() -> None:
    command = Route("10.0.0.1", 2222, "admin", None, Path("/keys"), "pi").command()
    assert "StrictHostKeyChecking=yes" in command
    assert {"UserKnownHostsFile=/keys", "HostKeyAlias=pi"} <= set(command)
    assert command[-3:] == ["-p", "2222", "admin@10.0.0.1"]


def test_the_schedulers_list() -> None:
    said = """200-ICECC 1.4.0: 2s uptime, 2 hosts, 0 jobs in queue (0 total).
200 Use 'help' for help and 'quit' to quit.
 rpi (100.64.0.5:10245) [aarch64] speed=0.00 jobs=1/4 load=12 busy installing since 3 s
   COMPILING 7 ...
 mac (100.64.0.2:0) [x86_64] speed=0.00 jobs=0/8 load=0
200 done
"""
    assert parse(said) == (
        Node("mac", "100.64.0.2", 0, "x86_64", 0, 8),
        Node("rpi", "100.64.0.5", 10245, "aarch64", 1, 4),
    )
