"""From sources to a pin: every source is asked, all bytes compared, what vouches is noted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from fleet import cache, fetch
from fleet.digest import Digest, digest_of
from fleet.lock import (
    MAX_ARTIFACT,
    ArtifactsLock,
    Pin,
    PinnedArtifact,
    Source,
    Voucher,
    read_artifacts_lock,
    write_artifacts_lock,
)
from fleet.problems import FetchError, FleetError, Problem, closest
from fleet.progress import waiting
from fleet.yamlfile import display

Sources = Mapping[str, tuple[Source, ...]]  # by platform
_UNCHANGED = "nothing was changed"


@dataclass(frozen=True)
class Wish:
    """What somebody wants pinned."""

    name: str
    version: str
    sources: Sources  # those that are stated; platforms without keep what they have
    digests: Mapping[str, Digest]  # by platform, stated as well
    may_replace: bool = False  # accept other bytes under the version that is pinned

    @property
    def title(self) -> str:
        """The artifact, as messages call it."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class _Copy:
    """What one source gave."""

    source: Source
    file: Path
    sha256: str
    published: Digest | None
    vouched: tuple[Voucher, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A platform's file, not yet in the cache, and its pin."""

    file: Path
    pin: Pin


def pin(wish: Wish, path: Path, *, dry: bool) -> tuple[ArtifactsLock, ArtifactsLock]:
    """Fetch and compare, then write the lock at `path`; return it as it was and as it is now.

    Both are the same when there is nothing to do. With `dry`, nothing is written or kept. Raises
    FleetError, and then lock and cache are as they were; so they are when it is interrupted.
    """
    sources = wanted_sources(read_artifacts_lock(path), wish)
    if not dry:
        _refuse_unwritable(path)
    with cache.scratch() as scratch:
        found = {}
        for number, platform in enumerate(sources):
            folder = scratch / str(number)
            folder.mkdir()
            found[platform] = _examine(wish, platform, sources[platform], folder)
        before = read_artifacts_lock(path)  # anew: a download takes long, and others pin too
        new = _settled(before.artifacts.get(wish.name), wish, found)
        after = before.with_artifact(wish.name, new)
        if not dry:
            with ExitStack() as undo:
                _keep(found.values(), undo)
                if after != before:
                    _write(path, after)
                undo.pop_all()
    return before, after


def wanted_sources(lock: ArtifactsLock, wish: Wish) -> Sources:
    """The sources of every platform in the wished version. Raises FleetError."""
    sources = dict(wish.sources)
    if pinned := lock.artifacts.get(wish.name):
        for platform, one in pinned.platforms.items():
            moved = (_moved(source, pinned.version, platform, wish) for source in one.sources)
            sources[platform] = sources.get(platform) or tuple(moved)
    if not sources:
        guess = closest(wish.name, lock.artifacts)
        fix = f'did you mean "{guess}"? ' if guess else ""
        fix += "say where it is: --source ORIGIN=WHERE"
        raise FleetError.of(wish.title, "is not pinned yet, and no source is given", fix)
    if strange := sorted(set(wish.digests) - set(sources)):
        fix = f"say --digest PLATFORM:sha256:HEX with one of: {', '.join(sorted(sources))}"
        raise FleetError.of(wish.title, f"has no platform {', '.join(strange)}", fix)
    return dict(sorted(sources.items()))


def _moved(source: Source, old: str, platform: str, wish: Wish) -> Source:
    """The same source in the wished version."""
    if source.url is None or old == wish.version:
        return source
    # A part of a longer version (the 1.4 in 1.4.2 or in 11.4) is not the version.
    whole = rf"(?<![0-9])(?<![0-9]\.){re.escape(old)}(?!\.?[0-9])"
    url, count = re.subn(whole, lambda _: wish.version, source.url)
    if not count:
        fault = f"the version {old} does not occur in {source.url}"
        fix = f"say where {wish.version} is: --source {platform}:{source.origin}=https://…"
        raise FleetError.of(wish.title, fault, fix)
    return source.model_copy(update={"url": url})


def _refuse_unwritable(path: Path) -> None:
    """Raise FleetError now rather than after a long download, if the lock could not be written."""
    try:
        if path.exists():
            path.open("ab").close()
        with ExitStack() as stack:
            probe = path.with_name(f".{path.name}.probe")
            stack.callback(probe.unlink, missing_ok=True)
            probe.touch()
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> FleetError:
    fault = f"cannot be written: {error.strerror or error}"
    return FleetError.of(display(path), fault, f"make it and its directory writable; {_UNCHANGED}")


def _examine(wish: Wish, platform: str, sources: Sequence[Source], folder: Path) -> _Found:
    """Fetch a platform's file from every source. Raises FleetError unless all is as published."""
    what = f"{wish.title} ({platform})"
    copies: list[_Copy] = []
    for number, source in enumerate(sources):
        scratch = folder / str(number)
        scratch.mkdir()
        copy = _bring(wish, what, source, scratch)
        copies.append(_believed(copy, wish.digests.get(platform), what))
        if copy.sha256 != copies[0].sha256:
            first, second = (f"{_named(c.source)} gives {c.sha256}" for c in (copies[0], copy))
            fix = f"find out why, or name the right sources with --source; {_UNCHANGED}"
            raise FleetError.of(what, f"the sources differ: {first}, {second}", fix)
        if number:
            copy.file.unlink()  # one is enough
    pinned = Pin(
        sources=tuple(sources),
        sha256=copies[0].sha256,
        size=copies[0].file.stat().st_size,
        vouched=tuple(sorted({voucher for copy in copies for voucher in copy.vouched})),
    )
    return _Found(copies[0].file, pinned)


def _bring(wish: Wish, what: str, source: Source, scratch: Path) -> _Copy:
    """The source's file, and the digest that it publishes. Raises FleetError."""
    place = f"{what} from {_named(source)}"
    try:
        with waiting(f"fetching {what} from {source.origin}") as meter:
            published = fetch.published(source, wish.version)
            file = fetch.fetch(source, wish.version, scratch, MAX_ARTIFACT, meter)
            if file.stat().st_size == 0:
                raise FetchError("the file is empty", "name another source")
            return _Copy(source, file, digest_of(file), published)
    except FetchError as error:
        raise FleetError.of(place, str(error), error.fix or _UNCHANGED) from None
    except OSError as error:
        fix = f"make room in {cache.cache_dir()}, or name another place: AGENTFLEET_CACHE"
        raise FleetError.of(place, error.strerror or str(error), fix) from None


def _believed(copy: _Copy, stated: Digest | None, what: str) -> _Copy:
    """The copy with what vouches for it. Raises FleetError when a digest is not the file's."""
    digests = [digest for digest in (copy.published, stated) if digest]
    for digest in digests:
        if (found := digest_of(copy.file, digest.algorithm)) != digest.hex:
            gives = f"{_named(copy.source)} gives {digest.algorithm}:{found}"
            fix = f"do not use this file before you know why; {_UNCHANGED}"
            raise FleetError.of(what, f"{gives}, {digest.by} says {digest}", fix)
    return replace(copy, vouched=tuple(digest.by for digest in digests))


def _named(source: Source) -> str:
    return f"{source.origin} ({source.place})"


def _settled(
    pinned: PinnedArtifact | None, wish: Wish, found: Mapping[str, _Found]
) -> PinnedArtifact:
    """What to pin. Raises FleetError when a version that is pinned has other bytes now."""
    old = pinned.platforms if pinned and pinned.version == wish.version else {}
    new = {platform: one.pin for platform, one in found.items()}
    same = {p for p in new if p in old and old[p].sha256 == new[p].sha256}
    alarms = [
        _alarm(wish, platform, old[platform].sha256, new[platform].sha256)
        for platform in sorted(set(new) & set(old) - same)
    ]
    if alarms and not wish.may_replace:
        raise FleetError(alarms)
    for platform in same:  # whoever vouched for these bytes once did so for good
        vouched = {*(old[platform].vouched or ()), *(new[platform].vouched or ())}
        noted = tuple(sorted(vouched)) if vouched else old[platform].vouched
        new[platform] = new[platform].model_copy(update={"vouched": noted})
    return PinnedArtifact(version=wish.version, platforms=new)


def _alarm(wish: Wish, platform: str, old: str, new: str) -> Problem:
    fault = f"ALARM: this version was pinned as {old} and is now {new}"
    fix = f"somebody replaced a published file: find out why, then say --replace; {_UNCHANGED}"
    return Problem(f"{wish.title} ({platform})", 0, "", fault, fix)


def _keep(found: Iterable[_Found], undo: ExitStack) -> None:
    """Take the files into the cache; `undo` takes those that are new there out again."""
    for one in found:
        kept = cache.kept(one.pin.sha256)
        if not kept.exists():
            undo.callback(kept.unlink, missing_ok=True)
        one.file.replace(kept)


def _write(path: Path, lock: ArtifactsLock) -> None:
    try:
        write_artifacts_lock(path, lock)
    except OSError as error:
        raise _unwritable(path, error) from None
