"""The host's place in the tailnet: what each state leads to, and the scripts really run."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facts import services
from facts.look import Look
from facts.tailnet import Tailnet
from fleet.resources import Resources, TailnetNode
from operations import tailnet
from operations.change import Change, HostContext, wrap
from tests.unit.conftest import FakeHost, FakeProgram, RealHost, Run, lines

NODE = TailnetNode("rpi1", ("tag:pi",), ("/usr/bin/tailscale",), warn_days=14)
PERSONAL = replace(NODE, tags=())
WINDOWS = replace(PERSONAL, name="windows-desktop", joins=False)
KEY = "let me in"


def asked(name: str) -> str:
    assert name == "tailscale_auth_key"
    return KEY


def nobody_asks(name: str) -> str:
    raise AssertionError(f"nobody may ask for {name}")


def plan(node: TailnetNode, host: FakeHost, *, login: bool = False) -> Change | None:
    """The plan; unless a `login` is due, the secret may not be asked for."""
    assert tailnet.needs_key(node, host.look) is login
    secret = asked if login else nobody_asks
    return tailnet.plan(Resources(node=node), host.context(), host.look, secret)


def up(node: TailnetNode = NODE, **differing: Any) -> FakeHost:
    """A host that is in the tailnet just as it is wanted."""
    right = {"hostname": node.name, "dns_name": f"{node.name}.ts.net", "tags": node.tags}
    return FakeHost().in_tailnet(**right | differing)


def waits(change: Change | None) -> str:
    """What waits for a person; nothing is done."""
    assert change
    assert (change.says, change.script) == ((), "")
    (said,) = change.pending
    return said


# what each state leads to


def test_a_node_that_is_up_is_left_alone() -> None:
    assert plan(NODE, up()) is None
    assert plan(NODE, up(tags=("tag:pi", "tag:more"))) is None, "what a person added stays"
    assert plan(PERSONAL, up(PERSONAL)) is None
    assert plan(WINDOWS, up(WINDOWS)) is None


def test_a_capability_without_a_node_has_no_part_in_it() -> None:
    host = FakeHost()
    assert tailnet.plan(Resources(), host.context(), host.look, nobody_asks) is None


@pytest.mark.parametrize(
    "state",
    [
        {"program": "", "state": ""},  # not installed yet: the plan foresees what will be
        {"state": ""},
        {"state": "NoState"},
        {"state": "NeedsLogin"},
        {"state": "NeedsLogin", "joined": True},  # its key has expired
    ],
)
def test_a_host_that_has_not_joined_joins(state: dict[str, Any]) -> None:
    host = FakeHost().in_tailnet(ipv4="", **state)
    assert lines(plan(NODE, host, login=True)) == ("tailnet: join under the name rpi1 as tag:pi",)
    assert lines(plan(PERSONAL, host, login=True)) == ("tailnet: join under the name rpi1",)


@pytest.mark.parametrize("state", ["", "NoState", "Starting"])
def test_a_host_that_has_joined_is_waited_for(state: str) -> None:
    host = FakeHost().in_tailnet(state=state, joined=True)
    assert lines(plan(NODE, host)) == ("tailnet: wait for it to connect",)


def test_a_node_that_was_stopped_connects_again() -> None:
    host = up(state="Stopped", joined=True)
    assert lines(plan(NODE, host)) == ("tailnet: connect again, it was stopped",)


def test_a_node_that_waits_for_approval() -> None:
    said = waits(plan(NODE, up(state="NeedsMachineAuth")))
    assert said == "tailnet: waits to be approved in the admin console, under Machines"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"program": "", "state": ""}, "is not installed on Windows: install it and log in there"),
        ({"state": ""}, "does not answer on Windows: start it there"),
        ({"state": "NoState"}, "does not answer on Windows: start it there"),
        ({"state": "NeedsLogin"}, "is logged out on Windows: log in there"),
        ({"state": "Stopped"}, "is stopped on Windows: connect there"),
        ({"state": "Starting"}, "is not connected yet on Windows"),
    ],
)
def test_on_windows_a_person_does_it(state: dict[str, Any], said: str) -> None:
    assert waits(plan(WINDOWS, FakeHost().in_tailnet(ipv4="", **state))).endswith(
        f"tailnet: Tailscale {said}"
    )


def test_a_wrong_name_is_mended() -> None:
    for host in (up(hostname="raspberrypi", dns_name="raspberrypi.ts.net"), up(dns_name="x.y")):
        (said,) = lines(plan(NODE, host))
        assert said == f"tailnet: name {host.tailnet.name} → rpi1"


def test_a_name_that_another_machine_has() -> None:
    others = frozenset({"rpi1", "imac"})
    said = waits(plan(NODE, up(dns_name="rpi1-1.ts.net", others=others)))
    assert "is called rpi1-1, since another machine there is rpi1" in said
    assert "remove it in the admin console and run again" in said
    other_hostname = up(hostname="x", dns_name="rpi1-1.ts.net", others=others)
    assert lines(plan(NODE, other_hostname)) == ("tailnet: name rpi1-1 → rpi1",)


def test_a_wrong_name_on_windows() -> None:
    change = plan(WINDOWS, up(WINDOWS, hostname="DESKTOP-7", dns_name="desktop-7.ts.net"))
    assert lines(change) == ("tailnet: name desktop-7 → windows-desktop",)
    assert change
    assert "/*_interop" in change.script, "it is Windows' own program that is told"


def test_a_missing_tag_needs_a_person() -> None:
    said = waits(plan(NODE, up(tags=("tag:other",))))
    assert said.startswith("tailnet: has not tag:pi: give it that in the admin console")


@pytest.mark.parametrize(("hours", "told"), [(14 * 24 - 1, True), (14 * 24 + 1, False), (1, True)])
def test_a_key_that_expires_soon(hours: int, told: bool) -> None:
    expires = datetime.now(UTC) + timedelta(hours=hours)
    change = plan(PERSONAL, up(PERSONAL, expires=expires))
    assert bool(change) is told
    if change:
        assert f"tailnet: its key expires on {expires:%Y-%m-%d}: log in again" in waits(change)


def test_everything_at_once_is_said_at_once() -> None:
    expires = datetime.now(UTC)
    change = plan(NODE, up(dns_name="x.ts.net", tags=(), expires=expires))
    assert change
    assert len(change.says) == 1
    assert len(change.pending) == 2


# the scripts

TAILSCALE = """echo "$*" >>'{root}/calls'
case $1 in
status)
    [ -e '{root}/status' ] || exit 1
    cat '{root}/status' ;;
