"""How the orchestrator reaches agents: an SSH key that can do nothing but call agentctl there."""

from __future__ import annotations

from dataclasses import replace

from deploys import agentapi, gateway, keys
from facts.look import Look
from fleet.callers import Caller, account
from fleet.callers import known_hosts as known_hosts_file
from fleet.daemons import LABEL_PREFIX, UNIT_PREFIX
from fleet.managers import LAUNCHD_FUNCTIONS, SYSTEMD_FUNCTIONS
from fleet.model import Host
from fleet.resources import AgentSession, File, Resources
from fleet.settings import settings_for
from fleet.view import HostView

KEPT_SESSIONS = 5  # of an agent's ended sessions, what it had in its home
KEPT_BACKUPS = 14  # of the orchestrator's, on the host that keeps them
CODE_MOST = 64 << 20  # bytes of a bundle that goes to an agent, and of a patch that comes back
CODE_S = 300  # how long git may take there
NO_KEY = "the orchestrator's SSH key is not known yet: a run learns it once {host} has been reached"


def resources(view: HostView) -> Resources:
    """On the orchestrator: whom it reaches and how. On agents' hosts: what it reaches."""
    boss = view.host == view.fleet.orchestrator
    files = _orchestrator_files(view) if boss else ()
    if not view.host.is_agent:
        return Resources(files=files)
    entry = account(view, _caller(view))
    return replace(
        entry,
        files=(*files, agentctl(view), agent_code(view), *entry.files),
        session=AgentSession(f"{agentapi.session_dir(view)}/session"),
    )


def unavailable(view: HostView, look: Look) -> str:
    """Why the orchestrator cannot come here, or why there is nothing to come for."""
    boss = view.fleet.orchestrator
    if not boss.dispatch_key:
        return NO_KEY.format(host=boss.name)
    return agentapi.unavailable(view, look) if view.host.is_agent else ""


def agentctl(view: HostView) -> File:
    """The program that starts, stops and begins sessions."""
    mac = view.host.is_mac
    values = {
        "functions": LAUNCHD_FUNCTIONS if mac else SYSTEMD_FUNCTIONS,
        "service": f"{LABEL_PREFIX}{agentapi.NAME}"
        if mac
        else f"{UNIT_PREFIX}{agentapi.NAME}.service",
        "directory": agentapi.session_dir(view),
        "kept": KEPT_SESSIONS,
        "code_s": CODE_S,
        # A Mac has no `timeout`.
        "limited": f"perl -e 'alarm shift; exec @ARGV' {CODE_S}"
        if mac
        else f"timeout -k 5 {CODE_S}",
        "backups": backups_dir(view),
        "backups_kept": KEPT_BACKUPS,
        "gateway": gateway.url(view),
    }
    return view.file(
        f"{view.settings.libexec_dir}/agentctl",
        "dispatch/agentctl.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values=values,
    )


def agent_code(view: HostView) -> File:
    """The program that brings code to an agent, and back what it changed."""
    return view.file(
        f"{view.settings.libexec_dir}/agent-code",
        "dispatch/agent-code.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values={"work": agentapi.work_dir(view), "code_most": CODE_MOST},
    )


def backups_dir(view: HostView) -> str:
    """Where a host keeps the orchestrator's backups."""
    return f"{view.settings.state_dir}/backups"


def _caller(view: HostView) -> Caller:
    role = view.settings
    program = f"{role.libexec_dir}/agentctl"
    return Caller(
        role.control_user,
        home=f"{role.state_dir}/control",
        comment="calls agentctl",
        key=view.fleet.orchestrator.dispatch_key,
        command=f'exec sudo -n {program} \\"$SSH_ORIGINAL_COMMAND\\"',
        allowed=program,
        rule="agentfleet-control",
    )


def agents_path(view: HostView) -> str:
    """Whom the orchestrator reaches, and how."""
    return f"{view.settings.config_dir}/agents.json"


def _orchestrator_files(view: HostView) -> tuple[File, ...]:
    role, hosts = view.settings, [host for host in view.fleet.hosts if host.is_agent]
    known_hosts = f"{role.config_dir}/known_hosts"
    found = {
        "ssh": {
            "key": keys.key_file(view),
            "known_hosts": known_hosts,
            "user": role.control_user,
        },
        "agents": {host.name: _reached(host) for host in hosts if host.addresses.tailnet},
    }
    return (
        view.file(agents_path(view), "dispatch/agents.json.j2", values={"config": found}),
        known_hosts_file(view, known_hosts, hosts),
    )


def _reached(host: Host) -> dict[str, object]:
    port = settings_for(host.role.value).agent_port
    address = host.addresses.tailnet
    return {"address": address, "port": host.ssh.port, "url": f"http://{address}:{port}"}
