"""The images: which layers a host's file system is stacked from, chosen by what the host is."""

import hashlib
import shutil
from pathlib import Path

from lab.errors import LabError
from lab.images.packages import (
    ARCH_CLANGS,
    ARCH_PACKAGES,
    ARCH_REPACKAGED,
    BASE,
    BUILD_DEPENDENCIES,
    COMPILERS,
    PI_NATIVE,
    clang_parts,
    essential,
    listed,
)
from lab.images.tailscale import prepare_deb, prepare_files, standin_digest
from lab.layers import NATIVE_ARCH, Builder, Layer
from lab.paths import IMAGES, STANDINS

# The upstream source that Debian's source package holds; hosts build icecream from it.
ICECREAM_SOURCE = "icecc"
ICECREAM_SHA256 = "249dcf74f0fc477ff9735ff0bdcdfaa4c257a864c4db5255d8b25c9f4fd20b6b"
KINDS = ("arch", "debian", "raspios", "macos", "wsl")


def image(kind: str) -> tuple[Layer, ...]:
    """Return the layers of a kind of host, top first."""
    return {"arch": _arch, "raspios": _raspios, "macos": _macos, "wsl": _wsl, "debian": _debian}[
        kind
    ]()


def _base() -> Layer:
    packages = (essential(NATIVE_ARCH), *BASE, "nftables")
    return Layer("base", packages=packages, steps=("base.sh",), megabytes=300)


def _compilers(base: Layer) -> Layer:
    return Layer(
        "compilers",
        arch=base.arch,
        below=(base,),
        packages=COMPILERS,
        foreign=base.foreign,
        toolbelt=base.toolbelt,
        megabytes=700,
    )


def _pool(base: Layer, packages: tuple[str, ...]) -> Layer:
    return Layer(
        "pool",
        arch=base.arch,
        below=(base,),
        steps=("pool.sh",),
        prepare=prepare_pool,
        inputs=packages,
        foreign=base.foreign,
        megabytes=300,
    )


def _repository(stack: tuple[Layer, ...], packages: tuple[str, ...]) -> tuple[Layer, ...]:
    """Return the layers of the offline repository: Debian's packages, then our tailscale."""
    pool = _pool(stack[-1], packages)
    ours = Layer(
        "tailscale",
        arch=pool.arch,
        below=(pool, *stack),
        steps=("pool.sh",),
        prepare=prepare_deb,
        inputs=(standin_digest(),),
        megabytes=5,
    )
    return (ours, pool)


def prepare_pool(builder: Builder, layer: Layer, inputs: Path) -> None:
    """Bring the offline repository's packages with all they need beyond the base image."""
    apt = builder.apt(layer.arch, layer.foreign)
    for package in apt.install_set(list(layer.inputs), builder.status(layer)):
        shutil.copy(package.file, inputs)


def _artifacts() -> Layer:
    return Layer(
        "artifacts",
        steps=("artifacts.sh",),
        prepare=prepare_artifacts,
        inputs=(ICECREAM_SHA256,),
        megabytes=5,
    )


def prepare_artifacts(builder: Builder, layer: Layer, inputs: Path) -> None:
    """Bring the pinned icecream source: from the cache, else from Debian's source package."""
    kept = builder.cache / "artifacts" / ICECREAM_SHA256
    if not kept.exists():
        found = builder.apt(layer.arch).source_tarball(ICECREAM_SOURCE, inputs / "download")
        digest = hashlib.sha256(found.read_bytes()).hexdigest()
        if digest != ICECREAM_SHA256:
            raise LabError(
                f"the archive's {found.name} is not the pinned one: sha256 {digest}, expected "
                f"{ICECREAM_SHA256}"
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, kept.with_suffix(".part"))
        kept.with_suffix(".part").rename(kept)
    shutil.copy(kept, inputs / "icecream-1.4.tar.gz")


