"""The lab's AgentAPI."""
