"""The Mac's smaller tools, in the layouts that scripts parse."""

import json
import os
import plistlib
import subprocess
from pathlib import Path

import pytest

from lab.standins.macos.darwin import (
    bsdstat,
    defaults,
    ifconfig,
    newsyslog,
    plutil,
    pmset,
    scutil,
    socketfilterfw,
)
from lab.standins.macos.darwin.common import ToolError

HERE = Path(__file__).parents[3] / "lab/standins/macos"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    path.chmod(0o4640)
    os.utime(path, (1700000000, 1700000000))
    return path


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("%p", "104640"),
        ("%OLp", "640"),
        ("%Mp%03Lp", "4640"),
        ("%Sp", "-rwSr-----"),
        ("%SHp", "rwS"),
        ("%z|%m", "5|1700000000"),
        ("%HT", "Regular File"),
        ("%T%Y", ""),
        ("%8z|%-8z|%08z", "       5|5       |00000005"),
        ("%%%t%n", "%\t\n"),
    ],
)
def test_stat_formats(
    file: Path, layout: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bsdstat.main(["-f", layout, str(file)], Path("/")) == 0
    assert capsys.readouterr().out == text + "\n"


def test_stat_of_links_and_owners(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = file.with_name("link")
    link.symlink_to("a.txt")
    bsdstat.main(["-f", "%N:%HT:%Y:%SY", str(link)], Path("/"))
    assert capsys.readouterr().out == f"{link}:Symbolic Link:a.txt: -> a.txt\n"
    bsdstat.main(["-L", "-f", "%u %g %HT", str(link)], Path("/"))
    assert capsys.readouterr().out == f"{os.getuid()} {os.getgid()} Regular File\n"


def test_stat_refuses_gnus_options(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ToolError, match=r"^stat: illegal option -- c\n"):
        bsdstat.main(["-c", "%a", str(file)], Path("/"))
    assert bsdstat.main(["-f", "%z", "/nope", str(file)], Path("/")) == 1
    caught = capsys.readouterr()
    assert (caught.out, caught.err) == ("5\n", "stat: /nope: stat: No such file or directory\n")


def test_ifconfig_shows_tunnels_as_a_mac_does() -> None:
    link = {
        "ifname": "utun4",
        "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
        "mtu": 1280,
        "link_type": "ether",
        "address": "02:00:00:00:00:01",
        "addr_info": [{"family": "inet", "local": "100.64.77.12", "prefixlen": 24}],
    }
    assert ifconfig.describe(link) == [
        "utun4: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1280",
        "\tinet 100.64.77.12 --> 100.64.77.12 netmask 0xffffffff",
    ]


def test_ifconfig_shows_networks() -> None:
    address = {"family": "inet", "local": "10.0.0.2", "prefixlen": 24, "broadcast": "10.0.0.255"}
    link = {
        "ifname": "en0",
        "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
        "mtu": 1500,
        "link_type": "ether",
        "address": "02:00:00:00:00:01",
        "addr_info": [address],
    }
    assert ifconfig.describe(link) == [
        "en0: flags=8043<UP,BROADCAST,RUNNING,MULTICAST> mtu 1500",
        "\tether 02:00:00:00:00:01",
        "\tinet 10.0.0.2 netmask 0xffffff00 broadcast 10.0.0.255",
        "\tstatus: active",
    ]


@pytest.mark.parametrize("battery", [False, True])
def test_pmset_persists(tmp_path: Path, battery: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if battery:
        (tmp_path / "opt/standin/etc").mkdir(parents=True)
        (tmp_path / "opt/standin/etc/battery").touch()
    pmset.main(["-a", "sleep", "0", "autorestart", "1"], tmp_path)
    pmset.main(["-g", "custom"], tmp_path)
    shown = capsys.readouterr().out.splitlines()
    assert shown.count(" sleep                0") == 1 + battery
    assert (" autorestart          1" in shown) is not battery
    assert ("Battery Power:" in shown) is battery
    with pytest.raises(ToolError):
        pmset.main(["-a", "slep", "0"], tmp_path)


def test_pmset_tells_that_a_closed_lid_is_no_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pmset.main(["-g"], tmp_path)
    assert "SleepDisabled" not in capsys.readouterr().out
    pmset.main(["-a", "disablesleep", "1"], tmp_path)
    pmset.main(["-g"], tmp_path)
    assert " SleepDisabled        1\n" in capsys.readouterr().out


def test_plutil(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.plist", tmp_path / "bad.plist"
    good.write_bytes(plistlib.dumps({"Label": "a", "KeepAlive": True, "Args": ["b", 1]}))
    bad.write_text("<plist><dict>")
    assert plutil.main(["-lint", str(good)], tmp_path) == 0
    assert plutil.main(["-lint", str(bad)], tmp_path) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{good}: OK"
    assert shown[1].startswith(f"{bad}: ")
    plutil.main(["-convert", "json", "-o", str(tmp_path / "o.json"), str(good)], tmp_path)
    assert json.loads((tmp_path / "o.json").read_text())["Args"] == ["b", 1]
    plutil.main(["-p", str(good)], tmp_path)
    assert capsys.readouterr().out.splitlines()[1:3] == ['  "Args" => [', '    0 => "b"']
    assert plutil.main(["-extract", "Args.0", "raw", "-o", "-", str(good)], tmp_path) == 0
    assert capsys.readouterr().out == "b\n"


def test_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ToolError, match="does not exist"):
        defaults.main(["read", "/Library/x", "Key"], tmp_path)
    defaults.main(["write", "/Library/x", "Key", "-bool", "yes"], tmp_path)
    defaults.main(["read", "/Library/x", "Key"], tmp_path)
    assert capsys.readouterr().out == "1\n"


def test_newsyslog_reads_the_fleets_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc/newsyslog.d").mkdir(parents=True)
    (tmp_path / "etc/newsyslog.conf").write_text("# nothing\n<include> /etc/newsyslog.d/*.conf\n")
    config = tmp_path / "etc/newsyslog.d/web.conf"
    config.write_text("/var/log/web.log _web:_web 640 5 1 * J\n")
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "var/log/web.log").write_bytes(b"x" * 5000)
    newsyslog.main(["-n"], tmp_path)
    assert (
        capsys.readouterr().out == "/var/log/web.log <5J>: size (Kb): 5 [1] --> trimming log....\n"
    )
    config.write_text("/var/log/web.log 640 5\n")
    with pytest.raises(ToolError, match="missing fields"):
        newsyslog.main(["-n"], tmp_path)


def test_names_and_the_application_firewall(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ToolError, match=r"^HostName: not set$"):
        scutil.main(["--get", "HostName"], tmp_path)
    scutil.main(["--set", "HostName", "mac1"], tmp_path)
    assert (tmp_path / "etc/hostname").read_text() == "mac1\n"
    socketfilterfw.main(["--setglobalstate", "on", "--getglobalstate"], tmp_path)
    assert capsys.readouterr().out == "Firewall is enabled. (State = 1)\n" * 2


def test_every_tool_has_a_module() -> None:
    rows = [line.split() for line in (HERE / "tools.txt").read_text().splitlines()]
    modules = {row[1] for row in rows if row[0] != "#"}
    assert modules <= {path.stem for path in (HERE / "darwin").glob("*.py")}


@pytest.mark.parametrize(
    ("program", "argv", "status"),
    [
        ("cp", ["-T", "a", "b"], 1),
        ("mv", ["--version"], 64),
        ("date", ["-d", "now"], 1),
        ("find", ["-name", "x"], 1),
        ("find", [".", "-printf", "%p"], 1),
        ("install", ["-D", "a", "b/c"], 1),
    ],
)
def test_the_guard_refuses_what_bsd_lacks(
    tmp_path: Path, program: str, argv: list[str], status: int
) -> None:
    guarded = tmp_path / program
    guarded.symlink_to(HERE / "root/opt/standin/libexec/guard")
    done = subprocess.run(
        ["sh", str(guarded), *argv], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert done.stderr.startswith(f"{program}: ")
