"""pyinfra hosts that only pretend, under names of the golden fleet; used by test_deploy."""

import json
import os
from functools import cache
from pathlib import Path

import fleet.converge
from fleet import learned
from fleet.plan import view_of
from fleet.target import Target
from fleet.view import HostView
from operations import guard

RAISES = "@fake/rpi3"
DISTRIBUTIONS = {"apt": "debian", "pacman": "arch", "brew": ""}
# Name → number in its address, of hosts that are in the tailnet already.
JOINED = dict(word.split("=") for word in os.environ.get("JOINED", "").split())


@cache
def _view(name: str) -> HostView:
    if name == RAISES:
        raise ZeroDivisionError("a fault in a deploy module")
    return view_of(fleet.converge._target(), name.removeprefix("@fake/"))


def _learn(target: Target, name: str, now: learned.Learned) -> None:
    _really_learn(target, name.removeprefix("@fake/"), now)


class _Nothing(set[tuple[str, str]]):
    """These hosts carry out nothing, so none of them arms an undo."""

    def add(self, element: tuple[str, str]) -> None:
        """Forget it."""


def _obtain(self: object, artifact: object) -> Path:
    """Any file will do for what nobody installs; nothing is downloaded."""
    return Path(__file__)


guard.guarded = _Nothing()  # type: ignore[attr-defined]
fleet.converge._Depot.obtain = _obtain  # type: ignore[method-assign]
_really_learn = learned.learn
fleet.converge._view = _view
learned.learn = _learn


def _status(name: str) -> str:
    """What Tailscale says of a host that is up under its name, with its tags."""
    number = JOINED[name]
    node = {
        "DNSName": f"{name}.example.ts.net.",
        "TailscaleIPs": [f"100.101.0.{number}", f"fd7a:115c:a1e0::{number}"],
        "Tags": [fleet.converge._view(name).settings.tailnet_tag],
    }
    return json.dumps({"BackendState": "Running", "Self": node})


def _host(name: str, machine: str, manager: str) -> tuple[str, dict[str, object]]:
    """A host on which nothing is there yet."""
    mac = manager == "brew"
    addresses = "\n".join(
        f"address {h.addresses.tailnet}" for h in fleet.converge._target().fleet.hosts
    )
    program = "/Applications/Tailscale.app/it" if mac else "/usr/bin/tailscale"
    joined = (f"program {program}", _status(name)) if name in JOINED else ()
    look = f"""@@agentfleet-probe system
kernel={"Darwin" if mac else "Linux"}
machine={machine}
distribution={DISTRIBUTIONS[manager]}
manager={manager}
{addresses}
@@agentfleet-probe paths
digests
contents
@@agentfleet-probe services
stamps
busy
@@agentfleet-probe values
hostname\tlocalhost
ssh passwords\trefused
key for the agents\tmade
key for the looks\tmade
memory limits\ton
ssh for agentfleet-ctl\tallowed
ssh for agentfleet-health\tallowed
@@agentfleet-probe tailnet
{chr(10).join(joined)}
@@agentfleet-probe end"""
    answers = {"sh -s": look.splitlines()}
    return f"@fake/{name}", {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": answers}


pi = [
    _host("rpi1", "aarch64", "apt"),
    _host("rpi2", "x86_64", "apt"),  # not what fleet.yaml says
    _host("rpi3", "aarch64", "apt"),
]
orchestrator = [_host("arch-orchestrator", "x86_64", "pacman")]
mac = [_host("imac", "x86_64", "brew")]  # on which its person uses Tailscale's application
