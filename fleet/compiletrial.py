"""One small compile from one host on another: that the compile cluster works at this moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fleet.compilecheck import cut_off
from fleet.compileplan import CLANG, Job, Pair, pairs
from fleet.compileproof import prove, read, script
from fleet.model import Fleet, Power
from fleet.plan import view_of
from fleet.problems import printable
from fleet.ssh import as_login, route
from fleet.target import Target
from orchestrator.health.model import Inside, Item, Outside, Verdict

KIND = "compile"
DAEMON = "iceccd"
LIMIT_S = 120.0  # the first job on a Raspberry Pi unpacks a compiler there


def compile_item(target: Target, inside: Mapping[str, Inside], outside: Outside) -> Item:
    """The item: a job that was forced to another worker and ran there, by icecc's own log.

    What another item says already (a scheduler that is down, nodes that are missing) is unknown.
    """
    able = pairs(target.fleet) if target.fleet.toolchain else ()
    if not able:
        return Item(KIND, "", Verdict.OK, "no second worker: everybody compiles at home")
    if outside.fault:
        return Item(KIND, "", Verdict.UNKNOWN, "see orchestrator")
    if outside.scheduler_fault:
        return Item(KIND, "", Verdict.UNKNOWN, "see scheduler")
    there = present(target.fleet, inside, outside)
    if (pair := cheapest(target.fleet, able, there)) is None:
        return Item(KIND, "", Verdict.UNKNOWN, "no two workers are there: see node of each host")
    return _tried(target, pair, there[pair.worker])


def present(fleet: Fleet, inside: Mapping[str, Inside], outside: Outside) -> dict[str, str]:
    """The hosts with which nothing is wrong that a job needs, and their addresses."""
    addresses = {host.name: host.addresses.tailnet for host in fleet.hosts}
    well = {
        name
        for name, seen in inside.items()
        if not seen.fault and DAEMON in seen.services and seen.services[DAEMON].running
    }
    return {
        one.name: one.address
        for one in outside.members
        if one.name in well - set(outside.blocked) and addresses.get(one.name) == one.address
    }


def cheapest(fleet: Fleet, able: Collection[Pair], there: Collection[str]) -> Pair | None:
    """The pair that costs least: with the fleet's clang, whose environment is there already; from
    a host that is always on; on a worker of the same machine, which is the faster one or no slower.
    """
    usual = [fleet.orchestrator.name, fleet.scheduler]

    def rank(pair: Pair) -> tuple[bool, bool, int, bool]:
        client, worker = fleet.host(pair.client), fleet.host(pair.worker)
        known = usual.index(client.name) if client.name in usual else len(usual)
        asleep = client.power is not Power.ALWAYS_ON
        return CLANG not in pair.compilers, asleep, known, client.arch is not worker.arch

    able = [pair for pair in able if pair.client in there and pair.worker in there]
    return min(able, key=rank, default=None)


def _tried(target: Target, pair: Pair, at: str) -> Item:
    """Have the client compile on the worker, and judge it as `fleet compile-check` does."""
    job = Job(pair.worker, pair.compilers[0], "C")
    view, worker = view_of(target, pair.client), target.fleet.host(pair.worker)
    lines: list[str] = []
    answer = as_login(route(view.host, target), script(view, (job,)), LIMIT_S, lines.append)
    way = f"{pair.client} on {pair.worker}"
    advice = f"fleet compile-check --host {pair.client}"
    if "end" not in lines:
        words = f"{way}: {printable(cut_off(answer))}"
        return Item(KIND, "", Verdict.FAILED, words, advice)
    told = read(lines)
    proof = prove(job, told.get("0"), told.get(job.id), at, view.host.arch, worker.arch)
    if proof.reason:
        words = f"{job.program} from {way}: {printable(proof.reason)}"
        return Item(KIND, "", Verdict.FAILED, words, advice)
    words = f"{job.program} from {way}, at {proof.ran_on}, in {proof.seconds:.1f} s"
    return Item(KIND, "", Verdict.OK, words)
