"""A Linux host that a provisioning tool sees as an Intel Mac over SSH."""
