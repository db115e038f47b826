"""Running a parsed script: scopes, pipelines, operators, errors."""

import fnmatch
import json
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

from . import types
from .language import Block, Body, Code, Command, Target, parse
from .values import Array, CmdletError, NotCoveredError, Object, many, one, text, truth, unrolled

Arguments = list[tuple[str, Any]]
SWITCHES: Final = ("force", "compress", "norestart", "online", "all", "raw", "atstartup", "atlogon",
                   "nonewline", "confirm", "whatif", "allowstartifonbatteries",
                   "dontstopifgoingonbatteries", "userunspecified", "literal")  # fmt: skip


class LeaveError(Exception):
    """return, throw or exit on its way out."""

    def __init__(self, word: str, value: list[Any]) -> None:
        self.word, self.value = word, value


class Call:
    """A cmdlet's `parameters` by lower-case name, its other arguments, and all of it as typed."""

    def __init__(self, name: str, arguments: Arguments) -> None:
        self.name = name
        self.parameters: dict[str, Any] = {}
        self.arguments: list[Any] = []
        self.raw: list[str] = []
        pending = ""
        for option, value in arguments:
            if option == "@":
                pairs = value.items() if isinstance(value, Object) else ()
                self.parameters |= {key.lower(): held for key, held in pairs}
                self.raw += [] if pairs else [text(item) for item in many(value)]
            elif option:
                name, self.parameters[option[1:].lower()] = option, True
                pending = "" if option[1:].lower() in SWITCHES else option[1:].lower()
                self.raw.append(option)
            else:
                if pending:
                    self.parameters[pending], pending = value, ""
                else:
                    self.arguments.append(value)
                self.raw += [text(item) for item in many(value)]

    def get(self, name: str, place: int = 0) -> str:
        """A parameter as text, or the bare argument in its place."""
        bare = self.arguments[place] if len(self.arguments) > place else ""
        return text(self.parameters.get(name, bare))


