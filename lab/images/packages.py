"""Which Debian packages the images are made of, each list in one place."""

from pathlib import Path

BASE = (
    "usr-is-merged",  # the root is merged from the start: usrmerge would convert it and needs perl
    "apt",
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libpam-systemd",
    "netbase",
    "netcat-openbsd",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Debian-like hosts have them from the start, so that converging does not spend its time on them.
# Of clang-16 only what is large: unpacking that takes a Pi 40 seconds, and every host 230 MB.
COMPILERS = (
    "gcc",
    "g++",
    "clang",
    "binutils",
    "libclang-common-16-dev",
    "libclang-cpp16",
    "libclang1-16",
    "libllvm16",
    "libobjc-12-dev",
    "llvm-16-linker-tools",
)
# What an emulated Pi runs natively beside the base image's programs: it only costs time there.
PI_NATIVE = ("python3", "zstd")
# What building icecream 1.4 from source needs.
BUILD_DEPENDENCIES = (
    "autoconf",
    "automake",
    "g++",
    "libarchive-dev",
    "libcap-ng-dev",
    "liblzo2-dev",
    "libtool",
    "libzstd-dev",
    "make",
    "pkg-config",
)
# Another clang major than Debian's, on purpose: the toolchains of a real fleet differ too.
ARCH_PACKAGES = (
    *BUILD_DEPENDENCIES,
    "binutils",
    "bzip2",
    "clang-16",
    "fakeroot",
    "file",
    "gcc",
    "libcap2-bin",
    "libarchive-tools",
    "logrotate",
    "makepkg",
    "pacman-package-manager",
    "patch",
    "xz-utils",
    "zstd",
)
# Real programs for the local pacman repository, taken from Debian's packages of the same name.
ARCH_REPACKAGED = ("age", "git", "ripgrep", "ccache", "jq", "busybox")
# Majors of clang that Arch has as packages of their own, clang14 and clang16, off the PATH.
ARCH_CLANGS = (14, 16)


def clang_parts(major: int) -> tuple[str, ...]:
    """Return the packages that hold one major of clang; what else it needs, every image has."""
    return (
        f"clang-{major}",
        f"libclang-common-{major}-dev",
        f"libclang-cpp{major}",
        f"libllvm{major}",
    )


def essential(arch: str) -> str:
    """Return apt's pattern for what no Debian system of this architecture is without."""
    return (
        f"?and(?or(?essential,?priority(required)),?or(?architecture({arch}),?architecture(all)))"
    )


def listed(file: Path) -> tuple[str, ...]:
    """Return the names in a list file: one a line, '#' starts a comment; () without the file."""
    if not file.exists():
        return ()
    names = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return tuple(name for name in names if name)
