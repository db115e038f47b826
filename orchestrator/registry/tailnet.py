"""What the tailnet itself knows, asked through the `tailscale` command.

Its local API says the same, but is promised to nobody; the command's `--json` is documented.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from typing import Any

ANSWER_S = 10.0
ANSWER_LIMIT = 8 << 20  # bytes


class TailnetError(Exception):
    """The tailnet does not say; the text says why."""


async def ask(programs: Sequence[str], *words: str, limit_s: float = ANSWER_S) -> Any:  # noqa: ANN401 - JSON
    """What the first of the programs that is there answers to these words, read from JSON.

    Raises TailnetError.
    """
    try:
        return json.loads(await run(programs, *words, limit_s=limit_s))
    except ValueError:
        raise TailnetError(f"tailscale {words[0]} says something that is no JSON") from None


async def run(programs: Sequence[str], *words: str, limit_s: float = ANSWER_S) -> bytes:
    """What the first of the programs that is there answers to these words. Raises TailnetError."""
    program = next((path for path in programs if os.access(path, os.X_OK)), None)
    if program is None:
        raise TailnetError("there is no tailscale on this host")
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=ANSWER_LIMIT,
    )
    try:
        async with asyncio.timeout(limit_s):
            said, errors = await process.communicate()
    except TimeoutError:
        raise TailnetError(f"tailscale {words[0]} does not answer") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        why = errors.decode("utf-8", "replace").strip()
        raise TailnetError(why or f"tailscale {words[0]} ended with {process.returncode}")
    return said
