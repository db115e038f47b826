"""What was seen, compared with what is expected: items, each with its evidence and the next step.

Pure. A host that is off is one item, not ten; what cannot be said because of another fault is
unknown, and that other item says why.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.health.inside import plain
from orchestrator.health.model import (
    Expected,
    ExpectedHost,
    Inside,
    Item,
    Outside,
    Verdict,
)

DAY_S = 86400.0
DISK_WARN = 5  # percentage points before the limit
BAD_CONDITIONS = ("unreachable", "logged-out", "stuck", "unknown")
OK, WARNING, FAILED, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.UNKNOWN
SCHEDULER, PAGE = "icecc-scheduler", "orchestrator"  # daemons by their short names
DIGITS = 64  # of a SHA-256
NOTHING = hashlib.sha256().hexdigest()  # what tar could not unpack
WALL = "wall"  # the daemon that keeps a host's firewall in force: others start behind it alone


def judge(expected: Expected, inside: Mapping[str, Inside], outside: Outside) -> tuple[Item, ...]:
    """Every item, host by host, then those of the fleet. `inside` may lack hosts: not asked."""
    items: list[Item] = []
    boss = inside.get(expected.orchestrator)
    boss_off = boss is not None and bool(boss.fault)
    for host in expected.hosts:
        items += _Host(expected, host, inside.get(host.name), outside, boss_off).items()
    down = {
        (host, name)
        for host, seen in inside.items()
        for name, state in seen.services.items()
        if not state.running
    }
    return (*items, *_fleet(expected, outside, down), *_twins(expected, inside))


@dataclass(frozen=True)
class _Host:
    expected: Expected
    host: ExpectedHost
    seen: Inside | None
    outside: Outside
    boss_off: bool  # the orchestrator, and an item says so

    def items(self) -> Iterator[Item]:
        """All of one host's."""
        if self.seen is not None:
            reached = self._reached(self.seen)
            yield reached
            if reached.verdict is not OK:
                return
            yield from self._within(self.seen)
        yield from self._from_outside()

    def _item(self, kind: str, verdict: Verdict, evidence: str, advice: str = "") -> Item:
        return Item(kind, self.host.name, verdict, evidence, "" if verdict is OK else advice)

    def _reached(self, seen: Inside) -> Item:
        if not seen.fault:
            return self._item("reached", OK, "it answers")
        if seen.silent and self.host.may_sleep:
            return self._item(
                "reached", Verdict.PENDING, f"it is off, which it may be: {seen.fault}"
            )
        advice = f"switch it on, or: fleet wake {self.host.name}" if seen.silent else "fleet doctor"
        return self._item("reached", FAILED, seen.fault, advice)

    def _within(self, seen: Inside) -> Iterator[Item]:
        yield from (self._service(name) for name in self.host.services)
        yield self._disks(seen)
        yield self._clock(seen)
        if self.host.tailnet:
            yield from self._tailnet(seen)
        if self.host.programs or self.host.builds:
            yield self._versions(seen)
        if seen.files:
            yield self._files(seen)

    def _service(self, name: str) -> Item:
        found = self.seen.services.get(name) if self.seen else None
        kind, here = f"service {name}", self.host.name
        if name != WALL and found and not found.running and self._down(WALL):
            return self._item(kind, UNKNOWN, f"it waits for the firewall: see service {WALL}")
        if found is None:
            return self._item(kind, FAILED, "its manager knows no such service", self._apply)
        if found.masked:
            return self._item(kind, FAILED, "it is masked: it cannot start", self._apply)
        if not found.running:
            return self._item(kind, FAILED, "it does not run", f"fleet logs {here} {name}")
        return self._item(kind, OK, "it runs")

    def _down(self, name: str) -> bool:
        """Whether the host says that this daemon should run and does not."""
        found = self.seen.services.get(name) if self.seen else None
        return name in self.host.services and found is not None and not found.running

    def _because(self, daemon: str) -> str:
        """Which other item says why the orchestrator does not see a daemon; empty for none."""
        if self.seen and self.host.tailnet and self.seen.tailnet != "Running":
            return "see tailnet"
        return f"see service {daemon}" if self._down(daemon) else ""

    @property
    def _apply(self) -> str:
        return f"fleet apply --limit {self.host.name}"

    def _disks(self, seen: Inside) -> Item:
        said = ", ".join(f"{used} % of {place}" for place, used in sorted(seen.disks.items()))
        most = max(seen.disks.values(), default=0)
        limit = self.expected.disk_percent
        verdict = FAILED if most >= limit else WARNING if most >= limit - DISK_WARN else OK
        advice = f"make room: fleet ssh {self.host.name} -- df -h"
        return self._item("disk", verdict, f"{said or 'no disk'} is used", advice)

    def _clock(self, seen: Inside) -> Item:
        advice = f"fleet ssh {self.host.name} -- timedatectl"
        if seen.offset_s is None:
            return self._item("clock", FAILED, "it does not say what time it is", advice)
        if abs(seen.offset_s) - seen.give_s > self.expected.clock_s:
            return self._item("clock", FAILED, f"it is {seen.offset_s:+.0f} s off", advice)
        return self._item("clock", OK, "it is right")

    def _tailnet(self, seen: Inside) -> Iterator[Item]:
        here = self.host.name
        if seen.tailnet != "Running":
            words = f"Tailscale says {seen.tailnet or 'nothing'}"
            yield self._item("tailnet", FAILED, words, f"fleet ssh {here} -- tailscale status")
            return
        if seen.key_s is not None and seen.key_s <= self.expected.key_days * DAY_S:
            days = seen.key_s / DAY_S
            words = f"its key expires in {days:.0f} days" if days > 0 else "its key has expired"
            advice = f"fleet ssh {here} -- sudo tailscale up --force-reauth"
            yield self._item("tailnet", WARNING if days > 0 else FAILED, words, advice)
        else:
            yield self._item("tailnet", OK, "it is in the tailnet")
        boss = self.expected.orchestrator
        if seen.ping is not None and here != boss:
            if seen.ping and self.boss_off:
                yield self._item("ping to", UNKNOWN, f"see reached of {boss}")
                return
            words = seen.ping or f"it reaches {boss}"
            advice = f"fleet ssh {here} -- tailscale ping {boss}"
            yield self._item("ping to", FAILED if seen.ping else OK, words, advice)

    def _versions(self, seen: Inside) -> Item:
        wrong = [name for name, path in self.host.programs.items() if not seen.programs.get(path)]
        wrong += [
            name
            for name, (path, version) in self.host.builds.items()
            # Nothing at all: another manager of the same system has it from elsewhere.
            if seen.builds.get(path) not in (version, "")
        ]
        if wrong:
            words = f"not as pinned: {', '.join(wrong)}"
            return self._item("versions", FAILED, words, self._apply)
        return self._item("versions", OK, "as pinned")

    def _files(self, seen: Inside) -> Item:
        wrong = [path for path, digest in self.host.files.items() if seen.files.get(path) != digest]
        if wrong:
            advice = f"fleet ssh {self.host.name} -- sudo rm {wrong[0]}; {self._apply}"
            return self._item("files", FAILED, f"damaged: {', '.join(wrong)}", advice)
        return self._item("files", OK, f"{len(self.host.files)} as pinned")

    def _from_outside(self) -> Iterator[Item]:
        """What the orchestrator sees; nothing while that cannot be asked."""
        if self.outside.fault:
            return
        here, boss = self.host.name, self.expected.orchestrator
        if here in self.outside.pings and here != boss:
            yield self._ping_from(self.outside.pings[here])
        if self.host.agent:
            agent = self._agent()
            yield agent
            yield from self._registered(agent)
        if self.host.node and not self.outside.scheduler_fault:
            yield self._node()

    def _ping_from(self, fault: str) -> Item:
        here, boss = self.host.name, self.expected.orchestrator
        if not fault:
            return self._item("ping from", OK, f"{boss} reaches it")
        if self.seen is None and self.host.may_sleep:
            return self._item("ping from", Verdict.PENDING, fault)
        if self.seen and self.host.tailnet and self.seen.tailnet != "Running":
            return self._item("ping from", UNKNOWN, "see tailnet")
        advice = f"fleet ssh {boss} -- tailscale ping {here}"
        return self._item("ping from", FAILED, fault, advice)

    def _agent(self) -> Item:
        seen = self.outside.agents.get(self.host.name)
        advice = f"fleet logs {self.host.name} agentapi"
        well = seen and seen.code == 200 and _status(seen.said) in ("stable", "running")
        if why := "" if well else self._because("agentapi"):
            return self._item("agent", UNKNOWN, why)
        if seen is None or not seen.code:
            words = seen.said if seen else "it was not asked"
            return self._item("agent", FAILED, f"/status does not answer: {words}", advice)
        words = f"/status answers {seen.code} {seen.said}"
        return self._item("agent", OK if well else FAILED, words, advice)

    def _registered(self, agent: Item) -> Iterator[Item]:
        """How the page has it; an agent that does not answer is nothing new there."""
        if self.outside.page_fault:
            return
        seen, here = self.outside.registered.get(self.host.name), self.host.name
        if seen is None:
            yield self._item("registered", FAILED, "the page does not show it", "fleet apply")
            return
        if seen.condition == "over-budget":
            advice = f"fleet budget; fleet new-session {here}"
            yield self._item("budget", FAILED, seen.said or "its budget is spent", advice)
        else:
            words = "nearly spent" if seen.near else "not spent"
            yield self._item("budget", WARNING if seen.near else OK, words, "fleet budget")
        bad = seen.condition in BAD_CONDITIONS
        if bad and agent.verdict is not OK:
            yield self._item("registered", UNKNOWN, "see agent")
            return
        words = f"the page shows it {seen.condition}" + (f": {seen.said}" if seen.said else "")
        yield self._item("registered", FAILED if bad else OK, words, "fleet agents")

    def _node(self) -> Item:
        here = self.host.name
        found = [one for one in self.outside.members if one.name == here]
        mine = [one for one in found if one.address == self.host.address]
        if here in self.outside.blocked:
            words = f"blocked: {self.outside.blocked[here]}"
            return self._item("node", FAILED, words, f"fleet workers --unblock {here}")
        if why := "" if mine else self._because("iceccd"):
            return self._item("node", UNKNOWN, why)
        if found and not mine:
            return self._item("node", UNKNOWN, "one of its name is elsewhere: see scheduler")
        if not mine:
            words = "the scheduler does not have it"
            return self._item("node", FAILED, words, f"fleet logs {here} iceccd")
        if self.host.worker and not mine[0].port:
            words = "it takes no jobs, and should"
            return self._item("node", FAILED, words, f"fleet restart {here} iceccd")
        return self._item("node", OK, "takes jobs" if mine[0].port else "sends jobs")


