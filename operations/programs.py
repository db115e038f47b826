"""Pinned programs: installed once from their artifact, beside the version that was there before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pyinfra.api import operation

from facts.look import Look
from facts.manifests import Entry, Manifest
from facts.paths import Kind
from fleet.resources import Program, Resources
from operations.change import Change, Commands, HostContext, Order, RefusedError, carry_out
from operations.manifest import note
from operations.shell import ROOM, quote, verified, words

_MEGABYTE = 1_000_000


@operation()
def ensure(order: Order) -> Commands:
    """Install what is missing, from artifacts that are on the host."""
    yield from carry_out("programs", order, plan)


def plan(want: Resources, context: HostContext, look: Look) -> Change | None:
    """The programs that are missing, and those that were there already and come back into use."""
    lacking = [program for program in want.programs if absent(program, look)]
    back = [p for p in want.programs if p not in lacking and not _in_use(p, look)]
    if not lacking and not back:
        return None
    says = (
        *(f"{_title(p)}: install ({max(p.artifact.size // _MEGABYTE, 1)} MB)" for p in lacking),
        *(f"{_title(program)}: is here already, use it" for program in back),
    )
    script = "\n".join(
        (
            *_noted(want, context, look),
            ROOM,
            verified(mac=context.mac),
            _FUNCTIONS,
            *(line for program in lacking for line in _install(program, context)),
            *(words("use", program.home, program.generation) for program in (*lacking, *back)),
        )
    )
    return Change(says, script)


def absent(program: Program, look: Look) -> bool:
    """Whether the host lacks the program. Raises RefusedError where no file can be put."""
    now = look.path(program.path)
    if now is not None and now.kind not in (Kind.FILE, *((Kind.LINK,) if program.tree else ())):
        fault = f"{program.path} is a {now.kind.value}, a program should be there: move it away"
        raise RefusedError(fault)
    return now is None or now.size == 0


def _in_use(program: Program, look: Look) -> bool:
    now = look.path(program.current)
    noted = f"{program.generation}\n".encode()
    return now is not None and now.sha256 == hashlib.sha256(noted).hexdigest()


def _title(program: Program) -> str:
    return f"program {program.name} {program.version}"


def _noted(want: Resources, context: HostContext, look: Look) -> Iterator[str]:
    """Note the programs before they come, so that none is unknown when a run dies here."""
    old = look.manifests.get(context.capability)
    entries = old.entries if old else ()
    new = [Entry("program", program.home) for program in want.programs]
    if not set(new) <= set(entries):
        yield note(Manifest.of(context.capability, (*entries, *new)), context)


def _install(program: Program, context: HostContext) -> Iterator[str]:
    """Shell: the artifact is compared once more, since nobody has read it since it came."""
    source = program.artifact
    yield words("verified", source.name, source.sha256, source.path)
    if program.tree:
        yield words("plant", source.name, source.path, program.tree, program.directory)
    else:
        yield words("unpack", source.name, source.path, program.member, program.path)
    if ("artifact", source.path) not in context.wanted:
        # With what broken attempts left of other versions. Before the program has its name, since
        # nobody looks for its artifact afterwards.
        every = f"{quote(source.path.rsplit('/', 2)[0])}/*"
        yield f"rm -f {every}/{quote(source.name)}-[0-9]*\nrmdir {every} 2>/dev/null || true"
    whole = program.directory if program.tree else program.path
    yield f"mv -f {quote(f'{whole}.new')} {quote(whole)}"


# The last four bytes of a .gz are the size of what is in it, the low byte first. `sync`, since
# after a power cut a file may have its name and not yet its content.
_FUNCTIONS = """unpack() { # NAME ARTIFACT MEMBER PATH
    staged=$4.new
    if [ -n "$3" ]; then
        size=$(tail -c 4 "$2" | od -A n -t u4 | tr -d ' ')
    else
        size=$(wc -c <"$2")
    fi
    mkdir -p "${4%/*}"
    room "$1" "$size" "${4%/*}"
    trap 'rm -f "$staged"' EXIT
    trap 'exit 1' HUP INT TERM
    if [ -n "$3" ]; then
        tar -xzOf "$2" "$3" >"$staged" || fail "$1: $3 does not come out of $2"
    else
        cp "$2" "$staged"
    fi
    [ -s "$staged" ] || fail "$1: there is nothing in $2"
    chmod 0755 "$staged"
    sync
}
plant() { # NAME ARCHIVE PROGRAM DIRECTORY
    staged=$4.new
    mkdir -p "${4%/*}"
    room "$1" $(($(wc -c <"$2") * 4)) "${4%/*}"
    trap 'rm -rf "$staged"' EXIT
    trap 'exit 1' HUP INT TERM
    rm -rf "$staged" "$4"
    mkdir -m 0755 "$staged"
    tar -xf "$2" -C "$staged" --strip-components 1 --no-same-owner || fail "$1: $2 is no archive"
    [ -f "$staged/$3" ] || fail "$1: $3 is not in $2"
    sync
}
use() { # HOME GENERATION: this one; the one before stays, all others go
    before=$(cat "$1/current" 2>/dev/null || true)
    for old in "$1"/*/; do
        old=${old%/}
        case ${old##*/} in
        "$2" | "$before") ;;
        *) rm -rf "$old" ;;
        esac
    done
    echo "$2" >"$1/current.new"
    mv -f "$1/current.new" "$1/current"
}"""
