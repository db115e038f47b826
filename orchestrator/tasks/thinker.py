"""Asks Claude Code once, without tools, for an answer of a given form.

What version 2.1.330 does with `--json-schema`, as it was seen against a small Messages API: the
request has two tools, `DeferredToolPlaceholder` (deferred, never to be called) and
`StructuredOutput`, whose `input_schema` is the schema; `--tools ""` takes away all others. When the
model calls StructuredOutput with what fits, one request was all, and the last line of standard
output is an object with `subtype: "success"`, `is_error: false`, `structured_output: {…}`, `result`
(the same as text) and `total_cost_usd`. When the input does not fit it is told why, and has five
attempts: then exit code 1, `subtype: "error_max_structured_output_retries"`, `errors: [words]`.
When the model answers in words alone it is asked once more; then exit code 0, `success`, and no
`structured_output`. An API error: exit code 1, `subtype: "success"` all the same, `is_error: true`,
`result: "API Error: 402 budget: …"`. The base URL may be plain HTTP; the token goes as a bearer.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orchestrator.gateway.money import dollars, micros

ANSWER_S = 600.0
ANSWER_LIMIT = 4 << 20  # bytes
_PATH = "/usr/local/bin:/usr/bin:/bin"


class ThinkError(Exception):
    """There is no answer; the text says why, `cost` what it cost all the same."""

    def __init__(self, words: str, cost: int = 0) -> None:
        super().__init__(words)
        self.cost = cost


@dataclass(frozen=True)
class Thinker:
    """Where Claude Code is, and who pays."""

    program: str
    url: str
    token: str
    cap: int  # micro-dollars
    timeout_s: float = ANSWER_S

    async def think(self, question: str, schema: Mapping[str, Any]) -> tuple[object, int]:
        """The answer, and what it cost. Raises ThinkError."""
        with tempfile.TemporaryDirectory(prefix="agentfleet-plan-") as home:
            said, code, errors = await self._run(question, schema, home)
        return read_answer(said, code, errors)

    async def _run(
        self, question: str, schema: Mapping[str, Any], home: str
    ) -> tuple[bytes, int, bytes]:
        # In a home of its own, which ends with it, and with nothing of this process's environment.
        environment = {
            "HOME": home,
            "PATH": _PATH,
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_AUTH_TOKEN": self.token,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }
        try:
            process = await asyncio.create_subprocess_exec(
                self.program,
                *self._arguments(schema),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=home,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ThinkError(f"{self.program}: {error.strerror}") from None
        try:
            async with asyncio.timeout(self.timeout_s):
                said, errors = await process.communicate(question.encode())
        except TimeoutError:
            raise ThinkError(f"there was no answer within {self.timeout_s:g} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return said, process.returncode or 0, errors

    def _arguments(self, schema: Mapping[str, Any]) -> list[str]:
        return [
            *("--print", "--output-format", "json", "--json-schema", json.dumps(schema)),
            *("--restricted", "--tools", "", "--strict-mcp-config", "--no-session-persistence"),
            *("--max-budget-usd", f"{max(0.01, dollars(self.cap)):.2f}"),
        ]


def read_answer(said: bytes, code: int, errors: bytes) -> tuple[object, int]:
    """What the program printed: the answer and its cost. Raises ThinkError."""
    try:
        result = json.loads(said[:ANSWER_LIMIT].decode().strip().splitlines()[-1])
        cost = micros(float(result.get("total_cost_usd") or 0))
    except (ValueError, IndexError, AttributeError, TypeError, OverflowError):
        words = errors.decode(errors="replace").strip()[-500:]
        raise ThinkError(words or f"Claude Code said nothing, exit code {code}") from None
    if result.get("is_error") or code:
        told = result.get("errors")
        words = "; ".join(map(str, told)) if isinstance(told, list) and told else ""
        raise ThinkError((words or str(result.get("result") or "it failed"))[:500], cost)
    if "structured_output" not in result:
        said_instead = str(result.get("result", ""))[:300]
        raise ThinkError(f"it answered in words instead of steps: {said_instead}", cost)
    return result["structured_output"], cost
