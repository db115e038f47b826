"""What a good file becomes, and that a bad one is told all its faults at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fleet.model import Agent, Arch, Fleet, Os, Power, Role, Sudo, load_fleet
from fleet.problems import FleetError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def repository_fleet() -> Fleet:
    return load_fleet(ROOT / "fleet.yaml", ROOT / "no.lock.yaml")


def test_the_repository_describes_nine_hosts(repository_fleet: Fleet) -> None:
    assert [(host.name, host.role, host.budget) for host in repository_fleet.hosts] == [
        ("arch-orchestrator", "orchestrator", 20),
        ("macbook1", "headless-mac", 10),
        ("imac", "headless-mac", 10),
        ("macbook2", "workstation-mac", 5),
        ("rpi1", "pi", 5),
        ("rpi2", "pi", 5),
        ("rpi3", "pi", 5),
        ("windows-desktop", "windows-wsl", 5),
        ("windows-laptop", "windows-wsl", 5),
    ]


def test_windows_hosts_answer_on_2222_and_keep_two_cores(repository_fleet: Fleet) -> None:
    for host in repository_fleet.with_role(Role.WINDOWS_WSL):
        assert host.ssh.port == 2222
        assert host.max_jobs == host.cores - 2


def test_only_the_portable_machines_roam(repository_fleet: Fleet) -> None:
    roaming = [host.name for host in repository_fleet.hosts if host.power is Power.ROAMS]
    assert roaming == ["macbook2", "windows-laptop"]


def test_defaults_are_filled_in(fleet_file: Path) -> None:
    host = load_fleet(fleet_file).host("berry")
    assert (host.os, host.arch, host.power, host.site) == (
        Os.RASPIOS,
        Arch.AARCH64,
        Power.ALWAYS_ON,
        "home",
    )
    assert (host.ssh.user, host.ssh.port, host.ssh.key) == ("admin", 22, None)
    assert (host.max_jobs, host.budget, host.without) == (4, 5, ())
    assert (host.addresses.lan, host.addresses.tailnet) == ("10.0.0.3", None)


def test_a_hosts_own_values_beat_the_files(fleet_file: Path) -> None:
    own = "cores: 4, max_jobs: 2, budget: 7.5, ssh: {port: 2200}, without: [icecream],"
    text = fleet_file.read_text().replace("cores: 4, addresses: {lan: 10.0.0.3}", own)
    fleet_file.write_text(text)
    host = load_fleet(fleet_file).host("berry")
    assert (host.max_jobs, host.budget, host.without) == (2, 7.5, ("icecream",))
    assert (host.ssh.user, host.ssh.port) == ("admin", 2200)


def test_the_orchestrator_is_the_default_scheduler(fleet_file: Path) -> None:
    fleet = load_fleet(fleet_file)
    assert fleet.scheduler_host is fleet.orchestrator
    fleet_file.write_text(fleet_file.read_text() + "scheduler: berry\n")
    assert load_fleet(fleet_file).scheduler_host.name == "berry"


def test_a_budget_of_its_own_needs_no_default(fleet_file: Path) -> None:
    text = fleet_file.read_text().replace("pi: 5, ", "").replace("cores: 4", "cores: 4, budget: 3")
    fleet_file.write_text(text)
    assert load_fleet(fleet_file).host("berry").budget == 3


def test_what_a_host_is(fleet_file: Path) -> None:
    fleet = load_fleet(fleet_file)
    assert [host.name for host in fleet.hosts if host.is_mac] == ["mac"]
    assert [host.name for host in fleet.hosts if host.is_linux] == ["boss", "berry", "win"]
    assert [host.name for host in fleet.hosts if host.is_agent] == ["boss", "mac", "berry"]


def test_a_fleet_cannot_be_changed_and_can_be_a_key(fleet_file: Path) -> None:
    fleet = load_fleet(fleet_file)
    with pytest.raises(ValidationError, match="frozen"):
        fleet.name = "other"
    assert {fleet: 1}[load_fleet(fleet_file)] == 1


def test_an_unknown_host_gets_a_guess(fleet_file: Path) -> None:
    with pytest.raises(FleetError) as caught:
        load_fleet(fleet_file).host("bery")
    assert str(caught.value) == (
        'fleet small: no host is called "bery"\n'
        '    did you mean "berry"? known: boss, mac, berry, win'
    )


@pytest.mark.parametrize("count", [1, 60])
def test_fleets_of_other_sizes(fleet_file: Path, count: int) -> None:
    head = "version: 1\nname: n\nssh: {user: u}\nbudgets: {orchestrator: 1, pi: 1}\nhosts:\n"
    hosts = ["  h0: {role: orchestrator, os: debian, arch: x86_64, cores: 2}\n"]
    hosts += [
        f"  h{n}: {{role: pi, os: debian, arch: aarch64, cores: 4}}\n" for n in range(1, count)
    ]
    fleet_file.write_text(head + "".join(hosts))
    assert len(load_fleet(fleet_file).hosts) == count


def test_every_fault_is_told_at_once(fleet_file: Path) -> None:
    fleet_file.write_text("""\
