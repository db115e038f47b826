"""Who packs, who may send jobs where, and why not: the toolchain matrix, for any fleet."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.environments import Environment, major, version
from fleet.kinds import Arch, Power, Sudo
from fleet.model import Agent, Fleet, Host
from fleet.toolchains import (
    Matrix,
    Published,
    cache_mb,
    icecc_version,
    is_worker,
    matrix,
    untrusted,
)
from tests.unit.clusters import (
    CLANG,
    GOLDEN,
    OLD,
    PATCHED,
    REBUILT,
    environment,
    green,
    packed,
    told,
    with_compilers,
    with_toolchain,
)

X86, ARM = Arch.X86_64, Arch.AARCH64
BOSS, MAC = "arch-orchestrator", "imac"
PIS = ("rpi1", "rpi2", "rpi3")
WSL = ("windows-desktop", "windows-laptop")


def lacks(fleet: Fleet, name: str) -> str:
    return "; ".join(matrix(fleet).rows[name].lacks)


def without(fleet: Fleet, *names: str) -> Fleet:
    """The fleet where these hosts are no more."""
    hosts = tuple(host for host in fleet.hosts if host.name not in names)
    return fleet.model_copy(update={"hosts": hosts})


# The golden fleet


def test_every_host_uses_every_platform_once_all_have_the_compiler() -> None:
    found = matrix(green())
    assert set(found.rows) == {host.name for host in green().hosts}
    for row in found.rows.values():
        assert (row.environments, row.lacks) == ((environment(X86), environment(ARM)), ())
    assert found.troubles == {}


def test_the_orchestrator_packs_and_no_other_system_is_its_witness() -> None:
    assert matrix(green()).builders == {X86: (BOSS,), ARM: ("rpi1", "rpi2")}
    assert matrix(green()).published[ARM].builders == ("rpi1", "rpi2")


def test_a_fleet_without_a_toolchain_agrees_on_nothing() -> None:
    found = matrix(GOLDEN)
    assert found == Matrix({}, {}, {}, {})


def test_before_anything_is_packed_it_is_said_who_has_to() -> None:
    fleet = with_compilers()
    assert matrix(fleet).published == {}
    assert lacks(fleet, MAC) == (
        f"no job goes to x86_64 workers: {BOSS} has yet to pack it; "
        "no job goes to aarch64 workers: rpi1 or rpi2 has yet to pack it"
    )


def test_before_anything_is_told_everybody_stays_at_home() -> None:
    fleet = with_toolchain(GOLDEN)
    for row in matrix(fleet).rows.values():
        assert row.environments == ()
        assert row.lacks == ("it compiles at home: it has no clang 16",)


def test_a_mac_without_the_compiler_compiles_at_home_and_nobody_else_minds() -> None:
    fleet = told(green(), MAC, compiler=None)
    assert lacks(fleet, MAC) == "it compiles at home: it has no clang 16"
    assert [row for row in matrix(fleet).rows.values() if row.lacks] == [matrix(fleet).rows[MAC]]


def test_a_build_with_other_defaults_is_not_used_and_nobody_is_accused() -> None:
    fleet = told(green(), "rpi3", compiler=CLANG.replace("+0f1e2d", "+d2e1f0"))
    row = matrix(fleet).rows["rpi3"]
    assert row.environments == ()
    assert "clang 16.0.6 makes other code there" in row.lacks[0]


def test_a_host_that_deviates_is_named_with_both_versions() -> None:
    fleet = told(green(), "rpi3", compiler=PATCHED)
    row = matrix(fleet).rows["rpi3"]
    assert row.environments == ()
    assert row.lacks[0].endswith("clang is 16.0.5 here and 16.0.6 there: give both the same")
    assert len(row.lacks) == 2
    assert not lacks(fleet, "rpi1")


def test_a_clang_of_another_major_stays_at_home() -> None:
    fleet = told(green(), MAC, compiler=OLD)
    assert lacks(fleet, MAC) == "it compiles at home: its clang is 15.0.7, wanted is 16"


def test_another_build_of_the_same_version_is_as_good() -> None:
    """Distributions build into other bytes what makes the same objects."""
    fleet = told(green(), MAC, compiler=REBUILT)
    assert matrix(fleet).rows[MAC].environments == (environment(X86), environment(ARM))


def test_a_new_major_takes_back_every_environment_at_once() -> None:
    found = matrix(with_toolchain(green(), llvm=17))
    assert found.published == {}
    assert not [row for row in found.rows.values() if row.environments]


def test_a_builder_whose_compiler_changed_has_yet_to_pack_it() -> None:
    fleet = told(green(), BOSS, compiler=REBUILT)
    assert set(matrix(fleet).published) == {ARM}
    assert "x86_64 workers: arch-orchestrator has yet to pack it" in lacks(fleet, MAC)


# Witnesses


def test_two_that_disagree_publish_nothing() -> None:
    other = environment(ARM, packed="altered")
    fleet = told(green(), "rpi2", environments=(other,))
    assert ARM not in matrix(fleet).published
    assert "rpi1 and rpi2 packed one compiler into two environments" in lacks(fleet, MAC)
    assert matrix(fleet).rows[MAC].environments == (environment(X86),)


def test_a_witness_that_has_yet_to_pack_holds_nobody_up() -> None:
    fleet = told(green(), "rpi2", environments=())
    assert matrix(fleet).published[ARM].builders == ("rpi1",)
    assert not lacks(fleet, MAC)


def test_the_witness_stands_in_for_the_one_it_witnesses() -> None:
    fleet = told(green(), "rpi1", environments=())
    assert matrix(fleet).published[ARM] == Published(environment(ARM), ("rpi2",))


def test_another_compiler_is_no_witness_and_no_contradiction() -> None:
    fleet = told(green(), "rpi2", compiler=REBUILT, environments=(environment(ARM, REBUILT),))
    assert matrix(fleet).published[ARM] == Published(environment(ARM), ("rpi1",))


@pytest.mark.parametrize(
    ("asleep", "builders"),
    [(("rpi1",), ("rpi2", "rpi3")), (("rpi1", "rpi2"), ("rpi3",)), (PIS, ("rpi1",))],
)
def test_who_sleeps_packs_only_where_nobody_else_can(
    asleep: tuple[str, ...], builders: tuple[str, ...]
) -> None:
    fleet = with_compilers()
    for name in asleep:
        fleet = told(fleet, name, power=Power.SLEEPS)
    assert matrix(fleet).builders[ARM] == builders


def test_the_orchestrator_is_preferred_and_its_own_system_is_the_witness() -> None:
    fleet = told(with_compilers(), WSL[0], power=Power.ALWAYS_ON)
    assert matrix(fleet).builders[X86] == (BOSS,), "Debian witnesses nothing for Arch"
    fleet = told(fleet, BOSS, os=fleet.host(WSL[0]).os)
    assert matrix(fleet).builders[X86] == (BOSS, WSL[0])
    moved = fleet.model_copy(update={"scheduler": WSL[0]})
    assert matrix(moved).builders[X86] == (BOSS, WSL[0]), "a scheduler for a day packs nothing"


@pytest.mark.parametrize("declined", ["toolchains", "environments", "llvm"])
def test_who_declines_a_part_of_it_packs_nothing(declined: str) -> None:
    fleet = told(with_compilers(), "rpi1", without=(declined,))
    assert matrix(fleet).builders[ARM] == ("rpi2", "rpi3")


def test_a_platform_where_no_worker_packs_says_so() -> None:
    fleet = with_compilers()
    for name in PIS:
        fleet = told(fleet, name, without=("toolchains",))
    assert "aarch64 workers: no worker there could pack it" in lacks(fleet, MAC)
    assert set(matrix(fleet).rows) == {host.name for host in fleet.hosts} - set(PIS)


@pytest.mark.parametrize("declined", ["llvm", "icecream"])
def test_who_declines_what_sending_takes_stays_at_home(declined: str) -> None:
    """Whatever it told when it still had it."""
    fleet = told(green(), MAC, without=(declined,))
    assert lacks(fleet, MAC) == f"it compiles at home: it is without {declined}"
    assert matrix(fleet).rows[MAC].environments == ()


def test_macs_take_no_jobs_and_so_pack_nothing() -> None:
    fleet = without(green(), BOSS, *WSL)
    fleet = fleet.model_copy(update={"scheduler": "rpi1"})
    assert X86 not in matrix(fleet).builders
    assert matrix(fleet).rows[MAC].environments == (environment(ARM),)


def test_the_only_worker_of_a_platform_sends_itself_nothing() -> None:
    fleet = without(green(), *WSL)
    assert matrix(fleet).rows[BOSS].environments == (environment(ARM),)
    assert environment(X86) in matrix(fleet).rows["rpi1"].environments


# Generations


def test_the_generation_before_is_known() -> None:
    now, before, older = environment(ARM), environment(ARM, PATCHED), environment(ARM, OLD)
    fleet = packed(with_compilers(), {ARM: (now, before, older)})
    assert matrix(fleet).published[ARM].previous == before
    again = environment(ARM).model_copy(update={"sha256": before.sha256, "size": 70_000_000})
    fleet = packed(with_compilers(), {ARM: (now, again, before)})
    assert matrix(fleet).published[ARM].previous == before, "compressed otherwise is the same one"


# Any fleet

CONTENTS = ("as ever", "altered")
MADE = st.builds(
    environment,
    st.sampled_from(Arch),
    st.sampled_from((CLANG, REBUILT, PATCHED, OLD)),
    st.sampled_from(CONTENTS),
)


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """A host of the golden fleet in some other state."""
    host = draw(st.sampled_from(GOLDEN.hosts))
    return host.model_copy(
        update={
            "power": draw(st.sampled_from(Power)),
            "without": draw(st.sampled_from(((), ("icecream",), ("toolchains",), ("llvm",)))),
            "compiler": draw(st.sampled_from((None, CLANG, CLANG, REBUILT, PATCHED, OLD))),
            "environments": tuple(draw(st.lists(MADE, max_size=3))),
            "agent": Agent(enabled=draw(st.booleans()), sudo=draw(st.sampled_from(Sudo))),
        }
    )


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    some = draw(st.lists(hosts(), min_size=1, max_size=7, unique_by=lambda host: host.name))
    boss = GOLDEN.orchestrator
    if all(host.name != boss.name for host in some):
        some.append(boss)
    workers = [host.name for host in some if host.is_linux]
    fleet = GOLDEN.model_copy(
        update={"hosts": tuple(some), "scheduler": draw(st.sampled_from(workers))}
    )
    return with_toolchain(fleet, draw(st.sampled_from((15, 16, 16))))


@settings(max_examples=150, deadline=None)
@given(fleets())
def test_what_clients_use_was_made_from_a_compiler_that_is_there_now(fleet: Fleet) -> None:
    for arch, published in matrix(fleet).published.items():
        it = published.environment
        assert it.platform is arch
        assert fleet.toolchain
        assert major(it.compiler) == fleet.toolchain.llvm
        assert published.builders
        assert set(published.builders) <= set(matrix(fleet).builders[arch])
        for name in published.builders:
            builder = fleet.host(name)
            assert is_worker(builder)
            assert builder.arch is arch
            assert builder.compiler == it.compiler
            assert builder.environments[0].content == it.content
        assert len(_contents(fleet, matrix(fleet).builders[arch], it)) == 1


def _contents(fleet: Fleet, names: tuple[str, ...], like: Environment) -> set[str]:
    """What these hosts now have of the same compiler."""
    newest = (fleet.host(name) for name in names if fleet.host(name).environments)
    return {
        host.environments[0].content
        for host in newest
        if host.environments[0].compiler == like.compiler == host.compiler
        and host.environments[0].platform is like.platform
    }


@settings(max_examples=150, deadline=None)
@given(fleets())
def test_a_client_uses_its_own_version_and_each_platform_at_most_once(fleet: Fleet) -> None:
    for name, row in matrix(fleet).rows.items():
        client = fleet.host(name)
        platforms = [it.platform for it in row.environments]
        assert len(set(platforms)) == len(platforms)
        for it in row.environments:
            assert client.compiler
            assert it.version == version(client.compiler)
            assert it == matrix(fleet).published[it.platform].environment
            assert any(
                is_worker(other) and other.arch is it.platform
                for other in fleet.hosts
                if other.name != name
            )


@settings(max_examples=150, deadline=None)
@given(fleets())
def test_of_every_platform_it_is_said_why_it_is_not_used(fleet: Fleet) -> None:
    found = matrix(fleet)
    assert {*found.published, *found.troubles} == set(found.builders)
    assert not set(found.published) & set(found.troubles)
    for name, row in found.rows.items():
        others = {it.arch for it in fleet.hosts if is_worker(it) and it.name != name}
        used = {it.platform for it in row.environments}
        said = row.lacks
        assert used == set() if any("at home" in why for why in said) else True
        if not any("at home" in why for why in said):
            assert {arch for arch in others if any(f"to {arch} " in why for why in said)} == (
                others - used
            )


@settings(max_examples=100, deadline=None)
@given(fleets())
def test_no_daemon_gets_a_limit_that_is_none(fleet: Fleet) -> None:
    for host in fleet.hosts:
        assert 250 <= cache_mb(fleet, host) <= 2000
        assert cache_mb(fleet, host) % 250 == 0


# What follows from it


def test_what_icecream_is_told() -> None:
    row = matrix(green()).rows[MAC].environments
    assert icecc_version(row, "/envs") == (
        f"x86_64:/envs/{environment(X86).name},aarch64:/envs/{environment(ARM).name}"
    )
    assert icecc_version((), "/envs") == ""


def _agents(sudo: Mapping[str, Sudo | tuple[str, ...]]) -> Fleet:
    fleet = green()
    for name, may in sudo.items():
        fleet = told(fleet, name, agent=Agent(enabled=True, sudo=may))
    return fleet


def test_whose_agent_may_change_the_compiler_is_not_trusted() -> None:
    fleet = _agents({BOSS: Sudo.NONE, "rpi1": Sudo.FULL, "rpi2": Sudo.NONE, "rpi3": ("/bin/ls",)})
    assert untrusted(fleet, ARM) == ("rpi1",)
    assert untrusted(fleet, X86) == (), "where a person works there is no agent, and Macs take none"
    off = told(fleet, "rpi1", agent=Agent(enabled=False, sudo=Sudo.FULL))
    assert untrusted(off, ARM) == ()


def test_the_cache_holds_two_of_clang_and_the_gcc_of_everybody_alike() -> None:
    """Three of gcc and two of clang at 240 MB are 1200, in steps of 250."""
    fleet = green()
    assert cache_mb(fleet, fleet.host(BOSS)) == 1250
    assert cache_mb(fleet, fleet.host("rpi1")) == 1250
    assert cache_mb(fleet, fleet.host(MAC)) == 250, "which keeps its own alone"
    fewer = without(fleet, *WSL)
    assert cache_mb(fewer, fewer.host(BOSS)) == 750


def test_the_cache_follows_what_the_environments_take() -> None:
    larger = environment(ARM).model_copy(update={"unpacked": 500_000_000})
    fleet = packed(green(), {ARM: (larger,)})
    assert cache_mb(fleet, fleet.host("rpi3")) == 1750
    assert cache_mb(fleet, fleet.host(BOSS)) == 1250, "of the other platform"
    huge = packed(green(), {ARM: (larger.model_copy(update={"unpacked": 3_000_000_000}),)})
    assert cache_mb(huge, huge.host("rpi3")) == 2000, "2048 would be none to icecream"


def test_the_cache_limit_of_a_fleet_without_a_toolchain() -> None:
    fleet = GOLDEN
    assert cache_mb(fleet, fleet.host(BOSS)) == 1250
