"""The same state brought by agentfleet, by pyinfra's stock operations and by Ansible, in one run.

usage: python -m bench.ansible [--rounds N] [--first-runs N] [--json]
Two comparisons over the x86 Linux hosts of a lab. A run that changes nothing, over the demo lab,
which has to be converged (`make demo`): everything that all three can express (bench/state.py).
And a first run, over a lab of its own that is brought back to pristine before each: `base` alone,
which needs nothing that only agentfleet can bring. Ansible is ansible-core as pinned in
ansible.requirements.lock, installed into this machine's cache, and at its best: see playbook/.

A remote execution is a connector's call for pyinfra, and a call of ssh or sftp for Ansible, which
counts what goes through its kept connection, too. Every run begins without a connection.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from bench.noop import ROOT, pyinfra
from bench.state import State, state_of
from fleet.cache import cache_dir
from fleet.kinds import Arch
from fleet.model import load_fleet
from fleet.plan import ONLY, view_of
from fleet.problems import FleetError
from fleet.resources import ROOT_GROUP
from fleet.ssh import as_root, route
from fleet.target import LAB, Target, load_target

HERE = ROOT / "bench"
LOCK, PLAYBOOK = HERE / "ansible.requirements.lock", HERE / "playbook"
FIRST_FLEET, FIRST_LAB, FIRST = HERE / "first_run.yaml", "bench-first", "base"
PRISTINE = "pristine"
OURS, STOCK, ANSIBLE = "agentfleet", "stock operations", "ansible"
DEPLOYS = {OURS: "deploy.py", STOCK: "bench/stock_deploy.py"}
_RECAP = re.compile(
    r"^(\S+)\s+: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE
)
PYTHON = "command -v python3 >/dev/null || { apt-get -qq update; apt-get -qq install -y python3; }"


@dataclass
class Measured:
    """What was seen of one way: seconds of each run, remote executions by host, changes."""

    seconds: list[float] = field(default_factory=list)
    executions: Mapping[str, int] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Return the figures."""
        return {"median_s": statistics.median(self.seconds), "executions": dict(self.executions)}


def home() -> Path:
    """Where Ansible is, or will be: a venv of its own for each lock file."""
    return cache_dir() / f"ansible-{sha256(LOCK.read_bytes()).hexdigest()[:12]}"


