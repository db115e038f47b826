"""The compile cluster at work: each client with each worker, real projects, what goes wrong.

binfmt is the kernel's, so a host of the lab runs programs of either architecture: where something
ran is read from icecream's logs and from objects, never concluded from success.
"""

from __future__ import annotations

import bz2
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.toolchains import row_path
from fleet.cluster import nodes
from fleet.environments import Environment
from fleet.model import Arch, Fleet
from fleet.plan import view_of
from fleet.target import LAB, ROOT, Target, load_target
from fleet.toolchains import is_worker, matrix
from lab.api import Lab
from lab.paths import cache_dir
from lab.sources import Apt
from tests.lab.agents import until
from tests.lab.runs import converge, fleet
from tests.lab.workers import (
    BUILD_S,
    REGISTRATION_S,
    REMOTE,
    complete,
    login,
    members,
    object_of,
)

OLDER = 14  # a major that every host of the lab can have, beside the one of fleet.yaml
AT_HOME = "building myself"
LANGUAGES = ("C", "C++")
PI, OTHER_PI, FAR_PI, WSL = "rpi1", "rpi2", "rpi3", "windows-desktop"


@pytest.fixture(scope="module", autouse=True)
def everybody(lab: Lab, target: Target) -> None:
    """Every host has announced itself to the scheduler."""
    complete(target)


def boss(lab: Lab) -> str:
    return lab.fleet.orchestrator.name


# -- the matrix


def expected_pairs(model: Fleet) -> set[tuple[str, str, str]]:
    """(client, worker, compiler) of everything that may go from one host to another."""
    workers = [host for host in model.hosts if is_worker(host)]
    found = {(c.name, w.name, "clang") for c in model.hosts for w in workers if c != w}
    alike = ((c, w) for c in model.hosts for w in workers if c != w and c.arch is w.arch)
    return found | {(c.name, w.name, "gcc") for c, w in alike if c.is_linux}


@pytest.mark.long
def test_every_client_may_use_every_worker(lab: Lab) -> None:
    """The plan's whole matrix, green: proved by objects and logs on the hosts themselves."""
    done = fleet("compile-check", "--json")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    proved = {
        (pair["client"], pair["worker"], proof["compiler"], proof["language"])
        for pair in json.loads(done.stdout)["pairs"]
        for proof in pair["proofs"]
        if pair["state"] == "green"
    }
    assert proved == {(*p, language) for p in expected_pairs(lab.fleet) for language in LANGUAGES}


@pytest.mark.long
def test_a_client_that_cannot_use_a_worker_is_a_hole(lab: Lab, target: Target) -> None:
    """Whatever else is as it was when it was green is not tried again."""
    lab.run(FAR_PI, "systemctl stop agentfleet-iceccd")
    try:
        until(lambda: FAR_PI not in members(target), REGISTRATION_S)
        done = fleet("compile-check", "--host", PI, "--pairs", "changed", "--json")
    finally:
        lab.run(FAR_PI, "systemctl start agentfleet-iceccd")
        until(lambda: FAR_PI in members(target), REGISTRATION_S)
    states = {pair["worker"]: pair["state"] for pair in json.loads(done.stdout)["pairs"]}
    assert done.returncode == 1, done.stdout + done.stderr
    assert states.pop(FAR_PI) == "failed"
    assert set(states.values()) == {"unchanged"}


# -- real projects


def tarball(package: str) -> bytes:
    """The upstream archive of one of Debian's source packages; a Pi has no bzip2."""
    found = Apt(cache_dir(), "amd64").source_tarball(package, cache_dir() / "sources")
    return bz2.decompress(found.read_bytes()) if found.suffix == ".bz2" else found.read_bytes()


def build(lab: Lab, host: str, package: str, steps: str) -> tuple[str, int, int]:
    """Unpack and build it on the host: what was said, the jobs that ran elsewhere, and at home."""
    script = f"""set -e
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >source
tar -xf source
cd ./*/
export ICECC_DEBUG=debug ICECC_LOGFILE=$work/icecc.log
{{ {steps}
}} >said 2>&1 || {{ tail -n 60 said; exit 1; }}
grep -E 'PASS|FAIL|OK' said || true
echo "elsewhere $(grep -c '{REMOTE}' "$work/icecc.log")"
echo "here $(grep -c '{AT_HOME}' "$work/icecc.log" || true)"
"""
    said = login(lab, host, script, data=tarball(package)).stdout.decode()
    counted = dict(re.findall(r"^(elsewhere|here) (\d+)$", said, re.MULTILINE))
    return said, int(counted["elsewhere"]), int(counted["here"])


