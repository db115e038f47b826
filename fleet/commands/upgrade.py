"""`fleet upgrade`: bring what is installed up to date, in waves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from fleet import complete
from fleet.apply import Applied, Ending
from fleet.commands.apply import agreed, carry_out
from fleet.commands.planview import show_plan, show_results
from fleet.commands.repinning import News, Trial, news, on_trial
from fleet.commands.running import limit_option, note_run, plan_as_dict, plan_of, runner_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.exits import Exit, worst
from fleet.fleetlock import FleetLock
from fleet.planned import Standing
from fleet.problems import WrongUsageError
from fleet.progress import waiting
from fleet.run import Run
from fleet.runner import DEPLOY, Runner

SYSTEM_DEPLOY = "fleet/upgrade_deploy.py"
COMMAND = "fleet upgrade"


@dataclass(frozen=True)
class Wanted:
    """What the command line wants, beside what is to be upgraded."""

    limits: tuple[str, ...]
    yes: bool
    wait: bool
    dry: bool
    as_json: bool


@click.command(
    epilog=examples(
        "fleet upgrade                          every download that has a newer version",
        "fleet upgrade claude-code --dry-run",
        "fleet upgrade --os --limit pi --yes    the packages of the systems",
    )
)
@click.argument("programs", metavar="[DOWNLOAD]...", nargs=-1, shell_complete=complete.downloads)
@click.option("--os", "system", is_flag=True, help="The packages of the hosts' own systems.")
@limit_option
@click.option("--dry-run", "dry", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait while somebody else's run has the fleet.")
@json_option
@pass_session
def upgrade(
    session: Session,
    programs: tuple[str, ...],
    system: bool,
    limits: tuple[str, ...],
    dry: bool,
    yes: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Upgrade the pinned downloads, all or these, or with --os the systems of the hosts: show every
    old and new version, ask, and upgrade in the waves of `fleet apply`: orchestrator, canaries, the
    rest, and no further than where a host is not well afterwards.

    Downloads: the newest version that all its sources have is pinned as `fleet pin` does, with
    every digest compared, and the hosts are brought to what fleet.yaml and the pins say. Until
    somebody says yes artifacts.lock.yaml goes back to what it was; commit it afterwards.

    Systems: by apt, pacman and MacPorts; Homebrew is its person's. What follows from new packages,
    such as a compiler that differs, is for the `fleet apply` after it. Hosts that should be
    rebooted are pending, and are rebooted by nobody.

    Exit code: 0 done or nothing to do, 1 a host failed or a source cannot be asked, 2 restarts or
    reboots are pending, or with --dry-run something would change, 3 hosts are off that may be, 4
    another run has the fleet or a host, 130 interrupted.
    """
    wanted = Wanted(limits, yes, wait, dry, as_json)
    if system and programs:
        fault = "--os is about packages, the names are downloads"
        raise WrongUsageError.of(COMMAND, fault, "say one of them at a time")
    if as_json and not yes and not dry:
        raise WrongUsageError.of(COMMAND, "--json asks nobody", "say --yes or --dry-run")
    return _systems(session, wanted) if system else _downloads(session, wanted, programs)


def _systems(session: Session, wanted: Wanted) -> Exit:
    return _Upgrade(session, wanted, "upgrade --os", SYSTEM_DEPLOY).go()


def _downloads(session: Session, wanted: Wanted, programs: Sequence[str]) -> Exit:
    with waiting("asking the sources of the pins", bar=False):
        found = news(session.target(), programs)
    for remark in found.remarks:
        click.echo(remark, err=True)
    asked = Exit.ERROR if found.failed else Exit.DONE
    if not found.steps:
        if wanted.as_json:
            print_json({"pins": [], "exit": int(asked)})
        else:
            click.echo("no newer version is to be had")
        return asked
    for step in found.steps:
        click.echo(f"{step.name}: {step.old} → {step.new}", err=wanted.as_json)
    with on_trial(found.steps) as trial:
        reason = " ".join(("upgrade", *(f"{one.name} {one.new}" for one in found.steps)))
        done = _Upgrade(session, wanted, reason, DEPLOY, found, trial).go()
    return worst((asked, done))


class _Upgrade:
    """One run of the waves; of new pins with the `trial` that has them."""

    def __init__(
        self,
        session: Session,
        wanted: Wanted,
        reason: str,
        deploy: str,
        found: News | None = None,
        trial: Trial | None = None,
    ) -> None:
        self._session, self._wanted = session, wanted
        self._found, self._trial = found, trial
        self._target = session.target()  # with the new pins
        self._watcher = Watcher(quiet=wanted.as_json)
        self._run, self._runner = runner_for(self._target, reason, deploy=deploy)

    def go(self) -> Exit:
        """Plan, show, ask, and carry out."""
        wanted, began = self._wanted, time.monotonic()
        with FleetLock(self._target, self._run, self._watcher.say, wait=wanted.wait) as lock:
            plan = plan_of(self._target, self._runner, wanted.limits, self._watcher, self._run)
            if not wanted.as_json:
                show_plan(console(), plan, diffs=False)
            if wanted.dry:
                if wanted.as_json:
                    self._print(plan_as_dict(plan), plan.exit)
                return plan.exit
            if not agreed(plan, yes=wanted.yes, command=COMMAND):
                return Exit.INTERRUPTED
            if self._trial:
                self._trial.keep()
            done = carry_out(self._session, self._runner, plan, self._watcher, lock, "upgrading")
            if not self._trial:
                _add_reboots(self._session, self._runner, done, self._watcher, self._run)
        note_run(self._target, self._run, done, began)
        if wanted.as_json:
            self._print(plan_as_dict(plan), done.exit)
        elif plan.named(Standing.CHANGES):
            show_results(console(), done)
        self._say_the_way_back(done)
        return done.exit

    def _print(self, plan: dict[str, object], code: Exit) -> None:
        pins = {"pins": [asdict(one) for one in self._found.steps]} if self._found else {}
        print_json({**plan, **pins, "exit": int(code)})

    def _say_the_way_back(self, done: Applied) -> None:
        """Where a host has failed with new pins, the others may have them already."""
        ill = any(one.ending is Ending.FAILED for one in done.results.values())
        if self._trial and (ill or done.broken):
            click.echo(f"to go back to the versions before: {self._trial.way_back}", err=True)


def _add_reboots(
    session: Session, runner: Runner, done: Applied, watcher: Watcher, run: Run
) -> None:
    """Ask the hosts that were upgraded once more: a new kernel runs after a reboot only."""
    names = done.changed
    if not names or done.stopped:
        return
    again = plan_of(session.target(), runner, names, watcher, run)
    for host in again.hosts:
        done.add_pending(host.host, host.pending)
