"""`fleet outdated`: newer versions of pins, pending upgrades, and what of it is believed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet import cli, github, ssh, upgrades, upstream
from fleet.kinds import Power
from fleet.lock import ArtifactsLock, Pin, PinnedArtifact, Source
from fleet.ssh import Answer, Route
from fleet.target import load_target
from fleet.upgrades import Pending, State, Upgrade
from fleet.upstream import Row, newer
from fleet.web import MissingError
from tests.unit.sources import Apt, Npm

Capture = pytest.CaptureFixture[str]
API = "https://api.github.com/repos/"
WEEK = (datetime.now(UTC) - timedelta(days=7)).isoformat()


# Versions


@pytest.mark.parametrize(
    ("version", "than"),
    [
        ("1.10", "1.9"),
        ("2.1.332", "2.1.330"),
        ("2.0", "1.99.99"),
        ("1.4.1", "1.4"),
        ("1.4", "1.4-rc1"),
        ("1.4rc2", "1.4rc1"),
        ("1.4-beta.11", "1.4-beta.9"),
        ("20.1.8", "16.0.6"),
    ],
)
def test_which_version_is_newer(version: str, than: str) -> None:
    assert newer(version, than)
    assert not newer(than, version)


def test_versions_that_are_the_same() -> None:
    assert not newer("1.4.0", "1.4")
    assert not newer("1.4", "1.4.0")
    assert not newer("1.4+build7", "1.4")


# Pins


def lock(name: str, version: str, **sources: tuple[Source, ...]) -> ArtifactsLock:
    """One artifact; sources by platform."""
    pins = {p: Pin(sources=those, sha256="0" * 64, size=1) for p, those in sources.items()}
    return ArtifactsLock().with_artifact(name, PinnedArtifact(version=version, platforms=pins))


def at(origin: str, **where: str) -> Source:
    return Source.model_validate({"origin": origin, **where})


def test_a_newer_npm_package(npm: Npm) -> None:
    npm.tell("@a/x64", {"version": "1.2.10", "time": {"1.2.9": WEEK, "1.2.10": WEEK}})
    npm.tell("@a/arm64", {"version": "1.2.11", "time": {}})
    pins = lock("tool", "1.2.9", x=(at("npm", npm="@a/x64"),), y=(at("npm", npm="@a/arm64"),))
    (row,) = upstream.rows(pins)
    assert row == Row("tool", "1.2.9", "npm", "1.2.10", 7, "1.2.10"), "what all platforms have"
    assert row.outdated


def test_an_npm_package_that_is_the_newest(npm: Npm) -> None:
    npm.tell("tool", {"version": "1.2.9"})
    (row,) = upstream.rows(lock("tool", "1.2.9", any=(at("npm", npm="tool"),)))
    assert (row.outdated, row.command, row.error) == (False, "", "")


@pytest.mark.parametrize(
    "said", ["", "[]", '{"version": 3}', '{"version": "latest"}', '"1.2"', "\x1b[31m", "null"]
)
def test_npm_talks_nonsense(npm: Npm, said: str) -> None:
    npm.tell("tool", said)
    (row,) = upstream.rows(lock("tool", "1.2.9", any=(at("npm", npm="tool"),)))
    assert row.error
    assert row.error.isprintable()


def test_a_source_that_cannot_be_reached_is_a_row(npm: Npm) -> None:
    npm.tell("good", {"version": "2.0.0"})
    pins = lock("bad", "1.0.0", any=(at("npm", npm="gone"),))
    other = lock("good", "1.0.0", any=(at("npm", npm="good"),))
    both = pins.with_artifact("good", other.artifacts["good"])
    bad, good = upstream.rows(both)
    assert "npm knows no" in bad.error or "npm says" in bad.error
    assert good.command == "fleet pin good 2.0.0"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What GitHub's API answers, by path."""
    answers: dict[str, Any] = {}

    def read(url: str) -> Any:
        path = url.removeprefix(API)
        if path not in answers:
            raise MissingError("answers HTTP 404")
        return answers[path]

    monkeypatch.setattr(github, "read_json", read)
    return answers


