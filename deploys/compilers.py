"""The compiler wrappers: first on everybody's PATH, they send jobs to workers and check some."""

from __future__ import annotations

from deploys import llvm, quarantine, toolchains
from deploys.base import sshd_drop_in, sshd_told
from fleet.resources import Directory, File, Resources
from fleet.view import HostView

NAME = "compilers"
PROFILE = "/etc/profile.d/agentfleet-compilers.sh"
SSHD_CONFIG = "/etc/ssh/sshd_config.d/20-agentfleet-compilers.conf"
ZSH = ("/etc/zshenv", "/etc/zlogin")  # every zsh; a login's, after path_helper has moved us back

_CLANGS = ("icecc", "clang", "clang++")
_GCCS = ("gcc", "g++", "cc", "c++")  # on a Mac these are Apple's clang: left alone

# Where programs are called like compilers and call the next of that name on PATH.
_MASQUERADES = (
    "/usr/lib/ccache",
    "/usr/lib/ccache/bin",
    "/usr/lib64/ccache",
    "/usr/local/opt/ccache/libexec",
    "/opt/local/libexec/ccache",
    "/usr/lib/icecc/bin",
    "/usr/lib/icecream/libexec/icecc/bin",
    "/usr/local/opt/icecream/libexec/icecc/bin",
    "/opt/agentfleet/icecream/libexec/icecc/bin",
)
# What ccache compares instead of the compiler's time of change: that of a wrapper says nothing.
_CCACHE = {"CCACHE_PREFIX": "icecc", "CCACHE_COMPILERCHECK": "%compiler% --version"}
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_DICE = 1 << 32  # the wrapper throws a number below this


def resources(view: HostView) -> Resources:
    """The wrappers, and the shells' files that put them first on PATH."""
    if view.fleet.toolchain is None:
        return Resources()
    mac = view.host.is_mac
    return Resources(
        directories=(Directory(view.settings.compilers_dir),),
        files=(_compare(view), *_wrappers(view), *(_zsh(view) if mac else _linux_shells(view))),
        services=() if mac else (sshd_told(view, SSHD_CONFIG, teller=NAME),),
    )


def path(view: HostView) -> tuple[str, ...]:
    """What comes before everything else on PATH."""
    return (view.settings.compilers_dir,) if _wanted(view) else ()


def environment(view: HostView) -> dict[str, str]:
    """What else the wrappers want of a session's environment."""
    return dict(_CCACHE) if _wanted(view) else {}


def _wanted(view: HostView) -> bool:
    return view.fleet.toolchain is not None and NAME in view.capabilities


def _wrappers(view: HostView) -> tuple[File, ...]:
    toolchain, mac = view.fleet.toolchain, view.host.is_mac
    assert toolchain is not None  # noqa: S101 - see `resources`
    names = _CLANGS if mac else (*_CLANGS, *_GCCS)
    values = {
        "names": names,
        "directory": view.settings.compilers_dir,
        "masquerades": _MASQUERADES,
        "icecc": _clients(view),
        "homes": llvm.homes(view),
        "flags": llvm.FLAGS,
        "no_config": llvm.NO_CONFIG,
        "major": toolchain.llvm,
        "row": toolchains.row_path(view),
        "limit": round(_DICE * toolchain.sample_percent / 100),
        "compare": _compare_path(view),
        "mac": mac,
    }
    return tuple(
        view.file(
            f"{view.settings.compilers_dir}/{name}",
            "compilers/wrapper.sh.j2",
            mode="0755",
            check="sh -n {path}",
            values=values,
        )
        for name in names
    )


def _clients(view: HostView) -> tuple[str, ...]:
    """Where icecream's client may be: beside its daemon's directory."""
    beside = (f"{place.removesuffix('/sbin')}/bin/icecc" for place in view.settings.icecc_path)
    return (*beside, "/usr/local/bin/icecc")


def _compare_path(view: HostView) -> str:
    return f"{view.settings.libexec_dir}/compile-and-compare"


def _compare(view: HostView) -> File:
    mac = view.host.is_mac
    values = {
        "homes": llvm.homes(view),
        "quarantine": quarantine.url(view),
        "digest": "shasum -a 256" if mac else "sha256sum",
        "mac": mac,
    }
    return view.file(
        _compare_path(view),
        "compilers/compare.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values=values,
    )


def _shell_values(view: HostView) -> dict[str, object]:
    return {"directory": view.settings.compilers_dir, "ccache": _CCACHE}


def _linux_shells(view: HostView) -> tuple[File, ...]:
    """Login shells, and what SSH runs without one: there sshd itself sets the environment."""
    where = ":".join((view.settings.compilers_dir, *_SYSTEM_PATH))
    sets = {"variables": {"PATH": where, **_CCACHE}}
    profile = view.file(
        PROFILE, "compilers/shell.sh.j2", check="sh -n {path}", values=_shell_values(view)
    )
    return (profile, sshd_drop_in(view, SSHD_CONFIG, "compilers/sshd.conf.j2", values=sets))


def _zsh(view: HostView) -> tuple[File, ...]:
    """A Mac has neither file; whoever made one keeps it, and is told."""
    return tuple(
        view.file(
            where,
            "compilers/shell.sh.j2",
            check=view.render("compilers/check-zsh.sh.j2", path=where).decode(),
            values=_shell_values(view),
        )
        for where in ZSH
    )