class _Scope:
    """Variables over those of whoever called, and what they run in."""

    def __init__(self, shell: "Shell", above: "_Scope | None" = None) -> None:
        self.shell, self.above = shell, above
        self.variables: dict[str, Any] = {}

    def get(self, name: str) -> Any:  # noqa: ANN401 - any value of the language
        name = name.lower()
        if name.startswith("env:"):
            return self.shell.environment.get(name[4:])
        if name in ("true", "false", "null"):
            return {"true": True, "false": False}.get(name)
        place: _Scope | None = self
        while place is not None:
            if name in place.variables:
                return place.variables[name]
            place = place.above
        return None

    def top(self) -> "_Scope":
        return self if self.above is None else self.above.top()

    # statements

    def holds(self, values: list[Any]) -> bool:
        return truth(one(values))

    def value(self, values: list[Any]) -> Any:  # noqa: ANN401 - any value of the language
        return one(values)

    def repeat(self, name: str, values: list[Any], body: Body) -> list[Any]:
        found: list[Any] = []
        for item in many(one(values)):
            self.variables[name.lower()] = item
            found += body(self)
        return found

    def attempt(self, body: Body, handler: Body | None, last: Body | None) -> list[Any]:
        put_out: list[Any] = []
        try:
            put_out += body(self)
        except (CmdletError, LeaveError) as error:
            if handler is None or (isinstance(error, LeaveError) and error.word != "throw"):
                raise
            said = str(error) if isinstance(error, CmdletError) else text(one(error.value))
            self.variables["_"] = Object(Exception=Object(Message=said))
            put_out += handler(self)
        finally:
            put_out += last(self) if last else []
        return put_out

    def leave(self, word: str, value: list[Any]) -> NoReturn:
        raise LeaveError(word, value)

    def define(self, name: str, made: Block) -> list[Any]:
        self.top().shell.functions[name.lower()] = made
        return []

    def assign(self, target: Target, values: list[Any], adds: bool) -> list[Any]:
        value, name = one(values), target.name.lower()
        if target.path:
            held = self.get(name)
            for part in target.path[:-1]:
                held = self.index(held, part(self))
            key = target.path[-1](self)
            if not isinstance(held, Object):
                raise CmdletError(f"The property '{text(key)}' cannot be found on this object.")
            held.put(text(key), self.binary("+", held.member(text(key)), value) if adds else value)
        elif name.startswith("env:"):
            self.shell.environment[name[4:]] = text(value)
        else:
            where = self.top() if name.startswith(("script:", "global:")) else self
            name = name.rpartition(":")[2]
            where.variables[name] = self.binary("+", self.get(name), value) if adds else value
        return []

    def run(self, stages: list[Code | Command]) -> list[Any]:
        head, *rest = stages
        if not rest and not isinstance(head, Command):
            value = head(self)
            return [value] if isinstance(value, Array) else many(value)
        found = self.command(head, []) if isinstance(head, Command) else many(head(self))
        for stage in rest:
            if not isinstance(stage, Command):
                raise NotCoveredError("an expression in a pipeline")
            found = self.command(stage, found, piped=True)
        return found

    def command(self, command: Command, fed: list[Any], *, piped: bool = False) -> list[Any]:
        name = command.name(self)
        arguments = [(option, value(self)) for option, value in command.arguments]
        if isinstance(name, Block):
            return self.invoke(name, arguments)
        if found := self.shell.functions.get(text(name).lower()):
            return self.invoke(found, arguments)
        return self.shell.call(self, Call(text(name), arguments), fed, piped)

    def invoke(self, block: Block, arguments: Arguments) -> list[Any]:
        """A function or a block in a scope of its own."""
        inner = _Scope(self.shell, self)
        for name, default, switch in block.parameters:
            inner.variables[name.lower()] = False if switch else default(self) if default else None
        inner.variables |= _bound(block, arguments)
        try:
            return unrolled(block.body(inner))
        except LeaveError as leaving:
            if leaving.word != "return":
                raise
            return unrolled(leaving.value)

    def each(self, block: Block, item: Any) -> list[Any]:  # noqa: ANN401 - any value
        """A block for one item of a pipeline, here."""
        before = self.variables.get("_")
        self.variables["_"] = item
        try:
            return block.body(self)
        finally:
            self.variables["_"] = before

    # values

    def text(self, value: Any) -> str:  # noqa: ANN401 - any value of the language
        return text(value)

    def table(self, pairs: list[tuple[Any, Any]]) -> Object:
        return Object({text(key): value for key, value in pairs})

    def type(self, name: str) -> Object:
        return Object(Type=name)

    def cast(self, kind: str, value: Any) -> Any:  # noqa: ANN401 - any value of the language
        if kind in ("string", "int", "bool"):
            return (
                text(value) if kind == "string" else int(value) if kind == "int" else truth(value)
            )
        if kind.endswith("[]"):
            return many(value)
        if kind in ("pscustomobject", "ordered", "void"):
            return None if kind == "void" else value
        if kind == "version":
            return Object(Version=[int(part) for part in re.findall(r"\d+", text(value))])
        raise NotCoveredError(f"[{kind}]")

    def member(self, value: Any, name: str) -> Any:  # noqa: ANN401 - any value of the language
        if isinstance(value, Object) and "Type" in value:
            return types.static(self.shell, value["Type"], name)
        if isinstance(value, Object) and value.key(name):
            return value.member(name)
        if name.lower() in ("count", "length"):
            return len(value) if isinstance(value, str) else len(many(value))
        if isinstance(value, list):
            return one([held for item in value for held in many(self.member(item, name))])
        return None

    def method(self, value: Any, name: str, given: list[Any]) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, Object) and "Type" in value:
            return types.call(self.shell, value["Type"], name, given)
        if isinstance(value, Object) and callable(value.member(name)):
            return value.member(name)(*given)
        if isinstance(value, Object) and name.lower() == "containskey":
            return value.key(text(given[0])) is not None
        if isinstance(value, str):
            return types.of_text(value, name, given)
        raise NotCoveredError(f".{name}()")

    def index(self, value: Any, index: Any) -> Any:  # noqa: ANN401 - any value of the language
        if isinstance(value, Object) and not isinstance(index, int):
            return value.member(text(index))
        items = many(value)
        return items[index] if -len(items) <= index < len(items) else None

    # operators

    def logic(self, sign: str, left: Code, right: Code) -> bool:
        if truth(left(self)) is (sign == "or"):
            return sign == "or"
        return truth(right(self))

    def binary(self, sign: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - any value
        if sign in _TESTS and isinstance(left, list) and sign not in _WHOLE:
            return [item for item in left if _TESTS[sign](item, right)]
        if sign in _TESTS:
            return _TESTS[sign](left, right)
        if (sign == "+" and isinstance(left, Object | list)) or left is None:
            return left | right if isinstance(left, Object) else [*many(left), *many(right)]
        if sign == "+":
            return text(left) + text(right) if isinstance(left, str) else left + right
        if sign == "-f":
            given = many(right)
            return re.sub(r"\{(\d+)\}", lambda m: text(given[int(m[1])]), text(left))
        if sign in ("-", "*", "/"):
            return {"-": left - right, "*": left * right, "/": left / right}[sign]
        if sign == "join":
            return text(right).join(text(item) for item in many(left))
        if sign == "split":
            return re.split(text(right), text(left), flags=re.I)
        if sign == "replace":
            old, new = (*many(right), "")[:2]
            done = [re.sub(old, _replacement(new), text(item), flags=re.I) for item in many(left)]
            return done if isinstance(left, list) else done[0]
        raise NotCoveredError(f"-{sign}")


def _bound(block: Block, arguments: Arguments) -> dict[str, Any]:
    """What a function's parameters are given, by lower-case name."""
    left, pending, given = list(block.parameters), "", dict[str, Any]()
    for option, value in arguments:
        if option == "@":
            given |= {key.lower(): held for key, held in value.items()}
        elif option:
            pending = option[1:].lower()
            named = next((one for one in left if one[0].lower() == pending), None)
            if named is None:
                raise CmdletError(f"A parameter cannot be found that matches '{option}'.")
            left.remove(named)
            if named[2]:
                given[pending], pending = True, ""
        elif pending or left:
            given[pending or left.pop(0)[0].lower()], pending = value, ""
        else:
            raise CmdletError("A positional parameter cannot be found.")
    return given


def _replacement(new: str) -> str:
    return re.sub(r"\$(\d)", r"\\\1", new.replace("\\", "\\\\"))


def _ordered(value: Any) -> Any:  # noqa: ANN401 - any value of the language
    return value["Version"] if isinstance(value, Object) and "Version" in value else value


def _same(left: Any, right: Any) -> bool:  # noqa: ANN401 - any value of the language
    if isinstance(left, str | bool) or isinstance(right, str):
        return text(left).lower() == text(right).lower()
    return bool(left == right)


def _like(left: Any, right: Any) -> bool:  # noqa: ANN401 - any value of the language
    return fnmatch.fnmatchcase(text(left).lower(), text(right).lower())


def _matches(left: Any, right: Any) -> bool:  # noqa: ANN401 - any value of the language
    return re.search(text(right), text(left), re.I) is not None


def _holds(left: Any, right: Any) -> bool:  # noqa: ANN401 - any value of the language
    return any(_same(item, right) for item in many(left))


_WHOLE: Final = ("contains", "notcontains", "in", "notin", "is")
_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": _same,
    "ne": lambda a, b: not _same(a, b),
    "gt": lambda a, b: bool(_ordered(a) > _ordered(b)),
    "ge": lambda a, b: bool(_ordered(a) >= _ordered(b)),
    "lt": lambda a, b: bool(_ordered(a) < _ordered(b)),
    "le": lambda a, b: bool(_ordered(a) <= _ordered(b)),
    "like": _like,
    "notlike": lambda a, b: not _like(a, b),
    "match": _matches,
    "notmatch": lambda a, b: not _matches(a, b),
    "contains": _holds,
    "notcontains": lambda a, b: not _holds(a, b),
    "in": lambda a, b: _holds(b, a),
    "notin": lambda a, b: not _holds(b, a),
}


