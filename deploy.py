"""What a host gets, in order. One source line a capability: pyinfra tells operations by line.

Which hosts get which capability is said in group_data/; what a capability is, in deploys/.
"""

from deploys import (
    artifacts,
    base,
    claude_code,
    firewall,
    icecream,
    operators,
    secrets,
    sources,
    tailscale,
)
from fleet.converge import converge, learn, take_leave

converge(base)
converge(sources)
converge(tailscale)
learn()
converge(firewall)
converge(operators)
converge(secrets)
converge(artifacts)
converge(claude_code)
converge(icecream)
take_leave()
