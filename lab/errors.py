"""What the lab says when it cannot go on: one message for people, with the next step in it."""


class LabError(Exception):
    """A failure whose text is meant to be read by a person; never shown with a traceback."""


class UsageError(LabError):
    """The caller asked for something that cannot be meant (exit code 64)."""
