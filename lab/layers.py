"""Image layers: directories in the cache, named by everything that went into them.

A layer is built on the layers below it with overlayfs, so a host's file system is a stack of
read-only layers and one writable directory. A layer whose recipe did not change is never built
again; one whose recipe changed has another name.
"""

import functools
import hashlib
import inspect
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError
from lab.locks import locked
from lab.paths import IMAGES
from lab.preflight import require_space
from lab.progress import Reporter
from lab.shell import isolated
from lab.sources import Apt

FORMAT = 1  # raise it when layers built before cannot be used any more
NATIVE_ARCH = "amd64"
BUILD_SCRIPT = IMAGES / "build.sh"
PARALLEL_BUILDS = 2
LOG_LINES = 25

Prepare = Callable[["Builder", "Layer", Path], None]


@dataclass(frozen=True)
class Layer:
    """One directory of an image: packages, then a shell step, on top of the layers `below`."""

    name: str
    arch: str = NATIVE_ARCH
    below: tuple["Layer", ...] = ()  # top first
    packages: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()  # scripts in lab/images, sourced by build.sh in order
    prepare: Prepare | None = None  # fills the step's $INPUTS on this machine
    inputs: tuple[str, ...] = ()  # what `prepare` reads: enters the key
    foreign: tuple[str, ...] = ()  # further architectures whose packages may be named
    toolbelt: "Layer | None" = None  # native programs borrowed while a foreign root is configured
    megabytes: int = 100  # about, for the check of free space

    @functools.cached_property
    def key(self) -> str:
        """The digest of the recipe and of all below it; once asked for, it stays."""
        return _key(self)

    @property
    def needs(self) -> tuple["Layer", ...]:
        """Return the layers that must exist before this one is built."""
        return self.below + ((self.toolbelt,) if self.toolbelt else ())


def _key(layer: Layer) -> str:
    recipe = [
        FORMAT,
        layer.name,
        layer.arch,
        layer.packages,
        layer.foreign,
        [(IMAGES / step).read_text() for step in layer.steps],
        BUILD_SCRIPT.read_text(),
        inspect.getsource(layer.prepare) if layer.prepare else "",
        layer.inputs,
        [below.key for below in layer.below],
    ]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


@dataclass
class Builder:
    """Builds layers into the cache, several at once, each exactly once on this machine."""

    cache: Path
    reporter: Reporter
    _apts: dict[tuple[str, ...], Apt] = field(default_factory=dict)
    _running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    _stopped: bool = False

    def apt(self, arch: str, foreign: tuple[str, ...] = ()) -> Apt:
        """Return apt for an architecture; one per build, so that lists are fetched once."""
        return self._apts.setdefault((arch, *foreign), Apt(self.cache, arch, foreign))

    def path(self, layer: Layer) -> Path:
        """Return where the layer is, or will be."""
        return self.cache / "layers" / f"{layer.name}-{layer.arch}-{layer.key}"

    def status(self, layer: Layer) -> Path | None:
        """Return the package database that the layers below leave."""
        files = (self.path(below) / "var/lib/dpkg/status" for below in layer.below)
        return next((file for file in files if file.exists()), None)

    def missing(self, wanted: Iterable[Layer]) -> list[Layer]:
        """Return what must be built for `wanted`, needed layers first."""
        order: dict[Layer, None] = {}

        def visit(layer: Layer) -> None:
            if layer in order or self.path(layer).exists():
                return
            for needed in reversed(layer.needs):
                visit(needed)
            order[layer] = None

        for layer in wanted:
            visit(layer)
        return list(order)

    def ensure(self, wanted: Iterable[Layer]) -> None:
        """Build every layer of `wanted` that the cache lacks."""
        pending = self.missing(wanted)
        if not pending:
            return
        need = sum(layer.megabytes for layer in pending)
        what = f"building {len(pending)} image layers"
        require_space(self.cache, need, what, "AGENTFLEET_CACHE")
        running: dict[Future[None], Layer] = {}
        with ThreadPoolExecutor(PARALLEL_BUILDS) as pool, self._ending_builds():
            while pending or running:
                busy = {*pending, *running.values()}
                for layer in [p for p in pending if not busy.intersection(p.needs)]:
                    pending.remove(layer)
                    running[pool.submit(self._build, layer)] = layer
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    running.pop(future)
                    future.result()

    @contextmanager
    def _ending_builds(self) -> Iterator[None]:
        """When something fails or a person interrupts, end the builds that still run."""
        try:
            yield
        except BaseException:
            self._stopped = True
            for build in self._running:
                build.kill()
            raise

    def _build(self, layer: Layer) -> None:
        target = self.path(layer)
        with locked(self.cache / "locks" / f"{target.name}.lock", self.reporter.say):
            if target.exists():
                return
            work = self.cache / "building" / target.name
            shutil.rmtree(work, ignore_errors=True)
            with self.reporter.step(f"building image layer {layer.name} ({layer.arch})"):
                self._build_in(layer, work)
            target.parent.mkdir(parents=True, exist_ok=True)
            (work / "upper").rename(target)
            shutil.rmtree(work, ignore_errors=True)

    def _build_in(self, layer: Layer, work: Path) -> None:
        for folder in ("upper", "work", "root", "inputs"):
            (work / folder).mkdir(parents=True)
        debs = []
        if layer.packages:
            apt = self.apt(layer.arch, layer.foreign)
            debs = apt.install_set(list(layer.packages), self.status(layer))
        (work / "debs").write_text("".join(f"{deb.file}\n" for deb in debs))
        if layer.prepare:
            layer.prepare(self, layer, work / "inputs")
        env = {
            "LOWERS": ":".join(str(self.path(below)) for below in layer.below),
            "UPPER": str(work / "upper"),
            "WORK": str(work / "work"),
            "ROOT": str(work / "root"),
            "ARCH": layer.arch,
            "NATIVE_ARCH": NATIVE_ARCH,
            "DEBS": str(work / "debs"),
            "STEPS": " ".join(layer.steps),
            "RECIPES": str(IMAGES),
            "INPUTS": str(work / "inputs"),
            "TOOLBELT": str(self.path(layer.toolbelt)) if layer.toolbelt else "",
        }
        self._run_build(env, work / "build.log", layer)

    def _run_build(self, env: dict[str, str], log: Path, layer: Layer) -> None:
        with log.open("w") as output:
            build = subprocess.Popen(
                [*isolated(), "sh", str(BUILD_SCRIPT)],
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            self._running.append(build)
            if self._stopped:
                build.kill()
            code = build.wait()
            self._running.remove(build)
        if code != 0:
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            end = "\n".join(f"  {line}" for line in lines)
            raise LabError(
                f"image layer {layer.name} could not be built:\n{end}\n(all of it: {log})"
            )