version: 1
name: small
shh: {user: admin}
ssh: {user: admin, port: 99999}
budgets: {orchestrator: -20, pi: 5}
hosts:
  boss: {role: orchestrator, os: arch, arch: x86_64, cores: 8}
  mac: {role: headless-mac, os: debian, arch: aarch64, cores: 4, budget: 1}
  berry:
    role: pii
    os: raspios
    arch: arm64
    cores: "4"
""")
    with pytest.raises(FleetError) as caught:
        load_fleet(fleet_file)
    assert (
        str(caught.value)
        == """\
fleet.yaml:3: shh: unknown key
    did you mean "ssh"? known: version, name, scheduler, relays, backup, toolchain, ssh, \
budgets, daily_budgets, anthropic_url, operators, secrets, hosts
fleet.yaml:4: ssh.port: 99999 is out of range
    write at most 65535
fleet.yaml:5: budgets.orchestrator: -20 is out of range
    write at least 0
fleet.yaml:8: hosts.mac.arch: aarch64 does not go with the role headless-mac
    the role headless-mac is always x86_64
fleet.yaml:8: hosts.mac.os: debian does not go with the role headless-mac
    the role headless-mac runs macos
fleet.yaml:10: hosts.berry.role: "pii" is not known here
    did you mean "pi"? known: orchestrator, headless-mac, workstation-mac, pi, windows-wsl
fleet.yaml:12: hosts.berry.arch: "arm64" is not known here
    did you mean "aarch64"? known: x86_64, aarch64