def _extra(kind: str, below: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Return the layer of packages that a stand-in asks for, if it asks for any."""
    wanted = listed(STANDINS / kind / "packages.txt")
    if not wanted:
        return ()
    return (
        Layer(
            f"standin-{kind}",
            arch=below[0].arch,
            below=below,
            packages=wanted,
            foreign=below[0].foreign,
            toolbelt=below[0].toolbelt,
        ),
    )


def _debian() -> tuple[Layer, ...]:
    base = _base()
    stack = (_compilers(base), base)
    packages = listed(IMAGES / "pool.txt")
    return (*_repository(stack, packages), *_extra("debian", stack), *stack)


def _wsl() -> tuple[Layer, ...]:
    base = _base()
    stack = (_compilers(base), base)
    packages = listed(IMAGES / "pool.txt")
    return (*_repository(stack, packages), *_extra("wsl", stack), *stack)


def _macos() -> tuple[Layer, ...]:
    base = _base()
    compilers = _compilers(base)
    build = Layer("build", below=(compilers, base), packages=BUILD_DEPENDENCIES, megabytes=200)
    stack = (build, compilers, base)
    return (_artifacts(), *_extra("macos", stack), *stack)


def _raspios() -> tuple[Layer, ...]:
    # nft speaks netlink, which qemu-user does not translate: a native one filters for real.
    base = Layer(
        "base",
        arch="arm64",
        packages=(essential("arm64"), *BASE, "nftables:amd64"),
        steps=("base.sh",),
        foreign=("amd64",),
        toolbelt=_base(),
        megabytes=350,
    )
    pool = tuple(name for name in listed(IMAGES / "pool.txt") if name != "nftables")
    stack = (_compilers(base), base)
    foreign = (*_repository(stack, pool), *_extra("raspios", stack), *stack)
    native = Layer(
        "native",
        arch="arm64",
        below=foreign,
        steps=("native.sh",),
        prepare=prepare_native,
        inputs=PI_NATIVE,
        foreign=base.foreign,
        toolbelt=base.toolbelt,
        megabytes=120,
    )
    return (native, *foreign)


def prepare_native(builder: Builder, layer: Layer, inputs: Path) -> None:
    """Bring native programs that no base image has, with all they need beyond it."""
    belt = builder.path(layer.toolbelt or _base())
    status = belt / "var/lib/dpkg/status"
    for package in builder.apt(NATIVE_ARCH).install_set(list(layer.inputs), status):
        shutil.copy(package.file, inputs)


def _arch() -> tuple[Layer, ...]:
    base = _base()
    system = Layer("arch", below=(base,), packages=ARCH_PACKAGES, megabytes=900)
    stack = (*_extra("arch", (system, base)), system, base)
    repository = Layer(
        "arch-repo",
        below=stack,
        steps=("arch.sh",),
        prepare=prepare_arch,
        inputs=(
            *ARCH_REPACKAGED,
            *(part for major in ARCH_CLANGS for part in clang_parts(major)),
            (IMAGES / "arch-provided.txt").read_text(),
        ),
        megabytes=300,
    )
    tailscale = Layer(
        "tailscale",
        below=(repository, *stack),
        steps=("tailscale-arch.sh",),
        prepare=prepare_files,
        inputs=(standin_digest(),),
        megabytes=5,
    )
    return (_artifacts(), tailscale, repository, *stack)


def prepare_arch(builder: Builder, layer: Layer, inputs: Path) -> None:
    """Bring what is repackaged for pacman: per package, the .debs its program needs here."""
    apt = builder.apt(layer.arch)
    shutil.copy(IMAGES / "arch-provided.txt", inputs / "provided.txt")
    for name in ARCH_REPACKAGED:
        folder = inputs / "repackaged" / name
        folder.mkdir(parents=True)
        for package in apt.install_set([name], builder.status(layer)):
            shutil.copy(package.file, folder)
    for major in ARCH_CLANGS:
        folder = inputs / "clangs" / str(major)
        folder.mkdir(parents=True)
        parts = clang_parts(major)
        # As if nothing were installed: the image's own clang is one of them.
        for package in apt.install_set(list(parts), None):
            if package.name in parts:
                shutil.copy(package.file, folder)