up)
    for word; do
        case $word in --auth-key=file:*) cp "${{word#*file:}}" '{root}/key.seen' ;; esac
        case $word in --auth-key=file:*) ls -l "${{word#*file:}}" >'{root}/key.mode' ;; esac
    done
    {up} ;;
set) ;;
esac"""


class Node:
    """A real host with a Tailscale that notes what it is told."""

    def __init__(self, host: RealHost, program: FakeProgram) -> None:
        self.host, self.program = host, program
        self.run_dir = host.root / "run dir"
        self.place = str(host.root / "bin" / "tailscale")
        program("sleep", "exec /bin/sleep 0.01")
        host.path = f"{host.root / 'bin'}:{host.path}"

    def does(self, up: str) -> None:
        self.program("tailscale", TAILSCALE.format(root=self.host.root, up=up))

    def is_in(self, state: str) -> str:
        """Shell that puts it into a state."""
        return f"""echo '{{"BackendState": "{state}"}}' >'{self.host.root}/status'"""

    def change(self, state: Tailnet, tags: tuple[str, ...] = ("tag:pi", "tag:x")) -> Change:
        node = TailnetNode("rpi1", tags, ("/nowhere/tailscale", self.place), warn_days=14)
        context = HostContext("tailscale", False, str(self.host.state_dir), ())
        change = tailnet.plan(Resources(node=node), context, Look(tailnet=state), asked)
        assert change
        return change

    def run(self, state: Tailnet) -> Run:
        return self.host.run(self.change(state))

    @property
    def calls(self) -> list[str]:
        """What it was told to do, its status apart."""
        told = (self.host.root / "calls").read_text().splitlines()
        return [call for call in told if call != "status --json"]

    @property
    def keys(self) -> list[Path]:
        """Files with a key."""
        return list(self.host.root.rglob("join.*"))


@pytest.fixture
def node(real_host: RealHost, program: FakeProgram, monkeypatch: pytest.MonkeyPatch) -> Node:
    it = Node(real_host, program)
    monkeypatch.setattr(services, "RUN_DIR", str(it.run_dir))
    return it


def join_calls(node: Node) -> list[str]:
    """What it was told, with the name of the key's file made plain."""
    return [call.replace(call.split("join.")[-1][:6], "XXXXXX", 1) for call in node.calls]


def test_a_host_joins(node: Node) -> None:
    node.does(node.is_in("Running"))
    run = node.run(Tailnet())
    assert run.returncode == 0, run.stderr
    (call,) = join_calls(node)
    options = "--hostname=rpi1 --timeout=60s --advertise-tags=tag:pi,tag:x"
    assert call == f"up --auth-key=file:{node.run_dir}/join.XXXXXX {options}"
    assert (node.host.root / "key.seen").read_text() == KEY
    assert (node.host.root / "key.mode").read_text().startswith("-rw-------")
    assert node.keys == []


def test_without_tags_it_asks_for_none(node: Node) -> None:
    node.does(node.is_in("Running"))
    assert node.host.run(node.change(Tailnet(), tags=())).returncode == 0
    assert "--advertise-tags" not in node.calls[0]


def test_the_key_is_in_no_argument_and_not_plain_in_the_script(node: Node) -> None:
    node.does(node.is_in("Running"))
    change = node.change(Tailnet())
    node.host.run(change)
    assert KEY not in "\n".join(node.calls)
    assert KEY not in change.script
    assert not any(KEY in line for line in (*change.says, *change.pending, *change.diffs))


