"""The clang that all hosts have in common, beside whatever their system calls clang.

Distributions never agree on a compiler: Arch rolls, Debian stands still. So fleet.yaml names one
major version, and every host gets that from its packages, which keep it apart from the system's
own; where they have none, from the pinned archive `llvm` for its platform.
"""

from __future__ import annotations

from fleet.learned import COMPILER
from fleet.model import Os
from fleet.pins import missing, program
from fleet.resources import Manager, Package, Program, Reading, Resources
from fleet.view import HostView

PINNED = "llvm"
# What distributions build into their clang as a default, and differently. Said on the command line
# it is the same wherever a job runs; what a build says itself comes later, and wins.
FLAGS = (
    "--start-no-unused-arguments",
    "-fstack-protector-strong",
    "--end-no-unused-arguments",
)
NO_CONFIG = "CLANG_NO_DEFAULT_CONFIG=1"  # nor what a distribution writes into its /etc/clang
# Compiled to see whether two builds of a version make the same code: stack, position, rounding.
_PROBE = """\
extern int there;
int scan(const char *text) {
    char kept[64];
    int at = 0;
    for (; text[at] && at < 63; at++) kept[at] = text[at] ^ there;
    kept[at] = 0;
    return __builtin_strlen(kept) + at;
}
double both(double one, double other) { return one * other + 1.0; }"""
_CLANG = "bin/clang"

# Where the packages put a major version. Arch and Debian keep every version apart; Homebrew's and
# MacPorts' are both looked for on a Mac.
_HOMES = {
    Os.ARCH: ("/usr/lib/llvm{major}",),
    Os.DEBIAN: ("/usr/lib/llvm-{major}",),
    Os.RASPIOS: ("/usr/lib/llvm-{major}",),
    Os.UBUNTU: ("/usr/lib/llvm-{major}",),
    Os.MACOS: ("/usr/local/opt/llvm@{major}", "/opt/local/libexec/llvm-{major}"),
}


def resources(view: HostView) -> Resources:
    """The compiler, and the question which one that is."""
    if view.fleet.toolchain is None:
        return Resources()
    pinned = _pinned(view)
    major = view.fleet.toolchain.llvm
    packaged = Package(
        f"clang-{major}", {Manager.PACMAN: f"clang{major}", Manager.BREW: f"llvm@{major}"}
    )
    return Resources(
        packages=() if pinned else (packaged,),
        programs=(pinned,) if pinned else (),
        readings=(_fingerprint(view),),
    )


def homes(view: HostView) -> tuple[str, ...]:
    """Where the compiler's `bin` may be on this host; the first that has a clang is it."""
    if view.fleet.toolchain is None:
        return ()
    if pinned := _pinned(view):
        return (pinned.directory,)
    return tuple(home.format(major=view.fleet.toolchain.llvm) for home in _HOMES[view.host.os])


def _pinned(view: HostView) -> Program | None:
    """The archive that somebody pinned for this platform, which beats the packages."""
    if missing(view, PINNED):
        return None
    return program(view, PINNED, tree=_CLANG)


def _fingerprint(view: HostView) -> Reading:
    """Prints `VERSION+CODE DIGEST` of the compiler, nothing where there is none.

    CODE tells apart builds of one version that make different code by default.

    Reading 250 MB at every look would take longer than everything else in it. So what was computed
    is kept beside the sizes and times of the files it was computed of: the one thing that a look
    writes.
    """
    memo = f"{view.settings.state_dir}/compiler"
    text = view.render(
        "llvm/fingerprint.sh.j2",
        homes=homes(view),
        memo=memo,
        flags=FLAGS,
        no_config=NO_CONFIG,
        probe=_PROBE,
    )
    return Reading(COMPILER, text.decode().strip())
