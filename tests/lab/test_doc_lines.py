"""Every command line of the documents that needs hosts is typed in the lab.

tests/doclines/typed.py says how each is typed and how it ends, in the order in which they are:
those that only look first. An id names the document and the line.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.kinds import Role
from fleet.target import Target
from lab.api import Lab
from lab.paths import cache_dir
from tests.checkout import copied, with_programs
from tests.doclines import FENCED, SPANS, Line, shell
from tests.doclines.shell import Said
from tests.doclines.sources import published
from tests.doclines.typed import LAB, PROJECT, REAL, told
from tests.lab import desk
from tests.lab.joining import as_real
from tests.lab.runs import environment
from tests.lab.workers import complete, login

pytestmark = pytest.mark.long

# Which host of the lab an example's name stands for: the first of that role, but for berry, which
# has to leave: that is one that keeps no backups.
EXAMPLES = {
    "boss": Role.ORCHESTRATOR,
    "ORCHESTRATOR": Role.ORCHESTRATOR,
    "berry": Role.PI,
    "rpi1": Role.PI,
    "mac": Role.HEADLESS_MAC,
    "macbook1": Role.HEADLESS_MAC,
    "windows-desktop": Role.WINDOWS_WSL,
}
SERVED = "fleet bootstrap berry --serve"
ORDER = list(LAB)
LINES = sorted(
    (line for line in (*FENCED, *SPANS) if line.text in LAB), key=lambda it: ORDER.index(it.text)
)


@dataclass
class Person:
    """Somebody at a checkout, with the lab for a fleet."""

    lab: Lab
    checkout: Path
    project: Path
    env: dict[str, str]
    as_real: dict[str, str]  # the same, where the lab's hosts are typed as if they were real ones
    names: dict[str, str]  # of the examples → of the lab
    facts: dict[str, str]

    def meant(self, text: str) -> str:
        """A text with the names and facts of this lab."""
        for example, name in self.names.items():
            text = re.sub(rf"(?<![\w.-]){example}(?![\w.-])", name, text)
        return told(text, self.facts)

    def types(self, line: Line) -> Said:
        """Type it as the document says."""
        typed = LAB[line.text]
        script = self.meant(typed.script(line.text))
        if typed.at in self.names:
            data = self.prints(typed.data) if typed.data else b""
            done = login(self.lab, self.names[typed.at], script, data=data, check=False)
            return Said(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
        place = self.project if typed.at == PROJECT else self.checkout
        return shell.run(
            script, place, self.as_real if typed.at == REAL else self.env, typed.answers
        )

    def prints(self, text: str) -> bytes:
        """What a command here prints."""
        command = ["bash", "-c", self.meant(text)]
        done = subprocess.run(command, cwd=self.checkout, env=self.env, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _names(lab: Lab) -> dict[str, str]:
    fleet = lab.fleet

    def name(example: str, role: Role) -> str:
        found = [host for host in fleet.hosts if host.role is role]
        leaves = [host for host in found if host != fleet.backup_host]
        return (leaves if example == "berry" else found)[0].name

    return {example: name(example, role) for example, role in EXAMPLES.items()}


@pytest.fixture(scope="module")
def person(lab: Lab, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    here = tmp_path_factory.mktemp("person")
    checkout = with_programs(copied(here / "checkout"))
    for folder in ("project", "home"):
        (here / folder).mkdir()
    desk.repository(here / "project")
    desk.git(checkout, "init", "-q")
    desk.git(checkout, "add", "-A")
    desk.git(checkout, "commit", "-q", "-m", "as it was cloned")
    names = _names(lab)
    pi = names["berry"]
    key = lab.run(pi, "ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub").stdout
    with published(here / "published") as sources:
        env = environment() | {
            "PATH": f"{checkout}/.venv/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(checkout),
            "AGENTFLEET_CACHE": str(cache_dir()),
            "AGENTFLEET_STATE": str(here / "state"),
        }
        real = {name: value for name, value in env.items() if name != "FLEET_TARGET"}
        real["FLEET_FILE"] = str(as_real(lab, here / "real.yaml"))
        facts = {
            "FINGERPRINT": key.split()[1],
            "WORKER": str(lab.fleet.host(pi).addresses.tailnet),
            "OUT": str(here / "out"),
            "PROGRAMS": sources["PROGRAMS"],
        }
        desk.all_idle(target)
        complete(target)
        yield Person(lab, checkout, here / "project", env, real, names, facts)


def test_what_is_served_is_run_at_the_console(person: Person) -> None:
    """`fleet bootstrap berry --serve` prints a line that fetches the script there and runs it."""
    pi = person.names["berry"]
    with subprocess.Popen(
        person.meant(SERVED).split(),
        cwd=person.checkout,
        env=person.env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            typed = process.stdout.readline()
            done = person.lab.console(pi, "sh", "-c", f"cd /root && {typed}")
            assert done.returncode == 0, done.stdout + done.stderr
            assert f"fleet trust {pi} --fingerprint {person.facts['FINGERPRINT']}" in done.stdout
            assert process.wait(30) == 0, "it was fetched"
        finally:
            process.kill()


_said: dict[str, Said] = {}  # a line that stands in several documents is typed once


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.id)
def test_a_line_does_what_it_is_for(line: Line, person: Person) -> None:
    if line.text not in _said:
        _said[line.text] = person.types(line)
    typed = LAB[line.text]
    shell.check(line, typed, _said[line.text], person.meant(typed.says))
