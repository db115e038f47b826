"""brew and port pour prepared trees, and refuse as the real ones do."""

import json
from pathlib import Path

import pytest

from lab.standins.macos.darwin import brew, port
from lab.standins.macos.darwin.common import ToolError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for store, names in (
        ("cellar", {"icecream": "sbin/iceccd", "lzo": "lib/a", "zstd": "bin/zstd",
                    "libarchive": "lib/b", "ripgrep": "bin/rg", "llvm@16": "bin/clang"}),
        ("ports", {"ripgrep": "bin/rg", "lzo2": "lib/a", "zstd": "lib/z", "libarchive": "lib/b",
                   "clang-16": "libexec/llvm-16/bin/clang"}),
    ):  # fmt: skip
        for name, file in names.items():
            place = tmp_path / "opt/standin" / store / name / "1.4" / file
            place.parent.mkdir(parents=True)
            place.write_text(name)
    return tmp_path


@pytest.fixture
def no_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEBREW_NO_AUTO_UPDATE", "1")


@pytest.mark.usefixtures("no_update")
def test_brew_pours_with_dependencies(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert brew.main(["install", "--quiet", "icecream"], root) == 0
    daemon = root / "usr/local/sbin/iceccd"
    assert str(daemon.readlink()) == "../Cellar/icecream/1.4/sbin/iceccd"
    assert daemon.read_text() == "icecream"
    assert (root / "usr/local/opt/icecream/sbin/iceccd").exists()
    capsys.readouterr()
    assert brew.main(["list", "--versions"], root) == 0
    assert capsys.readouterr().out == "icecream 1.4\nlibarchive 1.4\nlzo 1.4\nzstd 1.4\n"
    assert brew.main(["list", "--versions", "icecream", "ripgrep"], root) == 1
    assert capsys.readouterr().out == "icecream 1.4\n"


@pytest.mark.usefixtures("no_update")
def test_one_unknown_formula_and_nothing_is_installed(root: Path) -> None:
    with pytest.raises(ToolError, match=r'^Warning: No available formula with the name "x"\.$'):
        brew.main(["install", "ripgrep", "x"], root)
    assert not (root / "usr/local/Cellar").exists()


@pytest.mark.usefixtures("no_update")
def test_brew_uninstalls_what_nothing_needs(root: Path) -> None:
    brew.main(["install", "icecream"], root)
    with pytest.raises(ToolError, match="required by icecream"):
        brew.main(["uninstall", "lzo"], root)
    assert brew.main(["uninstall", "icecream"], root) == 0
    assert not (root / "usr/local/sbin/iceccd").is_symlink()


@pytest.mark.usefixtures("no_update")
def test_a_versioned_formula_is_not_on_the_path(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert brew.main(["install", "llvm@16", "ripgrep"], root) == 0
    assert "llvm@16 is keg-only" in capsys.readouterr().out
    assert (root / "usr/local/opt/llvm@16/bin/clang").read_text() == "llvm@16"
    assert [path.name for path in (root / "usr/local/bin").iterdir()] == ["rg"]
    brew.main(["info", "--json=v2", "llvm@16", "ripgrep"], root)
    described = json.loads(capsys.readouterr().out)["formulae"]
    assert [(one["keg_only"], one["linked_keg"]) for one in described] == [
        (True, None),
        (False, "1.4"),
    ]
    assert brew.main(["uninstall", "llvm@16"], root) == 0
    assert not (root / "usr/local/opt/llvm@16").is_symlink()
    assert (root / "usr/local/bin/rg").exists()


def test_brew_without_the_switch_tries_to_update(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOMEBREW_NO_AUTO_UPDATE", raising=False)
    with pytest.raises(ToolError, match="Auto-updating"):
        brew.main(["install", "ripgrep"], root)


def test_brew_refuses_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brew, "is_root", lambda: True)
    with pytest.raises(ToolError, match="Running Homebrew as root is extremely dangerous"):
        brew.main(["list"], Path("/"))


@pytest.mark.usefixtures("no_update")
def test_brew_describes_formulae(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brew.main(["info", "--json=v2", "ripgrep"], root)
    described = json.loads(capsys.readouterr().out)["formulae"][0]
    assert (described["name"], described["installed"]) == ("ripgrep", [])
    brew.main(["--prefix"], root)
    assert capsys.readouterr().out == f"{root}/usr/local\n"


def test_port_installs_lists_and_removes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert port.main(["-N", "install", "libarchive", "ripgrep"], root) == 0
    assert (root / "opt/local/bin/rg").read_text() == "ripgrep"
    capsys.readouterr()
    port.main(["-q", "installed"], root)
    rows = capsys.readouterr().out.splitlines()
    assert rows == [
        f"  {name} @1.4_0 (active)" for name in ("libarchive", "lzo2", "ripgrep", "zstd")
    ]
    port.main(["-q", "installed", "ripgrep", "nope"], root)
    assert capsys.readouterr().out == "  ripgrep @1.4_0 (active)\n"
    assert port.main(["uninstall", "ripgrep"], root) == 0
    assert not (root / "opt/local/bin").exists()
    port.main(["installed", "ripgrep"], root)
    assert capsys.readouterr().out.endswith("None of the specified ports are installed.\n")


def test_a_port_of_clang_is_below_libexec(root: Path) -> None:
    assert port.main(["-N", "install", "clang-16"], root) == 0
    assert (root / "opt/local/libexec/llvm-16/bin/clang").read_text() == "clang-16"
    assert port.main(["uninstall", "clang-16"], root) == 0
    assert not (root / "opt/local/libexec").exists()


def test_there_is_no_icecream_port(root: Path) -> None:
    with pytest.raises(ToolError, match=r"^Error: Port icecream not found$"):
        port.main(["-N", "install", "ripgrep", "icecream"], root)
    assert not (root / "opt/local").exists()


def test_port_changes_nothing_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "is_root", lambda: False)
    with pytest.raises(ToolError, match="Insufficient privileges"):
        port.main(["install", "ripgrep"], Path("/"))