def _status(body: str) -> str:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(said.get("status", "")) if isinstance(said, dict) else ""


def _fleet(
    expected: Expected, outside: Outside, down: Collection[tuple[str, str]]
) -> Iterator[Item]:
    boss = expected.orchestrator
    if outside.fault:
        advice = f"fleet status; fleet logs {boss} orchestrator"
        yield Item("orchestrator", "", FAILED, outside.fault, advice)
        return
    yield Item("orchestrator", "", OK, f"{boss} looks after the others")
    if outside.scheduler_fault and (expected.scheduler, SCHEDULER) in down:
        yield Item("scheduler", "", UNKNOWN, f"see service {SCHEDULER}")
    elif outside.scheduler_fault:
        advice = f"fleet logs {expected.scheduler} icecc-scheduler"
        yield Item("scheduler", "", FAILED, outside.scheduler_fault, advice)
    else:
        yield _scheduler(expected, outside)
    if outside.page_fault and (boss, PAGE) in down:
        yield Item("page", "", UNKNOWN, f"see service {PAGE}")
    elif outside.page_fault:
        yield Item("page", "", FAILED, outside.page_fault, f"fleet logs {boss} orchestrator")
    else:
        yield Item("page", "", OK, f"shows {len(outside.registered)} agents")
    if outside.monitoring is not None:
        advice = f"fleet logs {boss} agentfleet-health"
        verdict = FAILED if outside.monitoring else OK
        words = outside.monitoring or "it looks after the fleet"
        yield Item("monitoring", "", verdict, words, advice if outside.monitoring else "")
    if outside.strangers:
        words = f"AgentAPIs that fleet.yaml does not know: {', '.join(outside.strangers)}"
        yield Item("strangers", "", FAILED, words, "see whose they are: fleet agents")
    else:
        yield Item("strangers", "", OK, "no AgentAPI that fleet.yaml does not know")


