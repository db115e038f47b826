"""tailscale.exe: Windows's own Tailscale, asked from Linux."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from .interop import connected, refusal

CLIENT: Final = Path("/opt/standin/libexec/tailscale")


def main(argv: list[str], client: Path = CLIENT) -> int:
    """Run one command on the Windows side."""
    if not connected(dict(os.environ)):
        sys.stderr.write(refusal() + "\n")
        return 1
    return subprocess.run([str(client), *argv], check=False).returncode
