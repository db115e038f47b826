"""Checks plain data against a pydantic model and puts what is wrong into words."""

from __future__ import annotations

import copy
import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from fleet.kinds import SYNONYMS
from fleet.problems import Problem, show, suggest
from fleet.yamlfile import Document, Key

M = TypeVar("M", bound=BaseModel)
WRONG = "wrong"  # type of the errors that our own validators raise

_TYPES: Mapping[str, str] = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "tuple_type": "a list (- item)",
    "list_type": "a list (- item)",
}
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
    "string_too_long": ("max_length", "at most this many characters:"),
    "string_too_short": ("min_length", "at least this many characters:"),
    "too_short": ("min_length", "at least this many entries:"),
    "too_long": ("max_length", "at most this many entries:"),
}


def wrong(fault: str, fix: str) -> PydanticCustomError:
    """Return the error a validator raises: what is wrong and what would be right."""
    return PydanticCustomError(WRONG, "{fault}", {"fault": fault, "fix": fix})


def parse(document: Document, model: type[M]) -> tuple[M | None, list[Problem]]:
    """Check a document against a model and return the model and every problem.

    Wrong values are left out and the rest is checked again, so that rules between values can be
    checked in the same go: with a model whose fields all have defaults there is always a result.
    """
    data = copy.deepcopy(document.data)
    problems = list(document.problems)
    for attempt in range(3):  # a value left out can uncover one more fault of what encloses it
        try:
            return model.model_validate(data), problems
        except ValidationError as error:
            details = error.errors(include_url=False)
        if attempt == 0:
            problems += [_problem(document, model, detail) for detail in details]
        for path in sorted((_key(d["loc"]) for d in details), key=_order, reverse=True):
            data = _without(data, path)
    return None, problems


def _key(loc: tuple[int | str, ...]) -> Key:
    """Return the path in the file: pydantic marks a fault of a key itself by a last `[key]`."""
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _order(path: Key) -> tuple[tuple[int, str], ...]:
    """Return the sorting key that puts the items of a list into their order."""
    return tuple((part, "") if isinstance(part, int) else (-1, part) for part in path)


def _without(data: Any, path: Key) -> Any:  # noqa: ANN401 - plain data of any shape
    """Remove what is at `path`, in place; a document that is wrong as a whole becomes empty."""
    if not path:
        return {}
    parent = data
    try:
        for part in path[:-1]:
            parent = parent[part]
        del parent[path[-1]]
    except (KeyError, IndexError, TypeError):
        pass  # it went with what enclosed it, or it is what was missing
    return data


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    path = _key(detail["loc"])
    fault, fix = _words(model, detail, path)
    return document.problem(path, fault, fix)


def _words(model: type[BaseModel], detail: ErrorDetails, path: Key) -> tuple[str, str]:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == WRONG:
        return str(context["fault"]), str(context["fix"])
    if kind == "extra_forbidden":
        return "unknown key", suggest(str(path[-1]), _fields(model, path[:-1]))
    if kind == "missing":
        return "is missing", "add it"
    if kind in ("enum", "literal_error"):
        known = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        return _not_one_of(value, known)
    if kind in _TYPES:
        return _wrong_type(value, _TYPES[kind])
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context[name]
        whole = int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        return f"{show(value)} is out of range", f"write {words} {whole}"
    return f"{show(value)} is not valid", str(detail["msg"])


def _not_one_of(value: object, known: list[str]) -> tuple[str, str]:
    word = value if isinstance(value, str) else ""
    synonym = SYNONYMS.get(word.casefold())
    fix = suggest(word, known, prefer=synonym if synonym in known else None)
    return f"{show(value)} is not known here", fix


def _wrong_type(value: object, wanted: str) -> tuple[str, str]:
    if value is None:
        return "has no value", f"write {wanted}, or remove the key"
    if wanted == "text" and isinstance(value, int | float):
        return f"{show(value)} is not text", "put it into quotes"
    if wanted.endswith("number") and isinstance(value, str):
        return f"{show(value)} is not a number", f"write {wanted}, without quotes or unit"
    if isinstance(value, dict | list):
        return f"is {show(value)}", f"write {wanted}"
    return f"{show(value)} is not {wanted}", f"write {wanted}"


def _fields(model: type[BaseModel], path: Key) -> list[str]:
    """Return the keys that the model knows at `path`."""
    at: Any = model
    for part in path:
        at = _inner(at)
        if isinstance(at, type) and issubclass(at, BaseModel):
            field = at.model_fields.get(str(part))
            at = field.annotation if field else None
        else:
            at = next((arg for arg in reversed(get_args(at)) if arg is not Ellipsis), None)
    at = _inner(at)
    return list(at.model_fields) if isinstance(at, type) and issubclass(at, BaseModel) else []


def _inner(annotation: Any) -> Any:  # noqa: ANN401 - annotations have no common type
    """Strip `Annotated[...]` and `... | None` from an annotation."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        else:
            return annotation