def _scheduler(expected: Expected, outside: Outside) -> Item:
    known = {(host.name, host.address) for host in expected.hosts}
    odd = [one for one in outside.members if (one.name, one.address) not in known]
    if odd:
        names = ", ".join(f"{plain(one.name)} at {plain(one.address)}" for one in odd)
        words = f"not of this fleet: {names}"
        return Item("scheduler", "", FAILED, words, "fleet workers")
    return Item("scheduler", "", OK, f"{len(outside.members)} nodes, all of this fleet")


def _twins(expected: Expected, inside: Mapping[str, Inside]) -> Iterator[Item]:
    """Programs at paths that tell their version: the same path, the same bytes, wherever it is.

    Where those are known they count, else what most hosts have.
    """
    known = dict(_known(expected, inside))
    where: dict[str, dict[str, str]] = {}
    for host in expected.hosts:
        seen = inside.get(host.name)
        for path, digest in seen.programs.items() if seen else ():
            if len(digest) == DIGITS:
                where.setdefault(path, {})[host.name] = digest
    for path, by_host in where.items():
        usual, count = Counter(by_host.values()).most_common(1)[0]
        for name, digest in by_host.items():
            alone = count * 2 <= len(by_host) > 1
            if digest != known[path] if path in known else digest != usual or alone:
                than = "what is pinned" if path in known else "the same program elsewhere"
                words = f"{path} differs from {than}"
                advice = f"fleet ssh {name} -- sudo rm -r {path}; fleet apply --limit {name}"
                yield Item("programs", name, FAILED, words, advice)


def _known(expected: Expected, inside: Mapping[str, Inside]) -> Iterator[tuple[str, str]]:
    """The programs whose bytes are known: pinned as they are, or in an archive that is sound."""
    for host in expected.hosts:
        yield from host.digests.items()
        seen = inside.get(host.name, Inside())
        for path, (archive, _) in host.members.items():
            sound = archive in seen.files and seen.files[archive] == host.files.get(archive)
            digest = seen.members.get(path, "")
            if sound and len(digest) == DIGITS and digest != NOTHING:
                yield path, digest
