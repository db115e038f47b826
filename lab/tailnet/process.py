"""`lab.tailnet` for programs: the process of one lab's tailnet, and what can be asked of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab import cgroups
from lab.errors import LabError
from lab.paths import HERE
from lab.place import Place
from lab.spec import LabHost
from lab.tailnet import sockets, store
from lab.tailnet.server import CONFIG, CONTROL, code_version
from lab.tailnet.session import TailHost

CGROUP = ".tailnet"  # beside those of the hosts, whose names have no dot
STARTS_WITHIN_S = 20.0
ANSWERS_WITHIN_S = 60.0
LOG_LINES = 15
SYSTEMS = {"macos": "macOS", "wsl": "windows"}
# It moves into its cgroup before it is anything, so that `down` finds it whatever happens.
_START = 'for group in $1; do echo 0 >"$group/loop/cgroup.procs" || exit 1; done; shift; exec "$@"'


@dataclass(frozen=True)
class TailnetNode:
    """One device of the tailnet; `owner` is empty for a tagged one, `expires` None for never."""

    name: str
    host: str
    ipv4: str
    ipv6: str
    tags: tuple[str, ...]
    owner: str
    online: bool
    expires: float | None


class LabTailnet:
    """The tailnet of a lab. Everything but `known` needs the lab to be up; raises LabError."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def auth_key(self) -> Path:
        """The file with the key that hosts join with."""
        return self.place.tailnet / store.KEY

    def nodes(self) -> list[TailnetNode]:
        """All nodes, in the order they joined."""
        return [TailnetNode(**{**one, "tags": tuple(one["tags"])}) for one in self._ask("nodes")]

    def policy(self, policy: Mapping[str, Any] | None) -> None:
        """Put a policy into force; None allows everything. One that fails its tests is refused."""
        self._ask("policy", policy=policy)

    def remove(self, name: str) -> None:
        """Delete a node, as the admin console does: its host has to log in again."""
        self._ask("remove", name=name)

    def expire_node(self, name: str, days: float) -> None:
        """Let a node's login end in so many days; before now it has to log in again."""
        self._ask("expire_node", name=name, days=days)

    def new_key(self) -> str:
        """Make another auth key, the one in the file from now on; older ones stay good."""
        return str(self._ask("new_key"))

    def expire_key(self) -> None:
        """Let the auth key in the file be an expired one."""
        self._ask("expire_key")

    def known(self) -> dict[str, str]:
        """The IPv4 address of each host that ever joined, its newest; asks nobody."""
        found = store.load(self.place.tailnet, self.place.number)
        return {node.host: found.ipv4(node) for node in found.nodes}

    def start(self, hosts: Sequence[LabHost]) -> None:
        """See to it that the process runs, and knows these hosts."""
        folder = self.place.tailnet
        folder.mkdir(mode=0o700, exist_ok=True)
        known = [asdict(_described(self.place, host)) for host in hosts]
        config = {"number": self.place.number, "switch": self.place.switch, "hosts": known}
        store.replace(folder / CONFIG, json.dumps(config) + "\n")
        try:
            if self._ask("version") == code_version():
                self._ask("hosts")
                return
        except LabError:
            pass
        self.stop()
        self._launch(folder)

    def stop(self) -> None:
        """End the process."""
        groups = cgroups.find(self.place, CGROUP)
        cgroups.kill(groups)
        cgroups.remove(groups)

    def _launch(self, folder: Path) -> None:
        groups = " ".join(str(group) for group in cgroups.create(self.place, CGROUP))
        program = [sys.executable, "-m", "lab.tailnet", str(folder)]
        with (folder / "log").open("a") as log:
            # A session of its own: it outlives this command, and a Ctrl-C does not reach it.
            process = subprocess.Popen(
                ["sh", "-c", _START, "sh", groups, *program],
                cwd=HERE.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)},
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self._ask("version")
            except LabError:
                time.sleep(0.05)
            else:
                return
        lines = (folder / "log").read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise LabError("the lab's tailnet does not start:\n" + "\n".join(f"  {ln}" for ln in lines))

    def _ask(self, what: str, **more: Any) -> Any:  # noqa: ANN401 - what JSON holds
        try:
            with sockets.connect(self.place.tailnet / CONTROL, ANSWERS_WITHIN_S) as connection:
                connection.sendall(json.dumps({"do": what, **more}).encode() + b"\n")
                with connection.makefile() as stream:
                    said = stream.readline()
        except OSError as error:
            hint = f"`fleet lab --name {self.place.name} up` starts it"
            raise LabError(f"the tailnet of the lab {self.place.name} is off: {hint}") from error
        answer = json.loads(said or '{"error": "it failed; its log says why"}')
        if "error" in answer:
            raise LabError(f"the lab's tailnet refuses: {answer['error']}")
        return answer["answer"]


def _described(place: Place, host: LabHost) -> TailHost:
    return TailHost(
        name=host.name,
        namespace=place.namespace(host),
        interface=host.tailnet_interface,
        port=f"t{host.index}",
        system=SYSTEMS.get(host.kind, "linux"),
    )
