"""AgentAPI as the lab plays it: see README.md."""
