"""One file to every host over slow links: a serial scp loop, agentfleet, agentfleet with a relay.

usage: python -m bench.distribution [--megabytes N] [--json]
Needs root on Linux: it starts a small lab of its own, shapes its links, and destroys it afterwards.
Each way is a real one, its start included; what arrived is compared with its digest.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from bench.links import join, sent, shape
from bench.noop import ROOT, pyinfra
from fleet.cache import kept, scratch
from fleet.model import Fleet, load_fleet
from lab.api import Lab
from lab.errors import LabError

FLEET = ROOT / "bench" / "distribution.yaml"
DEPLOY = "bench/distribution_deploy.py"
LAB_NAME = "bench"
FAR = "far"  # the site behind the slow link
RELAY = f"relays: {{{FAR}: far1}}\n"
ARRIVED = "/tmp/payload"  # noqa: S108 - on the hosts of a lab
STORE = "/var/lib/agentfleet/artifacts"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Links:
    """Megabytes a second, each way: of this machine and the orchestrator, of a host, of sites."""

    uplink: int
    host: int
    between: int | None = None  # None: all hosts are at one site

    def title(self) -> str:
        """What is measured, in words."""
        site = f"two sites, {self.between} MB/s between them" if self.between else "one site"
        return f"{site}; {self.host} MB/s to a host, {self.uplink} MB/s from where the file is"

    def bound(self, megabytes: int, hosts: int, far: int) -> float:
        """Seconds that a star takes at least: every host gets the file from its middle."""
        least = max(hosts * megabytes / self.uplink, megabytes / self.host)
        return max(least, far * megabytes / self.between) if self.between else least


# The one that joins two sites comes last: nothing takes the link between them away again.
SCENARIOS = (Links(8, 8), Links(32, 8), Links(8, 8, between=2))


@dataclass(frozen=True)
class Payload:
    """The file that is sent."""

    path: Path
    digest: str
    megabytes: int


@dataclass(frozen=True)
class Measured:
    """How long a way took, and the megabytes that the slow link carried to the far site."""

    way: str
    seconds: float
    crossed: float | None


@contextmanager
def payload(megabytes: int) -> Iterator[Payload]:
    """Make a file that no compression makes smaller, in this machine's cache."""
    content = secrets.token_bytes(megabytes * MEGABYTE)
    path = kept(sha256(content).hexdigest())
    with scratch() as folder:
        (folder / "payload").write_bytes(content)
        (folder / "payload").replace(path)
    try:
        yield Payload(path, path.name, megabytes)
    finally:
        path.unlink()


def run_deploy(fleet_file: Path, sending: Payload | None = None) -> None:
    """Run pyinfra over the lab; without a file to send, bring what serves files."""
    size = f":{sending.megabytes * MEGABYTE}" if sending else ""
    more = {"FLEET_LAB": LAB_NAME, "FLEET_FILE": str(fleet_file)}
    pyinfra(DEPLOY, more | ({"BENCH_PAYLOAD": sending.digest + size} if sending else {}))


def scp_loop(lab: Lab, sending: Payload) -> None:
    """Send the file to one host after the other, as a person would."""
    alone = ("-o", "ControlMaster=no", "-o", "ControlPath=none")
    for host in lab.hosts:
        command = ["scp", "-q", "-F", str(lab.ssh_config), *alone, str(sending.path)]
        subprocess.run([*command, f"{host.name}:{ARRIVED}"], check=True)


def arrived(lab: Lab, sending: Payload, where: str) -> None:
    """Make sure that every host has the file, then take it from all of them."""
    for host in lab.hosts:
        found = lab.run(host.name, f"sha256sum {where}; rm -rf {STORE}/{sending.digest} {ARRIVED}")
        if not found.stdout.startswith(sending.digest):
            raise click.ClickException(f"what arrived on {host.name} is not what was sent")


def measure(lab: Lab, links: Links, sending: Payload, relayed: Path) -> list[Measured]:
    """Measure every way over these links."""
    shape(lab, uplink=links.uplink, host=links.host, centre="hub")
    if links.between:
        far = [host.name for host in load_fleet(FLEET).hosts if host.site == FAR]
        join(lab, far, links.between)
    kept_at = f"{STORE}/{sending.digest}/payload-1"
    ways: list[tuple[str, Path, Callable[[Path], None], str]] = [
        ("scp, one host after the other", FLEET, lambda _: scp_loop(lab, sending), ARRIVED),
        ("agentfleet", FLEET, lambda file: run_deploy(file, sending), kept_at),
        ("agentfleet, nothing to send", FLEET, run_deploy, ""),
    ]
    if links.between:
        ways.insert(2, ("agentfleet, a relay", relayed, ways[1][2], kept_at))
    found = []
    for way, file, act, where in ways:
        run_deploy(file)  # what serves is there before
        before = sent(lab) if links.between else 0.0
        began = time.perf_counter()
        act(file)
        took = time.perf_counter() - began
        crossed = sent(lab) - before if links.between else None
        if where:
            arrived(lab, sending, where)
        found.append(Measured(way, took, crossed))
    return found


def show(report: Mapping[str, Any]) -> None:
    """Print what was measured over some links."""
    bound = report["bound_s"]
    click.echo(f"{report['links']}\n{'at least, as a star':30} {bound:6.1f} s")
    for one in report["ways"]:
        crossed = one["crossed"]
        over = "" if crossed is None else f"  {crossed:4.0f} MB between the sites"
        click.echo(
            f"{one['way']:30} {one['seconds']:6.1f} s  {one['seconds'] / bound:5.2f} x{over}"
        )


@contextmanager
def running(fleet: Fleet) -> Iterator[Lab]:
    """Have a new lab of these hosts for as long as the block lasts."""
    lab = Lab(LAB_NAME, fleet)
    lab.destroy()
    try:
        lab.up()
        yield lab
    finally:
        lab.destroy()


def compare(megabytes: int) -> Iterator[dict[str, Any]]:
    """Measure every way over all links; yields their figures, links after links."""
    fleet = load_fleet(FLEET)
    far = sum(host.site == FAR for host in fleet.hosts)
    with (
        tempfile.TemporaryDirectory() as folder,
        payload(megabytes) as sending,
        running(fleet) as lab,
    ):
        relayed = Path(folder) / "fleet.yaml"
        relayed.write_text(FLEET.read_text() + RELAY)
        run_deploy(FLEET)
        for links in SCENARIOS:
            found = measure(lab, links, sending, relayed)
            yield {
                "links": links.title(),
                "bound_s": links.bound(megabytes, len(fleet.hosts), far),
                "ways": [vars(one) for one in found],
            }


@click.command()
@click.option("--megabytes", default=30, show_default=True, help="Size of the file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def main(megabytes: int, as_json: bool) -> None:
    """Compare ways to bring one file to every host of a small lab with slow links."""
    reports = []
    try:
        for report in compare(megabytes):
            reports.append(report)
            if not as_json:
                show(report)
    except LabError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(reports, indent=2))


if __name__ == "__main__":
    main()
