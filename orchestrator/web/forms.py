"""What a page's form sends: read within limits, and only if the page was ours."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from orchestrator.tasks.model import Wish
from orchestrator.web.audit import person
from orchestrator.web.guard import is_csrf_token

MOST_FILES = 20
MOST_FIELDS = 5_000  # a plan has many steps, and each says what it comes after
MOST_TEXT = 1 << 20  # bytes of one field
STALE = (
    "This form was not made for you, or is older than the service's secret. Go back, load the page "
    "anew, and send it again."
)


@dataclass(frozen=True)
class Form:
    """The fields of a form."""

    data: FormData

    def text(self, name: str) -> str:
        """A field's text, with one character at the end of a line; empty where it is left out."""
        said = self.data.get(name, "")
        return said.replace("\r\n", "\n") if isinstance(said, str) else ""

    def flag(self, name: str) -> bool:
        """Whether a box is ticked, or this button was pressed."""
        return bool(self.text(name))

    def files(self, name: str) -> tuple[UploadFile, ...]:
        """The files that were chosen."""
        found = (one for one in self.data.getlist(name) if isinstance(one, UploadFile))
        return tuple(one for one in found if one.filename)

    def numbers(self, name: str) -> list[int]:
        """The numbers of all fields with this name that are one."""
        texts = (one for one in self.data.getlist(name) if isinstance(one, str))
        return [int(one) for one in texts if one.isascii() and one.isdigit() and len(one) < 16]

    def wish(self) -> Wish:
        """Where a task may run: the fields of templates/wish.html."""
        choices = {name: self.text(name) for name in ("host", "role", "arch", "os")}
        flags = {name: self.flag(name) for name in ("root", "compilers", "failover")}
        return Wish(**choices, **flags)  # type: ignore[arg-type]


async def read(request: Request, secret: bytes) -> Form:
    """The form. Raises HTTPException: 403 when it is not from a page of ours."""
    data = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=MOST_TEXT)
    form = Form(data)
    if not is_csrf_token(secret, person(request), form.text("csrf")):
        raise HTTPException(403, STALE)
    return form