ASSET = "https://github.com/o/r/releases/download/v0.12.1/tool-linux-amd64"
ARCHIVE = "https://github.com/o/r/archive/1.4.tar.gz"


def one_row(version: str, *sources: Source) -> Row:
    (row,) = upstream.rows(lock("tool", version, any=sources))
    return row


def test_a_newer_release(hub: dict[str, Any]) -> None:
    hub["o/r/releases/latest"] = {"tag_name": "v0.13.0", "published_at": WEEK}
    hub["o/r/releases/tags/v0.12.1"] = {"tag_name": "v0.12.1", "published_at": WEEK}
    row = one_row("0.12.1", at("github", url=ASSET))
    assert (row.newest, row.days, row.command) == ("0.13.0", 7, "fleet pin tool 0.13.0")


def test_a_repository_without_releases(hub: dict[str, Any]) -> None:
    names = ("nightly", "1.10", "1.9", "cd-1.4", "1.4", "v2", "1.11-rc1", "9;reboot", "3 \x1b[m")
    hub["o/r/tags"] = [*({"name": name} for name in names), {"sha": "x"}, 7]
    row = one_row("1.4", at("upstream", url=ARCHIVE))
    assert (row.newest, row.days) == ("1.10", None)


@pytest.mark.parametrize("said", [[], {"tag_name": None}, "x", {"tag_name": "summer"}, None])
def test_github_talks_nonsense(hub: dict[str, Any], said: Any) -> None:
    hub["o/r/releases/latest"] = said
    assert one_row("1.4", at("upstream", url=ARCHIVE)).error


def test_a_plain_address_says_nothing() -> None:
    row = one_row("1.4", at("upstream", url="https://example.org/tool-1.4.tgz"))
    assert (row.error, row.outdated) == (
        "a plain address does not say what is newest; look there",
        False,
    )


def test_all_origins_must_have_it(hub: dict[str, Any], apt: Apt) -> None:
    """A pin takes bytes on which all sources agree, so the slowest says what can be had."""
    hub["o/r/tags"] = [{"name": "1.5"}]
    apt.publish("tool", "1.4-1", b"old")
    sources = (at("upstream", url=ARCHIVE), at("debian", apt_source="tool"))
    upstreams, debian = upstream.rows(lock("tool", "1.4", any=sources))
    assert (upstreams.newest, upstreams.command) == ("1.5", "")
    assert upstreams.note == "waits for debian"
    assert (debian.newest, debian.outdated) == ("1.4", False)
    apt.publish("tool", "1.5-2", b"new")
    upstreams, debian = upstream.rows(lock("tool", "1.4", any=sources))
    assert upstreams.command == debian.command == "fleet pin tool 1.5"


# Hosts

