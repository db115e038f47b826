"""Tasks: what people ask of agents, from the asking to the result."""
