"""PowerShell's syntax, as much of it as a careful script needs, made functions of a scope.

What is not here is a SyntaxError: a script that uses more does not run halfway.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from .values import Array, NotCoveredError, unrolled

Code = Callable[[Any], Any]  # of a scope of shell.py: a value
Body = Callable[[Any], list[Any]]  # the same: all that it puts out
SPACE: Final = re.compile(r"(?:[ \t]|`\r?\n|<#.*?#>|#[^\n]*)+", re.S)
BLANK: Final = re.compile(r"(?:\s|;|`\r?\n|<#.*?#>|#[^\n]*)+", re.S)
NAME: Final = re.compile(r"[A-Za-z_]\w*")
VARIABLE: Final = re.compile(r"\$(?:\{([^}]+)\}|((?:(?:env|script|global):)?\w+|[_?$^]))", re.I)
WORD: Final = re.compile(r"(?:[^\s|;(){},'\"`$@&<>]|\$(?![\w({]))+(?:[^\s|;(){},'\"`<>])*")
NUMBER: Final = re.compile(r"\d+(?:\.\d+)?(?![\w.])")
REDIRECT: Final = re.compile(r"[0-9*]?>>?\s*(?:\$null|&1)", re.I)
OPERATOR: Final = re.compile(r"-([a-z]+)\b", re.I)
LEVELS: Final = (
    ("and", "or"),
    ("eq", "ne", "gt", "ge", "lt", "le", "like", "notlike", "match", "notmatch", "contains",
     "notcontains", "in", "notin", "replace", "split", "join", "is"),
)  # fmt: skip
ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


@dataclass(frozen=True)
class Block:
    """A script block, or a function: parameters (name, default, whether a switch), and the code."""

    parameters: tuple[tuple[str, Code | None, bool], ...]
    steps: tuple[Body, ...]

    def body(self, scope: Any) -> list[Any]:  # noqa: ANN401 - a scope
        """Run it: all that its statements put out."""
        return [item for step in self.steps for item in step(scope)]


@dataclass(frozen=True)
class Command:
    """One command of a pipeline: its arguments as (parameter name or "", value)."""

    name: Code
    called: bool  # by &, so that the name may be any value
    arguments: tuple[tuple[str, Code], ...] = field(default_factory=tuple)


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def fail(self, wanted: str) -> SyntaxError:
        line = self.text.count("\n", 0, self.at) + 1
        return SyntaxError(f"line {line}: {wanted}, not {self.text[self.at : self.at + 40]!r}")

    def skip(self, pattern: re.Pattern[str] = SPACE) -> None:
        if found := pattern.match(self.text, self.at):
            self.at = found.end()

    def peek(self, what: str) -> bool:
        return self.text.startswith(what, self.at)

    def take(self, what: str) -> bool:
        if not self.peek(what):
            return False
        self.at += len(what)
        return True

    def expect(self, what: str) -> None:
        self.skip(BLANK if what in "})" else SPACE)
        if not self.take(what):
            raise self.fail(f"{what!r} is wanted")

    def comma(self) -> bool:
        self.skip()
        return self.take(",")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if found := pattern.match(self.text, self.at):
            self.at = found.end()
        return found

    def keyword(self, *names: str) -> str:
        """Take one of these words."""
        found = NAME.match(self.text, self.at)
        if not found or found[0].lower() not in names or self.text[found.end() :][:1] in ("-", "."):
            return ""
        self.at = found.end()
        return found[0].lower()

    # statements

    def script(self) -> Block:
        """The whole text."""
        block = self.block_inside()
        if self.at < len(self.text):
            raise self.fail("a statement is wanted")
        return block

    def block_inside(self) -> Block:
        """Parameters, where there are some, and statements up to the closing brace."""
        self.skip(BLANK)
        if re.match(r"\[CmdletBinding", self.text[self.at : self.at + 20], re.I):
            self.at = self.text.index("]", self.at) + 1
            self.skip(BLANK)
        parameters: tuple[tuple[str, Code | None, bool], ...] = ()
        if self.keyword("param"):
            self.expect("(")
            parameters = self.parameters()
        steps: list[Body] = []
        self.skip(BLANK)
        while self.at < len(self.text) and not self.peek("}") and not self.peek(")"):
            steps.append(self.statement())
            self.skip(BLANK)
        return Block(parameters, tuple(steps))

    def block(self) -> Block:
        self.skip(BLANK)
        self.expect("{")
        found = self.block_inside()
        self.expect("}")
        return found

    def parameters(self) -> tuple[tuple[str, Code | None, bool], ...]:
        """What stands between the parentheses of `param` or of a function."""
        found: list[tuple[str, Code | None, bool]] = []
        self.skip(BLANK)
        while not self.take(")"):
            kind = ""
            while self.peek("["):
                end = self.text.index("]", self.at) + 1
                kind, self.at = self.text[self.at : end].lower(), end
                while self.text[self.at : self.at + 1] in (")", "]"):  # [ValidateSet('a')]
                    self.at += 1
                self.skip(BLANK)
            name = self.match(VARIABLE)
            if not name:
                raise self.fail("a parameter is wanted")
            self.skip(BLANK)
            default = self.expression() if self.take("=") else None
            found.append((name[2], default, kind == "[switch]"))
            self.skip(BLANK)
            self.take(",")
            self.skip(BLANK)
        return tuple(found)

    def statement(self) -> Body:
        match self.keyword("if", "foreach", "while", "try", "function", "return", "throw", "exit"):
            case "if":
                return self.branch()
            case "foreach":
                return self.loop()
            case "try":
                return self.trial()
            case "function":
                return self.function()
            case ("return" | "throw" | "exit") as word:
                self.skip()
                ends = self.at >= len(self.text) or self.text[self.at] in "\r\n;}"
                value = None if ends else self.pipeline()
                return lambda s: s.leave(word, value(s) if value else [])
            case "":
                return self.pipeline()
            case word:
                raise NotCoveredError(word)

    def condition(self) -> Code:
        self.expect("(")
        test = self.pipeline()
        self.expect(")")
        return lambda s: s.holds(test(s))

    def branch(self) -> Body:
        cases = [(self.condition(), self.block().body)]
        rest: Body | None = None
        while rest is None:
            back = self.at
            self.skip(BLANK)
            if self.keyword("elseif"):
                cases.append((self.condition(), self.block().body))
            elif self.keyword("else"):
                rest = self.block().body
            else:
                self.at = back
                break

        def run(s: Any) -> list[Any]:  # noqa: ANN401 - a scope
            for test, body in cases:
                if test(s):
                    return body(s)
            return rest(s) if rest else []

        return run

    def loop(self) -> Body:
        self.expect("(")
        self.skip()
        name = self.match(VARIABLE)
        self.skip()
        if not name or not self.keyword("in"):
            raise self.fail("$name in … is wanted")
        over = self.pipeline()
        self.expect(")")
        body = self.block().body
        return lambda s: s.repeat(name[2], over(s), body)

    def trial(self) -> Body:
        body, handler, last = self.block().body, None, None
        while True:
            back = self.at
            self.skip(BLANK)
            if self.keyword("catch"):
                handler = self.block().body
            elif self.keyword("finally"):
                last = self.block().body
            else:
                self.at = back
                return lambda s: s.attempt(body, handler, last)

    def function(self) -> Body:
        self.skip()
        name = self.match(WORD)
        if not name:
            raise self.fail("a name is wanted")
        self.skip(BLANK)
        parameters = self.parameters() if self.take("(") else ()
        inside = self.block()
        made = Block(parameters or inside.parameters, inside.steps)
        return lambda s: s.define(name[0], made)

    # pipelines and commands

    def pipeline(self) -> Body:
        """Commands joined by bars, an expression, or an assignment."""
        self.skip()
        start = self.at
        if self.text[start : start + 1] in ("&",) or self.bare_name():
            stages: list[Code | Command] = [self.command()]
        else:
            head = self.expression()
            self.skip()
            if sign := self.match(re.compile(r"\+?=(?!=)")):
                target = Target(self.text[start : self.at - len(sign[0])].strip())
                self.skip(BLANK)
                value = self.statement()
                return lambda s: s.assign(target, value(s), sign[0] == "+=")
            stages = [head]
        while self.joined():
            self.skip(BLANK)
            stages.append(self.command())
        return lambda s: s.run(stages)

    def joined(self) -> bool:
        self.skip()
        return not self.peek("||") and self.take("|")

    def bare_name(self) -> bool:
        return bool(re.match(r"[A-Za-z.][\w.:\\/-]*(?=[\s|;)}]|$)", self.text[self.at :]))

    def command(self) -> Command:
        self.skip()
        called = self.take("&")
        self.skip()
        if called and self.text[self.at] in "$('\"{":
            name = self.postfix(self.primary())
        else:
            word = self.match(WORD)
            if not word:
                raise self.fail("a command is wanted")
            name = _constant(word[0])
        arguments: list[tuple[str, Code]] = []
        while True:
            self.skip()
            if self.match(REDIRECT):
                continue
            if self.at >= len(self.text) or self.text[self.at] in "\r\n|;)}":
                return Command(name, called, tuple(arguments))
            arguments.append(self.argument())

    def argument(self) -> tuple[str, Code]:
        if option := self.match(re.compile(r"(--?[A-Za-z][\w.-]*)(:(?!\\))?")):
            return option[1], _constant(None)
        if splat := self.match(re.compile(r"@([A-Za-z]\w*)")):
            return "@", _variable(splat[1])
        items = [self.argument_value()]
        back = self.at
        while self.comma():
            self.skip(BLANK)
            items.append(self.argument_value())
            back = self.at
        self.at = back
        return "", items[0] if len(items) == 1 else (lambda s: [item(s) for item in items])

    def argument_value(self) -> Code:
        if self.text[self.at] in "$('\"@{" or (self.peek("[") and self.text[self.at + 1] != "]"):
            return self.postfix(self.primary())
        word = self.match(WORD)
        if not word:
            raise self.fail("an argument is wanted")
        return _constant(int(word[0]) if word[0].isdigit() else word[0])

    # expressions, by precedence

    def expression(self, level: int = 0) -> Code:
        if level == len(LEVELS):
            return self.sum()
        left = self.expression(level + 1)
        while True:
            self.skip()
            found = OPERATOR.match(self.text, self.at)
            if not found or found[1].lower() not in LEVELS[level]:
                return left
            self.at = found.end()
            self.skip(BLANK)
            left = _binary(found[1].lower(), left, self.expression(level + 1))

    def sum(self) -> Code:
        left = self.listed()
        while True:
            self.skip()
            found = re.compile(r"[+*/](?!=)|-(?=[\s\d$(])|-f\b").match(self.text, self.at)
            if not found:
                return left
            self.at = found.end()
            self.skip(BLANK)
            left = _binary(found[0], left, self.listed())

    def listed(self) -> Code:
        items = [self.unary()]
        back = self.at
        while self.comma():
            self.skip(BLANK)
            items.append(self.unary())
            back = self.at
        self.at = back
        return items[0] if len(items) == 1 else (lambda s: [item(s) for item in items])

    def unary(self) -> Code:
        self.skip()
        if self.take("!") or self.match(re.compile(r"-not\b", re.I)):
            value = self.unary()
            return lambda s: not s.holds([value(s)])
        if self.match(re.compile(r"-join\b", re.I)):
            value = self.unary()
            return _binary("join", value, _constant(""))
        if self.peek("[") and not re.match(r"\[[\w.]+\]::", self.text[self.at :]):
            kind = self.match(re.compile(r"\[([\w.]+(?:\[\])?)\]"))
            if not kind:
                raise self.fail("a type is wanted")
            value = self.unary()
            return lambda s: s.cast(kind[1].lower(), value(s))
        return self.postfix(self.primary())

    def primary(self) -> Code:
        self.skip()
        if self.take("@("):
            body = self.block_inside().body
            self.expect(")")
            return lambda s: Array(unrolled(body(s)))
        if self.take("$("):
            body = self.block_inside().body
            self.expect(")")
            return lambda s: s.value(body(s))
        if self.take("@{"):
            return self.table()
        if self.take("("):
            self.skip(BLANK)
            inner = self.pipeline()
            self.expect(")")
            return lambda s: s.value(inner(s))
        if self.peek("{"):
            block = self.block()
            return lambda s: block
        if self.peek("'") or self.peek('"') or self.peek("@'") or self.peek('@"'):
            return self.string()
        if variable := self.match(VARIABLE):
            return _variable(variable[1] or variable[2])
        if kind := self.match(re.compile(r"\[([\w.]+)\](?=::)")):
            return lambda s: s.type(kind[1])
        if number := self.match(NUMBER):
            return _constant(int(number[0]) if number[0].isdigit() else float(number[0]))
        raise self.fail("an expression is wanted")

    def postfix(self, value: Code) -> Code:
        while True:
            if self.text[self.at : self.at + 2] == "::" or (
                self.peek(".") and NAME.match(self.text, self.at + 1)
            ):
                self.at += 2 if self.peek("::") else 1
                name = self.match(NAME)
                if not name:
                    raise self.fail("a member is wanted")
                arguments = self.call_arguments() if self.take("(") else None
                value = _member(value, name[0], arguments)
            elif self.take("["):
                index = self.expression()
                self.expect("]")
                value = _index(value, index)
            else:
                return value

    def call_arguments(self) -> list[Code]:
        found: list[Code] = []
        self.skip(BLANK)
        while not self.take(")"):
            found.append(self.one_argument())
            self.skip(BLANK)
            self.take(",")
            self.skip(BLANK)
        return found

    def one_argument(self) -> Code:
        """An expression that ends at a comma."""
        left = self.unary()
        self.skip()
        if self.peek("+") or OPERATOR.match(self.text, self.at):
            self.skip()
            sign = self.match(re.compile(r"\+"))
            if not sign:
                raise self.fail("put it in parentheses: a comma")
            return _binary("+", left, self.one_argument())
        return left

    def table(self) -> Code:
        pairs: list[tuple[Code, Body]] = []
        self.skip(BLANK)
        while not self.take("}"):
            name = self.match(NAME)
            key = _constant(name[0]) if name else self.primary()
            self.expect("=")
            self.skip()
            pairs.append((key, self.statement()))
            self.skip(BLANK)
        return lambda s: s.table([(key(s), s.value(value(s))) for key, value in pairs])

    def string(self) -> Code:
        if found := self.match(re.compile(r"@(['\"])\r?\n(.*?)\r?\n\1@", re.S)):
            return _constant(found[2]) if found[1] == "'" else expandable(found[2])
        if self.peek("'"):
            plain = self.match(re.compile(r"'((?:[^']|'')*)'"))
            if not plain:
                raise self.fail("a closing quote is wanted")
            return _constant(plain[1].replace("''", "'"))
        self.take('"')
        begin, depth = self.at, 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "`":
                self.at += 1
            elif self.peek("$("):
                depth += 1
            elif char == ")" and depth:
                depth -= 1
            elif self.peek('""') and not depth:
                self.at += 1
            elif char == '"' and not depth:
                self.at += 1
                return expandable(self.text[begin : self.at - 1])
            self.at += 1
        raise self.fail("a closing quote is wanted")


class Target:
    """What an assignment writes to: a variable, or a member or an item of one."""

    def __init__(self, text: str) -> None:
        parser = _Parser(re.sub(r"^\[[\w.\[\]]+\]\s*", "", text))
        found = parser.match(VARIABLE)
        if not found:
            raise parser.fail("a variable is wanted")
        self.name = found[1] or found[2]
        rest = parser.text[parser.at :]
        self.path: list[Code] = []
        for part in re.finditer(r"\.(\w+)|\[([^\]]+)\]", rest):
            self.path.append(_constant(part[1]) if part[1] else _Parser(part[2]).expression())


def expandable(text: str) -> Code:
    """A string in double quotes: variables and $( ) are filled in."""
    parts: list[Code] = []
    parser = _Parser(text)
    while parser.at < len(text):
        if parser.take("`"):
            parts.append(_constant(ESCAPES.get(text[parser.at], text[parser.at])))
            parser.at += 1
        elif parser.take('""'):
            parts.append(_constant('"'))
        elif parser.peek("$("):
            parts.append(parser.primary())
        elif variable := parser.match(VARIABLE):
            parts.append(_variable(variable[1] or variable[2]))
        else:
            parts.append(_constant(text[parser.at]))
            parser.at += 1
    return lambda s: "".join(s.text(part(s)) for part in parts)


def _constant(value: Any) -> Code:  # noqa: ANN401 - any value of the language
    return lambda s: value


def _variable(name: str) -> Code:
    return lambda s: s.get(name)


def _binary(sign: str, left: Code, right: Code) -> Code:
    if sign in ("and", "or"):
        return lambda s: s.logic(sign, left, right)
    return lambda s: s.binary(sign, left(s), right(s))


def _member(value: Code, name: str, arguments: list[Code] | None) -> Code:
    if arguments is None:
        return lambda s: s.member(value(s), name)
    return lambda s: s.method(value(s), name, [argument(s) for argument in arguments])


def _index(value: Code, index: Code) -> Code:
    return lambda s: s.index(value(s), index(s))


def parse(text: str) -> Block:
    """The script as something to run. Raises SyntaxError, NotCoveredError."""
    return _Parser(text).script()
