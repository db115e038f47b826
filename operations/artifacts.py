"""Pinned files on hosts: pulled or delivered once, verified before they have their name.

A host pulls from its site's relay, else from the orchestrator, resuming what an earlier run began;
where nobody serves, this machine delivers over SSH. What was verified is sealed: it gets a time of
change that nothing else has. A look compares that and the size, and reads none of the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pyinfra import logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from facts.look import Look
from facts.paths import Kind
from fleet.problems import FleetError
from fleet.resources import Artifact, Resources
from operations import builds, programs
from operations.change import Change, Commands, HostContext, Order, arguments, carry_out, shell
from operations.shell import ROOM, digest, quote

CAME, ELSEWHERE = "came", "elsewhere"  # what a pull says when it succeeds or cannot
SEAL = 946_684_800  # the first second of the year 2000, which writing to the file would change
_SEAL = "TZ=UTC0 touch -t 200001010000"
_MEGABYTE = 1_000_000


class Depot(Protocol):
    """Where artifacts come from."""

    def mirrors(self, host: str) -> tuple[str, ...]:
        """The addresses under which this host can pull (`http://host:port`), best first."""

    def obtain(self, artifact: Artifact) -> Path:
        """The artifact on this machine. Raises FleetError when it cannot be had."""


@operation()
def ensure(order: Order, depot: Depot) -> Commands:
    """Bring the artifacts that are missing on the host."""

    def supply(look: Look) -> Sequence[PyinfraCommand]:
        context = order.context()
        needed = missing(order.want(), context, look)
        return [FunctionCommand(_bring, (artifact, depot, context), {}) for artifact in needed]

    yield from carry_out("artifacts", order, plan, supply)


def plan(want: Resources, context: HostContext, look: Look) -> Change | None:
    """The artifacts that are missing, or have other bytes; the script checks that they came."""
    needed = missing(want, context, look)
    if not needed:
        return None
    says = tuple(
        f"artifact {a.name} {a.version}: fetch ({max(a.size / _MEGABYTE, 0.1):.1f} MB)"
        for a in needed
    )
    came = (f"[ -f {quote(a.path)} ] || fail {quote(f'{a.name} did not come')}" for a in needed)
    return Change(says, "\n".join(came))


def missing(want: Resources, context: HostContext, look: Look) -> list[Artifact]:
    """What the host lacks; what a program is made from only while the program is missing.

    And only where no capability brings it anyway.
    """
    sources = [
        *(b.artifact for b in want.builds if b.artifact and builds.plan(b, look)),
        *(program.artifact for program in want.programs if programs.absent(program, look)),
    ]
    own = (source for source in sources if ("artifact", source.path) not in context.wanted)
    wanted = (artifact for artifact in want.artifacts if not artifact.kept)
    unique = {artifact.path: artifact for artifact in (*wanted, *own)}
    return [artifact for artifact in unique.values() if absent(artifact, look)]


def absent(artifact: Artifact, look: Look) -> bool:
    """Whether the host lacks the artifact, or something has written to it since it was verified."""
    now = look.path(artifact.path)
    return now is None or (now.kind, now.size, now.mtime) != (Kind.FILE, artifact.size, SEAL)


def _bring(
    state: State, host: Host, artifact: Artifact, depot: Depot, context: HostContext
) -> bool:
    """Pull; where nobody serves, deliver. Says what is wrong and fails the host otherwise."""
    mirrors = depot.mirrors(host.name)
    if mirrors or artifact.beside:
        succeeded, output = shell(host, pull(artifact, mirrors, context))
        if not succeeded:
            logger.error(f"{host.print_prefix}{output.stderr.strip()}")
            return False
        if output.stdout.strip() == CAME:
            return True
    try:
        local = depot.obtain(artifact)
    except FleetError as error:
        logger.error(f"{host.print_prefix}{error}")
        return False
    parcel = f"/tmp/agentfleet-{artifact.sha256}"  # noqa: S108 - untrusted until verified
    # As the login user, who may write there; root then copies, verifies and names it.
    if not host.put_file(str(local), parcel, **arguments(host, _sudo=False)):
        return False
    succeeded, output = shell(host, receive(artifact, parcel, context))
    if not succeeded:
        logger.error(f"{host.print_prefix}{output.stderr.strip()}")
    return succeeded


def pull(artifact: Artifact, mirrors: Sequence[str], context: HostContext) -> str:
    """Shell that fetches from the first mirror that serves and says CAME; else ELSEWHERE.

    What arrived of an earlier attempt, or from the mirror before, is continued. If the whole is
    wrong then, the earlier part may have been, so it is fetched anew once; a mirror that lacks it
    says nothing of the part. Wrong bytes from a mirror alone are an error, whatever the next has.
    What the host itself has beside it is copied, if it is right.
    """
    directory = quote(artifact.path.rpartition("/")[0])
    part, target = quote(f"{artifact.path}.part"), quote(artifact.path)
    return f"""mkdir -p {directory}
{digest(mac=context.mac)}
{ROOM}
take() {{
    chmod 0644 {part}
    {_SEAL} {part}
    mv -f {part} {target}
    echo {CAME}
}}
{_from_beside(artifact, directory, part)}
command -v curl >/dev/null || {{ echo {ELSEWHERE}; return 0; }}
{_from_mirrors(artifact, mirrors, directory, part)}
echo {ELSEWHERE}"""


def _from_beside(artifact: Artifact, directory: str, part: str) -> str:
    """Shell that copies what the host itself has, if it is right."""
    beside = quote(artifact.beside)
    return f"""if [ "$(digest {beside})" = {artifact.sha256} ]; then
    room {artifact.name} {artifact.size} {directory}
    cp {beside} {part}
    take
    return 0
