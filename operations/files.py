"""Directories and files, many in one call: one upload, checked, then each renamed into place."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyinfra.api import operation

from facts.look import Look
from facts.manifests import Manifest
from facts.paths import Kind, PathState
from fleet.resources import Directory, File, Resources
from operations.change import Change, Commands, HostContext, RefusedError, carry_out
from operations.manifest import farewell, managed, manifest, manifest_path, orphans, preimage
from operations.shell import flat, quote, unpack


@operation()
def ensure(want: Resources, context: HostContext) -> Commands:
    """Bring a capability's directories and files to the host and take away its orphans.

    Nothing takes its name unless all files of the call are on the host and checked.
    """
    yield from carry_out("files", context, lambda look: plan(want, context, look))


@dataclass(frozen=True)
class _Write:
    """A file that has to be written, why, and whether somebody else's file is in its place."""

    file: File
    reasons: tuple[str, ...]
    replaces_foreign: bool


def plan(want: Resources, context: HostContext, look: Look) -> Change | None:
    """The difference between the wanted files and those on the host."""
    ours = managed(look)
    writes = [w for file in want.files if (w := _write(file, look.path(file.path), ours))]
    made = [(d, r) for d in want.directories if (r := _directory(d, look.path(d.path)))]
    new = manifest(context.capability, want)
    old = look.manifests.get(context.capability)
    gone = orphans(old, context)
    if not writes and not made and not gone and new == old:
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
            _note(new, gone, context) if new != old or gone else "",
            *_put(writes, context),
            leave_script,
            _note(new, (), context) if gone else "",
        )
    )
    diffs = tuple(_diff(write.file, look.path(write.file.path)) for write in writes)
    return Change(says or ("manifest: update",), script, diffs)


def _write(file: File, now: PathState | None, ours: frozenset[str]) -> _Write | None:
    if now is None:
        return _Write(file, ("create",), replaces_foreign=False)
    if now.kind is Kind.DIRECTORY:
        raise RefusedError(f"{file.path} is a directory, a file should be there: move it away")
    reasons = []
    if now.kind is not Kind.FILE:
        reasons.append(f"replace the {now.kind.value}")
    elif now.sha256 != file.sha256:
        reasons.append("content")
    reasons += _access(file, now)
    if not reasons:
        return None
    return _Write(file, tuple(reasons), replaces_foreign=file.path not in ours)


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
    if want.group not in (now.group, now.gid):
        differs.append(f"group {now.group} → {want.group}")
    return differs


def _diff(file: File, now: PathState | None) -> str:
    """A unified diff; never a secret's or a binary's bytes."""
    if file.secret:
        return f"{file.path}: secret, not shown"
    old = b"" if now is None else now.shown
    if old is None:
        return ""
    try:
        before, after = old.decode().splitlines(), file.content.decode().splitlines()
    except UnicodeDecodeError:
        return f"{file.path}: binary, {len(old)} → {len(file.content)} bytes"
    origin = "/dev/null" if now is None else file.path
    return "\n".join(difflib.unified_diff(before, after, origin, file.path, lineterm=""))


def _prepare(context: HostContext) -> str:
    """A root-only place on the host, gone whatever happens. The rest of the script uses $stage."""
    root = quote(context.state_dir)
    return f"""mkdir -p {root}/manifests {root}/preimages
chmod 0700 {root}/preimages
find {root} -maxdepth 1 -name 'stage.*' -mmin +60 -exec rm -rf {{}} +
stage=$(mktemp -d {root}/stage.XXXXXX)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM"""


def _make(directory: Directory) -> str:
    path, owner = quote(directory.path), quote(f"{directory.owner}:{directory.group}")
    return f"mkdir -p {path}\nchown {owner} {path}\nchmod {directory.mode} {path}"


def _note(new: Manifest, leaving: Sequence[object], context: HostContext) -> str:
    """Write the manifest; while orphans are still there it lists them too."""
    entries = (*new.entries, *leaving)
    listed = Manifest.of(new.capability, entries)  # type: ignore[arg-type]
    path = quote(manifest_path(context, new.capability))
    text = listed.dump().decode()
    return f"""cat >{path}.new <<'AGENTFLEET_MANIFEST'
{text}AGENTFLEET_MANIFEST
mv -f {path}.new {path}"""


def _put(writes: Sequence[_Write], context: HostContext) -> Iterator[str]:
    """Stage everything beside its target, check everything, then rename one after the other."""
    if not writes:
        return
    contents = {flat(write.file.path): write.file.content for write in writes}
    yield "(umask 077"
    yield unpack(contents, '"$stage"', mac=context.mac)
    yield ")"
    yield _STAGE_FUNCTIONS
    for write in writes:
        file = write.file
        target, source = quote(file.path), quote(flat(file.path))
        owner = quote(f"{file.owner}:{file.group}")
        yield f'stage_file "$stage"/{source} {target} {owner} {file.mode}'
    for write in writes:
        if write.file.check:
            yield _check(write.file)
    for write in writes:
        if write.replaces_foreign:
            kept = quote(preimage(context, write.file.path))
            yield f"[ -e {kept} ] || cp -a {quote(write.file.path)} {kept}"
    for write in writes:
        yield f"mv -f {_staged(write.file.path)} {quote(write.file.path)}"


# Staged files lie beside their targets, since a rename is atomic only within a file system. They
# get owner and mode before their content, so that no secret is ever readable under a loose mode.
_STAGE_FUNCTIONS = """staged_files=
trap 'rm -rf "$stage"; eval "rm -f $staged_files"' EXIT
stage_file() {
    directory=${2%/*}
    [ -d "$directory" ] || mkdir -p "$directory"
    staged="$directory/.${2##*/}.agentfleet-new"
    staged_files="$staged_files '$staged'"
    rm -f "$staged"
    (umask 077; : >"$staged")
    chown "$3" "$staged"
    chmod "$4" "$staged"
    cat "$1" >"$staged" || fail "cannot write $2: is the disk full?"
}"""


def _staged(path: str) -> str:
    directory, name = path.rsplit("/", 1)
    return quote(f"{directory}/.{name}.agentfleet-new")


def _check(file: File) -> str:
    command = file.check.replace("{path}", _staged(file.path))
    return (
        f"(\n{command}\n) || fail {quote(f'{file.path} is refused by its check; nothing changed')}"
    )
