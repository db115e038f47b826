"""What runs learned about the hosts (fleet.lock.yaml) and which downloads are pinned.

Both files are written by programs and reviewed by people, so a writer is deterministic: the same
content gives the same bytes.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fleet.environments import Compiler, Environment, Sha256
from fleet.parse import parse, wrong
from fleet.problems import FleetError, Problem, show, suggest
from fleet.words import MacAddress, is_public_key, tailnet_address
from fleet.yamlfile import read_document

M = TypeVar("M", bound=BaseModel)
TAILNET_IPV6 = ipaddress.IPv6Network("fd7a:115c:a1e0::/48")
ANY = "any"  # the platform of what is the same everywhere
MAX_ARTIFACT = 64 * 2**30  # bytes

_FLEET_HEADER = """\
# What only the world can tell about the hosts of fleet.yaml: their tailnet addresses, their SSH
# host keys and network cards, the compiler they have and what was packed of it, WSL's networking.
# Written by runs, reviewed in git: a key that changes without a reason is an alarm.
# Do not edit; to make a run learn a host anew, delete its entry.
"""
_ARTIFACTS_HEADER = """\
# What is downloaded: version, sources, SHA-256 and size in bytes, by platform ("any": the same
# everywhere). Written by `fleet pin`, reviewed in git. All sources of one entry are the same
# bytes; nothing that is not listed here is ever installed from the network. `vouched` lists the
# published digests that the bytes were compared with; [] is first-fetch trust: there was none.
"""


class _Fixed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _tailnet_ipv6(text: str) -> str:
    try:
        if ipaddress.IPv6Address(text) in TAILNET_IPV6:
            return text
    except ValueError:
        pass
    fix = f"an IPv6 address in {TAILNET_IPV6}; delete the host's entry to learn it anew"
    raise wrong(f"{show(text)} is not a tailnet address", fix)


def _dns_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.?", text) or len(text) > 253:
        raise wrong(f"{show(text)} is not a DNS name", "the host's full name in the tailnet")
    return text


def _host_key(text: str) -> str:
    """Accept `TYPE BASE64` as known_hosts has it."""
    if not is_public_key(text):
        fix = "a public key without comment: `ssh-ed25519 AAAA…`"
        raise wrong(f"{show(text)} is not an SSH key", fix)
    return text


HostKey = Annotated[str, AfterValidator(_host_key)]


class LockedTailnet(_Fixed):
    """A host's place in the tailnet."""

    ipv4: Annotated[str, AfterValidator(tailnet_address)] | None = None
    ipv6: Annotated[str, AfterValidator(_tailnet_ipv6)] | None = None
    name: Annotated[str, AfterValidator(_dns_name)] | None = None


class LockedHost(_Fixed):
    """What was learned about one host."""

    tailnet: LockedTailnet = LockedTailnet()
    host_keys: tuple[HostKey, ...] = ()
    dispatch_key: HostKey | None = None  # the orchestrator's account that talks to agents
    health_key: HostKey | None = None  # the orchestrator's account that asks hosts how they are
    compiler: Compiler | None = None  # the clang that the fleet's jobs use
    environments: tuple[Environment, ...] | None = None  # packed there, newest first
    mac_address: MacAddress | None = None  # of the network card on the LAN
    networking: Annotated[str, Field(pattern="^[a-z]{1,20}$")] | None = None  # WSL's word for it


