"""Why the fleet cannot be worked on from this machine: checks, each with a verdict and a remedy.

Nothing here needs a package when it is imported, and no check stops another: a machine on which
most is broken is the one that this is for.
"""
