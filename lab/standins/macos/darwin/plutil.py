"""plutil: check, print and convert property lists."""

import json
import plistlib
import sys
from pathlib import Path
from typing import Final
from xml.parsers.expat import ExpatError

from .common import EX_USAGE, ToolError, Value, out, warn, write_atomic

XML: Final = plistlib.FMT_XML
BINARY: Final = plistlib.FMT_BINARY


def load(name: str) -> Value:
    """Read a property list or JSON; `-` is stdin. ValueError says what is wrong with it."""
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    if data[:1] in (b"{", b"[") and not data.startswith(b"<?xml"):
        return json.loads(data)
    try:
        return plistlib.loads(data)
    except (plistlib.InvalidFileException, ExpatError, TypeError, IndexError) as error:
        raise ValueError(str(error) or "not a property list") from error


def encode(value: Value, form: str) -> bytes:
    """A value in one of plutil's formats."""
    if form == "json":
        return json.dumps(value, separators=(",", ":")).encode()
    if form not in ("xml1", "binary1"):
        raise ToolError(f"Unknown format specifier: {form}")
    return plistlib.dumps(value, fmt=XML if form == "xml1" else BINARY)


def main(argv: list[str], _root: Path) -> int:
    """`plutil [-lint|-p|-convert FORMAT|-extract KEYPATH FORMAT] [-s] [-o PATH] FILE...`."""
    command, rest = (argv[0], argv[1:]) if argv[:1] and argv[0].startswith("-") else ("-lint", argv)
    counts = {"-lint": 0, "-p": 0, "-convert": 1, "-extract": 2}
    if command not in counts:
        raise ToolError(f"plutil (stand-in): not covered: {command}", EX_USAGE)
    values, rest = rest[: counts[command]], rest[counts[command] :]
    target = None
    if "-o" in rest:
        place = rest.index("-o")
        target, rest = rest[place + 1], rest[:place] + rest[place + 2 :]
    quiet = "-s" in rest
    files = [name for name in rest if name == "-" or not name.startswith("-")]
    if not files:
        raise ToolError("No files specified.")
    results = [one(command, values, name, target, quiet) for name in files]
    return max(results)


def one(command: str, values: list[str], name: str, target: str | None, quiet: bool) -> int:
    """Do the command for one file; its exit status."""
    shown = "<stdin>" if name == "-" else name
    try:
        content = load(name)
    except FileNotFoundError:
        warn(f"{shown}: file does not exist or is not readable or is not a regular file")
        return 1
    except ValueError as error:
        (out if command == "-lint" else warn)(f"{shown}: Property List error: {error}")
        return 1
    if command == "-lint":
        if not quiet:
            out(f"{shown}: OK")
    elif command == "-p":
        out(*pretty(content))
    elif command == "-convert":
        deliver(encode(content, values[0]), target or name)
    else:
        return extract(content, values, shown, target)
    return 0


def deliver(data: bytes, target: str) -> None:
    """Write to stdout for `-`, else to the file."""
    if target == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomic(Path(target), data)


def extract(content: Value, values: list[str], shown: str, target: str | None) -> int:
    """The value at a key path, raw or in a format."""
    path, form = values
    for key in path.split("."):
        try:
            content = content[int(key)] if isinstance(content, list) else content[key]
        except (KeyError, IndexError, ValueError, TypeError):
            warn(f"{shown}: Could not extract value, error: No value at that key path or "
                 f"invalid key path: {path}")  # fmt: skip
            return 1
    if form == "raw":
        text = str(content).lower() if isinstance(content, bool) else str(content)
        out(str(len(content)) if isinstance(content, list) else text)
    else:
        deliver(encode(content, form), target or "-")
    return 0


def pretty(value: Value, indent: int = 0, lead: str = "") -> list[str]:
    """The lines of `plutil -p`."""
    pad = "  " * indent
    if isinstance(value, dict):
        inner = [line for key in sorted(value) for line in
                 pretty(value[key], indent + 1, f'"{key}" => ')]  # fmt: skip
        return [f"{pad}{lead}{{", *inner, f"{pad}}}"]
    if isinstance(value, list):
        inner = [line for i, item in enumerate(value) for line in
                 pretty(item, indent + 1, f"{i} => ")]  # fmt: skip
        return [f"{pad}{lead}[", *inner, f"{pad}]"]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return [f"{pad}{lead}{int(value) if isinstance(value, bool) else text}"]
