"""The API under /api/v1: one table, from which come its routes and its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from orchestrator.desk import Desk, RefusedError, UnknownError
from orchestrator.tasks.model import State
from orchestrator.web import operations as do
from orchestrator.web import schemas as shape
from orchestrator.web.operations import Call
from orchestrator.web.stream import Stream
from orchestrator.web.values import plain

PREFIX = "/api/v1"
PROBLEM = "application/problem+json"
RAW = "application/octet-stream"
_BIGGEST = 2**53
Handler = Callable[[Call], Awaitable[object]]


@dataclass(frozen=True)
class Query:
    """A parameter of a query: its schema, and what it is where it is left out."""

    schema: shape.Schema
    default: object
    repeated: bool = False


@dataclass(frozen=True)
class Operation:
    """One thing that the API can do. Its words are the handler's."""

    method: str
    path: str
    handler: Handler
    body: shape.Schema | None = None
    raw: bool = False
    query: Mapping[str, Query] = field(default_factory=dict)
    answers: shape.Schema = field(default_factory=lambda: {"type": "object"})

    @property
    def name(self) -> str:
        """As clients call it."""
        return self.handler.__name__


def _number(default: int, most: int = _BIGGEST, least: int = 0) -> Query:
    return Query({"type": "integer", "minimum": least, "maximum": most}, default)


_STATES = Query({"enum": [one.value for one in State]}, (), repeated=True)
_ATTEMPT = {"attempt": _number(0)}
_PAGE = {"before": _number(0), "most": _number(50, shape.MOST_TASKS, 1)}
_NAME = {"name": Query({"type": "string", "minLength": 1, "maxLength": 255}, None)}
TASK, PLAN, HOST = "/tasks/{number:int}", "/plans/{number:int}", "/agents/{host}"
OPERATIONS = (
    Operation("GET", "/agents", do.agents),
    Operation("GET", "/strangers", do.strangers),
    Operation("GET", f"{HOST}/messages", do.conversation),
    Operation("POST", f"{HOST}/messages", do.say, shape.SAID),
    Operation("POST", f"{HOST}/session", do.new_session),
    Operation("POST", f"{HOST}/drain", do.drain),
    Operation("POST", f"{HOST}/give-up", do.give_up),
    Operation("POST", "/kill", do.kill, shape.HOSTS),
    Operation("GET", "/budgets", do.budgets),
    Operation("GET", "/cluster", do.cluster),
    Operation("GET", "/health", do.health, answers=shape.HEALTH),
    Operation("GET", "/tasks", do.tasks, query={"state": _STATES, "plan": _number(0)} | _PAGE),
    Operation("POST", "/tasks", do.send, shape.DRAFT, answers=shape.TASK),
    Operation("GET", TASK, do.task, answers=shape.TASK),
    Operation("GET", f"{TASK}/events", do.events),
    Operation("GET", f"{TASK}/messages", do.messages, query=_ATTEMPT),
    Operation("GET", f"{TASK}/patch", do.patch, query=_ATTEMPT),
    Operation("POST", f"{TASK}/cancel", do.cancel, answers=shape.TASK),
    Operation("POST", f"{TASK}/retry", do.retry, answers=shape.TASK),
    Operation("POST", f"{TASK}/settle", do.settle, answers=shape.TASK),
    Operation("PUT", f"{TASK}/step", do.change, shape.STEP, answers=shape.TASK),
    Operation("DELETE", f"{TASK}/step", do.drop),
    Operation("POST", "/files", do.keep, raw=True, query=_NAME, answers=shape.ATTACHMENT),
    Operation("POST", "/choose", do.choose, shape.WANTED, answers=shape.CHOICE),
    Operation("GET", "/plans", do.plans, query=_PAGE),
    Operation("POST", "/plans", do.think, shape.GOAL, answers=shape.PLAN),
    Operation("GET", PLAN, do.plan),
    Operation("POST", f"{PLAN}/approve", do.approve, answers=shape.PLAN),
    Operation("POST", f"{PLAN}/discard", do.discard, answers=shape.PLAN),
    Operation("GET", "/audit", do.audits, query=_PAGE),
)


def routes(desk: Desk) -> list[BaseRoute]:
    """The API's, its document and its stream of news included."""
    found: list[BaseRoute] = [Route("/api/openapi.json", _document, methods=["GET"])]
    found.append(Route(f"{PREFIX}/live", Stream(desk).news, methods=["GET"]))
    by_path: dict[str, dict[str, Operation]] = {}
    for one in OPERATIONS:
        by_path.setdefault(one.path, {})[one.method] = one
    for path, operations in by_path.items():
        endpoint = _endpoint(desk, operations)
        found.append(Route(f"{PREFIX}{path}", endpoint, methods=list(operations)))
    return found


