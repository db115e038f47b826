"""What holds on every Mac: its file system layout, and what icecream cannot do there."""

state_dir = "/var/db/agentfleet"
agent_memory_max = ""  # launchd limits no memory
agent_shell = "/bin/zsh"
agent_home = "/var/db/claude-agent"
build_user = "_agentfleet"
homes_dir = "/Users"
time_servers = ("time.apple.com",)
# The application that a person may have installed, Homebrew's, MacPorts'.
tailscale_programs = (
    "/Applications/Tailscale.app/Contents/MacOS/Tailscale",
    "/usr/local/bin/tailscale",
    "/opt/local/bin/tailscale",
)
claude_settings = "/Library/Application Support/ClaudeCode/managed-settings.json"

icecc_user = "_icecc"
icecc_env_dir = "/var/db/agentfleet/icecc"
icecc_serves_remote = False
icecc_why_not_remote = (
    "since macOS 11 the system libraries exist only in the dyld cache, so no compiler "
    "environment can be packed or unpacked here; a Mac sends jobs and takes none"
)
# Homebrew's Intel prefix, then our own build for Macs without Homebrew.
icecc_path = ("/usr/local/opt/icecream/sbin", "/opt/agentfleet/icecream/sbin")
