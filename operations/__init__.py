"""How a host is changed: few operations over many items, each idempotent."""