def _endpoint(desk: Desk, operations: Mapping[str, Operation]) -> Callable[[Request], Any]:
    checks = {one.method: shape.checker(one.body) for one in operations.values() if one.body}

    async def endpoint(request: Request) -> Response:
        operation = operations["GET" if request.method == "HEAD" else request.method]
        try:
            call = await _call(request, desk, operation, checks.get(operation.method))
            return JSONResponse(plain(await operation.handler(call)))
        except shape.OddBodyError as error:
            return problem(422, str(error))
        except UnknownError as error:
            return problem(404, str(error.args[0]) if error.args else "there is no such thing")
        except RefusedError as error:
            return problem(409, str(error))
        except HTTPException as error:
            return problem(error.status_code, error.detail)

    return endpoint


async def _call(
    request: Request, desk: Desk, operation: Operation, check: shape.Check | None
) -> Call:
    query = {name: _asked(request, name, one) for name, one in operation.query.items()}
    path = dict(request.path_params)
    if path.get("number", 0) > _BIGGEST:
        raise UnknownError("there is no such number")
    if operation.raw:
        return Call(request, desk, path, query, raw=await request.body())
    if check is None:
        return Call(request, desk, path, query)
    body = await _json(request)
    check(body)
    return Call(request, desk, path, query, body)


def _asked(request: Request, name: str, query: Query) -> object:
    """A parameter's value. Raises OddBodyError."""
    said = request.query_params.getlist(name)
    if query.repeated:
        return tuple(_value(name, one, query.schema) for one in said)
    if not said:
        if query.default is None:
            raise shape.OddBodyError(f"the query has to say {name}")
        return query.default
    return _value(name, said[-1], query.schema)


def _value(name: str, said: str, schema: shape.Schema) -> object:
    value: object = said
    if schema.get("type") == "integer":
        if not (said.isascii() and said.isdigit() and len(said) <= 16):
            raise shape.OddBodyError(f"{name} is a number")
        value = int(said)
    try:
        shape.checker(schema)(value)
    except shape.OddBodyError as error:
        raise shape.OddBodyError(str(error).replace("body", name, 1)) from None
    return value


async def _json(request: Request) -> object:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "a body here is application/json")
    said = await request.body()
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        raise HTTPException(400, "this is no JSON") from None


def problem(status: int, detail: str) -> Response:
    """An error, as RFC 9457 has it."""
    titles = {400: "odd request", 404: "unknown", 409: "refused", 422: "odd request"}
    said = {"title": titles.get(status, "error"), "status": status, "detail": plain(detail)}
    return JSONResponse(said, status, media_type=PROBLEM)


async def _document(request: Request) -> JSONResponse:
    return JSONResponse(document())


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        path = f"{PREFIX}{one.path}".replace(":int", "")
        paths.setdefault(path, {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "agentfleet", "version": "1", "description": __doc__},
        "paths": paths,
        "components": {"schemas": dict(shape.NAMED)},
    }


def _described(one: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.handler.__doc__,
        "parameters": [*_in_path(one.path), *_in_query(one.query)],
        "responses": {
            "200": {"description": "done", "content": _content(_named(one.answers))},
            "4XX": {
                "description": "refused",
                "content": {PROBLEM: {"schema": _named(shape.PROBLEM)}},
            },
        },
    }
    if one.raw:
        raw = {RAW: {"schema": {"type": "string", "format": "binary"}}}
        described["requestBody"] = {"required": True, "content": raw}
    elif one.body is not None:
        described["requestBody"] = {"required": True, "content": _content(_named(one.body))}
    return described


def _content(schema: shape.Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _named(schema: shape.Schema) -> shape.Schema:
    name = next((name for name, one in shape.NAMED.items() if one is schema), "")
    return {"$ref": f"#/components/schemas/{name}"} if name else schema


def _in_path(path: str) -> list[dict[str, Any]]:
    kinds = {"{number:int}": ("number", {"type": "integer", "minimum": 0, "maximum": _BIGGEST})}
    kinds["{host}"] = ("host", {"type": "string", "minLength": 1})
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for word, (name, schema) in kinds.items()
        if word in path
    ]


def _in_query(query: Mapping[str, Query]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": one.default is None,
            "schema": {"type": "array", "items": one.schema} if one.repeated else one.schema,
        }
        for name, one in query.items()
    ]
