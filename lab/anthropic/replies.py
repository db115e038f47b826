"""What the lab's Claude says: chosen by the last thing its user said, so that tests can ask for it.

anything            a short answer
say WORDS           those words, to the end of their paragraph
run COMMAND         calls Bash with the command once, then says what came of it; the command ends
                    with its paragraph, and {code} in it is where the prompt says that code is
list files …        the same, with `ls`
loop                calls Bash for ever
slow SECONDS        an answer that takes so long
plan: …             where a form is to be filled in: a plan's steps, see plans.py
usage=IN/OUT        anywhere: what each call is said to have used, in tokens
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.anthropic.plans import TOOL, plan_of

SLOW_PIECES = 20
USAGE = (2000, 150)  # tokens in and out, where the prompt says nothing of it
REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """One answer: words, or a call of a tool; how long it takes, what it uses."""

    words: str = ""
    tool: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)  # to the tool
    seconds: float = 0
    used: tuple[int, int] = USAGE


def prompt_of(request: Mapping[str, Any]) -> str:
    """What the user said last; what Claude Code adds for the model does not count."""
    for message in reversed(request.get("messages", [])):
        if message.get("role") == "user":
            words = " ".join(_texts(message.get("content")))
            if said := REMINDER.sub("", words).strip():
                return said
    return ""


def _texts(content: Any) -> Iterator[str]:  # noqa: ANN401 - from outside
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "text":
            yield block.get("text", "")


def _result(request: Mapping[str, Any]) -> str | None:
    """What the tool that was called last has printed; None when the turn is the user's."""
    for message in reversed(request.get("messages", [])):
        if message.get("role") == "user":
            content = message.get("content")
            blocks = content if isinstance(content, list) else []
            results = [block for block in blocks if block.get("type") == "tool_result"]
            if not results:
                return None
            said = results[-1].get("content", "")
            return said if isinstance(said, str) else " ".join(_texts(said))
    return None


def reply(request: Mapping[str, Any]) -> Reply:
    """What to answer."""
    prompt = prompt_of(request)
    used = USAGE
    if match := re.search(r"usage=(\d+)/(\d+)", prompt):
        used = int(match[1]), int(match[2])
    offered = {tool.get("name") for tool in request.get("tools") or ()}
    tools = "Bash" in offered
    result, first = _result(request), prompt.partition(" ")[0].lower()
    if first == "loop" and tools:
        return _bash("echo again", used)
    if TOOL in offered and result is None and (steps := plan_of(prompt)):
        return Reply(tool=TOOL, said=steps, used=used)
    command = "ls" if prompt.lower().startswith("list files") else ""
    command = _command(prompt) if first == "run" else command
    if command and tools:
        if result is None:
            return _bash(command, used)
        return Reply(words=f"It printed: {result.strip() or 'nothing'}", used=used)
    if match := re.match(r"slow (\d+(?:\.\d+)?)", prompt):
        return Reply(words="That took its time.", seconds=float(match[1]), used=used)
    if first == "say":
        words = prompt.partition("\n\n")[0].partition(" ")[2]
        return Reply(words=re.sub(r"\s*usage=\S+", "", words), used=used)
    return Reply(
        words="This is the lab's Claude: it understands nothing and costs nothing.", used=used
    )


def _command(prompt: str) -> str:
    where = re.search(r"^The code is in (\S+), at commit", prompt, re.MULTILINE)
    command = prompt.partition("\n\n")[0].partition(" ")[2]
    return command.replace("{code}", where[1]) if where else command


def _bash(command: str, used: tuple[int, int]) -> Reply:
    said = {"command": command, "description": "what the lab was told"}
    return Reply(tool="Bash", said=said, used=used)


def events(answer: Reply, model: str) -> Iterator[bytes]:
    """The answer as server-sent events, a piece each."""
    tokens, output = answer.used
    start = {"input_tokens": tokens, "output_tokens": 1}
    yield event("message_start", {"message": message(model, [], None, start)})
    yield event("content_block_start", {"index": 0, "content_block": _block(answer, empty=True)})
    if answer.tool:
        text = json.dumps(answer.said)
        yield _delta({"type": "input_json_delta", "partial_json": text})
    else:
        for piece in _pieces(answer.words, SLOW_PIECES if answer.seconds else 3):
            yield _delta({"type": "text_delta", "text": piece})
    yield event("content_block_stop", {"index": 0})
    usage = {"input_tokens": tokens, "output_tokens": output}
    yield event("message_delta", {"delta": {"stop_reason": _reason(answer)}, "usage": usage})
    yield event("message_stop", {})


def whole(answer: Reply, model: str) -> dict[str, Any]:
    """The answer as one JSON object."""
    usage = {"input_tokens": answer.used[0], "output_tokens": answer.used[1]}
    return message(model, [_block(answer)], _reason(answer), usage)


def message(
    model: str, content: list[Any], reason: str | None, usage: Mapping[str, int]
) -> dict[str, Any]:
    """A message object of the API."""
    return {
        "id": f"msg_lab{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": dict(usage),
    }


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def _delta(delta: Mapping[str, Any]) -> bytes:
    return event("content_block_delta", {"index": 0, "delta": delta})


def _block(answer: Reply, *, empty: bool = False) -> dict[str, Any]:
    if not answer.tool:
        return {"type": "text", "text": "" if empty else answer.words}
    said = {} if empty else dict(answer.said)
    name = f"toolu_lab{uuid.uuid4().hex}"
    return {"type": "tool_use", "id": name, "name": answer.tool, "input": said}


def _reason(answer: Reply) -> str:
    return "tool_use" if answer.tool else "end_turn"


def _pieces(words: str, count: int) -> Iterator[str]:
    size = max(1, -(-len(words) // count))
    for at in range(0, len(words), size):
        yield words[at : at + size]
