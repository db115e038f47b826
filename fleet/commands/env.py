"""`fleet env`: what a shell has to be told to compile with the fleet, for scripts and CI."""

from __future__ import annotations

import re
from dataclasses import asdict

import click

from fleet import complete
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.exports import exports
from fleet.problems import FleetError, WrongUsageError, show

_TRIPLE = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_.]+){1,3}")


@click.command(
    epilog=examples(
        'eval "$(fleet env berry)"; make -j20',
        "fleet env berry --target aarch64-linux-gnu",
        "fleet env berry --trusted-only --json",
    )
)
@click.argument("host", metavar="HOST", shell_complete=complete.hosts)
@click.option("--target", "triple", metavar="TRIPLE", help="Compile for another machine.")
@click.option(
    "--trusted-only",
    is_flag=True,
    help="Leave out platforms with a worker that nobody vouches for.",
)
@json_option
@pass_session
def env(session: Session, host: str, triple: str | None, trusted_only: bool, as_json: bool) -> None:
    """Print what a shell on HOST has to export to compile with the fleet.

    Login shells have all that already; this is for scripts and CI, and for other choices. clang
    compiles for any TRIPLE by itself; headers and libraries of that machine are yours to give
    (--sysroot). What HOST cannot use is said on standard error, and in a comment.

    --trusted-only keeps jobs from each platform that has a worker whose agent has full sudo there:
    icecream chooses among all workers of a platform. Where none is left, all is compiled at home.
    """
    fleet = session.target().fleet
    if fleet.toolchain is None:
        fix = "say in fleet.yaml which: `toolchain: {llvm: MAJOR}`"
        raise FleetError.of("fleet env", "the fleet has no compiler in common", fix)
    if triple is not None and not _TRIPLE.fullmatch(triple):
        fix = "such as aarch64-linux-gnu"
        raise WrongUsageError.of("--target", f"{show(triple)} is no target triple", fix)
    found = exports(fleet, fleet.host(host), triple or "", trusted_only=trusted_only)
    for remark in found.remarks:
        click.echo(f"{host}: {remark}", err=True)
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(found.lines, nl=False)
