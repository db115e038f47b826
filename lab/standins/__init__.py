"""Stand-ins for machines that cannot run here; each says in its README what it does not cover."""