def test_a_key_that_an_earlier_run_had_to_leave_goes(node: Node) -> None:
    node.run_dir.mkdir()
    (node.run_dir / "join.abcdef").write_text("an old key")
    node.does(node.is_in("Running"))
    assert node.run(Tailnet()).returncode == 0
    assert node.keys == []


def test_a_key_that_is_refused(node: Node) -> None:
    node.does("echo 'backend error: invalid key' >&2; exit 1")
    run = node.run(Tailnet())
    assert run.returncode == 1
    assert "invalid key\nagentfleet: it could not join the tailnet" in run.stderr
    assert "is the auth key still valid" in run.stderr
    assert "fleet policy" in run.stderr
    assert KEY not in run.stderr
    assert node.keys == []


def test_a_host_that_has_to_be_approved(node: Node) -> None:
    node.does(f"{node.is_in('NeedsMachineAuth')}; exit 1")
    run = node.run(Tailnet())
    assert run.returncode == 1
    assert "it waits to be approved in the admin console, under Machines" in run.stderr
    assert "auth key" not in run.stderr
    assert node.keys == []


def test_a_login_that_leads_nowhere(node: Node) -> None:
    node.does(node.is_in("Starting"))
    run = node.run(Tailnet())
    assert run.returncode == 1
    assert "it has not got into the tailnet" in run.stderr
    assert node.keys == []


def test_a_daemon_that_needs_a_moment_is_given_it(node: Node) -> None:
    node.does(node.is_in("Running"))
    counted = 'n=$(cat n); echo $((n + 1)) >n; [ "$n" -lt 5 ] || touch status'
    node.program("sleep", f"cd '{node.host.root}'\n{counted}")
    (node.host.root / "n").write_text("0\n")
    assert node.run(Tailnet()).returncode == 0
    told = (node.host.root / "calls").read_text().splitlines()
    assert told.index(node.calls[0]) == 7, "not before it answers"


def test_a_host_without_tailscale_after_all(node: Node) -> None:
    run = node.run(Tailnet())
    assert (run.returncode, run.stderr) == (1, "agentfleet: tailscale is not installed\n")
    assert node.keys == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_interrupted_leaves_no_key(node: Node, number: signal.Signals) -> None:
    node.does(f"touch '{node.host.root}/begun'; exec /bin/sleep 0.5")
    with subprocess.Popen(
        [*node.host.shell, "-s"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": node.host.path},
    ) as process:
        assert process.stdin
        process.stdin.write(wrap(node.change(Tailnet()).script))
        process.stdin.close()
        _until((node.host.root / "begun").exists)
        assert len(node.keys) == 1
        process.send_signal(number)
        assert process.wait(timeout=10) != 0
    assert node.keys == []


def _until(there: Any) -> None:
    deadline = time.monotonic() + 10
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


STOPPED = Tailnet("/usr/bin/tailscale", joined=True, state="Stopped")


def test_a_stopped_node_is_connected_with_its_settings_kept(node: Node) -> None:
    node.does(node.is_in("Running"))
    run = node.run(STOPPED)
    assert run.returncode == 0, run.stderr
    assert node.calls == ["up"]
    assert not (node.host.root / "key.seen").exists()


def test_a_stopped_node_that_wants_a_person_holds_up_nobody(node: Node) -> None:
    node.does("echo 'To authenticate, visit: …' >&2; exec /bin/sleep 60")
    begun = time.monotonic()
    run = node.run(STOPPED)
    assert time.monotonic() - begun < 20, "nothing is left that holds its standard error"
    assert run.returncode == 1
    assert "To authenticate" in run.stderr
    assert "agentfleet: it does not connect" in run.stderr


@pytest.mark.parametrize("state", ["Running", "Starting"])
def test_waiting_is_no_failure(node: Node, state: str) -> None:
    node.does("exit 1")
    node.host.sh(node.is_in(state))
    run = node.run(Tailnet("/usr/bin/tailscale", joined=True, state="Starting"))
    assert (run.returncode, run.stderr) == (0, "")
    asked_often = (node.host.root / "calls").read_text().splitlines()
    assert set(asked_often) == {"status --json"}
    assert (len(asked_often) == 1) is (state == "Running")


def test_a_name_is_asked_for_anew(node: Node) -> None:
    """The tailnet gives out a name when it changes, so it has to change twice."""
    node.does("exit 1")
    wrong = Tailnet("/t", state="Running", ipv4="100.101.0.5", dns_name="rpi1-1.ts.net")
    run = node.run(wrong)
    assert (run.returncode, run.stderr) == (0, "")
    assert node.calls == ["set --hostname=rpi1-renamed", "set --hostname=rpi1"]


def test_a_mac_decodes_in_its_own_way() -> None:
    change = plan(NODE, FakeHost(mac=True), login=True)
    assert change
    assert "\nbase64 -D >" in change.script
