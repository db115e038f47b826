"""Names and numbers of a lab, and the fleet with them."""

import ipaddress
import json
from pathlib import Path

import pytest

from fleet.lock import FleetLock, LockedHost, LockedTailnet, write_fleet_lock
from fleet.model import Operator, load_fleet
from fleet.target import ROOT
from lab import place as place_module
from lab.errors import LabError, UsageError
from lab.hosts import hosts_file
from lab.overlay import overlay
from lab.paths import lab_name
from lab.place import DEFAULT_NUMBER, Place, find_place, remember, remember_hosts, settled
from lab.remote import known_names, public_key
from lab.spec import LabHost, lab_hosts
from lab.tailnet.nodes import LOGIN

PI = LabHost("berry", "raspios", 3, 22, "raspios")
WINDOW = LabHost("window", "wsl", 4, 2222, "debian")
INTERFACE_NAME_LENGTH = 15


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFLEET_LAB_STATE", str(tmp_path))
    monkeypatch.delenv("FLEET_LAB", raising=False)
    monkeypatch.setattr(place_module, "_routes", lambda own: [])


def test_the_default_lab_has_the_documented_networks() -> None:
    place = find_place()
    assert (place.name, place.number) == ("demo", DEFAULT_NUMBER)
    assert place.lan(PI) == "10.77.0.13"
    assert place.lan6(PI) == "fd00:10:77::13"


def test_the_environment_names_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_LAB", "other")
    assert find_place().name == "other"
    assert find_place("third").name == "third"


@pytest.mark.parametrize("name", ["Upper", "-x", "a.b", "a/b", "1a", "a" * 25, "a b"])
def test_names_that_cannot_be_paths_or_namespaces_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a lab's name"):
        lab_name(name)


def test_other_labs_get_other_numbers_and_keep_them(tmp_path: Path) -> None:
    first = find_place("one")
    assert first.number != DEFAULT_NUMBER
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "lab.json").write_text(json.dumps({"number": first.number}))
    moved = find_place("one")
    assert moved.number != first.number
    remember(moved)
    (tmp_path / "two" / "lab.json").unlink()
    assert find_place("one") == moved


def test_networks_that_the_machine_uses_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = find_place("one").number
    routes = [ipaddress.IPv4Network(f"10.{taken}.0.0/16")]
    monkeypatch.setattr(place_module, "_routes", lambda own: routes)
    assert find_place("one").number != taken
    monkeypatch.setattr(place_module, "_routes", lambda own: [ipaddress.IPv4Network("10.0.0.0/8")])
    with pytest.raises(LabError, match="no free addresses"):
        find_place("one")


def test_names_on_the_machine_fit_and_differ() -> None:
    labs = [Place(name, 80) for name in ("a", "a-b", "a-very-long-name-of-24-ch")]
    assert len({lab.uplink for lab in labs}) == len(labs)
    assert all(len(lab.uplink) <= INTERFACE_NAME_LENGTH for lab in labs)
    assert not labs[1].namespace(PI).startswith(labs[0].switch + ".")


def test_host_keys_are_filed_under_name_and_lan_addresses() -> None:
    place = Place("demo", 77)
    assert known_names(place, PI) == "berry,10.77.0.13,fd00:10:77::13"
    assert known_names(place, WINDOW) == (
        "window,[window]:2222,[10.77.0.14]:2222,[fd00:10:77::14]:2222"
    )


def test_a_new_host_knows_itself_and_nobody_else() -> None:
    names = [line.split()[1:] for line in hosts_file("berry").splitlines()]
    assert names == [["localhost"], ["berry"], ["localhost", "ip6-localhost", "ip6-loopback"]]


def test_the_overlay_changes_the_connection_and_nothing_else(tmp_path: Path) -> None:
    real = load_fleet(ROOT / "fleet.yaml")
    state = tmp_path / "demo"
    state.mkdir()
    learned = LockedHost(tailnet=LockedTailnet(ipv4="100.64.77.99", ipv6="fd7a:115c:a1e0::99"))
    write_fleet_lock(state / "fleet.lock.yaml", FleetLock(hosts={"rpi1": learned}))
    played = overlay(real, "demo")
    lab = played.fleet
    assert played.known_hosts == state / "known_hosts"
    assert played.fleet_lock == state / "fleet.lock.yaml"
    assert lab.anthropic_url == "http://10.77.0.1:8999"
    assert lab.secrets["anthropic_api_key"] == f"file:{state}/anthropic/key"
    assert lab.secrets["tailscale_auth_key"] == f"file:{state}/tailnet/auth-key"
    for before, after, spec in zip(real.hosts, lab.hosts, lab_hosts(real), strict=True):
        assert after.addresses.lan == f"10.77.0.{10 + spec.index}"
        joined = after.name == "rpi1"
        assert after.addresses.tailnet == ("100.64.77.99" if joined else None)
        assert after.addresses.tailnet6 == ("fd7a:115c:a1e0::99" if joined else None)
        assert (after.ssh.user, after.ssh.port) == ("admin", before.ssh.port)
        assert after.ssh.key == str(state / "id_ed25519")
        same = {"addresses": before.addresses, "ssh": before.ssh}
        assert after.model_copy(update=same) == before


def test_a_host_that_leaves_the_file_moves_nobody(tmp_path: Path) -> None:
    real = load_fleet(ROOT / "fleet.yaml")
    (tmp_path / "demo").mkdir()
    place, every = find_place("demo"), lab_hosts(real)
    assert settled(place, every) == every, "a lab that never was knows no places"
    remember_hosts(place, every)
    smaller = real.model_copy(update={"hosts": real.hosts[:2] + real.hosts[3:]})
    found = overlay(smaller, "demo").fleet
    before = overlay(real, "demo").fleet
    for host in found.hosts:
        assert host.addresses.lan == before.host(host.name).addresses.lan
    new = LabHost("new", "raspios", 3, 22, "raspios")
    *_, come = settled(place, [*every[:2], *every[3:], new])
    assert come.index == len(every) + 1, "where somebody was is not given away"


def test_the_first_operator_owns_the_labs_devices(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    for key in (state / "id_ed25519", state / "operators" / "bob"):
        public_key(key, key.name)
    real = load_fleet(ROOT / "fleet.yaml")
    (nobody,) = overlay(real, "demo").fleet.operators
    assert (nobody.name, nobody.login) == ("lab", LOGIN)
    people = tuple(
        Operator(name=name, login=f"{name}@example.org", ssh_keys=("",))
        for name in ("alice", "bob")
    )
    played = overlay(real.model_copy(update={"operators": people}), "demo").fleet.operators
    assert [(one.name, one.login) for one in played] == [("alice", LOGIN), ("bob", people[1].login)]
