"""`fleet policy`: who may reach which port of whom, for the tailnet's admin console."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.hujson import Document
from fleet.policy import Policy
from fleet.policymerge import merge, rendered
from fleet.policywide import defeats
from fleet.problems import Problem, WrongUsageError, printable
from fleet.target import fleet_file
from fleet.yamlfile import display, read_text

DEFEATED, DIFFERS = 1, 2
_FILE = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        "fleet policy                             to paste in the admin console",
        "fleet policy --merge tailnet.hujson > merged.hujson",
    )
)
@click.option("--merge", "into", type=_FILE, metavar="FILE", help="Print FILE with it in.")
@click.option("--check", "against", type=_FILE, metavar="FILE", help="Print what FILE lacks of it.")
@json_option
@pass_session
def policy(session: Session, into: Path | None, against: Path | None, as_json: bool) -> int:
    """Print the tailnet's policy for the fleet, as HuJSON: grants, what they need, and tests.

    It goes into the tailnet by hand: paste it in the admin console, under "Access controls". Where
    the tailnet has more than the fleet in it, copy its policy from there into a FILE and use
    --merge: the group agentfleet-operators, aliases that begin with agentfleet-, the owners of the
    roles' tags, and grants and tests that speak of these alone are replaced; all else stays,
    comments included.

    A grant or acl of the tailnet that lets anybody through the fleet's doors defeats the fleet's,
    since grants only add up. It is named on standard error; --merge prints the policy all the same,
    --check fails.

    Exit code: 0 printed, or FILE is as it should be; 1 error, or FILE holds a rule that defeats the
    fleet's; 2 FILE differs from what --merge prints (the difference is printed).
    """
    if into and against:
        fault = "--merge and --check are two things"
        raise WrongUsageError.of("fleet policy", fault, "use one of them")
    if against and as_json:
        raise WrongUsageError.of("fleet policy", "--check prints no JSON", "leave --json out")
    wanted = Policy(session.target().fleet)
    _say(_unknown(wanted))
    if into:
        return _merge(into, wanted, as_json=as_json)
    if against:
        return _check(against, wanted)
    print_json(wanted.sections) if as_json else click.echo(rendered(wanted), nl=False)
    return 0


def _merge(file: Path, wanted: Policy, *, as_json: bool) -> int:
    _, merged, _ = _merged(file, wanted)
    print_json(merged.data) if as_json else click.echo(merged.text, nl=False)
    return 0


def _check(file: Path, wanted: Policy) -> int:
    before, merged, too_wide = _merged(file, wanted)
    names = (before.file, f"{before.file} with the fleet's policy")
    old, new = (document.text.splitlines() for document in (before, merged))
    difference = list(difflib.unified_diff(old, new, *names, lineterm=""))
    for line in difference:
        click.echo("\t".join(map(printable, line.split("\t"))))
    if too_wide:
        return DEFEATED
    if difference:
        return DIFFERS
    click.echo(f"{before.file}: as it should be")
    return 0


def _merged(file: Path, wanted: Policy) -> tuple[Document, Document, bool]:
    """The file, the file with ours in it, and whether a rule in it defeats ours."""
    before = Document(display(file), read_text(file))
    merged, notes = merge(before, wanted)
    too_wide = defeats(before, wanted)
    _say((*notes, *too_wide))
    return before, merged, bool(too_wide)


def _unknown(wanted: Policy) -> Iterator[Problem]:
    """What the policy lacks, since the fleet's files do not say it."""
    file = display(fleet_file())
    if not wanted.logins:
        fault = "nobody has a login: in the tailnet, no person reaches SSH or the page"
        fix = "write `login:` at those who may, such as alice@example.com"
        yield Problem(file, 0, "operators", fault, fix)
    for name, kinds in wanted.left_out.items():
        fault = f"left out: its tailnet address is not known ({kinds})"
        fix = "that way nobody reaches it, nor it anybody: run this again when it is learned"
        yield Problem(file, 0, f"hosts.{name}", fault, fix)


def _say(problems: Iterable[Problem]) -> None:
    for problem in problems:
        click.echo(str(problem), err=True)
