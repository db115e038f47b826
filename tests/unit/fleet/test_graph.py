"""`fleet graph`: pictures that are SVG, name every host and every port, and cover no text."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.simulated import describe
from fleet.cli import main
from fleet.commands.graph import KINDS
from fleet.doors import doors
from fleet.graph.canvas import FONTS, Place, fitting, width_of
from fleet.graph.mesh import cluster, mesh
from fleet.graph.reach import ways
from fleet.model import Fleet, load_fleet
from tests.golden import target
from tests.unit.clusters import green

SVG = "{http://www.w3.org/2000/svg}"
LONGEST = "a-name-of-sixty-three-characters-which-is-the-most-that-dns-has"
GOLDEN = target().fleet


@pytest.fixture(scope="module", params=[2, 3, 9, 30, 60])
def any_fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A fleet of a size, at several sites, with everything that makes chips, and long names."""
    loaded = load_fleet(describe(tmp_path_factory.mktemp("fleet"), request.param))
    hosts = []
    for number, host in enumerate(loaded.hosts):
        more = {"site": f"site{number % 3}" if number % 5 else LONGEST, "max_jobs": 1024}
        hosts.append(host.model_copy(update=more))
    hosts[-1] = hosts[-1].model_copy(update={"name": LONGEST})
    return loaded.model_copy(update={"hosts": tuple(hosts), "scheduler": hosts[0].name})


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def texts(svg: str) -> list[tuple[str, Place]]:
    """Every text of a picture, and the place that it takes at most."""
    found = []
    for one in parsed(svg).iter(f"{SVG}text"):
        font = next(c[2:] for c in one.attrib["class"].split() if c.startswith("t-"))
        words = one.text or ""
        width, size = width_of(words, font), FONTS[font].size
        x = float(one.attrib["x"]) - (width if one.attrib.get("text-anchor") == "end" else 0)
        found.append((words, Place(x, float(one.attrib["y"]) - size * 0.8, width, size)))
    return found


def apart(one: Place, other: Place) -> bool:
    return (
        one.right <= other.x
        or other.right <= one.x
        or one.bottom <= other.y
        or other.bottom <= one.y
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_covers_another_or_leaves_the_picture(any_fleet: Fleet, kind: str) -> None:
    svg = KINDS[kind](any_fleet)
    root, found = parsed(svg), texts(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert len(found) > 10
    for number, (words, place) in enumerate(found):
        assert place.x >= 0, words
        assert place.right <= width, words
        assert place.bottom <= height, words
        for others, other in found[number + 1 :]:
            assert apart(place, other), f"{words!r} and {others!r}"


@pytest.mark.parametrize("kind", KINDS)
def test_no_box_covers_a_box_that_it_does_not_hold(any_fleet: Fleet, kind: str) -> None:
    root = parsed(KINDS[kind](any_fleet))
    names = ("x", "y", "width", "height")
    boxes = [
        Place(*(float(one.attrib[name]) for name in names))
        for one in root.iter(f"{SVG}rect")
        if set(names) <= set(one.attrib) and "class" in one.attrib
    ]
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert apart(one, other) or holds(one, other), f"{one} and {other}"


def holds(one: Place, other: Place) -> bool:
    inside = one.x <= other.x and other.right <= one.right
    return inside and one.y <= other.y and other.bottom <= one.bottom


def test_every_host_is_in_the_mesh_once() -> None:
    said = [words for words, _ in texts(mesh(GOLDEN).svg())]
    for host in GOLDEN.hosts:
        assert said.count(host.name) == 1


def test_every_door_of_every_host_is_drawn() -> None:
    """Whatever is added to the table of doors is in the pictures too."""
    told = " ".join(words for words, _ in texts(KINDS["doors"](GOLDEN)))
    drawn = " ".join(words for words, _ in texts(mesh(GOLDEN).svg()))
    for host in GOLDEN.hosts:
        for door in doors(GOLDEN, host):
            assert door.name in told
            assert str(door.port) in told
            assert str(door.port) in drawn, door


def test_a_scheduler_elsewhere_and_a_host_without_icecream() -> None:
    moved = GOLDEN.model_copy(update={"scheduler": "rpi1"})
    apart = tuple(
        host.model_copy(update={"without": ("icecream",)}) if host.name == "imac" else host
        for host in moved.hosts
    )
    picture = cluster(moved.model_copy(update={"hosts": apart}))
    assert picture.top.host.name == "rpi1"
    titles = {panel.title: [card.host.name for card in panel.cards] for panel in picture.panels}
    assert titles["Apart"] == ["imac"]
    assert titles["aarch64 workers"] == ["rpi2", "rpi3"]
    assert "scheduler: rpi1" in mesh(moved).svg()


def test_who_packed_the_compiler_is_said() -> None:
    notes = {panel.title: panel.note for panel in cluster(green()).panels}
    assert notes["aarch64 workers"] == "clang 16.0.6, packed on rpi1, rpi2"


def test_a_site_says_what_its_relay_serves() -> None:
    notes = {panel.title: panel.note for panel in mesh(GOLDEN).panels}
    assert notes == {"home": "", "cabin": "downloads come through rpi3: relayed artifacts 8081"}


def test_ports_that_differ_are_one_way() -> None:
    (ssh,) = [way for way in ways(GOLDEN) if way.name == "ssh"]
    assert ssh.label == "ssh 22, 2222"


def test_nothing_in_a_picture_comes_from_elsewhere_or_runs() -> None:
    for draw in KINDS.values():
        svg = draw(GOLDEN)
        assert "<script" not in svg
        assert re.findall(r'(?:href|src)="([^#"][^"]*)"', svg) == []
        assert "@import" not in svg
        assert "url(" not in re.sub(r"url\(#", "", svg)


def test_pictures_have_a_title_and_say_what_they_show() -> None:
    for draw in KINDS.values():
        root = parsed(draw(GOLDEN))
        title, told = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None
        assert title.text
        assert told is not None
        assert "worker 10245" in (told.text or "")
        assert root.attrib["aria-labelledby"] == "title told"
        assert root.attrib["role"] == "img"


def test_what_a_file_says_is_no_markup() -> None:
    evil = '</title><script>"&\x1b'
    hosts = tuple(host.model_copy(update={"hardware": evil}) for host in GOLDEN.hosts)
    fleet = GOLDEN.model_copy(update={"hosts": hosts, "anthropic_url": "https://a&b<c"})
    for draw in KINDS.values():
        svg = draw(fleet)
        parsed(svg)
        assert "<script" not in svg
        assert "\x1b" not in svg


def test_what_does_not_fit_is_cut() -> None:
    assert fitting("short", "name", 200) == "short"
    cut = fitting(LONGEST, "name", 200)
    assert cut.endswith("…")
    assert width_of(cut, "name") <= 200


def test_the_command_prints_or_writes(
    fleet_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    assert main(["graph"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("<svg ")
    file = tmp_path / "picture.svg"
    assert main(["graph", "--output", str(file)]) == 0
    assert file.read_text() == printed
    assert main(["graph", "--output", str(tmp_path / "nowhere" / "picture.svg")]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err
    assert main(["graph", "--kind", "pie"]) == 64
