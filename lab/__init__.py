"""Nine hosts on one machine: the fleet for the demo and for the tests."""
