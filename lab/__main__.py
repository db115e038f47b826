"""`python -m lab …` is `fleet lab …`."""

import sys

from fleet.cli import main

sys.exit(main(["lab", *sys.argv[1:]]))
