"""The few .NET types that a provisioning script asks, and the methods of text."""

import base64
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .values import CmdletError, NotCoveredError, Object, text

if TYPE_CHECKING:
    from .shell import Shell


def local_path(path: str) -> Path:
    """A Windows path as Linux sees it."""
    if re.match(r"[A-Za-z]:[\\/]", path):
        return Path(f"/mnt/{path[0].lower()}") / path[3:].replace("\\", "/")
    return Path(path)


def _bare(name: str) -> str:
    return name.lower().removeprefix("system.")


def static(shell: "Shell", name: str, member: str) -> Any:  # noqa: ANN401 - any value
    """[TYPE]::MEMBER."""
    match f"{_bare(name)}::{member.lower()}":
        case "environment::osversion":
            build = int(shell.environment.get("standin_build", "22631"))
            return Object(Version=Object(Build=build))
        case "text.encoding::utf8":
            return Object(
                GetBytes=lambda given: given.encode(), GetString=lambda given: given.decode()
            )
        case "security.principal.windowsbuiltinrole::administrator":
            return "Administrator"
        case "timespan::zero":
            return "00:00:00"
        case "console::error":
            return Object(WriteLine=shell.errors.append)
        case other:
            raise NotCoveredError(f"[{other}]")


def call(shell: "Shell", name: str, member: str, given: list[Any]) -> Any:  # noqa: ANN401 - any
    """[TYPE]::MEMBER(…)."""
    match f"{_bare(name)}::{member.lower()}":
        case "convert::tobase64string":
            return base64.b64encode(given[0]).decode()
        case "convert::frombase64string":
            return base64.b64decode(given[0])
        case "environment::getenvironmentvariable":
            return shell.environment.get(text(given[0]).lower(), "")
        case "io.file::exists":
            return place(shell, given[0]).is_file()
        case "io.file::readalltext":
            return _read(place(shell, given[0]))
        case "io.file::writealltext":
            return _write(place(shell, given[0]), given[1])
        case "security.principal.windowsidentity::getcurrent":
            return Object(Name=f"WINDOWS\\{shell.environment.get('username', '')}")
        case "console::error.writeline":
            return shell.errors.append(text(given[0]))
        case other:
            raise NotCoveredError(f"[{other}()]")


def new(shell: "Shell", name: str, given: list[Any]) -> Any:  # noqa: ANN401 - any value
    """New-Object TYPE …: only what has something to answer."""
    match _bare(name):
        case "security.principal.windowsprincipal":
            elevated = shell.environment.get("standin_elevated", "yes") == "yes"
            return Object(IsInRole=lambda role: elevated)
        case "text.utf8encoding":
            return "utf-8"
        case other:
            raise NotCoveredError(f"New-Object {other}")


def place(shell: "Shell", path: Any) -> Path:  # noqa: ANN401 - any value
    """Where a Windows path really is: below the test's own drive, where it has one."""
    found = local_path(text(path))
    drive = shell.environment.get("standin_drive")
    return Path(drive) / found.relative_to("/mnt") if drive and found.is_absolute() else found


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError:
        raise CmdletError(f"Could not find file '{path}'.") from None


def _write(path: Path, content: str) -> None:
    try:
        path.write_bytes(content.encode())
        os.chmod(path, 0o777)  # noqa: PTH101, S103 - what drvfs says of every file
    except OSError as error:
        raise CmdletError(f"Access to the path '{path}' is denied: {error.strerror}") from None


def of_text(value: str, name: str, given: list[Any]) -> Any:  # noqa: ANN401 - any value
    """A method of a string."""
    match name.lower():
        case "trim":
            return value.strip(*map(text, given))
        case "trimstart":
            return value.lstrip(*map(text, given))
        case "trimend":
            return value.rstrip(*map(text, given))
        case "tolower" | "tolowerinvariant":
            return value.lower()
        case "startswith":
            return value.startswith(text(given[0]))
        case "contains":
            return text(given[0]) in value
        case "replace":
            return value.replace(text(given[0]), text(given[1]))
        case other:
            raise NotCoveredError(f".{other}() of a text")
