"""What a host should have: one module per capability, each a pure function from the model."""