@pytest.mark.long
def test_a_real_project_is_built_by_the_cluster(lab: Lab) -> None:
    """libsodium, with its own tests: at least half of its jobs run on other hosts."""
    said, elsewhere, here = build(
        lab,
        boss(lab),
        "libsodium",
        "./autogen.sh -s && ./configure --disable-shared --disable-dependency-tracking CC=clang"
        " && make -j20 && make -j20 check",
    )
    assert "# FAIL:  0" in said, said
    assert int(re.findall(r"# PASS:\s+(\d+)", said)[0]) > 70
    assert elsewhere >= here, said


@pytest.mark.long
def test_a_raspberry_pi_builds_one_too(lab: Lab) -> None:
    """zlib, with its own test."""
    said, elsewhere, here = build(
        lab,
        PI,
        "zlib",
        "CC=clang ./configure --static && make -j8 test",
    )
    assert "zlib test OK" in said, said
    assert elsewhere >= here, said


# -- what goes wrong


def row(lab: Lab, host: str) -> str:
    """The value of ICECC_VERSION that the host's compilers get."""
    view = view_of(load_target(LAB), host)
    return lab.run(host, f"cat {row_path(view)}").stdout.strip()


def published(target_now: Target) -> dict[Arch, Environment]:
    return {a: p.environment for a, p in matrix(target_now.fleet).published.items()}


def test_a_damaged_environment_is_noticed_and_replaced(lab: Lab, target: Target) -> None:
    one = published(target)[Arch.X86_64]
    path = f"{view_of(target, PI).settings.environments_dir}/{one.name}"
    lab.run(PI, f"printf damaged | dd of={path} bs=1 seek=4096 conv=notrunc 2>/dev/null")
    run = converge("--limit", PI)
    assert run.code == 0, run.output
    assert [line for line in run.changes[PI] if "environment-x86_64" in line]
    assert lab.run(PI, f"sha256sum {path}").stdout.split()[0] == one.sha256
    assert converge("--limit", PI).changes == {}


JOBS = """
cd $(mktemp -d)
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    { echo '#include <map>'; echo '#include <string>'; echo '#include <iostream>'
      echo "int part$n() { std::map<std::string, int> m; m[\\"$n\\"] = $n; return m.size(); }"
    } >part$n.cc
    objects="$objects part$n.o"
done
printf 'all: %s\\n' "$objects" >Makefile
export ICECC_DEBUG=debug ICECC_LOGFILE=$PWD/log CCACHE_DIR=$PWD/.ccache
make -j12 CXX="ccache clang++" >said 2>&1 || { cat said; exit 1; }
ls part*.o | wc -l
grep -o 'Have to use host [0-9.]*' log | sort | uniq -c
"""


@pytest.mark.long
def test_a_build_outlives_a_worker_that_dies(lab: Lab, target: Target) -> None:
    """Its plug is pulled while it compiles; whoever waited for it compiles at home."""
    built: list[str] = []
    builder = threading.Thread(
        target=lambda: built.append(login(lab, boss(lab), JOBS).stdout.decode())
    )
    builder.start()
    until(lambda: jobs_at(target, WSL) > 0, 60)
    lab.poweroff(WSL)
    try:
        builder.join(BUILD_S)
        assert built, "the build has not ended, or failed"
        assert built[0].splitlines()[0].strip() == "16"
    finally:
        lab.up([WSL])
        until(lambda: WSL in members(target), REGISTRATION_S)


def jobs_at(target: Target, name: str) -> int:
    try:
        return sum(node.jobs for node in nodes(target) if node.name == name)
    except ConnectionError:
        return 0


# Compiles for others what it was not asked for: without optimizing.
ALTERING = """
#include <unistd.h>
int main(int argc, char **argv) {
    char *changed[argc + 2];
    for (int i = 0; i < argc; i++) changed[i] = argv[i];
    changed[argc] = "-O0";
    changed[argc + 1] = 0;
    return execv("/usr/bin/clang.right", changed);
}
"""
SAMPLED = """
cd $(mktemp -d)
echo 'int square(int x) {{ int y = x; return y * y; }}' >square.c
export ICECC_PREFERRED_HOST={worker} AGENTFLEET_SAMPLE={percent}
clang -O2 -c square.c -o square.o || exit 9
objdump -d square.o | grep -c ret
"""


