"""What a host gets, in order. One source line a capability: pyinfra tells operations by line.

Which hosts get which capability is said in group_data/; what a capability is, in deploys/.
"""

from deploys import (
    agentapi,
    artifacts,
    base,
    budget,
    claude_code,
    dispatch,
    firewall,
    gateway,
    icecream,
    keys,
    operators,
    quarantine,
    relay,
    secrets,
    sources,
    tailscale,
)
from fleet.converge import converge, learn, take_leave

converge(base)
converge(sources)
converge(tailscale)
converge(keys)
learn()
converge(firewall)
converge(operators)
converge(secrets)
converge(artifacts)
converge(relay)
converge(gateway)
converge(budget)
converge(claude_code)
converge(agentapi)
converge(dispatch)
converge(icecream)
converge(quarantine)
take_leave()