def install() -> Path:
    """The directory of Ansible's programs, which are installed the first time."""
    place = home()
    ready = place / "ready"
    if not ready.exists():
        click.echo("installing ansible-core into the cache", err=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        ready.touch()
    return place / "bin"


def x86(target: Target) -> tuple[str, ...]:
    """The hosts that all three ways can bring somewhere."""
    hosts = target.fleet.hosts
    return tuple(host.name for host in hosts if host.is_linux and host.arch is Arch.X86_64)


def inventory(target: Target, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """What Ansible is told of the hosts; writes the content of their files into `folder`."""
    hosts = {}
    for name in names:
        way = route(target.fleet.host(name), target)
        known = way.known_hosts or Path("~/.ssh/known_hosts").expanduser()
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}"]
        options.append("GlobalKnownHostsFile=/dev/null")
        hosts[name] = {
            "ansible_host": way.address,
            "ansible_port": way.port,
            "ansible_user": way.user,
            **({"ansible_ssh_private_key_file": way.key} if way.key else {}),
            "ansible_ssh_common_args": " ".join(f"-o {option}" for option in options),
            **variables(state_of(view_of(target, name)), folder),
        }
    return {"all": {"hosts": hosts}}


def variables(state: State, folder: Path) -> dict[str, Any]:
    """A state in the playbook's words."""

    def access(it: Any) -> dict[str, str]:  # noqa: ANN401 - a file or a directory
        group = "root" if it.group == ROOT_GROUP else it.group
        return {"mode": it.mode, "owner": it.owner, **({"group": group} if group else {})}

    def kept(content: bytes) -> str:
        path = folder / sha256(content).hexdigest()
        path.write_bytes(content)
        return str(path)

    return {
        "manager": state.manager.value if state.manager else "",
        "packages": list(state.packages),
        "users": [user.name for user in state.users],
        "directories": [{"path": one.path, **access(one)} for one in state.directories],
        "files": [
            {"path": one.path, "src": kept(one.content), **access(one)} for one in state.files
        ],
        "services": list(state.services),
    }


@dataclass(frozen=True)
class Play:
    """Ansible over these hosts: its programs, and a folder for what a run needs."""

    programs: Path
    folder: Path

    def run(self, *, counted: bool = False) -> tuple[dict[str, int], dict[str, int]]:
        """Run the playbook; returns, by host, what changed and the remote executions if counted.

        Raises ClickException when a host fails.
        """
        with tempfile.TemporaryDirectory(prefix="ab-") as name:  # short: sockets are made in it
            scratch = Path(name)
            environment = self._environment(scratch) | (_counting(scratch) if counted else {})
            command = [
                str(self.programs / "ansible-playbook"),
                "-i",
                str(self.folder / "hosts.json"),
            ]
            done = subprocess.run(
                [*command, str(PLAYBOOK / "site.yml")],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            hang_up(scratch)
            calls = (scratch / "calls").read_text() if counted else ""
        changed = recap(done.stdout)
        if done.returncode or not changed:
            raise click.ClickException(
                f"ansible failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
            )
        return changed, self._by_name(calls)

    def _environment(self, scratch: Path) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(PLAYBOOK / "ansible.cfg"),
            "ANSIBLE_HOME": str(scratch / "home"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(scratch / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }

    def _by_name(self, calls: str) -> dict[str, int]:
        """Calls are known by the address; hosts of a lab have one each."""
        hosts = json.loads((self.folder / "hosts.json").read_text())["all"]["hosts"]
        names = {known["ansible_host"]: name for name, known in hosts.items()}
        found = Counter(line.split()[1] for line in calls.splitlines())
        return {names[address]: count for address, count in found.items()}


def _counting(scratch: Path) -> dict[str, str]:
    """Have the calls of ssh and sftp counted."""
    found = {"ANSIBLE_CALLS": str(scratch / "calls")}
    (scratch / "calls").touch()
    for program in ("ssh", "sftp"):
        (scratch / program).symlink_to(PLAYBOOK / "counted.sh")
        found[f"ANSIBLE_{program.upper()}_EXECUTABLE"] = str(scratch / program)
    return found


def hang_up(scratch: Path) -> None:
    """End the connections that a run has kept, so that the next one begins without."""
    for socket in (scratch / "cp").glob("*"):
        command = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "nobody"]
        subprocess.run(command, capture_output=True, check=False)


def recap(said: str) -> dict[str, int]:
    """Host → how many tasks changed something; empty when a host failed or none is told of."""
    rows = _RECAP.findall(said)
    if any(int(unreachable) or int(failed) for _, _, unreachable, failed in rows):
        return {}
    return {host: int(changed) for host, changed, _, _ in rows}


@contextmanager
def play(target: Target, names: Sequence[str]) -> Iterator[Play]:
    """Have Ansible ready for these hosts."""
    programs = install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hosts.json").write_text(json.dumps(inventory(target, names, folder)))
        yield Play(programs, folder)


def ways(
    it: Play, names: Sequence[str], more: Mapping[str, str]
) -> dict[str, Callable[[], dict[str, int]]]:
    """Each way as something that runs and says how many remote executions each host had."""
    limits = [word for name in names for word in ("--limit", name)]

    def by_pyinfra(deploy: str) -> Callable[[], dict[str, int]]:
        return lambda: pyinfra(deploy, more, *limits)

    found = {way: by_pyinfra(deploy) for way, deploy in DEPLOYS.items()}
    return {**found, ANSIBLE: lambda: it.run(counted=True)[1]}


def unchanged(rounds: int) -> dict[str, Any]:
    """A run that changes nothing, over the demo lab."""
    target = load_target(LAB)
    names = x86(target)
    found = {way: Measured() for way in (*DEPLOYS, ANSIBLE)}
    with play(target, names) as it:
        for name in names:  # what Ansible needs there, and nobody else
            _as_root(target, name, PYTHON)
        acts = ways(it, names, {})
        for way, act in acts.items():
            found[way].executions = act()
        changed, _ = it.run()
        if any(changed.values()):
            fault = f"Ansible changes something on a converged host: {changed}"
            raise click.ClickException(f"{fault}; run `make demo` first")
        timed: dict[str, Callable[[], object]] = {**acts, ANSIBLE: it.run}
        for _ in range(rounds):  # in turns, so that a slow moment of the machine hits all
            for way, run in timed.items():
                found[way].seconds.append(_seconds(run))
    items = {name: state_of(view_of(target, name)).items for name in names}
    return {"items": items, "ways": {way: one.report() for way, one in found.items()}}


def first(rounds: int) -> dict[str, Any]:
    """A first run of each way over pristine hosts, in a lab of its own."""
    from lab.api import Lab

    more = {"FLEET_LAB": FIRST_LAB, "FLEET_FILE": str(FIRST_FLEET), ONLY: FIRST}
    lab = Lab(FIRST_LAB, load_fleet(FIRST_FLEET))
    lab.destroy()
    found = {way: Measured() for way in (*DEPLOYS, ANSIBLE)}
    try:
        lab.up()
        for host in lab.hosts:
            lab.run(host.name, PYTHON)
        lab.snapshot(PRISTINE)
        with patch.dict(os.environ, more):
            target = load_target(LAB)
            names = x86(target)
            items = {name: state_of(view_of(target, name)).items for name in names}
            with play(target, names) as it:
                for _ in range(rounds):
                    for way, act in ways(it, names, more).items():
                        lab.restore(PRISTINE)
                        start = time.perf_counter()
                        found[way].executions = act()
                        found[way].seconds.append(time.perf_counter() - start)
                        _arrived(lab, target, names, way)
    finally:
        lab.destroy()
    return {"items": items, "ways": {way: one.report() for way, one in found.items()}}


def _arrived(lab: Any, target: Target, names: Sequence[str], way: str) -> None:  # noqa: ANN401
    """Make sure that the files are there, whoever brought them."""
    for name in names:
        state = state_of(view_of(target, name))
        sums = "".join(f"{file.sha256}  {file.path}\n" for file in state.files)
        done = lab.run(name, f"sha256sum --check --quiet <<'END'\n{sums}END", check=False)
        if done.returncode:
            raise click.ClickException(f"{way} did not bring {name} there:\n{done.stdout}")


def _as_root(target: Target, name: str, script: str) -> None:
    answer = as_root(route(target.fleet.host(name), target), script, 300)
    if answer.code:
        raise click.ClickException(f"{name}: {answer.stderr}; run `make demo` first")


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def lines(title: str, found: Mapping[str, Any]) -> Iterator[str]:
    """One comparison for people."""
    items = found["items"]
    each = ", ".join(f"{name} {count}" for name, count in items.items())
    yield f"{title}; items: {each}"
    base = found["ways"][OURS]["median_s"]
    for way, one in found["ways"].items():
        counts = one["executions"]
        yield (
            f"{way:24} {one['median_s']:7.2f} s {one['median_s'] / base:6.2f} x agentfleet  "
            f"{min(counts.values())} to {max(counts.values())} remote executions a host"
        )


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Times each is run; medians count.")
@click.option(
    "--first-runs",
    default=1,
    show_default=True,
    help="Times each is run over pristine hosts, in a lab that this starts; 0: not at all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def main(rounds: int, first_runs: int, as_json: bool) -> None:
    """Compare with Ansible: a run that changes nothing, and a first run."""
    from lab.errors import LabError

    try:
        found = {"unchanged": unchanged(rounds)}
        if first_runs:
            found["first"] = first(first_runs)
    except (LabError, FleetError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    titles = {"unchanged": f"a run that changes nothing, median of {rounds}"}
    titles["first"] = f"a first run ({FIRST}), median of {first_runs}"
    for kind, one in found.items():
        click.echo("\n".join(lines(titles[kind], one)))


if __name__ == "__main__":
    main()
