"""What the role orchestrator means: the machine that schedules, dispatches and serves."""

tailnet_tag = "tag:orchestrator"
