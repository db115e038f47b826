"""`fleet render`: every file of every host, and a list of what else each host gets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from fleet import complete
from fleet.commands.session import Session, examples, pass_session
from fleet.model import Os
from fleet.plan import view_of, wanted
from fleet.problems import FleetError
from fleet.resources import (
    Artifact,
    Build,
    Directory,
    File,
    Guard,
    Manager,
    Package,
    Program,
    Resources,
    RestartPolicy,
    RunningService,
    Setting,
    TailnetNode,
    User,
)
from fleet.view import HostView

LISTING = "resources.txt"  # beside the files of a host; no managed path starts with that name
_MANAGERS = {Os.ARCH: (Manager.PACMAN,), Os.MACOS: (Manager.BREW, Manager.PORT)}
SECRET = b"(a secret: its content is never rendered)\n"


@click.command(
    epilog=examples(
        "fleet render --host berry --output /tmp/out",
    )
)
@click.option(
    "--host",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.hosts,
    help="Only this host; repeatable.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/render"),
    show_default=True,
    help="Directory that gets a directory for each host.",
)
@click.option("--list", "listed", is_flag=True, help="Print what there is, write nothing.")
@pass_session
def render(session: Session, names: tuple[str, ...], output: Path, listed: bool) -> None:
    """Write every file that the hosts get, without asking any host.

    A file lands in OUTPUT/HOST/<its path>, with its mode; OUTPUT/HOST/resources.txt lists all
    files with owner and template, and packages, users, directories, builds, settings, services and
    the place in the tailnet. The content of secrets is left out.
    """
    target = session.target()
    chosen = tuple(dict.fromkeys(names)) or tuple(host.name for host in target.fleet.hosts)
    views = [view_of(target, name) for name in chosen]
    texts = {view.host.name: listing(view) for view in views}
    if listed:
        click.echo("\n".join(f"# {name}\n{text}" for name, text in texts.items()), nl=False)
        return
    for view in views:
        count = _write(view, output / view.host.name, texts[view.host.name])
        click.echo(f"{output / view.host.name}: {count} files")


def shown(file: File) -> bytes:
    """The bytes that are rendered: the file's, or a placeholder for a secret's."""
    return SECRET if file.secret else file.content


def listing(view: HostView) -> str:
    """Everything the host gets, a resource a line, by capability in the order of the run."""
    managers = _MANAGERS.get(view.host.os, (Manager.APT,))
    sections = []
    for name, want in wanted(view).items():
        if want != Resources():
            sections.append("\n".join((f"[{name}]", *_lines(want, managers))) + "\n")
    return "\n".join(sections)


def _lines(want: Resources, managers: tuple[Manager, ...]) -> Iterator[str]:
    yield from (f"masked     {unit}" for unit in want.masked)
    yield from (line for package in want.packages if (line := _package(package, managers)))
    yield from map(_user, want.users)
    yield from map(_program, want.programs)
    yield from map(_directory, want.directories)
    yield from (_file(file, want.guard) for file in want.files)
    yield from map(_artifact, want.artifacts)
    yield from map(_build, want.builds)
    yield from map(_setting, want.settings)
    yield from (f"learned    {reading.name}" for reading in want.readings)
    yield from (line for service in want.services for line in _service(service))
    if want.node:
        yield _node(want.node)
    if want.session:
        yield f"session    {want.session.mark} (the first one is begun)"


def _package(package: Package, managers: tuple[Manager, ...]) -> str:
    """The package by the names of the managers that the host may have; empty if none has it."""
    names = {manager: package.under(manager) for manager in managers}
    if len(set(names.values())) > 1:
        known = (f"{manager.value}: {name or 'none'}" for manager, name in names.items())
        return f"package    {package.name} ({', '.join(known)})"
    name = names[managers[0]]
    return f"package    {name}" if name else ""


def _user(user: User) -> str:
    shell = f", shell {user.login_shell}" if user.login_shell else ""
    return f"user       {user.name}, home {user.home}{shell}, {user.comment or user.name}"


def _directory(directory: Directory) -> str:
    access = f"{directory.mode} {directory.owner}:{directory.group or '-'}"
    return f"directory  {directory.path} ({access})"


def _file(file: File, guard: Guard | None) -> str:
    marks = (f", secret {file.secret}" if file.secret else "") + (", checked" if file.check else "")
    guarded = ", guarded" if guard and file.path in guard.paths else ""
    return f"file       {file.path} ({access(file)}{marks}{guarded})"


def access(file: File) -> str:
    """Who may read a file, and where it comes from."""
    return f"{file.mode} {file.owner}:{file.group or '-'}, {file.template}"


def _artifact(artifact: Artifact) -> str:
    return f"artifact   {artifact.path} ({artifact.name} {artifact.version}, {artifact.sha256})"


def _program(program: Program) -> str:
    source = f"{program.member} of {program.artifact.sha256}".removeprefix(" of ")
    return f"program    {program.path} ({program.name} {program.version}, {source})"


def _build(build: Build) -> str:
    made = f"{build.name} {build.version}" + (f" with {build.manager}" if build.manager else "")
    source = f", source {build.artifact.sha256}" if build.artifact else ""
    return f"build      {made} by {build.script}{source}"


def _setting(setting: Setting) -> str:
    return f"setting    {setting.name} = {setting.want}"


def _service(service: RunningService) -> Iterator[str]:
    notes = [f"told by: {service.notify}"] if service.notify else []
    if service.off:
        notes.append("off")
    if service.policy is not RestartPolicy.ALWAYS:
        notes.append(f"restart {service.policy.value}")
    if service.unless_virtual:
        notes.append("not where the kernel is not its own")
    yield f"service    {service.name}" + (f" ({'; '.join(notes)})" if notes else "")
    yield from (f"    input  {path}" for path in service.inputs)


def _node(node: TailnetNode) -> str:
    tags = f" as {', '.join(node.tags)}" if node.tags else ""
    return f"tailnet    {node.name}{tags}" + ("" if node.joins else " (joined by its person)")


def _write(view: HostView, directory: Path, text: str) -> int:
    """Write one host's directory anew and return the number of its files; raises FleetError."""
    files = [file for want in wanted(view).values() for file in want.files]
    try:
        _empty(directory)
        for file in files:
            _put(directory / file.path.lstrip("/"), shown(file), int(file.mode, 8))
        _put(directory / LISTING, text.encode(), 0o644)
    except OSError as error:
        fault = f"{error.filename or directory}: {error.strerror or error}"
        raise FleetError.of("fleet render", fault, "name another directory: --output") from None
    return len(files)


def _empty(directory: Path) -> None:
    """Remove what an earlier render left, and nothing else."""
    if directory.is_dir() and any(directory.iterdir()):
        if not (directory / LISTING).is_file():
            fault = f"{directory} holds something else than a render"
            raise FleetError.of("fleet render", fault, "name another directory: --output")
        shutil.rmtree(directory)


def _put(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
