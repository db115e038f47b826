"""What is on a host: one look in one round trip, and the probes it is made of."""
