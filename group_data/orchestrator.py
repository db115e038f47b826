"""What the role orchestrator means: the machine that schedules, dispatches and serves."""

agent_sudo = "none"  # root here could read the key that all agents are paid with
tailnet_tag = "tag:orchestrator"

holds_secrets = (
    "anthropic_api_key",
    "claude_subscription_token",
    "alert_ntfy",
    "alert_webhook",
    "alert_heartbeat",
)
