"""The lab's hosts for pyinfra: the same fleet.yaml, with the lab's addresses and keys.

pyinfra lab/inventory.py deploy.py [--dry --diff] [--limit GROUP_OR_HOST]
"""

import os

from fleet.inventory import groups
from fleet.problems import FleetError
from fleet.target import LAB, load_target

os.environ["FLEET_TARGET"] = LAB  # deploy.py runs in this process and reads it too
try:
    globals().update(groups(load_target()))
except FleetError as _error:
    raise SystemExit(str(_error)) from None
