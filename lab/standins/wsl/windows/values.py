"""PowerShell's values in Python's: objects whose names know no case, what is true, how it reads."""

from typing import Any, Final


class Object(dict[str, Any]):
    """An object or a hashtable: members by name, whatever the case."""

    def key(self, name: str) -> str | None:
        """The member's own spelling."""
        return next((key for key in self if key.lower() == name.lower()), None)

    def member(self, name: str) -> Any:  # noqa: ANN401 - any value of the language
        """A member; $null when there is none."""
        found = self.key(name)
        return None if found is None else self[found]

    def put(self, name: str, value: Any) -> None:  # noqa: ANN401 - any value of the language
        """Set a member under the spelling it has already."""
        self[self.key(name) or name] = value


class Array(list[Any]):
    """What @( ) makes: it stays a list where it is kept, also with one item."""


class CmdletError(Exception):
    """An error of PowerShell's own, which -ErrorAction SilentlyContinue hides."""


class NotCoveredError(Exception):
    """The stand-in does not know an answer; it fails rather than guess."""


EMPTY: Final[tuple[Any, ...]] = (None, False, 0, "")


def truth(value: Any) -> bool:  # noqa: ANN401 - any value of the language
    """Whether a condition holds: a list of one is what is in it."""
    if isinstance(value, list):
        return truth(value[0]) if len(value) == 1 else bool(value)
    return isinstance(value, Object) or not any(value is e or value == e for e in EMPTY)


def many(value: Any) -> list[Any]:  # noqa: ANN401 - any value of the language
    """What a value is in a pipeline: a list's items, nothing for $null."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def one(values: list[Any]) -> Any:  # noqa: ANN401 - any value of the language
    """What a pipeline's output is as a value."""
    return values[0] if len(values) == 1 else values or None


def unrolled(values: list[Any]) -> list[Any]:
    """What a function puts out: lists by their items."""
    return [item for value in values for item in (value if isinstance(value, Array) else [value])]


def text(value: Any) -> str:  # noqa: ANN401 - any value of the language
    """A value inside a string."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return " ".join(text(item) for item in value)
    return "" if value is None else str(value)
