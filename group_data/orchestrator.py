"""What the role orchestrator means: the machine that schedules, dispatches and serves."""

tailnet_tag = "tag:orchestrator"

holds_secrets = ("anthropic_api_key", "claude_subscription_token")
