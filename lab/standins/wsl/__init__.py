"""A Debian host that a provisioning tool sees as a WSL2 distribution."""
