"""What the role headless-mac means: a Mac nobody sits at: an agent."""

tailnet_tag = "tag:headless-mac"
never_sleeps = True
