"""What the API takes and gives, as JSON Schema: the document says it, and bodies are held to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema

from orchestrator.health.model import Verdict
from orchestrator.tasks.model import PlanState, State

Schema = dict[str, Any]
MOST_TASKS = 200  # in one list
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53}
_MOMENT: Schema = {"type": "number", "description": "seconds of Unix time; 0: never"}
_MONEY: Schema = {"type": "integer", "minimum": 0, "maximum": 10**12}  # micro-dollars
_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _given(**properties: Schema) -> Schema:
    """An object as the API gives it: all properties are there."""
    return _object(tuple(properties), **properties)


def _text(most: int, least: int = 0) -> Schema:
    return {"type": "string", "minLength": least, "maxLength": most}


def _list(of: Schema, most: int | None = None) -> Schema:
    return {"type": "array", "items": of} | ({} if most is None else {"maxItems": most})


WISH = _object(
    host=_text(63),
    role=_text(63),
    arch=_text(63),
    os=_text(63),
    root={"type": "boolean"},
    compilers={"type": "boolean"},
    failover={"type": "boolean"},
)
ATTACHMENT = _object(("name", "sha256", "size"), name=_text(255, 1), sha256=_SHA256, size=_NUMBER)
CODE = _object(
    ("bundle", "commit"),
    bundle=_SHA256,
    commit={"type": "string", "pattern": "^[0-9a-f]{40}$"},
    ref=_text(255),
    name=_text(255),
)
DRAFT = _object(
    ("prompt",),
    prompt=_text(200_000, 1),
    title=_text(200),
    wish=WISH,
    cap=_MONEY,
    attachments=_list(ATTACHMENT, 20),
    code=CODE,
    retries={"type": "integer", "minimum": 0, "maximum": 10},
)
WANTED = _object(wish=WISH, cap=_MONEY)
GOAL = _object(("goal",), goal=_text(200_000, 1), at_once={"type": "boolean"})
STEP = _object(("prompt",), prompt=_text(200_000, 1), wish=WISH, after=_list(_NUMBER, 100))
SAID = _object(("text",), text=_text(200_000, 1), raw={"type": "boolean"})
HOSTS = {  # never all by a slip
    "oneOf": [
        _object(("hosts",), hosts=_list(_text(63, 1), 200) | {"minItems": 1}),
        _object(("all",), all={"const": True}),
    ]
}

PURSE = _given(spent=_MONEY, cap={"type": ["integer", "null"]})
MONEY = _given(
    session=_TEXT, of_session=PURSE, of_day=PURSE, near={"type": "boolean"}, refused=_TEXT
)
TASK = _object(
    ("id", "state", "title", "prompt", "attempt"),
    id=_NUMBER,
    title=_TEXT,
    prompt=_TEXT,
    wish=WISH,
    state={"enum": [one.value for one in State]},
    by=_TEXT,
    created=_MOMENT,
    changed=_MOMENT,
    sent=_MOMENT,
    ended=_MOMENT,
    cap={"type": ["integer", "null"]},
    attachments=_list(ATTACHMENT),
    code={"type": ["object", "null"]},
    plan=_NUMBER,
    step=_TEXT,
    after=_list(_NUMBER),
    attempt=_NUMBER,
    host=_TEXT,
    why=_TEXT,
    reason=_TEXT,
    session=_TEXT,
    cancelling={"type": "boolean"},
    cost=_MONEY,
    retries=_NUMBER,
)
EVENT = _given(at=_MOMENT, kind=_TEXT, text=_TEXT, by=_TEXT, number=_NUMBER)
MESSAGE = _given(number=_NUMBER, role={"enum": ["user", "agent"]}, content=_TEXT, at=_MOMENT)
PATCH = _given(attempt=_NUMBER, base=_TEXT, text=_TEXT, commits=_NUMBER, files=_NUMBER)
VERDICT = _given(host=_TEXT, fits={"type": "boolean"}, reason=_TEXT)
CHOICE = _given(host=_TEXT, why=_TEXT, verdicts=_list(VERDICT), hopeless={"type": "boolean"})
PLAN = _given(
    id=_NUMBER,
    goal=_TEXT,
    state={"enum": [one.value for one in PlanState]},
    by=_TEXT,
    created=_MOMENT,
    at_once={"type": "boolean"},
    reason=_TEXT,
    cost=_MONEY,
)
AGENT = _object(
    ("host", "condition", "since", "said", "money", "task"),
    host={"type": "object"},
    condition=_TEXT,
    since=_MOMENT,
    said=_TEXT,
    money=MONEY,
    task=_NUMBER,
)
STRANGER = _given(address=_TEXT, name=_TEXT, seen=_MOMENT)
ITEM = _given(
    name=_TEXT,
    kind=_TEXT,
    host=_TEXT,
    verdict={"enum": [one.value for one in Verdict]},
    evidence=_TEXT,
    advice=_TEXT,
)
HEALTH = _given(
    monitored={"type": "boolean"},
    ended=_MOMENT,
    silent=_TEXT,
    items=_list(ITEM),
    undelivered={"type": "object", "additionalProperties": _TEXT},
)
AUDIT = _given(at=_MOMENT, who=_TEXT, where=_TEXT, action=_TEXT, what=_TEXT, number=_NUMBER)
PROBLEM = _given(title=_TEXT, status=_NUMBER, detail=_TEXT)

# Those that the document gives a name.
NAMED: Mapping[str, Schema] = {
    "Wish": WISH,
    "Draft": DRAFT,
    "Wanted": WANTED,
    "Goal": GOAL,
    "Step": STEP,
    "Said": SAID,
    "Hosts": HOSTS,
    "Attachment": ATTACHMENT,
    "Task": TASK,
    "Event": EVENT,
    "Message": MESSAGE,
    "Patch": PATCH,
    "Choice": CHOICE,
    "Plan": PLAN,
    "Agent": AGENT,
    "Stranger": STRANGER,
    "Item": ITEM,
    "Health": HEALTH,
    "Audit": AUDIT,
    "Problem": PROBLEM,
}


class OddBodyError(ValueError):
    """A body is not what the document says; the text says where, and why."""


Check = Callable[[object], None]


def checker(schema: Schema) -> Check:
    """Checks a body. Raises OddBodyError."""
    validate = fastjsonschema.compile(schema, use_default=False)

    def check(body: object) -> None:
        try:
            validate(body)
        except fastjsonschema.JsonSchemaValueException as error:
            raise OddBodyError(str(error.message).replace("data", "body", 1)) from None

    return check
