"""Directories and files, many in one call: one upload, checked, then each renamed into place."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyinfra.api import operation

from facts.look import Look
from facts.manifests import Entry, Manifest
from facts.paths import SHOWN_BYTES, Kind, PathState
from fleet.resources import Directory, File, Resources
from operations.change import Change, Commands, HostContext, Order, RefusedError, carry_out
from operations.manifest import (
    farewell,
    managed,
    manifest,
    note,
    orphans,
    preimage,
    untell,
)
from operations.shell import flat, quote, unpack


@operation()
def ensure(order: Order) -> Commands:
    """Bring a capability's directories and files to the host and take away its orphans.

    Nothing takes its name unless all files of the call are on the host and checked.
    """
    yield from carry_out("files", order, plan)


@dataclass(frozen=True)
class _Write:
    """A file that has to be written, why, and whether somebody else's file is in its place."""

    file: File
    reasons: tuple[str, ...]
    replaces_foreign: bool
    changes_content: bool = True


def plan(want: Resources, context: HostContext, look: Look) -> Change | None:
    """The difference between the wanted files and those on the host."""
    ours = managed(look)
    writes = [w for file in want.files if (w := _write(file, look.path(file.path), ours))]
    made = [(d, r) for d in want.directories if (r := _directory(d, look.path(d.path)))]
    new = manifest(context.capability, want)
    old = look.manifests.get(context.capability)
    gone = orphans(old, context)
    noted = new == old or (old is None and not new.entries)
    if not writes and not made and not gone and noted:
        return None
    leaving, leave_script = farewell(gone, context)
    says = (
        *(f"directory {directory.path}: {', '.join(reasons)}" for directory, reasons in made),
        *(f"file {write.file.path}: {', '.join(write.reasons)}" for write in writes),
        *leaving,
    )
    script = "\n".join(
        (
            _prepare(context),
            *(_make(directory) for directory, _ in made),
            *_stage(writes, context),
            # Noted before the renames, so that no file of ours is unknown whenever a run dies; not
            # earlier, since a file that is listed counts as ours: it needs no pre-image and may go.
            *((_note(new, gone, context),) if new != old or gone else ()),
            *_rename(writes, context),
            *((leave_script, _note(new, (), context)) if gone else ()),
        )
    )
    diffs = (_diff(write.file, look.path(write.file.path)) for write in writes)
    return Change(says or ("manifest: update",), script, tuple(diff for diff in diffs if diff))


def _write(file: File, now: PathState | None, ours: frozenset[str]) -> _Write | None:
    if now is None:
        return _Write(file, ("create",), replaces_foreign=False)
    if now.kind is Kind.DIRECTORY:
        raise RefusedError(f"{file.path} is a directory, a file should be there: move it away")
    content = []
    if now.kind is not Kind.FILE:
        content.append(f"replace the {now.kind.value}")
    elif now.sha256 != file.sha256:
        content.append("content")
    reasons = (*content, *_access(file, now))
    if not reasons:
        return None
    return _Write(file, reasons, file.path not in ours, changes_content=bool(content))


def differs(file: File, look: Look) -> bool:
    """Whether the file is not on the host as it is wanted."""
    return _write(file, look.path(file.path), managed(look)) is not None


def _directory(directory: Directory, now: PathState | None) -> list[str]:
    if now is None:
        return ["create"]
    if now.kind is not Kind.DIRECTORY:
        raise RefusedError(f"{directory.path} is a {now.kind.value}, a directory should be there")
    return _access(directory, now)


def _access(want: File | Directory, now: PathState) -> list[str]:
    """How mode, owner and group differ; a numeric owner or group is compared as a number."""
    differs = []
    if now.mode[-4:] != want.mode:
        differs.append(f"mode {now.mode} → {want.mode}")
    if want.owner not in (now.owner, now.uid):
        differs.append(f"owner {now.owner} → {want.owner}")
    if want.group and want.group not in (now.group, now.gid):
        differs.append(f"group {now.group} → {want.group}")
    return differs


