"""`fleet remove`: take a host out of the fleet, everywhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import click

from fleet import complete
from fleet.apply import Ending
from fleet.commands.outcomes import applied, confirm, exit_of, run_only, show_outcomes
from fleet.commands.planview import show_plan
from fleet.commands.running import note_run, plan_of, runner_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.difference import Differing, HostOutcome, Outcome, verify
from fleet.fleetlock import FleetLock
from fleet.leaving import Leaving, drain, gone, refuse_pillar, strike, unblock
from fleet.model import Host
from fleet.planned import Standing
from fleet.problems import FleetError
from fleet.reach import answers
from fleet.run import this_run
from fleet.target import Target, fleet_file
from fleet.yamlfile import display

DEPLOY = "fleet/wipe_deploy.py"
COMMAND = "fleet remove"


@click.command(
    epilog=examples(
        "fleet remove berry",
        "fleet remove berry --wipe             and leave nothing of ours on it",
        "fleet remove berry --now --yes        though a task runs there",
    )
)
@click.argument("host", shell_complete=complete.hosts)
@click.option("--wipe", is_flag=True, help="Make the host as it was before it came into the fleet.")
@click.option("--now", is_flag=True, help="Do not wait for its agent: its tasks are lost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def remove(session: Session, host: str, wipe: bool, now: bool, yes: bool, as_json: bool) -> int:
    """Take HOST out of the fleet: out of fleet.yaml, fleet.lock.yaml, and of every file on another
    host that names it (firewalls, the agents' registry, the gateway, known hosts).

    Its agent gets nothing more, and ends what it works on before anything else happens. Works for
    a host that is dead: what it worked on is lost. With --wipe the host gets back what it had
    before, and our services, accounts and files go; packages stay. Touches nothing else on the
    other hosts, and asks each of them afterwards. What is cut off is finished by calling it again.

    Exit code: 0 gone everywhere, 1 not gone on a host, 3 hosts are off that may be, 4 another run
    has the fleet.
    """
    target = session.target()
    leaving = Leaving.of(target, host)
    refuse_pillar(target, leaving.host)
    watcher = Watcher(quiet=as_json)
    removal = _Removal(session, leaving, answers(leaving.host, target), watcher)
    traces = leaving.traces(target)
    if wipe:
        removal.look_at_wipe(target, show=not as_json)
    if not as_json:
        _announce(removal, traces)
    confirm(COMMAND, f"Remove {host}?", yes=yes)
    lost = removal.end_work(
        target, now=now
    )  # takes as long as a task, and nobody else waits for it
    with FleetLock(target, this_run(f"remove {host}"), watcher.say, wait=False):
        if wipe:
            removal.wipe(target)
        found = removal.take_out(target, traces)
    left = steps(removal.leaving, lost, there=removal.there)
    if as_json:
        print_json({"hosts": [asdict(one) for one in found], "lost": lost, "by_hand": left})
    else:
        show_outcomes("TRACES", found, left)
    return exit_of(found)


@dataclass
class _Removal:
    """One call: the host, whether it answers, and how far it has come."""

    session: Session
    leaving: Leaving
    there: bool
    watcher: Watcher

    def look_at_wipe(self, target: Target, *, show: bool) -> None:
        """Say what a wipe does there. Raises FleetError where none can be."""
        name = self.leaving.host.name
        if self.leaving.begun and not self.leaving.wiped:
            fix = f"add it again (fleet add {name}), then: fleet remove {name} --wipe"
            raise FleetError.of(name, "has left fleet.yaml, and was not wiped", fix)
        if self.leaving.begun:
            return
        if not self.there:
            fix = f"wake it, or leave it as it is: fleet remove {name}"
            raise FleetError.of(name, "does not answer, so it cannot be wiped", fix)
        run, runner = runner_for(target, f"remove {name}", deploy=DEPLOY)
        plan = plan_of(target, runner, (name,), self.watcher, run)
        if plan.named(Standing.FAILED, Standing.DOWN, Standing.ASLEEP):
            raise FleetError.of(name, f"cannot be wiped: {plan.hosts[0].error}", "")
        if show:
            show_plan(console(), plan, diffs=False)

    def end_work(self, target: Target, *, now: bool) -> tuple[int, ...]:
        """Have its agent end; the numbers of the tasks that are lost by it. Raises FleetError."""
        host, say = self.leaving.host, self.watcher.say
        try:
            lost = drain(target, host, now=now or not self.there, say=say)
            unblock(target, host)
        except FleetError as error:
            if not now:
                fix = "see that the orchestrator is up, or say --now"
                raise FleetError(replace(one, fix=fix) for one in error.problems) from None
            say(f"its agent could not be told: {error}")
            return ()
        return lost

    def wipe(self, target: Target) -> None:
        """Carry the wipe out. Raises FleetError when it does not come to its end."""
        if self.leaving.begun:
            return
        name = self.leaving.host.name
        run, runner = runner_for(target, f"remove {name}", deploy=DEPLOY)
        began = time.monotonic()
        with self.watcher.over(f"wiping {name}"):
            outcome = runner.change((name,), self.watcher.heard)
        done = applied(target, (name,), outcome)
        note_run(target, run, done, began)
        result = done.results[name]
        if result.ending not in (Ending.CHANGED, Ending.CLEAN):
            fault = f"is not wiped: {result.error or result.ending.value}"
            raise FleetError.of(name, fault, f"mend that, and again: fleet remove {name} --wipe")
        self.leaving = replace(self.leaving, wiped=True)

    def take_out(self, target: Target, traces: Mapping[str, Differing]) -> tuple[HostOutcome, ...]:
        """Take it out of the files, and out of the other hosts."""
        host = self.leaving.host
        if not self.leaving.begun:
            self.leaving.note(target)
            strike(self.leaving)
        now = self.session.target()
        only = frozenset(capability for meant in traces.values() for capability in meant)
        done = run_only(now, f"remove {host.name}", only, tuple(traces), self.watcher)
        errors = {one.host: one.error for one in done.results.values()}
        found = verify(now, traces, errors)
        if all(one.outcome is not Outcome.REMAIN for one in found):
            gone(now, self.leaving)
        return found


def _announce(removal: _Removal, traces: Mapping[str, Differing]) -> None:
    """Say what is about to happen."""
    host, out = removal.leaving.host, console()
    agent = "ends what it works on" if removal.there else "is taken for gone: its tasks are lost"
    if host.is_agent:
        out.print(f"- its agent gets nothing more, and {agent}", markup=False)
    if not removal.there:
        out.print(f"- {host.name} does not answer: nothing is changed on it", markup=False)
    out.print(f"- its entry in {display(fleet_file())} goes, and what was learned of it")
    for name, meant in traces.items():
        paths = [file.path for files in meant.values() for file in files]
        out.print(f"- {name}: {', '.join(paths) or ', '.join(meant)}", markup=False)


def steps(leaving: Leaving, lost: tuple[int, ...], *, there: bool) -> list[str]:
    """What no run can do."""
    host = leaving.host
    return [
        f"remove {host.name} from the tailnet in its admin console",
        "put the new policy there: fleet policy",
        *_rest(host, wiped=leaving.wiped, there=there),
        *(f"decide on what was lost: fleet task retry {number}" for number in lost),
        "see that nothing else follows from it, such as another host that packs compilers: "
        "fleet apply",
        f"commit {display(fleet_file())} and the lock beside it",
    ]


def _rest(host: Host, *, wiped: bool, there: bool) -> list[str]:
    """What is left on the host itself."""
    if wiped:
        return [f"packages, its name, and Tailscale stay on {host.name}: remove what you like"]
    if there:
        return [f"switch {host.name} off or erase it: its services run on, and are let in nowhere"]
    return [f"erase {host.name}'s disk: the operators' keys and our files are still on it"]
