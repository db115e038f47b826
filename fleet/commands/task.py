"""`fleet task …`: send tasks to agents, watch them, take home what became of the code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from fleet import code, complete, orchestrator
from fleet.commands import taskview
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.commands.taskview import DONE, SLEEPS, Watched, headline
from fleet.problems import FleetError, WrongUsageError, printable
from fleet.target import Target

API = "/api/v1/tasks"
STATES = ("draft", "queued", "reserved", "running", "done", "failed", "cancelled", "lost")
INTERRUPTED = 130
MOST_BYTES = code.MOST  # of a file that goes with a task

number = click.argument("number", metavar="ID", type=click.IntRange(min=1))


@click.group(
    epilog=examples(
        'fleet task send "Find out why the tests fail" --repo . --wait',
        "fleet task list --state running",
        "fleet task fetch 12                      a branch task-12 with what the agent changed",
    )
)
def task() -> None:
    """Give agents something to do, from anywhere, and get the result.

    Exit code: 0 done, or accepted; 1 failed, cancelled, lost or refused; 3 it waits for a host
    that sleeps.
    """


@task.command(
    epilog=examples(
        'fleet task send "Find out why the tests fail" --repo . --wait',
        'fleet task send "Update the packages" --role pi --root --cap 2',
    )
)
@click.argument("prompt")
@click.option("--title", default="", help="What to call it; default: the prompt's first line.")
@click.option(
    "--host",
    default="",
    shell_complete=complete.hosts,
    help="On this host; while it sleeps, on another one.",
)
@click.option(
    "--failover/--no-failover", default=True, help="Whether another may do it for --host."
)
@click.option("--role", default="", shell_complete=complete.roles, help="On a host of this role.")
@click.option("--arch", default="", help="On a machine of this kind: x86_64, aarch64.")
@click.option("--os", "system", default="", help="On this system.")
@click.option("--root", is_flag=True, help="By an agent that may become root.")
@click.option("--compilers", is_flag=True, help="On a host with the fleet's compilers.")
@click.option("--cap", type=click.FloatRange(min=0, min_open=True), help="Dollars it may spend.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that goes with it; may be said several times.",
)
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Code to work on: the git repository there, as it is committed.",
)
@click.option("--ref", default="HEAD", show_default=True, help="With --repo: what to begin at.")
@click.option("--wait/--no-wait", default=None, help="Watch it to its end; or never exit with 3.")
@json_option
@pass_session
def send(
    session: Session,
    /,
    prompt: str,
    title: str,
    files: tuple[Path, ...],
    repo: Path | None,
    ref: str,
    wait: bool | None,
    cap: float | None,
    as_json: bool,
    system: str,
    **wish: Any,  # noqa: ANN401 - the rest of the options, as the API calls them
) -> int:
    """Send a task; it is queued, and goes to the agent that fits it best.

    With --repo its agent gets the code, all of its history included (32 MB at most), and
    `fleet task fetch` brings back what it changed.
    """
    target = session.target()
    draft: dict[str, Any] = {"prompt": prompt, "title": title, "wish": wish | {"os": system}}
    if cap is not None:
        draft["cap"] = round(cap * taskview.MICROS)
    if wish["host"]:
        target.fleet.host(wish["host"])  # says whom there is
    shipped = code.ship(repo, ref) if repo else None
    draft["attachments"] = [_upload(target, file.name, _read(file)) for file in files]
    if shipped:
        kept = _upload(target, f"{shipped.name}.bundle", shipped.content)
        draft["code"] = {
            "bundle": kept["sha256"],
            "commit": shipped.commit,
            "ref": shipped.ref,
            "name": shipped.name,
        }
        if shipped.unsaved:
            click.echo("what is not committed stays here", err=True)
    sent = orchestrator.api(target, "POST", API, json.dumps(draft).encode())
    if wait:
        return _watch(target, int(sent["id"]), as_json=as_json)
    if as_json:
        print_json(sent)
    else:
        click.echo(headline(sent))
    sleeps = wait is None and _sleeps(target, sent)
    if sleeps:
        click.echo(f"{wish['host']} sleeps: the task begins when it wakes", err=True)
    return SLEEPS if sleeps else DONE


@task.command(
    name="list",
    epilog=examples(
        "fleet task list --state running --state queued",
    ),
)
@click.option("--state", multiple=True, type=click.Choice(STATES), help="Only those; several may.")
@click.option("--most", default=20, show_default=True, help="How many.")
@json_option
@pass_session
def list_tasks(session: Session, state: tuple[str, ...], most: int, as_json: bool) -> int:
    """List tasks, the newest first."""
    query = urlencode([*(("state", one) for one in state), ("most", most)])
    said = orchestrator.api(session.target(), "GET", f"{API}?{query}")
    found = orchestrator.rows(said, "tasks")
    if as_json:
        print_json({"tasks": found})
    else:
        taskview.table(found)
    return DONE


@task.command(
    epilog=examples(
        "fleet task show 12",
        "fleet task show 12 --patch | git apply",
    )
)
@number
@click.option("--patch", "only_patch", is_flag=True, help="Print what it changed in its code.")
@json_option
@pass_session
def show(session: Session, number: int, only_patch: bool, as_json: bool) -> int:
    """Show a task: where it is, what happened, what was said."""
    target = session.target()
    if only_patch:
        return _show_patch(_patch(target, number))
    found = _task(target, number)
    events = orchestrator.rows(_part(target, number, "events"), "events")
    messages = orchestrator.rows(_part(target, number, "messages"), "messages")
    if as_json:
        print_json({"task": found, "events": events, "messages": messages})
        return DONE
    taskview.table([found])
    click.echo(headline(found))
    for one in events:
        when, by = taskview.moment(one.get("at")), f" ({one['by']})" if one.get("by") else ""
        click.echo(printable(f"  {when} {one.get('kind')}: {one.get('text')}{by}"))
    for one in messages:
        mark = "> " if one.get("role") == "user" else ""
        for line in taskview.lines(str(one.get("content", ""))):
            click.echo(f"{mark}{line}")
    return DONE


@task.command(
    epilog=examples(
        "fleet task cancel 12",
    )
)
@number
@pass_session
def cancel(session: Session, number: int) -> int:
    """Stop a task: at once, or as soon as its agent has stopped."""
    return _act(session.target(), number, "cancel")


@task.command(
    epilog=examples(
        "fleet task retry 12",
    )
)
@number
@pass_session
def retry(session: Session, number: int) -> int:
    """Try a task again that failed, was cancelled, or is lost."""
    return _act(session.target(), number, "retry")


@task.command(
    epilog=examples(
        "fleet task watch 12",
    )
)
@number
@json_option
@pass_session
def watch(session: Session, number: int, as_json: bool) -> int:
    """Follow a task to its end, live. Ctrl-C ends the watching, not the task."""
    return _watch(session.target(), number, as_json=as_json)


@task.command(
    epilog=examples(
        "fleet task fetch 12                      a branch task-12",
        "fleet task fetch 12 --branch fix --repo ~/src/it",
    )
)
@number
@click.option("--branch", metavar="NAME", help="The branch to make; default: task-ID.")
@click.option(
    "--repo",
    default=Path(),
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The repository to make it in; default: the one here.",
)
@pass_session
def fetch(session: Session, number: int, branch: str | None, repo: Path) -> int:
    """Make a branch of what a task changed in its code, at the commit where it began.

    Your files and the branch you are on stay as they are. Where the changes do not apply, nothing
    is made.
    """
    target = session.target()
    found, patch = _task(target, number), _patch(target, number)
    if not patch.get("text"):
        click.echo("the task has changed nothing")
        return DONE
    name = branch or f"task-{number}"
    words = f"Task {number}: {printable(str(found.get('title', '')))}"
    made = code.branch(repo, name, str(patch["base"]), str(patch["text"]), words)
    click.echo(f"branch {name}:")
    for line in taskview.lines(made):
        click.echo(f"  {line}")
    return DONE


def _task(target: Target, number: int) -> dict[str, Any]:
    found: dict[str, Any] = orchestrator.api(target, "GET", f"{API}/{number}")
    return found


def _part(target: Target, number: int, part: str) -> Any:  # noqa: ANN401 - JSON
    return orchestrator.api(target, "GET", f"{API}/{number}/{part}")


def _patch(target: Target, number: int) -> dict[str, Any]:
    found = _part(target, number, "patch")
    return found if isinstance(found, dict) else {}


def _show_patch(patch: dict[str, Any]) -> int:
    """As it is for a program; what an agent wrote must not paint a terminal."""
    text = str(patch.get("text", ""))
    if sys.stdout.isatty():
        click.echo("\n".join(taskview.lines(text)))
    else:
        click.echo(text.encode("utf-8", "surrogateescape"), nl=False)
    return DONE


def _act(target: Target, number: int, action: str) -> int:
    click.echo(headline(orchestrator.api(target, "POST", f"{API}/{number}/{action}")))
    return DONE


def _read(file: Path) -> bytes:
    if file.stat().st_size > MOST_BYTES:
        raise WrongUsageError.of(str(file), f"{MOST_BYTES >> 20} MB is the most", "")
    return file.read_bytes()


def _upload(target: Target, name: str, content: bytes) -> dict[str, Any]:
    path = f"/api/v1/files?name={quote(name, safe='')}"
    kind = "application/octet-stream"
    kept: dict[str, Any] = orchestrator.api(target, "POST", path, content, kind=kind)
    return kept


def _sleeps(target: Target, sent: dict[str, Any]) -> bool:
    """Whether a task waits for the one host that may do it, and that is asleep."""
    wish = sent.get("wish") or {}
    if sent.get("state") != "queued" or not wish.get("host") or wish.get("failover"):
        return False
    agents = orchestrator.rows(orchestrator.api(target, "GET", "/api/v1/agents"), "agents")
    asleep = {orchestrator.name_of(one) for one in agents if one.get("condition") == "asleep"}
    return wish["host"] in asleep


def _watch(target: Target, number: int, *, as_json: bool) -> int:
    watched = Watched()

    def heard(news: dict[str, Any]) -> None:
        if as_json:
            watched.task = news.get("task", watched.task)
            click.echo(json.dumps(news))
        else:
            watched.heard(news)

    try:
        orchestrator.follow(target, number, heard)
    except KeyboardInterrupt:
        words = f"the task goes on; see it with: fleet task watch {number}"
        click.echo(words, err=True)
        return INTERRUPTED
    if not watched.task:
        fix = f"fleet task show {number}"
        raise FleetError.of(f"task {number}", "nothing is known of it any more", fix)
    return taskview.code_of(watched.task)
