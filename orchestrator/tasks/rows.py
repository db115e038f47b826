"""Tasks as rows of the database, and back."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from typing import Any

from orchestrator.tasks.model import Attachment, Code, Draft, State, Task, Wish

TITLE_LENGTH = 80
COLUMNS = tuple(one.name for one in dataclasses.fields(Task))
TASKS = f"SELECT {', '.join(COLUMNS)} FROM tasks"  # noqa: S608 - the names of our own fields


def task_of(row: tuple[Any, ...]) -> Task:
    """The task in a row of TASKS."""
    said = dict(zip(COLUMNS, row, strict=True))
    return Task(
        **said
        | {
            "wish": Wish(**json.loads(said["wish"])),
            "state": State(said["state"]),
            "attachments": tuple(Attachment(**one) for one in json.loads(said["attachments"])),
            "code": Code(**json.loads(said["code"])) if said["code"] else None,
            "after": tuple(json.loads(said["after"])),
            "cancelling": bool(said["cancelling"]),
        }
    )


def set_row(db: sqlite3.Connection, number: int, values: dict[str, object]) -> None:
    """Change these fields of a task."""
    if unknown := values.keys() - set(COLUMNS) - {"cost_before"}:
        raise TypeError(f"a task has no {', '.join(sorted(unknown))}")
    if values:
        assignments = ", ".join(f"{name} = ?" for name in values)
        db.execute(
            f"UPDATE tasks SET {assignments} WHERE id = ?",  # noqa: S608 - checked above
            (*map(column, values.values()), number),
        )


def column(value: Any) -> Any:  # noqa: ANN401 - whatever a field may hold
    """A field's value as the database has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return json.dumps(dataclasses.asdict(value))
    if isinstance(value, tuple):
        return json.dumps(
            [dataclasses.asdict(one) if dataclasses.is_dataclass(one) else one for one in value]  # type: ignore[arg-type]
        )
    return value


def title_of(draft: Draft) -> str:
    """Its title, or the first line of its prompt."""
    words = " ".join((draft.title or draft.prompt.strip().partition("\n")[0]).split())
    return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"
