"""What is newer than what is pinned, asked of the sources that `fleet pin` fetches from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet import apt, github, npm
from fleet.lock import ArtifactsLock, PinnedArtifact, Source
from fleet.problems import FetchError, printable

AT_ONCE = 8
# It becomes part of a command that somebody copies into a shell.
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+~-]{0,39}")


@dataclass(frozen=True)
class News:
    """What one source says. `days` since the pinned version came out; None where nobody says."""

    newest: str = ""
    days: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Row:
    """One pinned artifact at one of the origins that it comes from.

    `takes` is the newest version that all origins have, if that is newer than the pinned one;
    `error` says why nothing is known.
    """

    name: str
    pinned: str
    origin: str
    newest: str = ""
    days: int | None = None
    takes: str = ""
    note: str = ""
    error: str = ""

    @property
    def command(self) -> str:
        """The command that takes it."""
        return f"fleet pin {self.name} {self.takes}" if self.takes else ""

    @property
    def outdated(self) -> bool:
        """Whether there is something newer here."""
        return bool(self.newest) and newer(self.newest, self.pinned)


def rows(lock: ArtifactsLock) -> tuple[Row, ...]:
    """A row for each artifact and origin; each source is asked once, several at a time."""
    sources = {
        (source, pinned.version): None
        for pinned in lock.artifacts.values()
        for one in pinned.platforms.values()
        for source in one.sources
    }
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        told = dict(zip(sources, pool.map(lambda key: ask(*key), sources), strict=True))
    return tuple(row for name, p in lock.artifacts.items() for row in _artifact(name, p, told))


def ask(source: Source, pinned: str) -> News:
    """The newest version at a source. Never raises for what is wrong with it."""
    try:
        if source.npm:
            newest, times = npm.newest(source.npm)
            return News(_highest((newest,)), _days(str(times.get(pinned, ""))))
        if source.apt_source:
            return News(_highest(apt.versions(source.apt_source)))
        return _at_github(source, pinned)
    except (FetchError, OSError) as error:
        fix = f": {error.fix}" if isinstance(error, FetchError) and error.fix else ""
        return News(error=printable(f"{error}{fix}"))


def _at_github(source: Source, pinned: str) -> News:
    at = github.place(source.place)
    if at is None:
        return News(error="a plain address does not say what is newest; look there")
    prefix, found, suffix = at.tag.partition(pinned)
    if not found:
        return News(error=f"its tag {printable(at.tag)} does not tell versions apart")
    named = {
        tag.name.removeprefix(prefix).removesuffix(suffix): tag
        for tag in github.tags(at)
        if tag.name.startswith(prefix) and tag.name.endswith(suffix)
    }
    own = named.get(pinned)
    return News(_highest(tuple(named)), _days(own.published) if own else None)


def _days(moment: str) -> int | None:
    """Days since a moment in RFC 3339."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return max(0, (datetime.now(UTC) - (at if at.tzinfo else at.replace(tzinfo=UTC))).days)


def _artifact(
    name: str, pinned: PinnedArtifact, told: Mapping[tuple[Source, str], News]
) -> Iterator[Row]:
    """The rows of one artifact."""
    by_origin: dict[str, list[News]] = {}
    for one in pinned.platforms.values():
        for source in one.sources:
            by_origin.setdefault(source.origin, []).append(told[source, pinned.version])
    found = {origin: _together(those) for origin, those in by_origin.items()}
    known = [news.newest for news in found.values() if news.newest]
    everywhere = _lowest(known) if len(known) == len(found) else ""
    for origin, news in found.items():
        ahead = bool(news.newest) and newer(news.newest, pinned.version)
        newest = everywhere if everywhere and newer(everywhere, pinned.version) else ""
        takes = newest if ahead else ""
        late = [other for other, its in found.items() if its.newest != news.newest]
        note = f"waits for {', '.join(late)}" if ahead and not takes and late else ""
        yield Row(name, pinned.version, origin, news.newest, news.days, takes, note, news.error)


def _together(those: Sequence[News]) -> News:
    """What an origin has for all platforms: the newest version of the one that is behind."""
    if failed := [news for news in those if news.error]:
        return failed[0]
    days = [news.days for news in those if news.days is not None]
    return News(_lowest([news.newest for news in those]), max(days) if days else None)


def _highest(versions: Sequence[str]) -> str:
    """The newest of those that are versions; rehearsals only where there is nothing else."""
    known = [version for version in versions if _VERSION.fullmatch(version)]
    if not known:
        raise FetchError("it names no version like the pinned one")
    released = [version for version in known if _order(version)[1]] or known
    found = released[0]
    for version in released[1:]:
        found = version if newer(version, found) else found
    return found


def _lowest(versions: Sequence[str]) -> str:
    found = versions[0]
    for version in versions[1:]:
        found = version if newer(found, version) else found
    return found


def newer(version: str, than: str) -> bool:
    """Whether a version comes after another: by its numbers; before a release its rehearsals."""
    return _order(version) > _order(than)


_Order = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


def _order(version: str) -> _Order:
    plain = version.partition("+")[0]
    release, _, rehearsal = re.sub(r"[~_]|(?<=[0-9])(?=[a-z])", "-", plain.lower()).partition("-")
    numbers = [int(part[:9]) for part in release.split(".") if part.isdecimal()]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    words = tuple(
        (0, int(part[:9]), "") if part.isdecimal() else (1, 0, part)
        for part in re.findall(r"[0-9]+|[a-z]+", rehearsal)
    )
    return tuple(numbers), 0 if rehearsal else 1, words
