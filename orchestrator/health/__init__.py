"""How the fleet is: what is expected, what was seen, and what that means. The same code judges for
`fleet check` on a workstation and for the monitoring on the orchestrator.
"""