class Shell:
    """One run: the Windows that it is about, what is printed, what went wrong.

    `run(shell, call, fed)` is a cmdlet that is not the language's own, or a program.
    """

    def __init__(
        self, run: Callable[["Shell", Call, list[Any]], list[Any]], environment: dict[str, str]
    ) -> None:
        self.outside, self.environment = run, environment
        self.functions: dict[str, Block] = {}
        self.printed: list[str] = []
        self.errors: list[str] = []
        self.scope = _Scope(self)

    def script(self, source: str, arguments: Arguments | None = None) -> int:
        """Run a text; its exit code."""
        try:
            block = parse(source)
            for name, default, switch in block.parameters:
                value = False if switch else default(self.scope) if default else None
                self.scope.variables[name.lower()] = value
            self.scope.variables |= {name.lower(): value for name, value in arguments or ()}
            whatif = truth(self.scope.get("WhatIf"))
            self.scope.variables["whatifpreference"] = whatif
            self.scope.variables["pscmdlet"] = Object(ShouldProcess=self._should_process)
            for step in block.steps:
                self.put_out(step(self.scope))
        except LeaveError as leaving:
            if leaving.word == "exit":
                return int(one(leaving.value) or 0)
            if leaving.word == "throw":
                self.errors.append(text(one(leaving.value)))
        except CmdletError:
            pass  # it is among the errors
        except (NotCoveredError, SyntaxError) as error:
            self.errors.append(f"powershell.exe (stand-in): not covered: {error}")
        return 1 if self.errors else 0

    def _should_process(self, target: str, action: str) -> bool:
        if truth(self.scope.get("whatifpreference")):
            self.printed.append(
                f'What if: Performing the operation "{action}" on target "{target}".'
            )
            return False
        return True

    def put_out(self, values: list[Any]) -> None:
        """Print what is left over: objects as a list view, everything else as text."""
        rows = [value for value in unrolled(values) if value is not None]
        if (
            shown := "\n\n".join(map(_listed, rows))
            if _objects(rows)
            else "\n".join(map(text, rows))
        ):
            self.printed.append(shown)

    def call(self, scope: _Scope, call: Call, fed: list[Any], piped: bool) -> list[Any]:
        """A cmdlet; its error is noted unless the caller asked for silence, or is thrown."""
        try:
            if found := _OWN.get(call.name.lower()):
                return found(scope, call, fed)
            if piped and not fed:
                return []
            return self.outside(self, call, fed)
        except CmdletError as error:
            preference = text(scope.get("ErrorActionPreference")) or "Continue"
            action = text(call.parameters.get("erroraction", preference)).lower()
            if action not in ("silentlycontinue", "ignore", "stop"):
                self.errors.append(f"{call.name} : {error}")
            if action == "stop":
                raise CmdletError(f"{error}") from None
            return []