fi"""


def _from_mirrors(artifact: Artifact, mirrors: Sequence[str], directory: str, part: str) -> str:
    """Shell that asks one mirror after the other; `pull` says what it continues and mistrusts."""
    name = artifact.path.rpartition("/")[2]
    urls = " ".join(quote(f"{mirror}/{artifact.sha256}/{name}") for mirror in mirrors)
    return f"""get() {{
    code=0
    status=$(curl --silent --fail --noproxy '*' --connect-timeout 3 --speed-limit 1000 \\
        --speed-time 20 --max-filesize {artifact.size} --continue-at - --output {part} \\
        --write-out '%{{http_code}}' "$url") || code=$?
    found=$(digest {part})
}}
came=0
[ ! -s {part} ] || came=$(wc -c <{part})
room {artifact.name} $(({artifact.size} - came)) {directory}
for url in {urls}; do
    earlier=""
    [ ! -s {part} ] || earlier=yes
    get
    case $found/$earlier/$code/$status in
    {artifact.sha256}/* | *//*) ;; # done, or nothing to mistrust
    */yes/[67]/* | */yes/28/* | */yes/*/404) ;; # no answer, or no such file
    *) rm -f {part}; get ;;
    esac
    if [ "$found" = {artifact.sha256} ]; then
        take
        return 0
    elif [ "$code" = 0 ]; then
        rm -f {part}
        fail "{artifact.name} came as $found, pinned is {artifact.sha256}: not installed;" \\
            "it is what $url serves"
    fi
done"""


def receive(artifact: Artifact, parcel: str, context: HostContext) -> str:
    """Shell that takes the uploaded parcel in; a wrong digest names both and changes nothing."""
    directory, target = artifact.path.rsplit("/", 1)[0], quote(artifact.path)
    return f"""mkdir -p {quote(directory)}
{digest(mac=context.mac)}
{ROOM}
trap {quote(f"rm -f {quote(parcel)} {target}.new")} EXIT
room {artifact.name} {artifact.size} {quote(directory)}
cp {quote(parcel)} {target}.new
found=$(digest {target}.new)
[ "$found" = {artifact.sha256} ] ||
    fail "{artifact.name} arrived as $found, pinned is {artifact.sha256}: not installed"
chmod 0644 {target}.new
{_SEAL} {target}.new
mv -f {target}.new {target}
rm -f {target}.part"""
