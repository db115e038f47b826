"""What the role workstation-mac means: a Mac somebody works at."""
