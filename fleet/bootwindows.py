"""The script that prepares a Windows PC, before the fleet can reach the WSL in it."""

from __future__ import annotations

import base64
import hashlib

from fleet.view import HostView
from fleet.windows import MIRRORED_BUILD, OLDEST_BUILD, VM_CREATOR, windows_side

# Keys of [boot] other than ours stay. As text: nothing of the fleet is in that distribution yet.
SYSTEMD = """set -eu
conf=/etc/wsl.conf
touch "$conf"
grep -q '^\\[boot\\]' "$conf" || printf '[boot]\\n' >>"$conf"
sed -i -e '/^systemd *=/d' -e 's/^\\[boot\\].*/&\\nsystemd=true/' "$conf"
"""


def windows_script(view: HostView, inside: str) -> str:
    """PowerShell for an administrator of that Windows; plain ASCII, safe to run again.

    `inside` is the sh script that prepares the distribution: it runs there as root, once in each
    version of it.
    """
    digest = hashlib.sha256(inside.encode()).hexdigest()
    mark = f"{view.settings.state_dir}/bootstrap"
    folder = view.settings.state_dir
    return view.render(
        "bootstrap/windows.ps1.j2",
        side=windows_side(view),
        mirrored_build=MIRRORED_BUILD,
        oldest_build=OLDEST_BUILD,
        systemd=_packed(SYSTEMD),
        inside=_packed(inside),
        inside_digest=digest,
        mark=mark,
        marking=_packed(f"set -eu\nmkdir -p {folder}\necho {digest} >{mark}\n"),
        vm_creator=VM_CREATOR,
    ).decode("ascii")


def _packed(script: str) -> str:
    return base64.b64encode(script.encode()).decode()
