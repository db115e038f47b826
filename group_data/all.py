"""What holds on every host, whatever its role. Values only; narrower files override."""

_sudo = True  # pyinfra's own switch: everything here is the system's, so it is changed as root

capabilities = (
    "base",
    "sources",
    "tailscale",
    "keys",
    "firewall",
    "operators",
    "secrets",
    "artifacts",
    "relay",
    "gateway",
    "budget",
    "claude_code",
    "agentapi",
    "dispatch",
    "icecream",
    "llvm",
    "environments",
    "toolchains",
    "compilers",
    "windows",
    "quarantine",
    "orchestrator",
    "backup",
    "monitoring",
)
reserved_cores = 0  # cores that compile jobs from elsewhere never get

# Where agentfleet keeps its things on a host.
state_dir = "/var/lib/agentfleet"
log_dir = "/var/log/agentfleet"
libexec_dir = "/usr/local/libexec/agentfleet"
config_dir = "/etc/agentfleet"
programs_dir = "/opt/agentfleet"  # pinned programs, each version in a directory of its own
homes_dir = "/home"
holds_secrets = ()  # of those in fleet.yaml, what the role's daemons read
build_user = "agentfleet-build"  # builds from source without rights

# base
base_packages = ("git", "ripgrep", "ccache", "curl", "jq")
time_servers = ()  # none: those of the distribution
journal_max = "200M"
sets_hostname = True
sees_network_card = True  # the address that `fleet wake` needs

# bootstrap
never_sleeps = False  # nobody is there to wake it
oldest_macos = 13  # major version; Claude Code's programs need it
# windows: what surrounds a host in WSL
in_windows = False
windows_programs = ()

# tailscale
tailnet_tag = (
    ""  # none: the host is its person's own. A tag takes a person's identity from a device.
)
tailscale_runs = True  # here; in WSL it is Windows that is in the tailnet
tailscale_programs = ("/usr/bin/tailscale",)  # the first that is there is asked
tailscale_key_days = 14  # a key that expires within that time is reported

# What agents and the orchestrator listen on; who may reach it is in fleet/doors.py.
agent_port = 3284  # AgentAPI's own; it has no authentication
orchestrator_port = 8080
orchestrator_user = "agentfleet-orchestrator"  # the account that talks to agents
orchestrator_home = "/var/lib/agentfleet-orchestrator"
plan_cap = 2  # dollars that it may cost to split one goal into steps
control_user = "agentfleet-ctl"  # on agents' hosts: whom the orchestrator's account comes as

# monitoring
health_minutes = 5  # between two rounds of looks
monitor_user = "agentfleet-monitor"  # on the orchestrator: who looks
monitor_home = "/var/lib/agentfleet-monitor"
health_user = "agentfleet-health"  # elsewhere: whom it comes as

# Agents
agent_user = "claude-agent"
agent_home = "/var/lib/claude-agent"
agent_sudo = "full"  # what an agent may do as root where fleet.yaml says nothing of it
agent_shell = "/bin/bash"
# Of the machine's memory, for the agent and all that it starts. Claude Code alone takes 210 MB
# idle and 225 at most on x86_64; each `claude -p` that it starts takes as much again, and a C++
# compiler 200 to 400. Half leaves room for a person, the compile jobs and the fleet's services.
agent_memory_max = "50%"

# gateway: between the agents and the API that they are paid at
gateway_port = 8082
gateway_user = "agentfleet-gateway"
gateway_warn_percent = 80  # of a cap; from there on an agent is told

# quarantine: keeps reported workers out of the compile cluster
quarantine_port = 8083
quarantine_user = "agentfleet-quarantine"

# Claude Code
claude_settings = "/etc/claude-code/managed-settings.json"  # where it looks, and no user may write

# artifacts
artifacts_port = 8081

# icecream. The port numbers are the program's own; changing them breaks unmanaged clients.
icecc_user = "icecc"
icecc_port = 10245
scheduler_port = 8765
icecc_nice = 5
icecc_env_dir = "/var/cache/agentfleet-icecc"
environments_dir = "/opt/icecc-envs"  # packed compilers, on every client
compilers_dir = "/opt/agentfleet/compilers"  # the wrappers, first on everybody's PATH
icecc_serves_remote = True
icecc_why_not_remote = ""
icecc_path = ("/usr/lib/icecream/sbin", "/usr/sbin")  # Arch, Debian
