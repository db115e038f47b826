"""Proof that a job ran where it should: the script that a client runs, and what it tells, judged.

icecc falls back to compiling at home for any reason and ends with 0 all the same, so that success
proves nothing. Its debug log does (client/remote.cpp of icecream 1.4): `Have to use host
ADDRESS:PORT … - env: PLATFORM` names the worker, and whatever is compiled at home, be it after
that, says `invoking: …` first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.compileplan import Job
from fleet.kinds import Arch
from fleet.problems import printable
from fleet.view import TEMPLATES, HostView

LIMIT_S = 300  # for a job; the first one packs the client's gcc, or unpacks clang on a slow worker
TOO_LATE = 124
_OUTPUTS = {
    "small.c": "area 12.750",
    "small.cpp": "largest object, nothing to choose from",
}
_THERE = re.compile(r"Have to use host (\S+):(\d+) .*- env: (\S+)")
_STAMP = re.compile(r"^ICECC\[\d+\] \S+ \S+: ")
_WHY = re.compile(
    r"xception|rror|daemon|has to point|ignoring|no server|Remote status|remote status"
)
_GIVEN_BACK = "building myself"


@dataclass
class Told:
    """What the script tells of one job, or of the same compiled at home (`code` and log unused)."""

    code: int | None = None  # None: it said nothing of it
    seconds: float = 0
    same: bool = False  # as the object compiled at home
    works: bool = False  # links, runs, prints what it should
    header: bytes = b""  # of the object
    said: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Proof:
    """How a job went; green when there is no `reason`. `ran_on`: an address, as icecc logged it."""

    worker: str
    compiler: str
    language: str
    ran_on: str
    seconds: float
    reason: str


def script(view: HostView, jobs: Sequence[Job]) -> str:
    """The shell script that does all jobs of a client, one after the other."""
    once = {job.id: job for job in jobs}
    sources = TEMPLATES / "compile-check"
    return view.render(
        "compile-check/check.sh.j2",
        jobs=jobs,
        locals=tuple(once.values()),
        limit_s=LIMIT_S,
        outputs=_OUTPUTS,
        c=(sources / "small.c").read_text(),
        cpp=(sources / "small.cpp").read_text(),
    ).decode()


def read(lines: Sequence[str]) -> dict[str, Told]:
    """What the script told, by job: its number, or its `id` for what was compiled at home.

    Lines that are not the script's (a login shell greets) are passed over.
    """
    found: dict[str, Told] = {}
    for line in lines:
        what, _, rest = line.partition(" ")
        name, _, text = rest.partition(" ")
        if what in ("said", "log") and name:
            one = found.setdefault(name, Told())
            (one.said if what == "said" else one.log).append(printable(_STAMP.sub("", text)))
        elif match := re.fullmatch(r"local (\S+) (yes|no) ([0-9a-f]*)-", line):
            one = found.setdefault(match[1], Told())
            one.code, one.works, one.header = 0, match[2] == "yes", bytes.fromhex(match[3])
        elif match := re.fullmatch(r"done (\d+) (\d+) (-?\d+) (\w+) (\w+) ([0-9a-f]*)-", line):
            one = found.setdefault(match[1], Told())
            one.code, one.seconds = int(match[2]), int(match[3]) / 100
            one.same, one.works = match[4] == "yes", match[5] == "yes"
            one.header = bytes.fromhex(match[6])
    return found


def prove(
    job: Job, told: Told | None, home: Told | None, at: str, here: Arch, there: Arch
) -> Proof:
    """Judge one job. `at` is the worker's address, `here` the client's machine, `there` its."""
    if told is None or told.code is None:
        reason = "it was not tried to the end: the client's script was cut off"
        return Proof(job.worker, job.compiler, job.language, "", 0, reason)
    ran = _ran_on(told)
    reason = (
        _at_home(job, home, here)
        or _ended(job, told)
        or _elsewhere(told, at, there)
        or _object(told, here)
    )
    return Proof(job.worker, job.compiler, job.language, ran, told.seconds, reason)


def _ran_on(told: Told) -> str:
    """The address of the worker that made the object; empty: it was made at home."""
    places = [match for match in map(_THERE.search, told.log) if match]
    at_home = any("invoking: " in line or _GIVEN_BACK in line for line in told.log)
    return places[-1][1] if places and not at_home else ""


def _at_home(job: Job, home: Told | None, here: Arch) -> str:
    """Why the object that all others are compared with is none."""
    if home is None or home.code is None:
        return f"{job.program} was not tried at home"
    if not home.works:
        return f"{job.program} fails at home already{_last(home.said)}"
    if (found := machine(home.header)) != here:
        return f"{job.program} at home makes objects for {found}"
    return ""


def _ended(job: Job, told: Told) -> str:
    if told.code == TOO_LATE:
        return f"it took longer than {LIMIT_S} s"
    return f"{job.program} ended with {told.code}{_last(told.said)}" if told.code else ""


def _elsewhere(told: Told, at: str, there: Arch) -> str:
    """Why it was not compiled by the worker that was asked for."""
    ran = _ran_on(told)
    if not told.log:
        return "compiled at home: icecc logged nothing, so the wrapper does not call it"
    if not ran:
        why = [line for line in told.log if _WHY.search(line)]
        if not why and any(_GIVEN_BACK in line for line in told.log):
            why = ["the scheduler gave it back: no worker of that name would take it"]
        return f"compiled at home, silently{_last(why)}"
    if ran != at:
        return f"compiled on {ran} instead"
    platforms = [match[3] for match in map(_THERE.search, told.log) if match]
    if platforms[-1] != there:
        return f"compiled with an environment for {platforms[-1]}, the worker is {there}"
    return ""


def _object(told: Told, here: Arch) -> str:
    if (found := machine(told.header)) != here:
        return f"the object is for {found}, the client is {here}"
    if not told.same:
        return "the object differs from the one compiled at home"
    return "" if told.works else f"the object links to no working program{_last(told.said)}"


def _last(lines: Sequence[str]) -> str:
    return f": {lines[-1].strip()}" if lines else ""


_ELF, _MACH_O = b"\x7fELF", b"\xcf\xfa\xed\xfe"
_ELF_MACHINES = {62: Arch.X86_64, 183: Arch.AARCH64}  # e_machine, elf.h
_MACH_O_MACHINES = {0x01000007: Arch.X86_64, 0x0100000C: Arch.AARCH64}  # cputype, mach/machine.h


def machine(header: bytes) -> str:
    """The machine that an object is for, from its first 20 bytes; what is odd about it otherwise.

    64-bit and little-endian, like all our hosts.
    """
    if len(header) < 20:  # where e_machine ends
        return "nothing: it is empty"
    if header[:6] == _ELF + b"\x02\x01":
        number = int.from_bytes(header[18:20], "little")
        return _ELF_MACHINES.get(number, f"ELF machine {number}")
    if header[:4] == _MACH_O:
        number = int.from_bytes(header[4:8], "little")
        return _MACH_O_MACHINES.get(number, f"Mach-O machine {number}")
    return "something that is no object"
