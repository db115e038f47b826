"""The agent: AgentAPI in front of Claude Code, working in one session at a time."""

from __future__ import annotations

from dataclasses import replace

from deploys import claude_code, compilers, gateway
from facts.look import Look
from fleet.daemons import daemon
from fleet.model import Sudo
from fleet.pins import missing, program
from fleet.resources import (
    Directory,
    File,
    Manager,
    Package,
    Program,
    Resources,
    RestartPolicy,
    Service,
    Setting,
    User,
)
from fleet.view import HostView

NAME = "agentapi"
BOOT_LINES = ("/boot/firmware/cmdline.txt", "/boot/cmdline.txt")  # the first that is there
MEMORY_SWITCHES = "cgroup_enable=memory cgroup_memory=1"


def resources(view: HostView) -> Resources:
    """AgentAPI, the agent's account and configuration, and its daemon; off on workstations."""
    if missing(view, NAME):
        return Resources()
    role = view.settings
    api, launcher, seeds = program(view, NAME), _launcher(view), _seeds(view)
    files, running = daemon(view, _service(view, api, launcher, seeds))
    return Resources(
        packages=_packages(view),
        users=(account(view),),
        directories=(
            Directory(role.agent_home, mode="0750", owner=role.agent_user, group=role.agent_user),
            Directory(session_dir(view), mode="0750", group=role.agent_user),
            Directory(skeleton(view)),
        ),
        files=(launcher, *seeds, *_sudoers(view), *files),
        programs=(api,),
        settings=(_memory_limits(),) if view.host.is_pi else (),
        services=(running,),
    )


def unavailable(view: HostView, look: Look) -> str:
    """Why no agent can be here now."""
    if reason := missing(view, NAME) or gateway.no_key(view):
        return reason
    boss = view.fleet.orchestrator
    if not boss.addresses.tailnet:
        return f"the tailnet address of {boss.name} is not known yet: a run learns it there"
    return ""


def account(view: HostView) -> User:
    """Whom the agent runs as."""
    role = view.settings
    return User(role.agent_user, home=role.agent_home, comment="Claude Code agent")


def session_dir(view: HostView) -> str:
    """Where the agent's session and its token are: root writes, the agent reads."""
    return f"{view.settings.state_dir}/agent"


def skeleton(view: HostView) -> str:
    """What a session's home begins with; an owner of the host may put more there."""
    return f"{view.settings.config_dir}/agent-home"


def _packages(view: HostView) -> tuple[Package, ...]:
    """What only the agent needs; its tools are in `base`. Without jq it cannot start."""
    sudo = Package("sudo", {Manager.BREW: None, Manager.PORT: None})
    needed = Package("jq", required=view.host.is_agent)
    return (needed, sudo) if view.host.agent.sudo is not Sudo.NONE else (needed,)


def _launcher(view: HostView) -> File:
    values = {"directory": session_dir(view), "skeleton": skeleton(view)}
    return view.file(
        f"{view.settings.libexec_dir}/agent-session",
        "agentapi/agent-session.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values=values,
    )


def _seeds(view: HostView) -> tuple[File, ...]:
    """Configuration with which Claude Code asks nothing when it starts."""
    folder, values = skeleton(view), {"work": work_dir(view)}
    return (
        view.file(f"{folder}/.claude.json", "agentapi/claude.json.j2", values=values),
        view.file(f"{folder}/.claude/settings.json", "agentapi/settings.json.j2"),
    )


def work_dir(view: HostView) -> str:
    """The directory that the agent works in."""
    return f"{view.settings.agent_home}/work"


def _sudoers(view: HostView) -> tuple[File, ...]:
    if view.host.agent.sudo is Sudo.NONE:
        return ()
    allowed = view.host.agent.sudo
    commands = "ALL" if allowed is Sudo.FULL else ", ".join(allowed)
    return (
        view.file(
            "/etc/sudoers.d/agentfleet-agent",
            "agentapi/sudoers.j2",
            mode="0440",
            check="visudo -cqf {path}",
            values={"commands": commands},
        ),
    )