def _objects(rows: list[Any]) -> bool:
    return bool(rows) and all(isinstance(row, Object) for row in rows)


def _listed(row: Object) -> str:
    width = max(map(len, row), default=0)
    return "\n".join(f"{key:<{width}} : {text(value)}" for key, value in row.items())


# what the language itself brings


def _where(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    return [item for item in fed if truth(one(scope.each(call.arguments[0], item)))]


def _for_each(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    return [found for item in fed for found in scope.each(call.arguments[0], item)]


def _select(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    rows = fed[: int(call.get("first", 9))] if "first" in call.parameters else fed
    wanted = call.parameters.get("expandproperty")
    if wanted is not None:
        return [held for row in rows for held in many(scope.member(row, text(wanted)))]
    keys = [text(key) for key in many(call.arguments[0])] if call.arguments else []
    return [Object({k: scope.member(row, k) for k in keys}) for row in rows] if keys else rows


def _to_json(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    given = one(fed) if fed else call.arguments[0]
    return [json.dumps(given, indent=None if "compress" in call.parameters else 2)]


def _from_json(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    try:
        return many(json.loads("\n".join(map(text, fed)), object_hook=Object))
    except ValueError:
        raise CmdletError("Invalid JSON primitive.") from None


def _new_object(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    return [types.new(scope.shell, text(call.arguments[0]), call.arguments[1:])]


def _write(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    said = " ".join(text(item) for item in call.arguments)
    if call.name.lower() == "write-output":
        return call.arguments
    scope.shell.printed.append(f"WARNING: {said}" if call.name.lower()[6:] == "warning" else said)
    return []


def _nothing(scope: _Scope, call: Call, fed: list[Any]) -> list[Any]:
    return []


_OWN: Final[dict[str, Callable[[_Scope, Call, list[Any]], list[Any]]]] = {
    "where-object": _where,
    "foreach-object": _for_each,
    "select-object": _select,
    "select": _select,
    "convertto-json": _to_json,
    "convertfrom-json": _from_json,
    "new-object": _new_object,
    "write-output": _write,
    "write-host": _write,
    "write-warning": _write,
    "out-null": _nothing,
    "set-strictmode": _nothing,
    "import-module": _nothing,
}
