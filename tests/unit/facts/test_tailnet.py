"""What Tailscale says of its node, read from words such as its own and asked on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facts import tailnet
from facts.probe import compose, split
from facts.tailnet import Tailnet, TailnetProbe
from tests.unit.conftest import SHELLS, FakeProgram, on_linux

PROGRAM = "/usr/bin/tailscale"
PROBE = TailnetProbe((PROGRAM,))

# tailscale status --json of version 1.80, shortened
TAGGED = """\
{
  "Version": "1.80.3-t4b2c2b4d4-g9d9b3b1d4",
  "TUN": true,
  "BackendState": "Running",
  "HaveNodeKey": true,
  "AuthURL": "",
  "TailscaleIPs": ["100.101.0.5", "fd7a:115c:a1e0::5"],
  "Self": {
    "ID": "nKq5mXJ7vB11CNTRL",
    "HostName": "rpi1",
    "DNSName": "rpi1.tail1a2b3.ts.net.",
    "OS": "linux",
    "UserID": 4455667788990011,
    "TailscaleIPs": ["100.101.0.5", "fd7a:115c:a1e0::5"],
    "AllowedIPs": ["100.101.0.5/32", "fd7a:115c:a1e0::5/128"],
    "Tags": ["tag:pi"],
    "Online": true
  },
  "Health": [],
  "MagicDNSSuffix": "tail1a2b3.ts.net",
  "CurrentTailnet": {"Name": "alice@example.com", "MagicDNSSuffix": "tail1a2b3.ts.net"},
  "Peer": {
    "nodekey:11": {"HostName": "imac", "DNSName": "imac.tail1a2b3.ts.net.", "Online": true},
    "nodekey:22": {"HostName": "Alice's Phone", "DNSName": "alices-phone.tail1a2b3.ts.net."}
  },
  "User": {"4455667788990011": {"LoginName": "tagged-devices"}},
  "ClientVersion": null
}
"""
OWNED = """\
{
  "BackendState": "Running",
  "Self": {
    "HostName": "macbook2",
    "DNSName": "macbook2-1.tail1a2b3.ts.net.",
    "TailscaleIPs": ["fd7a:115c:a1e0::4", "100.101.0.4"],
    "KeyExpiry": "2026-05-20T18:08:40.123456789Z"
  },
  "Peer": null
}
"""
STOPPED = """\
{
  "BackendState": "Stopped",
  "TailscaleIPs": ["100.101.0.5"],
  "Self": {"HostName": "rpi1", "DNSName": "", "TailscaleIPs": null}
}
"""
NEEDS_LOGIN = """\
{
  "BackendState": "NeedsLogin",
  "AuthURL": "",
  "TailscaleIPs": null,
  "Self": {"HostName": "rpi1", "DNSName": "", "TailscaleIPs": null},
  "Health": ["You are logged out. The last login error was: invalid key"],
  "Peer": null
}
"""


def read(said: str, *before: str) -> Tailnet:
    return PROBE.parse([f"program {PROGRAM}", *before, *said.splitlines()])


def test_a_tagged_node_that_runs() -> None:
    node = read(TAGGED, "joined")
    assert node == Tailnet(
        program=PROGRAM,
        joined=True,
        state="Running",
        hostname="rpi1",
        dns_name="rpi1.tail1a2b3.ts.net",
        ipv4="100.101.0.5",
        ipv6="fd7a:115c:a1e0::5",
        tags=("tag:pi",),
        others=frozenset({"imac", "alices-phone"}),
    )
    assert (node.running, node.name) == (True, "rpi1")


def test_a_persons_node_has_a_key_that_expires() -> None:
    node = read(OWNED)
    assert node.expires == datetime(2026, 5, 20, 18, 8, 40, 123456, tzinfo=UTC)
    assert (node.hostname, node.name) == ("macbook2", "macbook2-1"), "somebody else has that name"
    assert (node.ipv4, node.ipv6) == ("100.101.0.4", "fd7a:115c:a1e0::4"), "in whatever order"
    assert (node.tags, node.others, node.joined) == ((), frozenset(), False)


@pytest.mark.parametrize("never", ['"0001-01-01T00:00:00Z"', "null", '""'])
def test_a_key_that_never_expires(never: str) -> None:
    node = read(OWNED.replace('"2026-05-20T18:08:40.123456789Z"', never))
    assert node.running
    assert node.expires is None


def test_a_node_that_is_stopped_or_logged_out() -> None:
    stopped = Tailnet(PROGRAM, joined=True, state="Stopped", hostname="rpi1", ipv4="100.101.0.5")
    assert read(STOPPED, "joined") == stopped
    assert read(NEEDS_LOGIN) == Tailnet(PROGRAM, state="NeedsLogin", hostname="rpi1")
    assert not read(STOPPED).running
    assert not read(NEEDS_LOGIN).running


def test_running_without_an_address_is_not_in_the_tailnet() -> None:
    assert not read('{"BackendState": "Running", "Self": {"TailscaleIPs": []}}').running


def test_a_daemon_that_is_down_says_nothing() -> None:
    assert read("") == Tailnet(PROGRAM)
    assert read("", "joined") == Tailnet(PROGRAM, joined=True)


def test_nothing_installed_and_nothing_asked() -> None:
    assert PROBE.parse(()) == Tailnet()
    nothing = TailnetProbe(())
    assert nothing.script() == ":"
    assert nothing.parse(()) == Tailnet()


def test_windows_ends_its_lines_differently() -> None:
    lines = [f"program {PROGRAM}", *(f"{line}\r" for line in TAGGED.splitlines())]
    assert PROBE.parse(lines) == read(TAGGED)


@pytest.mark.parametrize(
    "garbage",
    [
        "Access denied: status access denied",
        TAGGED[:-20],
        "[]",
        "null",
        '"Running"',
        TAGGED.replace('"100.101.0.5"', '"a hundred"'),
        TAGGED.replace('["tag:pi"]', "7"),
        OWNED.replace("2026-05-20T18:08:40.123456789Z", "soon"),
        OWNED.replace('"Peer": null', '"Peer": ["imac"]'),
        OWNED.replace('"Peer": null', '"Peer": {"nodekey:1": 1}'),
        '{"BackendState": "Running", "Self": "me"}',
    ],
)
def test_what_is_no_status_counts_as_not_running(garbage: str) -> None:
    assert read(garbage, "joined") == Tailnet(PROGRAM, joined=True)


# asked on this machine


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> list[str]:
    return SHELLS[request.param]


@pytest.fixture
def state_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a node keeps its profiles; the other platform's file is absent."""
    path = tmp_path / "tailscaled.state"
    monkeypatch.setattr(tailnet, "STATE_FILES", (str(path), str(tmp_path / "absent")))
    return path


