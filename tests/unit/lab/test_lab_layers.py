"""Layers are named by their recipe; what is missing is built in an order that works."""

from pathlib import Path

import pytest

from lab import layers, sources
from lab.errors import LabError
from lab.images.packages import listed
from lab.images.recipes import KINDS, image
from lab.layers import Builder, Layer
from lab.preflight import require_space
from lab.progress import Reporter
from lab.shell import run
from lab.sources import Apt, machine_sources


def names(wanted: list[Layer]) -> list[str]:
    return [f"{layer.name}-{layer.arch}" for layer in wanted]


def test_a_changed_recipe_is_another_layer_and_so_is_all_above_it() -> None:
    base, changed = Layer("base", packages=("a",)), Layer("base", packages=("a", "b"))
    assert base.key == Layer("base", packages=("a",)).key
    assert base.key != changed.key
    assert Layer("top", below=(base,)).key != Layer("top", below=(changed,)).key


def test_a_changed_script_is_another_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "IMAGES", tmp_path)
    (tmp_path / "step.sh").write_text("one")
    before = Layer("base", steps=("step.sh",)).key
    (tmp_path / "step.sh").write_text("two")
    assert Layer("base", steps=("step.sh",)).key != before


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_layer_needs_is_built_before_it(tmp_path: Path, kind: str) -> None:
    order = Builder(tmp_path, Reporter(quiet=True)).missing(image(kind))
    for place, layer in enumerate(order):
        assert set(layer.needs) <= set(order[:place])
    assert len(order) == len(set(order))


def test_what_the_cache_has_is_not_built(tmp_path: Path) -> None:
    builder = Builder(tmp_path, Reporter(quiet=True))
    *_, base = image("debian")
    builder.path(base).mkdir(parents=True)
    assert base not in builder.missing(image("debian"))
    assert names(builder.missing([base])) == []


def test_the_images_share_what_is_alike() -> None:
    bases = {image(kind)[-1].key for kind in ("arch", "debian", "macos", "wsl")}
    assert len(bases) == 1
    assert image("raspios")[-1].arch == "arm64"


def test_too_little_space_is_said_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"(?s)building needs about \d+ MB .*AGENTFLEET_CACHE"):
        require_space(tmp_path, 10**12, "building", "AGENTFLEET_CACHE")


def test_list_files_have_comments(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("# why\none\n\ntwo # because\n")
    assert listed(file) == ("one", "two")
    assert listed(tmp_path / "none") == ()


def test_only_debian_archives_of_the_suite_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = (
        "Debian|http://mirror.example/debian/|bookworm|main\n"
        "Debian|http://mirror.example/debian/|bookworm-updates|main\n"
        "Debian|http://mirror.example/debian/|bookworm|contrib\n"
        "Debian|http://mirror.example/debian/|trixie|main\n"
        "Somebody|http://other.example/apt|bookworm|main\n"
    )
    answer(monkeypatch, listing)
    lines = machine_sources().splitlines()
    assert [line.split("] ")[1] for line in lines] == [
        "http://mirror.example/debian/ bookworm main",
        "http://mirror.example/debian/ bookworm-updates main",
    ]
    answer(monkeypatch, "Debian|http://mirror.example/debian/|trixie|main\n")
    with pytest.raises(LabError, match="no Debian bookworm archive"):
        machine_sources()


def test_what_apt_would_install_is_read_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = (
        "Inst libc6 (2.36-9 Debian:12.14/oldstable, Security:12 [amd64])\n"
        "Inst nftables:amd64 (1.0.6-2 Debian:12.14/oldstable [amd64])\n"
        "Inst e2fsprogs (1:1.47 Debian:12.14/oldstable [amd64]) []\n"
        "Inst perl-base [5.36.0-7+deb12u3] (5.36.0-7+deb12u4 Debian-Security:12 [amd64])\n"
        "Conf libc6 (2.36-9 Debian:12.14/oldstable [amd64])\n"
    )
    apt = Apt(tmp_path, "amd64")
    files = [
        "libc6_2.36-9_amd64.deb",
        "nftables_1.0.6-2_amd64.deb",
        "e2fsprogs_1%3a1.47_amd64.deb",
        "perl-base_5.36.0-7+deb12u4_amd64.deb",
    ]
    apt.archives.mkdir(parents=True)
    for name in files:
        (apt.archives / name).touch()
    monkeypatch.setattr(sources, "machine_sources", lambda kind="deb": "deb x\n")
    answer(monkeypatch, plan)
    assert [package.file.name for package in apt.install_set(["any"], None)] == files


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Make every program that the module runs answer with `text`."""
    monkeypatch.setattr(sources, "run", lambda argv, **how: run(["printf", "%s", text]))
