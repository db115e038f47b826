"""Which of a host's addresses answers: at home the LAN's, elsewhere the tailnet's."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from queue import Empty, Queue
from threading import Thread

from fleet.model import Host
from fleet.target import LAB, Target

LIMIT_S = 1.2  # how long a host may take to answer at any of its addresses
HEAD_START_S = 0.3  # of each address before the next one is tried too


def candidates(host: Host, target: Target) -> tuple[str, ...]:
    """Where the host may answer, the best first; never empty. A lab's has no name out here."""
    name = None if target.name == LAB else host.name
    stated = (host.addresses.lan, host.addresses.tailnet, name)
    return tuple(dict.fromkeys(one for one in stated if one)) or (host.name,)


def reach(target: Target) -> None:
    """Find out for all hosts at once, so that each of them is asked for nothing later."""
    hosts = target.fleet.hosts
    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        for _ in pool.map(lambda host: address(host, target), hosts):
            pass


def address(host: Host, target: Target) -> str:
    """The first address whose SSH port answers; the first of all when none does.

    Remembered while the process lives. A host with a single address is not asked.
    """
    return _answering(candidates(host, target), host.ssh.port)


def answers(host: Host, target: Target) -> bool:
    """Whether an SSH server answers now, at any of its addresses; not remembered."""
    race = _Race(host.ssh.port, greets)
    for place in candidates(host, target):
        race.enter(place)
    race.watch(time.monotonic() + LIMIT_S)
    return race.answers()


@cache
def _answering(places: tuple[str, ...], port: int) -> str:
    if len(places) == 1:
        return places[0]
    race = _Race(port, knock)
    deadline = time.monotonic() + LIMIT_S
    for place in places:
        race.enter(place)
        race.watch(min(deadline, time.monotonic() + HEAD_START_S))
        if race.answers():
            break
    race.watch(deadline)
    return next((place for place in places if race.verdicts.get(place)), places[0])


class _Race:
    """Connections to several addresses at the same time."""

    def __init__(self, port: int, asks: Callable[[str, int], bool]) -> None:
        self.verdicts: dict[str, bool] = {}
        self._port, self._asks = port, asks
        self._running = 0
        self._arrivals: Queue[tuple[str, bool]] = Queue()

    def enter(self, place: str) -> None:
        """Try a place. Nobody waits for a name server that takes its time: daemon threads."""
        self._running += 1
        Thread(target=self._try, args=(place,), daemon=True).start()

    def answers(self) -> bool:
        """Whether a place has answered."""
        return any(self.verdicts.values())

    def watch(self, deadline: float) -> None:
        """Wait until a place has answered, all have failed, or it is late."""
        while self._running and not self.answers():
            try:
                left = max(0.0, deadline - time.monotonic())
                place, answers = self._arrivals.get(timeout=left)
            except Empty:
                return
            self._running -= 1
            self.verdicts[place] = answers

    def _try(self, place: str) -> None:
        self._arrivals.put((place, self._asks(place, self._port)))


def knock(place: str, port: int) -> bool:
    """Whether a TCP port takes a connection."""
    try:
        socket.create_connection((place, port), timeout=LIMIT_S).close()
    except (OSError, UnicodeError):  # UnicodeError: a name that no name server can be asked for
        return False
    return True


def greets(place: str, port: int) -> bool:
    """Whether an SSH server says its first word there; what stands in between may take a knock."""
    try:
        with socket.create_connection((place, port), timeout=LIMIT_S) as connection:
            return connection.recv(4) == b"SSH-"
    except (OSError, UnicodeError):
        return False
