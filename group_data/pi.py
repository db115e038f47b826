"""What the role pi means: a Raspberry Pi: an agent with little memory."""

tailnet_tag = "tag:pi"
