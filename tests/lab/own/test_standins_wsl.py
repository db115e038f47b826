"""The WSL stand-in on a real lab host: what systemd Debian under Windows has."""

import pytest

from lab.api import Lab

pytestmark = pytest.mark.lab

POWERSHELL = "/mnt/c/Windows/System32/WindowsPowerShell/v1.0/powershell.exe"
LIVE = "WSL_INTEROP=/run/WSL/1_interop"


def wsl(lab: Lab) -> str:
    for host in lab.hosts:
        if host.kind == "wsl":
            return host.name
    pytest.skip("this fleet has no Windows PC")


def test_it_looks_like_wsl(lab: Lab) -> None:
    host = wsl(lab)
    assert lab.run(host, "uname -r").stdout.endswith("-microsoft-standard-WSL2\n")
    assert lab.run(host, "wslinfo --networking-mode").stdout == "mirrored\n"
    assert "systemd=true" in lab.run(host, "cat /etc/wsl.conf").stdout


@pytest.mark.parametrize("socket", ["", "WSL_INTEROP=/run/WSL/9_interop", "WSL_INTEROP=/nope"])
def test_windows_is_out_of_reach_without_a_live_socket(lab: Lab, socket: str) -> None:
    done = lab.run(wsl(lab), f"{socket} {POWERSHELL} -Command '$env:USERPROFILE'", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "connect failed" in done.stderr


def test_a_rule_stays(lab: Lab) -> None:
    host = wsl(lab)

    def ask(script: str, check: bool = True) -> str:
        text = f'{LIVE} {POWERSHELL} -NoProfile -Command "{script}" </dev/null'
        return lab.run(host, text, check=check).stdout

    ask("Remove-NetFirewallHyperVRule -Name standin -ErrorAction SilentlyContinue")
    assert ask("Get-NetFirewallHyperVRule -Name standin", check=False) == ""
    ask("New-NetFirewallHyperVRule -Name standin -DisplayName standin -LocalPorts 1,2")
    ports = ask("(Get-NetFirewallHyperVRule -Name standin).LocalPorts")
    assert ports == "1\n2\n"  # subprocess drops the CR
    assert "standin" in lab.run(host, "tail -n 1 /var/lib/standin/powershell.log").stdout
    ask("Remove-NetFirewallHyperVRule -Name standin")