def ask(shell: list[str], *programs: Path) -> Tailnet:
    probe = TailnetProbe(tuple(map(str, programs)))
    run = subprocess.run(
        [*shell, "-s"],
        input=compose((probe,)),
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    lines = split(run.stdout.splitlines())["tailnet"]
    assert len(lines) <= 3, "the status is one line, however many others are in it"
    return probe.parse(lines)


def says(text: str, code: int = 0) -> str:
    """A Tailscale that says this, in sh."""
    status = f"cat <<'END'\n{text}\nEND" if text else ":"
    asked = '[ "$* $TAILSCALE_BE_CLI" = "status --json 1" ] || exit 64'
    return f"{asked}\necho noise >&2\n{status}\nexit {code}"


@on_linux
def test_the_first_program_that_is_there_is_asked(
    shell: list[str], program: FakeProgram, state_file: Path
) -> None:
    first, second = (program(name, says(TAGGED)) / name for name in ("tailscale", "other"))
    absent, plain = first.with_name("absent"), first.with_name("plain")
    plain.write_text("not a program")
    assert ask(shell, absent, plain, first, second).program == str(first)
    assert ask(shell, second, first) == replace(read(TAGGED), program=str(second))
    assert ask(shell, absent) == Tailnet()


@pytest.mark.parametrize("name", sorted(SHELLS))
def test_other_probes_are_not_disturbed(name: str) -> None:
    """Some use the script's arguments, and set its environment."""
    script = f"look() {{\n{TailnetProbe(('/bin/true', '/x.exe')).script()}\n"
    script += 'echo "$# ${TAILSCALE_BE_CLI-unset} ${program-unset}"\n}\nlook\n'
    run = subprocess.run([*SHELLS[name], "-s"], input=script, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "0 unset unset"


@on_linux
def test_a_node_that_is_down_is_known_by_what_it_stored(
    shell: list[str], program: FakeProgram, state_file: Path
) -> None:
    it = program("tailscale", says("", code=1)) / "tailscale"
    assert ask(shell, it) == Tailnet(str(it)), "never started"
    state_file.write_text('{"_machinekey": "cHJpdmtleTo="}\n')
    assert ask(shell, it) == Tailnet(str(it)), "never logged in"
    state_file.write_text('{"_current-profile": "cHJvZg==", "profile-a1b2": "e30="}\n')
    assert ask(shell, it) == Tailnet(str(it), joined=True)


@contextmanager
def listening(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield


# Windows' side answers through a live socket alone, and reads what it may of standard input.
EXE = """cat
python3 - "$WSL_INTEROP" <<'END' || exit 1
import socket, sys
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
END
"""


@on_linux
def test_windows_is_asked_through_a_socket_that_lives(
    shell: list[str], program: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interop = tmp_path / "run WSL"
    interop.mkdir()
    monkeypatch.setattr(tailnet, "INTEROP", str(interop))
    windows = json.dumps({**json.loads(TAGGED), "AuthURL": "C:\\Users\\me"}, indent=2)
    exe = program("tailscale.exe", EXE + says(windows.replace("\n", "\r\n"))) / "tailscale.exe"
    assert ask(shell, exe) == Tailnet(str(exe)), "no session, no socket"
    with listening(interop / "1_interop"):
        pass
    assert ask(shell, exe) == Tailnet(str(exe)), "only the socket of a session that ended"
    with listening(interop / "2_interop"), listening(interop / "3_interop"):
        assert ask(shell, exe) == replace(read(TAGGED), program=str(exe))
