"""The registry: which agents there are, how each of them is, and what it may still spend."""
