"""`python -m fleet`: the `fleet` command where it is not installed."""

import sys

from fleet.cli import main

sys.exit(main())
