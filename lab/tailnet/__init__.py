"""The lab's tailnet: a stand-in for Tailscale's control plane and for every host's tailscaled."""
