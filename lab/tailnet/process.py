"""`lab.tailnet` for programs: the process of one lab's tailnet, and what can be asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab import daemon
from lab.errors import LabError
from lab.place import Place
from lab.spec import LabHost
from lab.tailnet import sockets, store
from lab.tailnet.server import CONFIG, CONTROL, code_version
from lab.tailnet.session import TailHost

CGROUP = ".tailnet"  # beside those of the hosts, whose names have no dot
ANSWERS_WITHIN_S = 60.0
SYSTEMS = {"macos": "macOS", "wsl": "windows"}


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
        daemon.launch(self.place, CGROUP, "lab.tailnet", folder, self._answers)

    def stop(self) -> None:
        """End the process."""
        daemon.end(self.place, CGROUP)

    def _answers(self) -> bool:
        try:
            self._ask("version")
        except LabError:
            return False
        return True

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
