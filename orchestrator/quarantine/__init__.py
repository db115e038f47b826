"""The quarantine: keeps workers that returned a wrong object out of the compile cluster."""
