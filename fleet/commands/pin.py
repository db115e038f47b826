"""`fleet pin`: write down what is downloaded, byte for byte, and show it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from fleet import catalog, complete
from fleet.commands.session import console, examples, json_option, print_json
from fleet.digest import Digest, from_prefixed
from fleet.lock import (
    ANY,
    ArtifactsLock,
    Pin,
    Source,
    Voucher,
    Word,
    artifacts_text,
    read_artifacts_lock,
)
from fleet.pinning import Wish
from fleet.pinning import pin as pin_it
from fleet.problems import FleetError, WrongUsageError, show
from fleet.target import artifacts_file
from fleet.yamlfile import display

FIRST_FETCH = "nobody: first fetch"
_WHERE = "https://… with {version} in it, apt:PACKAGE or npm:PACKAGE"
_WORD: TypeAdapter[str] = TypeAdapter(Word)


@click.command(
    epilog=examples(
        "fleet pin claude-code 2.1.330            from where it is published",
        "fleet pin --list",
    )
)
@click.argument("name", required=False, shell_complete=complete.downloads)
@click.argument("version", required=False)
@click.option(
    "--source",
    "sources",
    metavar="[PLATFORM:]ORIGIN=WHERE",
    multiple=True,
    help=f"Where it is: {_WHERE}. Replaces all sources of the platform (default: {ANY}).",
)
@click.option(
    "--digest",
    "digests",
    metavar="[PLATFORM:]sha256:HEX",
    multiple=True,
    help="What the file has to be.",
)
@click.option("--replace", "may_replace", is_flag=True, help="Accept other bytes than are pinned.")
@click.option("--dry-run", "dry", is_flag=True, help="Fetch and compare; show, write nothing.")
@click.option("--list", "as_list", is_flag=True, help="Show what is pinned.")
@json_option
def pin(
    name: str | None,
    version: str | None,
    sources: tuple[str, ...],
    digests: tuple[str, ...],
    may_replace: bool,
    dry: bool,
    as_list: bool,
    as_json: bool,
) -> None:
    """Pin the download NAME in VERSION: write its sources, digest and size to artifacts.lock.yaml.

    What is pinned already keeps its platforms and sources; the version in their addresses is
    replaced. A new NAME needs --source, unless it is a program whose sources are known here
    (agentapi, claude-code). Every file is fetched from all of its sources: they must give the same
    bytes, with the digests that npm, apt, GitHub releases and --digest state.

    Exit code: 0 pinned or nothing to do, 1 a source fails, or differs; then nothing is written.
    """
    path = artifacts_file()
    if as_list:
        if name or sources or digests or may_replace or dry:
            raise WrongUsageError.of("--list", "shows everything", "say it alone, or with --json")
        _list(read_artifacts_lock(path), as_json=as_json)
        return
    if not name or not version:
        raise click.UsageError("Missing argument 'NAME VERSION', or --list.")
    stated = sources or catalogued(name, path)
    wish = wish_of(name, version, stated, digests, may_replace=may_replace)
    before, after = pin_it(wish, path, dry=dry)
    _report(wish, path, before, after, dry=dry, as_json=as_json)


def catalogued(name: str, path: Path) -> tuple[str, ...]:
    """Where a program of the fleet is published, for the platforms that it is not pinned for."""
    pinned = read_artifacts_lock(path).artifacts.get(name)
    return catalog.sources(name, pinned.platforms if pinned else ())


def wish_of(
    name: str,
    version: str,
    sources: Sequence[str],
    digests: Sequence[str] = (),
    *,
    may_replace: bool = False,
) -> Wish:
    """What somebody wants pinned, as the command line says it. Raises WrongUsageError."""
    _word(name, "NAME")
    _word(version, "VERSION")
    by_platform: dict[str, tuple[Source, ...]] = {}
    for platform, source in (read_source(text, version) for text in sources):
        if any(source.origin == other.origin for other in by_platform.get(platform, ())):
            fault = f"{platform} has two sources of the origin {source.origin}"
            raise WrongUsageError.of("--source", fault, "give each its own name")
        by_platform[platform] = (*by_platform.get(platform, ()), source)
    stated = dict(_digest(text) for text in digests)
    return Wish(name, version, by_platform, stated, may_replace)


def _word(text: str, what: str) -> str:
    try:
        return _WORD.validate_python(text)
    except ValidationError as error:
        raise _usage(what, error) from None


def read_source(text: str, version: str) -> tuple[str, Source]:
    """A source as --source states it: its platform, and where it is. Raises FleetError."""
    left, _, where = text.partition("=")
    platform, _, origin = left.rpartition(":")
    kind, _, package = where.partition(":")
    place: dict[str, str] = {}
    if kind == "https":
        place["url"] = where.replace("{version}", version)
        if version not in place["url"]:
            fault = f"{show(where)} is the same for every version"
            raise WrongUsageError.of("--source", fault, "write {version} where the version is")
    elif kind in ("apt", "npm"):
        place["apt_source" if kind == "apt" else "npm"] = package
    else:
        fault = f"{show(text)} does not say where"
        raise WrongUsageError.of("--source", fault, f"write [PLATFORM:]ORIGIN={_WHERE}")
    try:
        return _word(platform or ANY, "--source"), Source.model_validate({"origin": origin} | place)
    except ValidationError as error:
        raise _usage("--source", error) from None


def _digest(text: str) -> tuple[str, Digest]:
    platform, _, rest = text.rpartition("sha256:")
    digest = from_prefixed(f"sha256:{rest}", Voucher.STATED)
    if digest is None or (platform and not platform.endswith(":")):
        fix = "write [PLATFORM:]sha256: and 64 hexadecimal digits"
        raise WrongUsageError.of("--digest", f"{show(text)} is no SHA-256", fix)
    return platform.removesuffix(":") or ANY, digest


def _usage(option: str, error: ValidationError) -> FleetError:
    context = error.errors()[0].get("ctx", {})
    return WrongUsageError.of(option, str(context.get("fault")), str(context.get("fix")))


def _report(
    wish: Wish, path: Path, before: ArtifactsLock, after: ArtifactsLock, *, dry: bool, as_json: bool
) -> None:
    same = before == after
    outcome = "nothing to do" if same else "would be pinned" if dry else "pinned"
    pins = after.artifacts[wish.name].platforms
    if as_json:
        rows = [_row(wish.name, wish.version, platform, pins[platform]) for platform in pins]
        print_json({"outcome": outcome, "artifacts": rows})
        return
    click.echo(f"{wish.title}: {outcome}")
    for platform, one in pins.items():
        click.echo(f"  {platform}: {one.size} bytes, sha256:{one.sha256}")
        click.echo(f"    vouched for by {_vouched(one)}")
    if dry and not same:
        click.echo("".join(_diff(path, after)), nl=False)


def _diff(path: Path, after: ArtifactsLock) -> Iterator[str]:
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    new = artifacts_text(after)
    name = display(path)
    return difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, name)


def _vouched(one: Pin) -> str:
    if one.vouched is None:
        return "not noted"
    return ", ".join(one.vouched) or FIRST_FETCH


def _list(lock: ArtifactsLock, *, as_json: bool) -> None:
    every = [
        (name, pinned.version, platform, one)
        for name, pinned in lock.artifacts.items()
        for platform, one in pinned.platforms.items()
    ]
    if as_json:
        print_json({"artifacts": [_row(*each) for each in every]})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "VERSION", "PLATFORM", "SIZE", "SOURCES", "VOUCHED FOR BY"):
        table.add_column(column, overflow="fold")
    for name, version, platform, one in every:
        origins = ", ".join(source.origin for source in one.sources)
        table.add_row(name, version, platform, str(one.size), origins, _vouched(one))
    console().print(table)


def _row(name: str, version: str, platform: str, one: Pin) -> dict[str, object]:
    return {
        "name": name,
        "version": version,
        "platform": platform,
        "sha256": one.sha256,
        "size": one.size,
        "sources": [{"origin": s.origin, "where": s.place} for s in one.sources],
        "vouched": one.vouched,
    }
