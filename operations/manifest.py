"""What we manage on a host: the manifest of a capability, and how its orphans leave."""

from __future__ import annotations

from collections.abc import Iterable

from facts.look import Look
from facts.manifests import Entry, Manifest
from fleet.resources import File, Resources
from operations.plans import HostContext
from operations.shell import flat, quote


def manifest(capability: str, want: Resources) -> Manifest:
    """The manifest that these resources leave on the host."""
    return Manifest.of(
        capability,
        (
            *map(_entry, want.files),
            *(Entry("artifact", artifact.path) for artifact in want.artifacts),
            *(Entry("program", program.home) for program in want.programs),
            *(Entry("directory", directory.path) for directory in want.directories),
            *(Entry("service", s.name) for s in want.services if s.is_ours),
            *(Entry("mask", unit) for unit in want.masked),
        ),
    )


def _entry(file: File) -> Entry:
    kind = "kept" if file.stays else "file"
    return Entry(kind, file.path, file.template, "" if file.secret else file.sha256)


def names(want: Resources) -> frozenset[tuple[str, str]]:
    """(kind, name) of everything in these resources."""
    return frozenset((entry.kind, entry.name) for entry in manifest("", want).entries)


def orphans(old: Manifest | None, context: HostContext) -> tuple[Entry, ...]:
    """What the old manifest lists and no capability wants on this host any more."""
    entries = old.entries if old else ()
    return tuple(e for e in entries if (e.kind, e.name) not in context.wanted)


def managed(look: Look) -> frozenset[str]:
    """Every file that a manifest on the host lists."""
    return frozenset(
        entry.name
        for listed in look.manifests.values()
        for entry in listed.entries
        if entry.kind in ("file", "kept")
    )


def manifest_path(context: HostContext, capability: str) -> str:
    """Where a capability's manifest lies."""
    return f"{context.state_dir}/manifests/{capability}.json"


def note(listed: Manifest, context: HostContext) -> str:
    """Shell that writes a manifest, whole or not at all."""
    path = quote(manifest_path(context, listed.capability))
    directory = quote(f"{context.state_dir}/manifests")
    return f"""mkdir -p {directory}
cat >{path}.new <<'AGENTFLEET_MANIFEST'
{listed.dump().decode()}AGENTFLEET_MANIFEST
mv -f {path}.new {path}"""


def preimage(context: HostContext, path: str) -> str:
    """Where the file lies that had this name before we took it."""
    return f"{context.state_dir}/preimages/{flat(path)}"


def untell(path: str, context: HostContext) -> str:
    """Shell that forgets which services were told of a file, because its content changes now.

    Otherwise one that somebody made take notice of a tampered file would keep to that.
    """
    stamps = f"{quote(context.state_dir)}/notified/*.stamp"
    return f"grep -lF {quote('  ' + path)} {stamps} 2>/dev/null | xargs rm -f"


def farewell(entries: Iterable[Entry], context: HostContext) -> tuple[list[str], str]:
    """What is said and done when these entries leave: services, masks, files, directories.

    A file that stood in our file's place before comes back. Directories go only when empty.
    """
    backwards = sorted(entries, key=lambda e: e.name, reverse=True)  # children before parents
    ordered = sorted(backwards, key=lambda e: _ORDER.index(e.kind))
    says = [_STAYS.get(entry.kind, "{0.kind} {0.name}: remove").format(entry) for entry in ordered]
    lines = [_leave(entry, context) for entry in ordered]
    if any(entry.name.startswith("/etc/systemd/") for entry in ordered):
        lines.append("systemctl daemon-reload")
    return says, "\n".join(lines)


_ORDER = ("service", "mask", "kept", "file", "artifact", "program", "directory")
_STAYS = {
    "mask": "unit {0.name}: stays masked, since its package stays",
    "kept": "file {0.name}: stays as it is, and is nobody's now",
}


def _leave(entry: Entry, context: HostContext) -> str:
    name = quote(entry.name)
    match entry.kind:
        case "service" if context.mac:
            return f"launchctl bootout system/{name} 2>/dev/null || true"
        case "service":
            return f"systemctl disable --now {name} 2>/dev/null || true"
        case "mask" | "kept":
            # The package that brings a unit stays, and would start it at the next boot. A file that
            # says who may log in would lock everybody out.
            return ":"
        case "file":
            old = quote(preimage(context, entry.name))
            directory = quote(entry.name.rpartition("/")[0] or "/")
            return f"""{untell(entry.name, context)}
if [ -e {old} ] || [ -L {old} ]; then
    mkdir -p {directory}
    mv -f {old} {name}
else
    rm -f {name}
fi"""
        case "artifact":
            return f"rm -f {name} {name}.part\n{_leave_folder(entry, context)}"
        case "program":
            return f"rm -rf {name}\n{_leave_folder(entry, context)}"
        case _:
            return f"rmdir {name} 2>/dev/null || true"


def _leave_folder(entry: Entry, context: HostContext) -> str:
    """Shell that removes the directory that an entry was the last in, unless that is wanted."""
    directory = entry.name.rpartition("/")[0]
    if ("directory", directory) in context.wanted:
        return ":"
    return f"rmdir {quote(directory)} 2>/dev/null || true"
