"""The compile cluster for tests: what its scheduler has, and jobs that are sent to it."""

from __future__ import annotations

import shlex
import subprocess

from fleet.cluster import nodes
from fleet.target import Target
from lab import remote
from lab.api import Lab
from tests.lab.agents import until

BUILD_S = 400.0
REMOTE = "Have to use host "  # what icecc logs of a job that goes to another host
QUARANTINE_PORT = 8083
REGISTRATION_S = 90  # a worker that comes back polls for its scheduler


def members(target: Target) -> set[str]:
    """The hosts that the scheduler has; none while it does not answer."""
    try:
        return {node.name for node in nodes(target)}
    except ConnectionError:
        return set()


def complete(target: Target) -> None:
    """Wait until every host has announced itself."""
    everybody = {host.name for host in target.fleet.hosts}
    until(lambda: members(target) == everybody, REGISTRATION_S)


def curl(lab: Lab, host: str, path: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What the quarantine says, and the status, as a host of the fleet asks."""
    url = f"http://{lab.fleet.orchestrator.addresses.tailnet}:{QUARANTINE_PORT}{path}"
    command = ["curl", "-sS", "-m", "20", "-w", "%{http_code}", *words, url]
    return lab.run(host, shlex.join(command), check=False)


def report(lab: Lab, host: str, worker: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Report a wrong object of a worker, as docs/architecture.md says it is done."""
    fields = (f"worker={worker}", "compiler=clang", "source=a file.c", "detail=byte 40 differs")
    data = (word for field in fields for word in ("--data-urlencode", field))
    return curl(lab, host, "/reports", *more, *data)


def login(
    lab: Lab, host: str, script: str, *, data: bytes = b"", check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run shell text as the login user, in a shell that is neither interactive nor a login one."""
    done = subprocess.run(
        remote.ssh(lab.place, host, script),
        input=data,
        capture_output=True,
        timeout=BUILD_S,
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert not check or done.returncode == 0, f"{host}: {said[-4000:]}"
    return done


def object_of(lab: Lab, client: str, worker: str) -> str:
    """What an object says that was made elsewhere: its compiler, and that it was elsewhere."""
    script = f"""cd $(mktemp -d); echo 'int one(void) {{ return 1; }}' >one.c
export ICECC_DEBUG=debug ICECC_LOGFILE=$PWD/log ICECC_PREFERRED_HOST={worker}
clang -c one.c -o one.o && strings -a one.o | grep 'clang version'; grep -o '{REMOTE}[0-9.]*' log"""
    return login(lab, client, script).stdout.decode()
