"""What the role orchestrator means: the machine that schedules, dispatches and serves."""

holds_secrets = ("anthropic_api_key", "claude_subscription_token")
