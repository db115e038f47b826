"""Run the Messages API of one lab until it is ended."""

import sys
from pathlib import Path

from lab.anthropic.server import serve

serve(Path(sys.argv[1]))