fleet.yaml:13: hosts.berry.cores: "4" is not a number
    write a whole number, without quotes or unit"""
    )


def test_faults_of_the_lock_are_told_with_those_of_the_file(fleet_file: Path) -> None:
    fleet_file.write_text(fleet_file.read_text().replace("name: small", "name: Small"))
    fleet_file.with_name("fleet.lock.yaml").write_text("version: 1\nhost: {}\n")
    with pytest.raises(FleetError) as caught:
        load_fleet(fleet_file)
    assert [(p.file, p.key) for p in caught.value.problems] == [
        ("fleet.lock.yaml", "host"),
        ("fleet.yaml", "name"),
    ]


LOCK = "version: 1\nhosts:\n  boss: {tailnet: {ipv4: 100.64.0.1}}\n"


def test_tailnet_addresses_come_from_the_lock(fleet_file: Path) -> None:
    fleet_file.with_name("fleet.lock.yaml").write_text(LOCK)
    fleet = load_fleet(fleet_file)
    assert fleet.host("boss").addresses.tailnet == "100.64.0.1"
    assert fleet.host("mac").addresses.tailnet is None


def test_ipv6_addresses_are_only_learned(fleet_file: Path) -> None:
    locked = LOCK.replace("100.64.0.1", "100.64.0.1, ipv6: 'fd7a:115c:a1e0::1'")
    fleet_file.with_name("fleet.lock.yaml").write_text(locked)
    fleet = load_fleet(fleet_file)
    assert fleet.host("boss").addresses.tailnet6 == "fd7a:115c:a1e0::1"
    assert fleet.host("mac").addresses.tailnet6 is None
    stated = "{lan: 10.0.0.1, tailnet6: 'fd7a:115c:a1e0::1'}"
    fleet_file.write_text(fleet_file.read_text().replace("{lan: 10.0.0.1}", stated))
    with pytest.raises(FleetError, match="tailnet6: unknown key"):
        load_fleet(fleet_file)


def test_the_lock_can_be_elsewhere(fleet_file: Path, tmp_path: Path) -> None:
    (tmp_path / "learned.yaml").write_text(LOCK)
    fleet = load_fleet(fleet_file, tmp_path / "learned.yaml")
    assert fleet.host("boss").addresses.tailnet == "100.64.0.1"


def test_a_stated_address_that_was_not_the_learned_one(fleet_file: Path) -> None:
    fleet_file.with_name("fleet.lock.yaml").write_text(LOCK)
    stated = "{lan: 10.0.0.1, tailnet: 100.64.0.9}"
    fleet_file.write_text(fleet_file.read_text().replace("{lan: 10.0.0.1}", stated))
    with pytest.raises(FleetError) as caught:
        load_fleet(fleet_file)
    assert str(caught.value) == (
        "fleet.yaml:6: hosts.boss.addresses.tailnet: "
        "100.64.0.9 is not the address that was learned\n"
        "    remove it here, or mend the lock: fleet.lock.yaml says 100.64.0.1"
    )


def test_a_stated_address_that_was_learned_of_another_host(fleet_file: Path) -> None:
    fleet_file.with_name("fleet.lock.yaml").write_text(LOCK)
    stated = "{lan: 10.0.0.2, tailnet: 100.64.0.1}"
    fleet_file.write_text(fleet_file.read_text().replace("{lan: 10.0.0.2}", stated))
    with pytest.raises(FleetError, match=r"100\.64\.0\.1 is another host's\n.* says it is boss's"):
        load_fleet(fleet_file)


def test_agents_run_where_nobody_works_and_may_do_what_the_role_says(fleet_file: Path) -> None:
    fleet = load_fleet(fleet_file)
    assert fleet.host("boss").agent == Agent(enabled=True, sudo=Sudo.NONE)
    assert fleet.host("berry").agent == Agent(enabled=True, sudo=Sudo.FULL)
    own = 'cores: 4, agent: {sudo: ["/usr/bin/systemctl restart x"]}, daily_budget: 9,'
    fleet_file.write_text(fleet_file.read_text().replace("cores: 4,", own))
    berry = load_fleet(fleet_file).host("berry")
    assert berry.agent == Agent(enabled=True, sudo=("/usr/bin/systemctl restart x",))
    assert berry.daily_budget == 9


def test_a_days_budget_is_the_roles_and_the_fleets(fleet_file: Path) -> None:
    text = fleet_file.read_text() + "daily_budgets: {fleet: 100, pi: 12.5}\n"
    fleet_file.write_text(text)
    fleet = load_fleet(fleet_file)
    assert (fleet.daily_budget, fleet.host("berry").daily_budget) == (100, 12.5)
    assert fleet.host("boss").daily_budget is None


@pytest.mark.parametrize(
    "wrong",
    [
        "agent: {sudo: most}",
        "agent: {sudo: [systemctl]}",
        "agent: {sudo: [\"/bin/sh -c 'rm *'\"]}",
        "agent: {enabled: perhaps}",
        "daily_budget: -1",
    ],
)
def test_what_no_agent_can_be_is_refused(fleet_file: Path, wrong: str) -> None:
    fleet_file.write_text(fleet_file.read_text().replace("cores: 4,", f"cores: 4, {wrong},"))
    with pytest.raises(FleetError, match=wrong.partition(":")[0]):
        load_fleet(fleet_file)


@pytest.mark.parametrize("wrong", ["http://x.example", "https://x.example/?a=b", "ftp://x"])
def test_the_api_is_spoken_to_by_https_alone(fleet_file: Path, wrong: str) -> None:
    fleet_file.write_text(f"{fleet_file.read_text()}anthropic_url: {wrong}\n")
    with pytest.raises(FleetError, match="anthropic_url"):
        load_fleet(fleet_file)
