"""What the role windows-wsl means: a Windows PC somebody works at, reached through its WSL."""

reserved_cores = 2  # Windows and the person in front of it keep these
sets_hostname = False  # WSL takes its name from Windows at every start
in_windows = True
# What a person's Windows has besides: the command, its name for winget, its name for Chocolatey.
windows_programs = (
    ("git", "Git.Git", "git"),
    ("rg", "BurntSushi.ripgrep.MSVC", "ripgrep"),
    ("ccache", "Ccache.Ccache", "ccache"),
    ("node", "OpenJS.NodeJS.LTS", "nodejs-lts"),
    ("tailscale", "Tailscale.Tailscale", "tailscale"),
)
sees_network_card = False  # WSL has a made-up one; the real one is Windows'
tailscale_runs = False  # two identities of one machine would fight over its traffic
tailscale_programs = ("/mnt/c/Program Files/Tailscale/tailscale.exe",)
