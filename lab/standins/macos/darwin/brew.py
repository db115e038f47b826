"""brew on an Intel Mac whose Homebrew was installed before support for Intel ended."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import kegs
from .common import EX_USAGE, ToolError, is_root, out, warn

VERSION: Final = "4.6.20"
DEPENDENCIES: Final = {"icecream": ("libarchive", "lzo", "zstd")}
LINKED: Final = ("bin", "sbin")
VERSIONED: Final = "@"  # llvm@16: such a formula is keg-only, and so only found below opt
NO_UPDATE: Final = "HOMEBREW_NO_AUTO_UPDATE"


class Brew:
    """An Intel prefix and the formulae that can be poured into it."""

    def __init__(self, root: Path) -> None:
        self.prefix = root / "usr/local"
        self.cellar = self.prefix / "Cellar"
        self.formulae = kegs.catalogue(root / "opt/standin/cellar")

    def installed(self) -> dict[str, Path]:
        """Name -> keg of what is installed."""
        return kegs.catalogue(self.cellar)

    def links(self, keg: Path) -> list[tuple[Path, Path]]:
        """(file in the keg, link in the prefix) for everything in bin and sbin."""
        if keg_only(keg.parent.name):
            return []
        files = [path for name in LINKED for path in sorted((keg / name).glob("*"))]
        return [(path, self.prefix / path.relative_to(keg)) for path in files]

    def pour(self, name: str) -> None:
        """Copy a formula into the Cellar and link it."""
        bottle = self.formulae[name]
        keg = self.cellar / name / bottle.name
        out(f"==> Pouring {name}--{bottle.name}.ventura.bottle.tar.gz")
        kegs.copy(bottle, keg)
        (keg / "INSTALL_RECEIPT.json").write_text('{"poured_from_bottle": true}\n')
        for source, place in self.links(keg):
            kegs.link(source, place)
        kegs.link(keg, self.prefix / "opt" / name)
        if keg_only(name):
            out(
                "==> Caveats",
                f"{name} is keg-only, which means it was not symlinked into {self.prefix},",
                "because this is an alternate version of another formula.",
            )
        out(f"🍺  {keg}: {len(kegs.files_of(keg))} files")

    def remove(self, name: str, keg: Path) -> None:
        """Remove a keg and its links."""
        out(f"Uninstalling {keg}... ({len(kegs.files_of(keg))} files)")
        for _, place in self.links(keg):
            place.unlink(missing_ok=True)
        (self.prefix / "opt" / name).unlink(missing_ok=True)
        shutil.rmtree(keg.parent)


def keg_only(name: str) -> bool:
    """Whether a formula stays out of the prefix's bin: one that is an older version of another."""
    return VERSIONED in name


def main(argv: list[str], root: Path) -> int:
    """Run one command; brew refuses to be root."""
    flags = [arg for arg in argv if arg.startswith("-")]
    words = [arg for arg in argv if not arg.startswith("-")]
    brew = Brew(root)
    if "--version" in flags[:1] or flags[:1] == ["-v"]:
        out(f"Homebrew {VERSION}")
        return 0
    if flags[:1] and not words[1:] and flags[0] in ("--prefix", "--cellar", "--repository"):
        return show_path(brew, flags[0], words)
    if is_root() and root == Path("/"):
        raise ToolError(
            "Error: Running Homebrew as root is extremely dangerous and no longer supported.\n"
            "As Homebrew does not drop privileges on installation you would be giving all\n"
            "build scripts full access to your system."
        )
    verb, names = (words or ["help"])[0], words[1:]
    if verb not in COMMANDS:
        raise ToolError(f"Error: Unknown command: brew {verb} (stand-in: not covered)")
    return COMMANDS[verb](brew, names, flags)


def show_path(brew: Brew, flag: str, names: list[str]) -> int:
    """`--prefix [FORMULA]`, `--cellar`, `--repository`."""
    paths = {"--prefix": brew.prefix, "--cellar": brew.cellar}
    path = paths.get(flag, brew.prefix / "Homebrew")
    for name in names:
        if name not in brew.formulae:
            raise ToolError(f'Error: No available formula with the name "{name}".')
        out(str(brew.prefix / "opt" / name if flag == "--prefix" else path / name))
    if not names:
        out(str(path))
    return 0


