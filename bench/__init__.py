"""How long things take, always beside a peer measured in the same run."""