class FleetLock(_Fixed):
    """fleet.lock.yaml: what was learned about the hosts, by name."""

    version: Literal[1] = 1
    hosts: Mapping[str, LockedHost] = Field(default_factory=dict)

    def host_keys(self, name: str) -> tuple[str, ...]:
        """Return the host's public keys (`TYPE BASE64`); empty when none was learned."""
        return self.hosts[name].host_keys if name in self.hosts else ()

    def tailnet_ipv4(self, name: str) -> str | None:
        """Return the host's tailnet address; None when none was learned."""
        return self.hosts[name].tailnet.ipv4 if name in self.hosts else None

    def tailnet_ipv6(self, name: str) -> str | None:
        """Return the host's IPv6 address in the tailnet; None when none was learned."""
        return self.hosts[name].tailnet.ipv6 if name in self.hosts else None

    def tailnet_name(self, name: str) -> str | None:
        """Return the host's full name in the tailnet; None when none was learned."""
        return self.hosts[name].tailnet.name if name in self.hosts else None

    def dispatch_key(self, name: str) -> str | None:
        """Return the key of the account that talks to agents; None when none was learned."""
        return self.hosts[name].dispatch_key if name in self.hosts else None

    def health_key(self, name: str) -> str | None:
        """Return the key of the account that asks how hosts are; None when none was learned."""
        return self.hosts[name].health_key if name in self.hosts else None

    def compiler(self, name: str) -> str | None:
        """Return the clang that the host has for the fleet's jobs; None when none was learned."""
        return self.hosts[name].compiler if name in self.hosts else None

    def environments(self, name: str) -> tuple[Environment, ...]:
        """Return the compile environments that the host has packed, newest first."""
        return (self.hosts[name].environments or ()) if name in self.hosts else ()

    def mac_address(self, name: str) -> str | None:
        """Return the address of the host's network card; None when none was learned."""
        return self.hosts[name].mac_address if name in self.hosts else None

    def networking(self, name: str) -> str | None:
        """Return how WSL joins the host to the network; None when none was learned."""
        return self.hosts[name].networking if name in self.hosts else None

    def strays(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the hosts of the lock that are not among `names`, sorted."""
        return tuple(sorted(set(self.hosts) - set(names)))

    def with_host(self, name: str, host: LockedHost) -> FleetLock:
        """Return a lock in which `host` is what is known about `name`."""
        return FleetLock(hosts={**self.hosts, name: host})

    def without_host(self, name: str) -> FleetLock:
        """Return a lock that knows nothing about `name`."""
        return FleetLock(hosts={one: host for one, host in self.hosts.items() if one != name})


def lock_path(fleet_file: Path) -> Path:
    """Return where the lock of a fleet file is: `fleet.yaml` → `fleet.lock.yaml`."""
    return fleet_file.with_name(f"{fleet_file.stem}.lock.yaml")


def read_fleet_lock(path: Path) -> FleetLock:
    """Read fleet.lock.yaml; a file that is absent is a lock that knows nothing.

    Raises FleetError with all problems, two hosts with one tailnet address among them.
    """
    if _absent(path):
        return FleetLock()
    document = read_document(path)
    lock, problems = parse(document, FleetLock)
    seen: dict[str, str] = {}
    for name in lock.hosts if lock else ():
        address = lock.tailnet_ipv4(name) if lock else None
        if address and (first := seen.setdefault(address, name)) != name:
            key = ("hosts", name, "tailnet", "ipv4")
            fix = "delete the entry of the host that it does not belong to"
            problems.append(document.problem(key, f"{address} is {first}'s already", fix))
    return _sound(lock, problems)


def write_fleet_lock(path: Path, lock: FleetLock) -> None:
    """Write fleet.lock.yaml, hosts sorted, at once and whole."""
    _write(path, _text(_FLEET_HEADER, lock))


def _https(text: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]+)?/[!-~]*", text):
        raise wrong(f"{show(text)} is not a download address", "write https://host/path")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9@][A-Za-z0-9@/._+~:-]{0,127}", text):
        raise wrong(f"{show(text)} is not a name", "use letters, digits and @ / . _ + ~ : -")
    return text


def _npm_package(text: str) -> str:
    """Accept a package's name; npm itself would take an address or a repository for one, too."""
    if not re.fullmatch(r"(@[A-Za-z0-9][\w.~-]*/)?[A-Za-z0-9][\w.~-]*", text, re.ASCII):
        raise wrong(f"{show(text)} is no npm package", "write its name: `name` or `@scope/name`")
    return text


Word = Annotated[str, AfterValidator(_word)]


class Voucher(StrEnum):
    """Who published a digest that the bytes were compared with."""

    APT = "apt-index"  # signed by the archive
    GITHUB = "github-release"
    NPM = "npm-integrity"
    STATED = "stated"  # by whoever pinned it


class Source(_Fixed):
    """One place that an artifact can be had from: an address or a package client's own name."""

    origin: Word  # who publishes it there, such as upstream or debian
    url: Annotated[str, AfterValidator(_https)] | None = None
    apt_source: Word | None = None  # Debian source package: its upstream archive
    npm: Annotated[str, AfterValidator(_npm_package)] | None = None  # npm package: its archive

    @property
    def place(self) -> str:
        """Where it is, in one word: an address, `apt:PACKAGE` or `npm:PACKAGE`."""
        if self.apt_source:
            return f"apt:{self.apt_source}"
        return f"npm:{self.npm}" if self.npm else str(self.url)

    @model_validator(mode="after")
    def _one_way(self) -> Source:
        if sum(way is not None for way in (self.url, self.apt_source, self.npm)) != 1:
            fix = "give it exactly one of url, apt_source, npm"
            raise wrong("a source is one place", fix)
        return self


class Pin(_Fixed):
    """One file: what it is, byte for byte, and where it can be had."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    sha256: Sha256
    size: Annotated[int, Field(strict=True, gt=0, le=MAX_ARTIFACT)]  # bytes
    vouched: tuple[Voucher, ...] | None = None  # empty: nobody did; None: nobody noted it


class PinnedArtifact(_Fixed):
    """One artifact in one version, a file a platform."""

    version: Word
    platforms: Annotated[Mapping[Word, Pin], Field(min_length=1)]


class Artifact(_Fixed):
    """A file to download, as a caller gets it: the pin with its name and version."""

    name: str
    version: str
    platform: str  # as pinned: may be `any`
    sources: tuple[Source, ...]
    sha256: str
    size: int  # bytes

    def source(self, origin: str) -> Source | None:
        """Return the source of that origin, or None."""
        return next((source for source in self.sources if source.origin == origin), None)


class ArtifactsLock(_Fixed):
    """artifacts.lock.yaml: what is downloaded, by name."""

    version: Literal[1] = 1
    artifacts: Mapping[Word, PinnedArtifact] = Field(default_factory=dict)

    def with_artifact(self, name: str, pinned: PinnedArtifact) -> ArtifactsLock:
        """Return a lock in which `pinned` is what is pinned under `name`."""
        return ArtifactsLock(artifacts={**self.artifacts, name: pinned})

    def pins(self) -> Iterator[Artifact]:
        """Every pinned file."""
        for name, pinned in self.artifacts.items():
            yield from (self.get(name, platform) for platform in pinned.platforms)

    def get(self, name: str, platform: str = ANY) -> Artifact:
        """Return the artifact for a platform, or for any; raises FleetError when none is pinned."""
        pinned = self.artifacts.get(name)
        if pinned is None:
            fix = f"pin it with `fleet pin`; {suggest(name, self.artifacts)}"
            raise FleetError.of("artifacts.lock.yaml", f"{show(name)} is not pinned", fix)
        at = platform if platform in pinned.platforms else ANY
        if at not in pinned.platforms:
            fix = f"pinned for: {', '.join(sorted(pinned.platforms))}"
            fault = f"{name} is not pinned for {show(platform)}"
            raise FleetError.of("artifacts.lock.yaml", fault, fix)
        pin = pinned.platforms[at]
        return Artifact(
            name=name,
            version=pinned.version,
            platform=at,
            sources=pin.sources,
            sha256=pin.sha256,
            size=pin.size,
        )


def read_artifacts_lock(path: Path) -> ArtifactsLock:
    """Read artifacts.lock.yaml; absent: nothing is pinned. Raises FleetError, all at once."""
    if _absent(path):
        return ArtifactsLock()
    return _sound(*parse(read_document(path), ArtifactsLock))


def write_artifacts_lock(path: Path, lock: ArtifactsLock) -> None:
    """Write artifacts.lock.yaml, artifacts and platforms sorted, at once and whole."""
    _write(path, artifacts_text(lock))


def artifacts_text(lock: ArtifactsLock) -> str:
    """Return what write_artifacts_lock writes."""
    return _text(_ARTIFACTS_HEADER, lock)


def _absent(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False  # reading it says what is wrong
    return False


def _sound(model: M | None, problems: list[Problem]) -> M:
    if model is None or problems:
        raise FleetError(problems)
    return model


def _sorted(data: Any, *, depth: int = 0) -> Any:  # noqa: ANN401 - plain data of any shape
    """Sort the mappings whose keys are names; those of fields keep the order of the model."""
    if not isinstance(data, dict):
        return data
    named = depth in (1, 3)
    pairs = sorted(data.items()) if named else data.items()
    return {key: _sorted(value, depth=depth + 1) for key, value in pairs}


def _text(header: str, lock: FleetLock | ArtifactsLock) -> str:
    data = _sorted(lock.model_dump(mode="json", exclude_none=True))
    return header + yaml.safe_dump(data, sort_keys=False, width=1000, allow_unicode=True)


def _write(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary = Path(name)
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        temporary.replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
