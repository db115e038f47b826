"""defaults: read, write and delete keys of a property list that is given by its path."""

import plistlib
from pathlib import Path
from typing import Any

from .common import EX_USAGE, ToolError, Value, out, write_atomic


def main(argv: list[str], root: Path) -> int:
    """`defaults read|write|delete DOMAIN [KEY [-TYPE] VALUE]`; a domain is a path here."""
    if len(argv) < 2 or argv[0] not in ("read", "write", "delete"):
        raise ToolError(f"defaults (stand-in): not covered: {' '.join(argv)}", EX_USAGE)
    verb, domain, *rest = argv
    path = place(domain, root)
    content: dict[str, Any] = plistlib.loads(path.read_bytes()) if path.exists() else {}
    if verb == "read":
        return read(content, domain, rest, path.exists())
    if verb == "delete" and (not path.exists() or (rest and rest[0] not in content)):
        raise ToolError(f"Domain ({domain}) not found.\nDefaults have not been changed.")
    if verb == "delete" and not rest:
        path.unlink()
        return 0
    key = rest[0]
    if verb == "delete":
        del content[key]
    else:
        content[key] = parse(rest[1:])
    write_atomic(path, plistlib.dumps(content, fmt=plistlib.FMT_BINARY))
    return 0


def place(domain: str, root: Path) -> Path:
    """The file of a domain: a path as it is, a name in the system's preferences."""
    base = domain if domain.startswith("/") else f"/Library/Preferences/{domain}"
    return root / (base.removesuffix(".plist") + ".plist").lstrip("/")


def read(content: dict[str, Any], domain: str, rest: list[str], exists: bool) -> int:
    """Print a key, or the whole domain."""
    if rest and rest[0] in content:
        value = content[rest[0]]
        out(str(int(value)) if isinstance(value, bool) else str(value))
        return 0
    if rest:
        raise ToolError(f"The domain/default pair of ({domain}, {rest[0]}) does not exist")
    if not exists:
        raise ToolError(f"Domain {domain} does not exist")
    shown = {k: int(v) if isinstance(v, bool) else v for k, v in content.items()}
    out("{", *(f"    {key} = {shown[key]};" for key in sorted(shown)), "}")
    return 0


def parse(args: list[str]) -> Value:
    """A value with or without its type."""
    kind, value = args if len(args) == 2 else ("-string", args[0])
    if kind in ("-bool", "-boolean"):
        return value.lower() in ("yes", "true", "1")
    if kind in ("-int", "-integer"):
        return int(value)
    if kind == "-float":
        return float(value)
    return value
