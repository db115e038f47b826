"""What each host gets of the compile environments, and where it comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys import artifacts, toolchains
from deploys.artifacts import SERVING
from fleet.environments import Environment
from fleet.kinds import Arch, Os
from fleet.model import Fleet
from fleet.plan import view_of, wanted
from fleet.resources import Artifact, Resources
from fleet.toolchains import matrix
from fleet.view import HostView
from operations.artifacts import missing
from tests.unit.clusters import (
    CLANG,
    GOLDEN,
    PATCHED,
    environment,
    green,
    packed,
    target_of,
    told,
    with_compilers,
    with_toolchain,
)
from tests.unit.conftest import FakeHost

X86, ARM = Arch.X86_64, Arch.AARCH64
BOSS, RELAY, MAC, PI = "arch-orchestrator", "rpi3", "imac", "rpi1"
ROW = "/etc/agentfleet/icecc-version"
BEFORE = environment(ARM, PATCHED)
SERVED = "/var/lib/agentfleet/artifacts"


def view(name: str, fleet: Fleet | None = None) -> HostView:
    return view_of(target_of(fleet or green()), name)


def kept_one() -> Fleet:
    """The fleet after the Pis got another compiler."""
    return packed(green(), {ARM: (environment(ARM), BEFORE)})


def of(resources: Resources, it: Environment) -> list[Artifact]:
    return [artifact for artifact in resources.artifacts if artifact.sha256 == it.sha256]


def test_a_fleet_without_a_toolchain_gets_none() -> None:
    for host in GOLDEN.hosts:
        assert toolchains.resources(view(host.name, GOLDEN)) == Resources()


def test_every_client_gets_what_is_in_its_row() -> None:
    for host in green().hosts:
        found = toolchains.resources(view(host.name))
        expected = {f"/opt/icecc-envs/{environment(arch).name}" for arch in Arch}
        assert {artifact.path for artifact in found.artifacts} == expected
        (row,) = found.files
        assert row.path == ROW
        assert row.content.decode() == (
            f"x86_64:/opt/icecc-envs/{environment(X86).name},"
            f"aarch64:/opt/icecc-envs/{environment(ARM).name}\n"
        )
        assert found.remarks == ()


def test_the_row_names_only_what_comes_before_it() -> None:
    """A file of the list that is not there would make icecc fail, or compile at home."""
    for host in kept_one().hosts:
        found = toolchains.resources(view(host.name, kept_one()))
        listed = found.files[0].content.decode().strip().split(",")
        brought = {artifact.path for artifact in found.artifacts if not artifact.kept}
        assert {part.partition(":")[2] for part in listed} == brought


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        (with_toolchain(GOLDEN), "it has no clang 16"),
        (told(green(), MAC, compiler=PATCHED), "clang is 16.0.5 here and 16.0.6 there"),
        (with_compilers(), "has yet to pack it"),
    ],
    ids=["no compiler", "deviates", "nothing packed"],
)
def test_who_may_use_nothing_has_an_empty_row_and_is_told_why(fleet: Fleet, said: str) -> None:
    found = toolchains.resources(view(MAC, fleet))
    assert found.artifacts == ()
    assert found.files[0].content == b"\n"
    assert said in "; ".join(found.remarks)


def test_what_a_run_learns_first_brings_artifacts_afterwards() -> None:
    assert toolchains.resources(view(MAC, with_compilers())).later == ("artifacts",)


def test_the_generation_before_stays_and_is_never_fetched() -> None:
    """Jobs that began before this run still name it."""
    found = toolchains.resources(view(MAC, kept_one()))
    (before,) = of(found, BEFORE)
    assert before.kept
    look = FakeHost(mac=True).lacks(*(artifact.path for artifact in found.artifacts)).look
    context = FakeHost(mac=True).context("toolchains", found)
    assert {a.sha256 for a in missing(found, context, look)} == {
        environment(arch).sha256 for arch in Arch
    }
    assert ("artifact", before.path) in context.wanted, "so nobody removes it"


def test_the_one_before_that_is_nobodys() -> None:
    oldest = environment(ARM, "16.0.4+0f1e2d 00000000004a")
    fleet = packed(green(), {ARM: (environment(ARM), BEFORE, oldest)})
    for host in fleet.hosts:
        assert not of(toolchains.resources(view(host.name, fleet)), oldest)


@pytest.mark.parametrize(("host", "capability"), [(BOSS, "artifacts"), (RELAY, "relay")])
def test_who_serves_has_each_once_at_the_path_of_its_address(host: str, capability: str) -> None:
    """Macs, Pis and PCs ask for the same, wherever each of them has it for itself."""
    served = wanted(view(host, kept_one()))[capability]
    assert not of(served, BEFORE), "nobody fetches it"
    for arch in Arch:
        it = environment(arch)
        (found,) = of(served, it)
        assert found.path == f"{SERVED}/{it.sha256}/{it.name}"
        assert found.beside == f"/opt/icecc-envs/{it.name}"


def test_where_each_system_keeps_them_makes_no_second_copy() -> None:
    homes = {view(host.name).settings.environments_dir for host in green().hosts}
    assert homes == {"/opt/icecc-envs"}


def test_a_download_that_is_where_it_is_served_from_is_beside_nothing() -> None:
    for host, capability in ((BOSS, "artifacts"), (RELAY, "relay")):
        environments = {environment(arch).sha256 for arch in Arch}
        for artifact in wanted(view(host))[capability].artifacts:
            assert (artifact.beside != "") is (artifact.sha256 in environments)
            assert artifact.beside != artifact.path


def test_who_serves_copies_it_for_itself_and_others_fetch() -> None:
    for host in green().hosts:
        for artifact in toolchains.resources(view(host.name)).artifacts:
            name = artifact.path.rpartition("/")[2]
            served = f"{SERVED}/{artifact.sha256}/{name}"
            assert artifact.beside == (served if host.name in (BOSS, RELAY) else "")


def test_the_path_of_its_address() -> None:
    artifact = Artifact("it", "1", "/opt/icecc-envs/x.tar.zst", "ab" * 32, 500)
    assert artifacts.served_path(view(BOSS), artifact) == f"{SERVED}/{'ab' * 32}/x.tar.zst"
    moved = replace(artifact, path=artifacts.served_path(view(BOSS), artifact))
    assert artifacts.served_path(view(BOSS), moved) == moved.path, "served from there already"


def test_a_new_compiler_changes_rows_and_nothing_else_but_what_is_served() -> None:
    """And no service starts anew for it."""
    made = {arch: (environment(arch, packed="later"), environment(arch)) for arch in Arch}
    fleet = packed(green(), made)
    for host in fleet.hosts:
        before, after = wanted(view(host.name)), wanted(view(host.name, fleet))
        changed = {name for name in after if before[name] != after[name]}
        packs = host.name in matrix(fleet).builders[host.arch]
        assert changed - set(SERVING) == {"toolchains", *(["environments"] if packs else [])}
        assert changed & set(SERVING) == (
            {"artifacts"} if host.name == BOSS else {"relay"} if host.name == RELAY else set()
        )


def test_the_same_learned_again_changes_nothing() -> None:
    fleet = told(green(), PI, compiler=CLANG, os=Os.RASPIOS)
    for host in fleet.hosts:
        assert wanted(view(host.name, fleet)) == wanted(view(host.name))