TOOLS = ("ls", "head", "stat", "date", "uname", "grep", "sort", "tail", "cat")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Pending]:
    """Run the script for a host here, on a machine that has these programs and no others."""
    folder = tmp_path / "machine"
    folder.mkdir()

    def put(name: str, body: str) -> None:
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    for tool in TOOLS:  # no links: what is written to one would be the machine's own program
        put(tool, f'exec {shutil.which(tool)} "$@"')

    def run(refresh: str = "", **programs: str) -> Pending:
        for name, body in programs.items():
            put(name, body)
        done = subprocess.run(
            ["/bin/sh", "-s"],
            input=upgrades.look_script(refresh=bool(refresh), modules=str(tmp_path / "modules")),
            env={"PATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return upgrades.read("host", done.stdout.splitlines())

    return run


APT = """cat <<'END'
Listing...
git/stable-security 1:2.39.5-0+deb12u2 amd64 [upgradable from: 1:2.39.5-0+deb12u1]
curl/stable,stable-updates 7.88.1-10 arm64 [upgradable from: 7.88.1-9]
END"""


def test_debian(machine: Callable[..., Pending]) -> None:
    found = machine(apt_get="exit 9", apt=APT, systemd_detect_virt="echo wsl")
    assert found.manager == "apt"
    assert found.upgrades == (
        Upgrade("git", "1:2.39.5-0+deb12u1", "1:2.39.5-0+deb12u2", security=True),
        Upgrade("curl", "7.88.1-9", "7.88.1-10"),
    )
    assert upgrades.summary(found) == "2, 1 of security"
    assert found.reboot == ""


def test_lists_that_cannot_be_refreshed_are_said(machine: Callable[..., Pending]) -> None:
    assert machine("yes", apt_get="exit 0", apt=APT, sudo='shift; exec "$@"').remark == ""
    assert machine("yes", apt_get="exit 9", apt=APT, sudo="exit 1").remark == "no fresh lists"


def test_arch_never_refreshes_its_own_lists(machine: Callable[..., Pending]) -> None:
    pacman = '[ "$1" = -Qu ] || exit 9\necho "linux 6.9.1-1 -> 6.9.2-1"\necho "a 1 -> 2 [ignored]"'
    found = machine(pacman=pacman, systemd_detect_virt="echo none")
    assert found.manager == "pacman"
    assert [up.name for up in found.upgrades] == ["linux", "a"]
    assert "pacman-contrib" in machine("yes", pacman=pacman).remark
    checked = machine("yes", pacman="exit 9", checkupdates="echo 'linux 6.9.1-1 -> 6.9.3-1'")
    assert checked.upgrades == (Upgrade("linux", "6.9.1-1", "6.9.3-1"),)
    assert checked.age_s == 0
    assert machine("yes", pacman="exit 9", checkupdates="exit 2").remark == ""


def test_a_kernel_that_does_not_run_yet(machine: Callable[..., Pending], tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    for name in ("6.1.0-9-amd64", "6.1.0-18-amd64", "6.9.0-rpi-v8"):
        (modules / name).mkdir(parents=True)

    def reboot(running: str, virtual: str = "none") -> str:
        programs = {"uname": f"echo {running}", "systemd_detect_virt": f"echo {virtual}"}
        return machine(pacman="exit 1", **programs).reboot

    assert reboot("6.1.0-18-amd64") == ""
    assert reboot("6.1.0-9-amd64") == "the kernel 6.1.0-18-amd64 is installed, 6.1.0-9-amd64 runs"
    assert reboot("5.10-arch1-1") == "the modules of its kernel 5.10-arch1-1 are gone"
    assert reboot("5.10-arch1-1", "docker") == ""
    assert reboot("5.10-WSL2", "wsl") == ""


def test_macs() -> None:
    brew = upgrades.read("mac", ["manager brew", "age 90000", "git (2.40, 2.41) < 2.43", "end"])
    assert brew.upgrades == (Upgrade("git", "2.40, 2.41", "2.43"),)
    assert upgrades.days(brew.age_s) == "1 d"
    port = upgrades.read("mac", ["manager port", "git      2.40_0 < 2.43_0   ", "end"])
    assert port.upgrades == (Upgrade("git", "2.40_0", "2.43_0"),)


def test_a_host_without_a_manager() -> None:
    assert upgrades.read("mac", ["end"]).state is State.ERROR


def test_what_a_host_says_is_bounded_and_clean() -> None:
    line = "a\x1b]0;evil\x07[red]/x 2 amd64 [upgradable from: 1]"
    lines = ["manager apt", "reboot \x1b[2J" + "x" * 9999, "age 99999999999", *[line] * 10_000]
    found = upgrades.read("host", lines)
    assert len(found.upgrades) == upgrades.MOST
    assert upgrades.summary(found) == "500+"
    assert found.upgrades[0].name.isprintable()
    assert len(found.reboot) <= upgrades.LONGEST
    assert found.reboot.isprintable()
    assert found.age_s is None


@pytest.fixture
def hosts(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What each host answers; others do not answer."""
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    said: dict[str, Answer] = {}

    def briefly(way: Route, script: str, timeout_s: float) -> Answer:
        return said.get(way.name, Answer(255, "", "connect: Connection timed out"))

    monkeypatch.setattr(upgrades, "briefly", briefly)
    monkeypatch.setattr(upstream, "rows", lambda lock: ())
    return said


def known(*lines: str) -> Answer:
    return Answer(0, "\n".join(("manager apt", "age 5", *lines, "end")), "")


def everywhere(hosts: dict[str, Answer], answer: Answer) -> None:
    hosts |= dict.fromkeys(("boss", "mac", "berry", "win"), answer)


GIT = "git/x 2 amd64 [upgradable from: 1]"


def test_exit_codes(hosts: dict[str, Answer], capsys: Capture) -> None:
    everywhere(hosts, known())
    assert cli.main(["outdated"]) == 0
    hosts["berry"] = known(GIT)
    assert cli.main(["outdated", "--hosts"]) == 2
    assert "berry: git 1 \u2192 2" in capsys.readouterr().out
    hosts["berry"] = known("reboot the kernel 6 is installed, 5 runs")
    assert cli.main(["outdated"]) == 2
    del hosts["boss"]
    assert cli.main(["outdated"]) == 1
    assert "boss: connect: Connection timed out" in capsys.readouterr().out


def test_a_host_that_may_be_off_is_no_error(hosts: dict[str, Answer], fleet_file: Path) -> None:
    text = fleet_file.read_text().replace("win: {", "win: {power: sleeps, ")
    fleet_file.write_text(text)
    everywhere(hosts, known())
    del hosts["win"]
    assert cli.main(["outdated"]) == 0
    assert load_target().fleet.host("win").power is Power.SLEEPS


def test_an_answer_that_ends_early_is_an_error(hosts: dict[str, Answer], capsys: Capture) -> None:
    everywhere(hosts, known())
    hosts["mac"] = Answer(1, "", "it says more than 262144 bytes")
    assert cli.main(["outdated"]) == 1
    assert "mac: it says more than 262144 bytes" in capsys.readouterr().out


def test_json(hosts: dict[str, Answer], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(hosts, known(GIT))
    row = Row("tool", "1", "npm", "2", 3, "2")
    monkeypatch.setattr(upstream, "rows", lambda lock: (row,))
    assert cli.main(["outdated", "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["pins"][0]["outdated"] is True
    assert said["hosts"][0]["upgrades"] == [
        {"name": "git", "have": "1", "new": "2", "security": False}
    ]


def test_pins_alone_ask_no_host(hosts: dict[str, Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: Any, **__: Any) -> Any:
        raise AssertionError("a host was asked")

    monkeypatch.setattr(upgrades, "briefly", called)
    assert cli.main(["outdated", "--pins"]) == 0
    assert cli.main(["outdated", "--pins", "--hosts"]) == 64
    assert cli.main(["outdated", "--pins", "--refresh"]) == 64


def test_markup_of_a_source_is_text(
    hosts: dict[str, Answer], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("tool", "1", "npm", "[red]2[/]", 3, error="[bold]no[/]")
    monkeypatch.setattr(upstream, "rows", lambda lock: (row,))
    cli.main(["outdated", "--pins"])
    said = capsys.readouterr().out
    assert "[red]2[/]" in said
    assert "[bold]no[/]" in said


# How hosts are heard


def test_a_host_that_does_not_stop_is_cut_off(programs: Path, fleet_file: Path) -> None:
    ssh_program = programs / "ssh"
    ssh_program.write_text("#!/bin/sh\nexec yes\n")
    ssh_program.chmod(0o755)
    way = Route("10.0.0.3", 22, "admin", None, None, "berry")
    assert ssh.briefly(way, "true", 30, limit=1000).stderr == "it says more than 1000 bytes"


def test_a_host_that_is_silent_is_left(programs: Path) -> None:
    ssh_program = programs / "ssh"
    ssh_program.write_text("#!/bin/sh\nexec sleep 30\n")
    ssh_program.chmod(0o755)
    way = Route("10.0.0.3", 22, "admin", None, None, "berry")
    answer = ssh.briefly(way, "true", 0.3)
    assert (answer.reached, answer.stderr) == (False, "no answer within 0.3 s")


def test_a_short_script_runs_whole(programs: Path) -> None:
    ssh_program = programs / "ssh"
    ssh_program.write_text("#!/bin/sh\nfor last; do :; done\nexec $last\n")
    ssh_program.chmod(0o755)
    way = Route("10.0.0.3", 22, "admin", None, None, "berry")
    answer = ssh.briefly(way, "cat; echo said\nexit 3", 30)
    assert (answer.code, answer.stdout) == (3, "said\n"), "cat took nothing of the script"
