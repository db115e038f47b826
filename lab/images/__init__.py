"""What each kind of host is made of: layers by operating system, architecture and role."""
