"""port: MacPorts with the few ports that the fleet asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from . import kegs
from .common import EX_USAGE, ToolError, edit_state, is_root, out, read_state

VERSION: Final = "2.10.7"
DEPENDENCIES: Final = {"libarchive": ("lzo2", "zstd"), "automake": ("autoconf",)}


class Ports:
    """The prefix /opt/local, its registry, and the ports that can be installed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.prefix = root / "opt/local"
        self.registry = self.prefix / "var/macports/registry/registry.json"
        self.ports = kegs.catalogue(root / "opt/standin/ports")

    def installed(self) -> dict[str, Any]:
        """Name -> {version, files} of what is installed."""
        return read_state(self.registry)

    def require_root(self) -> None:
        """Changes need root, since the prefix belongs to root."""
        if self.root == Path("/") and not is_root():
            raise ToolError(
                "Warning: port definitions are more than two weeks old, "
                "consider updating them by running 'port selfupdate'.\n"
                "Error: Insufficient privileges to write to MacPorts install prefix."
            )


def main(argv: list[str], root: Path) -> int:
    """`port [-q|-N|-n|-f...] ACTION [NAMES]`."""
    words = [arg for arg in argv if not arg.startswith("-")]
    quiet = any("q" in arg for arg in argv if arg.startswith("-") and not arg.startswith("--"))
    if not words:
        raise ToolError("port (stand-in): the interactive mode is not covered", EX_USAGE)
    action, names = words[0], words[1:]
    if action not in ACTIONS:
        raise ToolError(f'Error: Unrecognized action "port {action}" (stand-in: not covered)', 1)
    return ACTIONS[action](Ports(root), names, quiet)


def version(_ports: Ports, _names: list[str], quiet: bool) -> int:
    """`version`."""
    out(VERSION if quiet else f"Version: {VERSION}")
    return 0


def installed(ports: Ports, names: list[str], quiet: bool) -> int:
    """`installed [NAMES]`: only the rows with -q."""
    found = ports.installed()
    wanted = [name for name in sorted(found) if not names or name in names]
    if not quiet:
        head = "The following ports are currently installed:"
        none = "None of the specified ports are installed." if names else "No ports are installed."
        out(head if wanted else none)
    out(*(f"  {name} @{found[name]['version']}_0 (active)" for name in wanted))
    return 0


def install(ports: Ports, names: list[str], quiet: bool) -> int:
    """`install NAMES`: with dependencies; what is there stays as it is."""
    ports.require_root()
    for name in names:
        if name not in ports.ports:
            raise ToolError(f"Error: Port {name} not found")
    for name in names:
        for part in (*DEPENDENCIES.get(name, ()), name):
            if part not in ports.installed():
                activate(ports, part, quiet)
    return 0


def activate(ports: Ports, name: str, quiet: bool) -> None:
    """Copy a port into the prefix and note its files."""
    package = ports.ports[name]
    if not quiet:
        out(f"--->  Installing {name} @{package.name}_0", f"--->  Activating {name}")
    kegs.copy(package, ports.prefix)
    files = [str(path) for path in kegs.files_of(package)]
    with edit_state(ports.registry) as registry:
        registry[name] = {"version": package.name, "files": files}


def uninstall(ports: Ports, names: list[str], quiet: bool) -> int:
    """`uninstall NAMES`."""
    ports.require_root()
    for name in names:
        record = ports.installed().get(name)
        if record is None:
            raise ToolError(f"Error: port uninstall failed: Registry error: {name} not registered "
                        "as installed")  # fmt: skip
        if not quiet:
            out(f"--->  Deactivating {name}", f"--->  Uninstalling {name}")
        kegs.remove([ports.prefix / file for file in record["files"]], ports.prefix)
        with edit_state(ports.registry) as registry:
            del registry[name]
    return 0


ACTIONS: Final[dict[str, Callable[[Ports, list[str], bool], int]]] = {
    "version": version,
    "installed": installed,
    "install": install,
    "uninstall": uninstall,
}