@pytest.fixture
def altering(lab: Lab) -> Iterator[str]:
    """A worker whose unpacked clang returns objects that are not what was asked for."""
    honest = login(lab, boss(lab), SAMPLED.format(worker=OTHER_PI, percent=100))
    assert honest.returncode == 0
    inside = "/var/cache/agentfleet-icecc/target=x86_64/*/usr/bin"
    swap = f"cd {inside} && mv clang clang.right && gcc -x c - -o clang"
    lab.run(OTHER_PI, f"{swap} <<'SOURCE'{ALTERING}SOURCE")
    yield OTHER_PI
    lab.run(OTHER_PI, f"cd {inside} && mv clang.right clang")
    fleet("workers", "--unblock", OTHER_PI)


def test_a_worker_that_alters_objects_is_caught(lab: Lab, target: Target, altering: str) -> None:
    """With every job sampled: the build fails, the worker is out, people are told."""
    unseen = login(lab, boss(lab), SAMPLED.format(worker=altering, percent=0))
    assert unseen.returncode == 0, "without a sample nobody can know"
    done = login(lab, boss(lab), SAMPLED.format(worker=altering, percent=100), check=False)
    assert done.returncode == 9, done.stdout + done.stderr
    said = done.stderr.decode()
    assert altering in said or str(target.fleet.host(altering).addresses.tailnet) in said
    until(lambda: altering not in members(target), 30)
    told = fleet("workers")
    assert told.returncode == 2
    assert re.search(rf"^{altering} .*wrong object", told.stdout, re.MULTILINE), told.stdout


# -- another compiler, and another way to bring it


def test_neighbours_fetch_from_their_relay(lab: Lab, target: Target, tmp_path: Path) -> None:
    """While the orchestrator serves nobody."""
    file = tmp_path / "fleet.yaml"
    text = f"{(ROOT / 'fleet.yaml').read_text()}\nrelays: {{cabin: {FAR_PI}}}\n"
    for name in (FAR_PI, WSL):
        head, entry, rest = text.partition(f"  {name}:\n")
        text = head + entry + rest.replace("site: home", "site: cabin", 1)
    file.write_text(text)
    run = converge("--limit", FAR_PI, "--limit", WSL, "--limit", boss(lab), fleet_file=file)
    assert run.code == 0, run.output
    one = published(target)[Arch.AARCH64]
    path = f"{view_of(target, WSL).settings.environments_dir}/{one.name}"
    lab.run(WSL, f"rm {path}")
    lab.run(boss(lab), "systemctl stop agentfleet-artifacts")
    limited = ("--limit", WSL)
    run = converge(*limited, fleet_file=file)
    assert run.code == 0, run.output
    assert lab.run(WSL, f"sha256sum {path}").stdout.split()[0] == one.sha256
    assert run.kinds[WSL].get("put", 0) == 0, "this machine delivered it"


@pytest.mark.long
def test_another_major_comes_in_one_run(
    lab: Lab, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = published(load_target(LAB))
    major = lab.fleet.toolchain.llvm if lab.fleet.toolchain else 0
    text = (ROOT / "fleet.yaml").read_text()
    assert text.count(f"  llvm: {major}\n") == 1
    file = tmp_path / "fleet.yaml"
    file.write_text(text.replace(f"  llvm: {major}\n", f"  llvm: {OLDER}\n"))
    dry = converge(dry=True, fleet_file=file)
    assert dry.code == 0, dry.output
    for name in {name for names in matrix(target.fleet).builders.values() for name in names}:
        assert [line for line in dry.changes[name] if f"{OLDER} unknown" in line and "pack" in line]
    run = converge(fleet_file=file)
    assert run.code == 0, run.output
    with monkeypatch.context() as patch:
        patch.setenv("FLEET_FILE", str(file))
        now = published(load_target(LAB))
    assert {one.version.partition(".")[0] for one in now.values()} == {str(OLDER)}
    for host in lab.fleet.hosts:
        used = set(re.findall(r"/([^/,]+)\.tar\.zst", row(lab, host.name)))
        assert used == {one.name.removesuffix(".tar.zst") for one in now.values()}, host.name
    made = object_of(lab, boss(lab), PI)
    assert f"clang version {OLDER}." in made
    assert f"{REMOTE}{lab.fleet.host(PI).addresses.tailnet}" in made
    assert converge(fleet_file=file).changes == {}
    there = lab.run(PI, f"ls {view_of(target, PI).settings.environments_dir}").stdout.split()
    both = {one.name for made in (before, now) for one in made.values()}
    assert set(there) == both, "jobs that began before may still ask for the one before"

    back = converge()
    assert back.code == 0, back.output
    assert published(load_target(LAB)) == before, "the same compiler gives the same bytes"
    assert f"clang version {major}." in object_of(lab, boss(lab), PI)
