"""Which card a host says it has: the snippets, really run against what both systems print."""

from __future__ import annotations

from pathlib import Path

import pytest

from facts.look import Look
from facts.values import ValuesProbe
from fleet.cards import MAC_ADDRESS, network_card
from fleet.learned import Learned, hear, learn
from fleet.model import Addresses, Host
from fleet.plan import view_of, wanted
from fleet.problems import FleetError
from fleet.target import load_target
from tests.unit.conftest import SHELLS, RealHost
from tests.unit.fleet.conftest import put

ADDR = r"""1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0    inet 10.0.0.3/24 brd 10.0.0.255 scope global eth0\       valid_lft 5sec
2: eth0    inet6 fd00::3/64 scope global \       valid_lft forever
3: tailscale0    inet 100.64.0.3/32 scope global tailscale0\       valid_lft forever"""
LINKS = {
    "eth0": r"2: eth0: <UP> mtu 1500\    link/ether a8:5e:45:00:00:03 brd ff:ff:ff:ff:ff:ff",
    "tailscale0": r"3: tailscale0: <UP> mtu 1280\    link/none",
}
IFCONFIG = """lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384
\tinet 127.0.0.1 netmask 0xff000000
en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tether a8:5e:45:00:00:02
\tinet6 fe80::8%en0 prefixlen 64 secured scopeid 0x6
\tinet 10.0.0.2 netmask 0xffffff00 broadcast 10.0.0.255
utun3: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1280
\tinet 100.64.0.2 --> 100.64.0.2 netmask 0xffffffff"""


@pytest.fixture
def host(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    return load_target().fleet.host("berry")


def card(host: Host, lan: str | None, programs: Path) -> str:
    """What the look hears of the host when it has that LAN address."""
    probe = ValuesProbe((network_card(host.model_copy(update={"addresses": Addresses(lan=lan)})),))
    shell = RealHost(programs, next(iter(SHELLS)))
    shell.path = f"{programs}:{shell.path}"
    script = probe.script().replace("/sbin/", f"{programs}/")
    return probe.parse(shell.sh(script).stdout.splitlines())[MAC_ADDRESS]


@pytest.mark.parametrize(
    ("lan", "found"),
    [
        ("10.0.0.3", "a8:5e:45:00:00:03"),
        ("fd00:0::3", "a8:5e:45:00:00:03"),
        ("10.0.0.33", ""),  # somewhere else
        ("100.64.0.3", ""),  # no card at all
        ("berry.lan", "a8:5e:45:00:00:03"),
        (None, "a8:5e:45:00:00:03"),
    ],
)
def test_linux(host: Host, lan: str | None, found: str, programs: Path) -> None:
    links = "\n".join(f"    *{name}) echo '{line}' ;;" for name, line in LINKS.items())
    put(
        programs,
        "ip",
        f"""case "$*" in
    *addr*) cat <<'END'
{ADDR}
END
    ;;
    *route*) echo 'default via 10.0.0.1 dev eth0 proto dhcp metric 100' ;;
{links}
esac""",
    )
    assert card(host, lan, programs) == found


@pytest.mark.parametrize(
    ("lan", "found"),
    [
        ("10.0.0.2", "a8:5e:45:00:00:02"),
        ("100.64.0.2", ""),
        ("10.0.0.33", ""),
        (None, "a8:5e:45:00:00:02"),
    ],
)
def test_macos(host: Host, lan: str | None, found: str, programs: Path) -> None:
    put(programs, "ifconfig", f"cat <<'END'\n{IFCONFIG}\nEND")
    put(programs, "route", "echo '  interface: en0'")
    mac = load_target().fleet.host("mac")
    assert card(mac, lan, programs) == found


def test_windows_holds_the_card_itself(host: Host) -> None:
    target = load_target()

    def readings(name: str) -> list[str]:
        everything = wanted(view_of(target, name)).values()
        return [one.name for want in everything for one in want.readings]

    assert MAC_ADDRESS in readings("berry")
    assert MAC_ADDRESS in readings("mac")
    assert MAC_ADDRESS not in readings("win")


def test_it_is_learned(host: Host) -> None:
    def told(value: str) -> Learned:
        return hear(host, Look(values={MAC_ADDRESS: value}))[1]

    assert told("a8:5e:45:00:00:03").mac_address == "a8:5e:45:00:00:03"
    for nonsense in ("", "$(reboot)", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"):
        assert told(nonsense).mac_address is None
    learn(load_target(), "berry", told("a8:5e:45:00:00:03"))
    berry = load_target().fleet.host("berry")
    assert berry.card == "a8:5e:45:00:00:03"
    assert hear(berry, Look(values={MAC_ADDRESS: ""}))[1] == Learned(mac_address=berry.card)


def test_what_the_file_says_counts(host: Host, fleet_file: Path) -> None:
    """Another card than the one with the address, such as the wired one of a laptop."""
    learn(load_target(), "berry", Learned(mac_address="a8:5e:45:00:00:03"))
    text = fleet_file.read_text()
    stated = "lan: 10.0.0.3, mac: 'A8-5E-45-00-00-99'"
    fleet_file.write_text(text.replace("lan: 10.0.0.3", stated))
    berry = load_target().fleet.host("berry")
    assert berry.card == "a8:5e:45:00:00:99"
    before, now = hear(berry, Look(values={MAC_ADDRESS: "a8:5e:45:00:00:03"}))
    assert before == now, "nothing new: a second run changes nothing"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("'a8:5e:45'", "is not the address of a network card"),
        ("'01:00:5e:00:00:01'", "is no single card's address"),
    ],
)
def test_what_is_no_card(host: Host, written: str, said: str, fleet_file: Path) -> None:
    text = fleet_file.read_text()
    fleet_file.write_text(text.replace("lan: 10.0.0.3", f"lan: 10.0.0.3, mac: {written}"))
    with pytest.raises(FleetError) as error:
        load_target()
    assert said in str(error.value)
