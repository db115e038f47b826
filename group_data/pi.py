"""What the role pi means: a Raspberry Pi: an agent with little memory."""

# Claude Code needs twice as much on arm64 as on x86_64: half of a Pi with 1 GB would not hold it.
agent_memory_max = "75%"
tailnet_tag = "tag:pi"
