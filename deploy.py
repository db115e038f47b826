"""What a host gets, in order. One source line a capability: pyinfra tells operations by line.

Which hosts get which capability is said in group_data/; what a capability is, in deploys/.
"""

from deploys import (
    agentapi,
    artifacts,
    backup,
    base,
    budget,
    claude_code,
    compilers,
    dispatch,
    environments,
    firewall,
    gateway,
    icecream,
    keys,
    llvm,
    monitoring,
    operators,
    orchestrator,
    quarantine,
    relay,
    secrets,
    sources,
    tailscale,
    toolchains,
    windows,
)
from fleet.converge import converge, learn, restock, take_leave

converge(base)
converge(sources)
converge(tailscale)
converge(keys)
learn("what it is")
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
converge(llvm)
learn("its compiler")
converge(environments)
learn("what it packed")
restock(artifacts)
restock(relay)
converge(toolchains)
converge(compilers)
converge(windows)
converge(quarantine)
converge(orchestrator)
converge(backup)
converge(monitoring)
take_leave()