def short(name: str) -> str:
    """A formula's name without the core tap."""
    return name.removeprefix("homebrew/core/")


def list_(brew: Brew, names: list[str], flags: list[str]) -> int:
    """`list [--versions] [--formula] [NAME...]`; a missing name makes the status 1."""
    if "--cask" in flags:
        return 0
    found = brew.installed()
    wanted = [short(name) for name in names] or sorted(found)
    missing = [name for name in wanted if name not in found]
    for name in wanted:
        if name in found and "--versions" in flags:
            out(f"{name} {found[name].name}")
        elif name in found and names:
            out(*(str(found[name] / path) for path in kegs.files_of(found[name])))
        elif name in found:
            out(name)
    if missing and "--versions" not in flags:
        raise ToolError("\n".join(f"Error: No such keg: {brew.cellar / name}" for name in missing))
    return 1 if missing else 0


def info(brew: Brew, names: list[str], flags: list[str]) -> int:
    """`info --json=v2 NAME...`: the keys that tools read."""
    if "--json=v2" not in flags:
        raise ToolError("brew (stand-in): only `info --json=v2` is covered", EX_USAGE)
    wanted, found = known(brew, names), brew.installed()
    described = [
        {
            "name": name,
            "full_name": name,
            "tap": "homebrew/core",
            "versions": {"stable": brew.formulae[name].name, "head": None, "bottle": True},
            "keg_only": keg_only(name),
            "dependencies": list(DEPENDENCIES.get(name, ())),
            "installed": [{"version": found[name].name}] if name in found else [],
            "linked_keg": found[name].name if name in found and not keg_only(name) else None,
            "pinned": False,
            "outdated": False,
        }
        for name in wanted
    ]
    out(json.dumps({"formulae": described, "casks": []}, indent=2))
    return 0


def known(brew: Brew, names: list[str]) -> list[str]:
    """The names without taps; a fault when one is no formula."""
    wanted = [short(name) for name in names]
    unknown = [name for name in wanted if name not in brew.formulae]
    if unknown:
        lines = [f'Warning: No available formula with the name "{name}".' for name in unknown]
        raise ToolError("\n".join(lines))
    return wanted


def install(brew: Brew, names: list[str], _flags: list[str]) -> int:
    """`install NAME...`: with dependencies; one unknown name and nothing is installed."""
    if not names:
        raise ToolError("Usage: brew install [options] formula|cask [...]", 1)
    if not os.environ.get(NO_UPDATE):
        raise ToolError(
            "==> Auto-updating Homebrew...\n"  # noqa: S608 - prose, not SQL
            "Error: macOS on Intel is not supported by this version of Homebrew.\n"
            f"(stand-in: what an auto-update may lead to; set {NO_UPDATE}=1)"
        )
    found = brew.installed()
    for name in known(brew, names):
        if name in found:
            warn(f"Warning: {name} {found[name].name} is already installed and up-to-date.")
            continue
        for part in (*DEPENDENCIES.get(name, ()), name):
            if part not in brew.installed():
                brew.pour(part)
    return 0


def uninstall(brew: Brew, names: list[str], _flags: list[str]) -> int:
    """`uninstall NAME...`."""
    found = brew.installed()
    for name in map(short, names):
        if name not in found:
            raise ToolError(f"Error: No such keg: {brew.cellar / name}")
        users = [user for user, needs in DEPENDENCIES.items() if name in needs and user in found]
        if users and not set(users) & set(names):
            raise ToolError(
                f"Error: Refusing to uninstall {found[name]}\n"
                f"because it is required by {', '.join(users)}, which is currently installed."
            )
        brew.remove(name, found[name])
    return 0


def outdated(_brew: Brew, _names: list[str], _flags: list[str]) -> int:
    """`outdated`: the prepared formulae never change, so nothing is."""
    return 0


COMMANDS: Final[dict[str, Callable[[Brew, list[str], list[str]], int]]] = {
    "list": list_,
    "ls": list_,
    "info": info,
    "install": install,
    "uninstall": uninstall,
    "remove": uninstall,
    "outdated": outdated,
}
