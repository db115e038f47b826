"""Run the tailnet of one lab until it is ended."""

import sys
from pathlib import Path

from lab.tailnet.server import Server

Server(Path(sys.argv[1])).serve()
