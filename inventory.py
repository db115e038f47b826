"""The real fleet for pyinfra: fleet.yaml's hosts, a group for each role.

pyinfra inventory.py deploy.py [--dry --diff] [--limit GROUP_OR_HOST]
"""

from fleet.inventory import groups
from fleet.problems import FleetError
from fleet.target import load_target

try:
    globals().update(groups(load_target()))
except FleetError as _error:
    raise SystemExit(str(_error)) from None
