"""The services that run on the orchestrator."""
