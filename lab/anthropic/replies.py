"""What the lab's Claude says: chosen by the last thing its user said, so that tests can ask for it.

anything            a short answer
say WORDS           those words
run COMMAND         calls Bash with the command once, then says what came of it
list files …        the same, with `ls`
loop                calls Bash for ever
slow SECONDS        an answer that takes so long
usage=IN/OUT        anywhere: what each call is said to have used, in tokens
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SLOW_PIECES = 20
USAGE = (2000, 150)  # tokens in and out, where the prompt says nothing of it
REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """One answer: words, or a command for the tool Bash; how long it takes, what it uses."""

    words: str = ""
    command: str = ""
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
    tools = any(tool.get("name") == "Bash" for tool in request.get("tools") or ())
    result, first = _result(request), prompt.partition(" ")[0].lower()
    if first == "loop" and tools:
        return Reply(command="echo again", used=used)
    command = "ls" if prompt.lower().startswith("list files") else ""
    command = prompt.partition(" ")[2] if first == "run" else command
    if command and tools:
        if result is None:
            return Reply(command=command, used=used)
        return Reply(words=f"It printed: {result.strip() or 'nothing'}", used=used)
    if match := re.match(r"slow (\d+(?:\.\d+)?)", prompt):
        return Reply(words="That took its time.", seconds=float(match[1]), used=used)
    if first == "say":
        return Reply(words=re.sub(r"\s*usage=\S+", "", prompt.partition(" ")[2]), used=used)
    return Reply(
        words="This is the lab's Claude: it understands nothing and costs nothing.", used=used
    )


def events(answer: Reply, model: str) -> Iterator[bytes]:
    """The answer as server-sent events, a piece each."""
    tokens, output = answer.used
    start = {"input_tokens": tokens, "output_tokens": 1}
    yield event("message_start", {"message": message(model, [], None, start)})
    yield event("content_block_start", {"index": 0, "content_block": _block(answer, empty=True)})
    if answer.command:
        text = json.dumps({"command": answer.command, "description": "what the lab was told"})
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
    if not answer.command:
        return {"type": "text", "text": "" if empty else answer.words}
    said = {} if empty else {"command": answer.command}
    name = f"toolu_lab{uuid.uuid4().hex}"
    return {"type": "tool_use", "id": name, "name": "Bash", "input": said}


def _reason(answer: Reply) -> str:
    return "tool_use" if answer.command else "end_turn"


def _pieces(words: str, count: int) -> Iterator[str]:
    size = max(1, -(-len(words) // count))
    for at in range(0, len(words), size):
        yield words[at : at + size]
