"""Our values as JSON, and JSON as our values: one place for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from orchestrator.tasks.model import Attachment, Code, Draft, Task, Wish

# What is of use to the dispatcher alone, or would tell which process of an agent to imitate.
_INNER: dict[type, frozenset[str]] = {Task: frozenset({"run", "floor", "warned"})}


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """The value in terms of JSON. Halves of characters, which JSON could say, become marks."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        inner = _INNER.get(type(value), frozenset())
        names = (one.name for one in fields(value) if one.name not in inner)
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(one) for one in value]
    return clean(value) if isinstance(value, str) else value


def clean(text: str) -> str:
    """The text without halves of characters: nothing can write them."""
    return text.encode("utf-8", "replace").decode()


def wish(said: Mapping[str, Any]) -> Wish:
    """A wish that was held to its schema."""
    return Wish(**said)


def draft(said: Mapping[str, Any]) -> Draft:
    """A draft that was held to its schema."""
    return Draft(
        prompt=clean(said["prompt"]),
        title=clean(said.get("title", "")),
        wish=wish(said.get("wish", {})),
        cap=said.get("cap"),
        attachments=tuple(Attachment(**one) for one in said.get("attachments", ())),
        code=Code(**said["code"]) if "code" in said else None,
        retries=said.get("retries", 0),
    )
