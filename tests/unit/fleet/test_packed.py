"""What a host packed comes to this machine right, from whoever has it, or it is said why not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fleet.digest import digest_of
from fleet.environments import Environment
from fleet.kinds import Arch
from fleet.packed import published, retrieve
from fleet.problems import FetchError, FleetError
from fleet.ssh import Route, download
from fleet.target import Target
from tests.unit.clusters import PATCHED, environment, green, packed, target_of

CONTENT = b"an environment" * 40
ARM = Arch.AARCH64
IT = environment(ARM).model_copy(update={"sha256": hashlib.sha256(CONTENT).hexdigest()})
HOLDERS = ("rpi1", "rpi2")

Serve = Callable[[Mapping[str, bytes | OSError]], list[str]]


@pytest.fixture
def target() -> Target:
    return target_of(packed(green(), {ARM: (IT,)}))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, target: Target) -> Serve:
    """Say what each host gives instead of the file; returns the hosts as they are asked."""
    asked: list[str] = []

    def by_host(gives: Mapping[str, bytes | OSError]) -> list[str]:
        addresses = {target.fleet.host(name).addresses.lan: name for name in HOLDERS}

        def copy(way: Route, path: str, local: Path) -> None:
            name = addresses[way.address]
            asked.append(name)
            assert path == f"/opt/icecc-envs/{IT.name}"
            if isinstance(said := gives[name], OSError):
                local.write_bytes(CONTENT[:50])
                raise said
            local.write_bytes(said)

        monkeypatch.setattr("fleet.packed.download", copy)
        return asked

    return by_host


def nothing_else(cache: Path, *names: str) -> bool:
    return sorted(path.name for path in (cache / "artifacts").iterdir()) == sorted(names)


def test_it_comes_once_and_is_kept(cache: Path, target: Target, serve: Serve) -> None:
    asked = serve(dict.fromkeys(HOLDERS, CONTENT))
    path = retrieve(target, IT)
    assert digest_of(path) == IT.sha256
    assert retrieve(target, IT) == path
    assert asked == ["rpi1"]
    assert nothing_else(cache, IT.sha256)


def test_one_that_rots_here_is_fetched_again(cache: Path, target: Target, serve: Serve) -> None:
    asked = serve(dict.fromkeys(HOLDERS, CONTENT))
    retrieve(target, IT).write_bytes(b"rotten")
    assert retrieve(target, IT).read_bytes() == CONTENT
    assert asked == ["rpi1", "rpi1"]


@pytest.mark.parametrize("fault", [b"forged", b"", FetchError("rpi1 does not answer")])
def test_another_host_that_has_it_is_asked(
    cache: Path, target: Target, serve: Serve, fault: bytes | OSError
) -> None:
    asked = serve({"rpi1": fault, "rpi2": CONTENT})
    assert retrieve(target, IT).read_bytes() == CONTENT
    assert asked == ["rpi1", "rpi2"]
    assert nothing_else(cache, IT.sha256)


def test_when_nobody_gives_it_every_reason_is_said(
    cache: Path, target: Target, serve: Serve
) -> None:
    serve({"rpi1": b"forged", "rpi2": FetchError("connection timed out")})
    with pytest.raises(FleetError) as caught:
        retrieve(target, IT)
    said = str(caught.value)
    forged = hashlib.sha256(b"forged").hexdigest()
    assert f"{IT.name} could not be fetched" in said
    assert f"rpi1: has the digest {forged}, noted is {IT.sha256}" in said
    assert "rpi2: connection timed out" in said
    assert "run again once a host that has it answers" in said
    assert nothing_else(cache), "what came and was wrong is not kept"


def test_who_packed_another_one_is_not_asked(cache: Path, serve: Serve) -> None:
    asked = serve(dict.fromkeys(HOLDERS, CONTENT))
    with pytest.raises(FleetError, match="could not be fetched"):
        retrieve(target_of(green()), IT)
    assert asked == []


def test_only_what_clients_use_now_is_fetched_from_a_builder(target: Target) -> None:
    """Everything else comes from where it is pinned."""
    before: Environment = environment(ARM, PATCHED)
    fleet = packed(target.fleet, {ARM: (IT, before)})
    assert published(fleet, IT.sha256) == IT
    assert published(fleet, before.sha256) is None
    assert published(fleet, "00" * 32) is None


WAY = Route("100.64.0.9", 22, "admin", None, None, "rpi1")


def test_the_file_is_what_ssh_prints(programs: Path, tmp_path: Path) -> None:
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\nfor it; do :; done\necho "$it" >{tmp_path}/said\nprintf "a\\0b"\n')
    ssh.chmod(0o755)
    download(WAY, "/opt/some file", tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == b"a\0b"
    assert (tmp_path / "said").read_text() == "cat '/opt/some file'\n"


@pytest.mark.parametrize(
    ("says", "reason"),
    [("cat: /opt/it: No such file or directory", "No such file or directory"), ("", "exit code 9")],
)
def test_what_ssh_says_is_the_reason(
    programs: Path, tmp_path: Path, says: str, reason: str
) -> None:
    ssh = programs / "ssh"
    ssh.write_text(f"#!/bin/sh\nprintf '%s' '{says}' >&2\nexit 9\n")
    ssh.chmod(0o755)
    with pytest.raises(FetchError, match=reason):
        download(WAY, "/opt/it", tmp_path / "it")
