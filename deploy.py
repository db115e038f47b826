"""What a host gets, in order. One source line a capability: pyinfra tells operations by line.

Which hosts get which capability is said in group_data/; what a capability is, in deploys/.
"""

from deploys import base, icecream
from fleet.converge import converge, take_leave

converge(base)
converge(icecream)
take_leave()