def _memory_limits() -> Setting:
    """Raspberry Pi OS boots without the kernel's memory accounting, and MemoryMax means nothing."""
    places = " ".join(BOOT_LINES)
    find = f'for line in {places}; do [ ! -f "$line" ] || break; done'
    return Setting(
        "memory limits",
        "on",
        "if grep -qsw memory /sys/fs/cgroup/cgroup.controllers || [ -d /sys/fs/cgroup/memory ]\n"
        f"then echo on; else {find}\n"
        'if grep -qsw cgroup_enable=memory "$line"\n'
        "then echo 'on after a reboot'; else echo off; fi; fi",
        f"{find}\nsed -i '1s/$/ {MEMORY_SWITCHES}/' \"$line\"",
        complaint="the agent's limit counts from the next reboot on: reboot it when that suits",
        later="on after a reboot",
    )


def _service(view: HostView, api: Program, launcher: File, seeds: tuple[File, ...]) -> Service:
    role, host = view.settings, view.host
    service = Service(
        name=NAME,
        description="Claude Code agent behind AgentAPI",
        note="it has no authentication: the firewall lets the orchestrator alone through",
        command=(
            launcher.path,
            api.path, "server",
            "--type", "claude",
            "--port", str(role.agent_port),
            "--allowed-hosts", ",".join(_names(view)),
            "--state-file", f"{role.agent_home}/.agentapi.json",
            "--",
            claude_code.WRAPPER, "--dangerously-skip-permissions",
        ),
        user=role.agent_user,
        path=_path(view),
        environment=_environment(view),
        behind_wall=True,
        policy=RestartPolicy.WHEN_IDLE,
        # A message that is just being taken holds the answer up, for up to 17 s.
        busy="curl --silent --fail --noproxy '*' --max-time 25 "
        f"http://127.0.0.1:{role.agent_port}/status | grep -Eq '\"status\" *: *\"running\"'",
        memory_max=role.agent_memory_max,
        inputs=(launcher.path, claude_code.WRAPPER, *(seed.path for seed in seeds)),
        off=not host.agent.enabled,
    )  # fmt: skip
    return _confined(view, service)


def _confined(view: HostView, service: Service) -> Service:
    """Hardening keeps an agent from becoming root, so it is for those that may not."""
    if view.host.agent.sudo is not Sudo.NONE:
        why = "fleet.yaml lets the agent become root, and work on the system"
        return replace(service, unconfined=why)
    exceptions = {
        "ReadWritePaths": (view.settings.agent_home, "its home, and the work in it"),
        "UMask": ("0022", "what it makes is for others too"),
        "RestrictNamespaces": ("no", "Claude Code's sandbox is made of them"),
    }
    return replace(service, exceptions=exceptions)


def _names(view: HostView) -> tuple[str, ...]:
    """What callers may call the host by: a web page's script could use any other name for it."""
    at = view.host.addresses
    places = (at.tailnet_name, at.tailnet, f"[{at.tailnet6}]" if at.tailnet6 else None)
    known = (place for place in places if place)
    return ("localhost", "127.0.0.1", "[::1]", view.host.name, *known)


def _path(view: HostView) -> tuple[str, ...]:
    system = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
    ports = ("/opt/local/bin",) if view.host.is_mac else ()
    return (*compilers.path(view), "/usr/local/bin", *ports, *system)


def _environment(view: HostView) -> dict[str, str]:
    role = view.settings
    return {
        **compilers.environment(view),
        "ANTHROPIC_BASE_URL": gateway.url(view),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "HOME": role.agent_home,
        "LANG": "en_US.UTF-8" if view.host.is_mac else "C.UTF-8",
        "LOGNAME": role.agent_user,
        "SHELL": role.agent_shell,
        "TERM": "xterm-256color",
        "USER": role.agent_user,
    }