def _diff(file: File, now: PathState | None) -> str:
    """A unified diff; never a secret's or a binary's bytes."""
    if file.secret:
        return f"{file.path}: secret, not shown"
    old = b"" if now is None else now.shown
    if old is None:
        return ""
    if len(old) >= SHOWN_BYTES:
        return f"{file.path}: longer than {SHOWN_BYTES} bytes, {_digests(file, now)}"
    try:
        before, after = old.decode().splitlines(), file.content.decode().splitlines()
    except UnicodeDecodeError:
        return f"{file.path}: binary, {_digests(file, now)}"
    origin = "/dev/null" if now is None else file.path
    return "\n".join(difflib.unified_diff(before, after, origin, file.path, lineterm=""))


def _digests(file: File, now: PathState | None) -> str:
    """The content's digests, before and after."""
    return f"sha256 {now.sha256[:12] if now else 'none'} → {file.sha256[:12]}"


def _prepare(context: HostContext) -> str:
    """A root-only place on the host, gone whatever happens. The rest of the script uses $stage."""
    root = quote(context.state_dir)
    return f"""mkdir -p {root}/preimages
chmod 0700 {root}/preimages
find {root} -maxdepth 1 -name 'stage.*' -mmin +60 -exec rm -rf {{}} +
stage=$(mktemp -d {root}/stage.XXXXXX)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM"""


def _make(directory: Directory) -> str:
    path, owner = quote(directory.path), quote(_owner(directory))
    return f"mkdir -p {path}\nchown {owner} {path}\nchmod {directory.mode} {path}"


def _owner(want: File | Directory) -> str:
    """In chown's words."""
    return f"{want.owner}:{want.group}" if want.group else want.owner


def _note(new: Manifest, leaving: Sequence[Entry], context: HostContext) -> str:
    """Write the manifest; while orphans are still there it lists them too."""
    return note(Manifest.of(new.capability, (*new.entries, *leaving)), context)


def _stage(writes: Sequence[_Write], context: HostContext) -> Iterator[str]:
    """Put everything beside its target, check everything, keep what others had there."""
    if not writes:
        return
    staged = " ".join(_staged(write.file.path) for write in writes)
    clean_up = quote(f'rm -rf "$stage"; rm -f {staged}')
    yield f"trap {clean_up} EXIT"
    contents = {flat(write.file.path): write.file.content for write in writes}
    yield "(umask 077"
    yield unpack(contents, '"$stage"', mac=context.mac)
    yield ")"
    yield _FUNCTIONS
    for write in writes:
        file = write.file
        target, source = quote(file.path), quote(flat(file.path))
        owner = quote(_owner(file))
        staged = _staged(file.path)
        yield f'put "$stage"/{source} {target} {staged} {owner} {file.mode}'
    for write in writes:
        if write.file.check:
            yield _check(write.file)
    for write in writes:
        if write.replaces_foreign:
            kept = quote(preimage(context, write.file.path))
            yield f"keep {quote(write.file.path)} {kept}"


def _rename(writes: Sequence[_Write], context: HostContext) -> Iterator[str]:
    for write in writes:
        if write.changes_content:
            yield untell(write.file.path, context)
        yield f"rename {_staged(write.file.path)} {quote(write.file.path)}"


# Staged files lie beside their targets, since a rename is atomic only within a file system. They
# get owner and mode before their content, so that no secret is ever readable under a loose mode.
# A pre-image is whole or not there at all. Where a link leads to a directory, mv would move the
# file into that.
_FUNCTIONS = """put() { # SOURCE TARGET STAGED OWNER:GROUP MODE
    mkdir -p "${2%/*}"
    rm -f "$3"
    (umask 077; set -C; : >"$3")
    chown "$4" "$3"
    chmod "$5" "$3"
    cat "$1" >"$3" || fail "cannot write $2: is the disk full?"
}
keep() { # FOREIGN KEPT
    if [ -e "$2" ] || [ -L "$2" ] || ! { [ -e "$1" ] || [ -L "$1" ]; }; then return 0; fi
    rm -rf "$2.new"
    cp -a "$1" "$2.new"
    mv -f "$2.new" "$2"
}
rename() { # STAGED TARGET
    if [ -L "$2" ] && [ -d "$2" ]; then rm -f "$2"; fi
    mv -f "$1" "$2"
}"""


def _staged(path: str) -> str:
    directory, name = path.rsplit("/", 1)
    return quote(f"{directory}/.{name}.agentfleet-new")


def _check(file: File) -> str:
    command = file.check.replace("{path}", _staged(file.path))
    return (
        f"(\n{command}\n) || fail {quote(f'{file.path} is refused by its check; nothing changed')}"
    )
