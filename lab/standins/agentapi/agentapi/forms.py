"""What a request has to look like: the checks of bodies and headers."""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

Fault = dict[str, str]
KINDS = ("user", "raw")
MESSAGE_LIMIT, UPLOAD_LIMIT = 1 << 20, 10 << 20  # bytes


class Refused(Exception):  # noqa: N818 - not a fault of ours
    """A request is refused: with a status, a sentence, and what is wrong where."""

    def __init__(self, status: int, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults = status, detail, list(faults)


def host_name(header: str) -> str:
    """The name in a Host header, without its port and the brackets of IPv6."""
    found = re.fullmatch(r"\[([^]]*)\](?::\d*)?|([^:]*)(?::\d*)?", header)
    return (found[1] or found[2] or "").lower() if found else ""


def message(content_type: str, body: bytes) -> tuple[str, str]:
    """The type and the content of a posted message. Raises Refused."""
    if not body:
        raise Refused(400, "request body is required")
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        fault = _fault("body", f"unknown content type: {kind}")
        raise Refused(415, "validation failed", [fault])
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "validation failed", [_fault("body", str(error))]) from error
    if faults := _message_faults(asked):
        raise Refused(422, "validation failed", faults)
    return asked["type"], asked["content"]


def _message_faults(asked: object) -> list[Fault]:
    if not isinstance(asked, dict):
        return [_fault("body", "expected object")]
    faults = []
    for name in ("content", "type"):
        if name not in asked:
            faults.append(_fault("body", f"expected required property {name} to be present"))
        elif not isinstance(asked[name], str):
            faults.append(_fault(f"body.{name}", "expected string"))
        elif name == "type" and asked[name] not in KINDS:
            faults.append(_fault("body.type", 'expected value to be one of "raw, user"'))
    extra = sorted(set(asked) - {"content", "type", "$schema"})
    return faults + [_fault(f"body.{name}", "unexpected property") for name in extra]


def upload(content_type: str, body: bytes) -> tuple[str, bytes]:
    """The name and the content of an uploaded file. Raises Refused."""
    parts = _files(content_type, body)
    if len(parts) != 1:
        words = "Multiple files received but only one was expected" if parts else "File required"
        raise Refused(422, "validation failed", [_fault("file", words)])
    name, content = parts[0]
    if len(content) > UPLOAD_LIMIT:
        raise Refused(400, "file size exceeds 10MB limit")
    return PurePosixPath(name.replace("\0", "")).name or "file", content


def _files(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    if not content_type.lower().startswith("multipart/form-data"):
        raise Refused(422, "validation failed", [_fault("body", "cannot read multipart form")])
    head = f"content-type: {content_type}\r\n\r\n".encode("latin-1")
    found = []
    for part in email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body).walk():
        name = part.get_filename()
        if name and part.get_param("name", header="content-disposition") == "file":
            content = part.get_payload(decode=True)
            found.append((name, content if isinstance(content, bytes) else b""))
    return found


def _fault(location: str, text: str) -> Fault:
    return {"message": text, "location": location}
