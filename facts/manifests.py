"""What earlier runs have put on a host: one manifest a capability, kept on the host itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from facts.probe import Lines

FORMAT = 1


@dataclass(frozen=True, order=True)
class Entry:
    """One thing we manage: `name` is a path or a unit.

    `kind` is file, kept (a file that stays when its capability leaves), artifact, program (the
    directory of all its versions), directory, service or mask.
    `origin` is the template a file came from. Digests of secrets are kept out: the manifest is
    world-readable, and a digest of a short secret gives it away.
    """

    kind: str
    name: str
    origin: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Manifest:
    """Everything one capability manages on one host."""

    capability: str
    entries: tuple[Entry, ...] = ()

    @classmethod
    def of(cls, capability: str, entries: Iterable[Entry]) -> Manifest:
        """A manifest with its entries in a fixed order, so that equal ones have equal bytes."""
        return cls(capability, tuple(sorted(set(entries))))

    def dump(self) -> bytes:
        """The manifest as it is kept on the host: JSON, an entry a line."""
        lines = ",\n".join("  " + json.dumps(asdict(entry)) for entry in self.entries)
        head = f'{{"format": {FORMAT}, "capability": {json.dumps(self.capability)}, "entries": [\n'
        return f"{head}{lines}\n]}}\n".encode()

    @classmethod
    def load(cls, text: str) -> Manifest:
        """Read a dumped manifest. Raises ValueError on anything else."""
        try:
            said = json.loads(text)
            if said["format"] != FORMAT:
                raise ValueError(f"format {said['format']} is not {FORMAT}")
            entries = tuple(Entry(**entry) for entry in said["entries"])
            return cls(str(said["capability"]), entries)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a manifest: {error}") from error


@dataclass(frozen=True)
class ManifestsProbe:
    """Reads every manifest on the host."""

    directory: str
    name: str = "manifests"

    def script(self) -> str:
        """Print each manifest behind a line that names it."""
        return f"""for manifest in {shlex.quote(self.directory)}/*.json; do
    [ -f "$manifest" ] && echo "manifest $manifest" && cat "$manifest" && echo
done"""

    def parse(self, lines: Lines) -> Mapping[str, Manifest]:
        """Return capability → manifest. A broken manifest counts as absent: it is written anew."""
        texts: dict[str, list[str]] = {}
        current: list[str] = []
        for line in lines:
            if line.startswith("manifest "):
                current = texts.setdefault(line.rsplit("/", 1)[1].removesuffix(".json"), [])
            else:
                current.append(line)
        found = {}
        for capability, text in texts.items():
            try:
                found[capability] = Manifest.load("\n".join(text))
            except ValueError:
                continue
        return found
