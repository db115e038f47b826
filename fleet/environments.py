"""A packed compiler that workers unpack to compile for others, and the compiler it was packed from.

There is no environment but of clang. clang compiles for any target whatever machine it runs on; an
environment of another architecture with gcc in it would silently return objects of the wrong
architecture, so none can be described here: an environment's name follows from what it is, and
there is no word in it for another compiler.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fleet.kinds import Arch
from fleet.parse import wrong
from fleet.problems import show

_SHORT = 12  # digits of a digest that tell one environment from another in its name
_COMPILER = r"[0-9]+(\.[0-9]+){0,2}\+[0-9a-f]{6} [0-9a-f]{12}"


def _compiler(text: str) -> str:
    if not re.fullmatch(_COMPILER, text):
        fix = "`VERSION+CODE DIGEST`: 16.0.6+0f1e2d 0123456789ab"
        raise wrong(f"{show(text)} is not a compiler", fix)
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise wrong(f"{show(text)} is not a SHA-256", "write 64 hexadecimal digits, lower case")
    return text


# A clang as a host tells of it: `VERSION+CODE DIGEST`. CODE is what it makes of a piece of program:
# distributions build one version with different defaults. DIGEST is over its program and libraries.
# Equal text: the same bytes. Equal VERSION+CODE: the same objects.
Compiler = Annotated[str, AfterValidator(_compiler)]
Sha256 = Annotated[str, AfterValidator(_sha256)]


class Environment(BaseModel):
    """One packed clang: where it runs, what it was packed from, and its bytes.

    `content` is the digest of the archive before compression, which is the same for everybody who
    packed the same compiler; `sha256` and `size` are the file's; `unpacked` is in bytes, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: Arch  # where it runs, as `uname -m` says; what it compiles for is the client's to say
    compiler: Compiler
    content: Sha256
    sha256: Sha256
    size: Annotated[int, Field(strict=True, ge=500, le=2**34)]  # icecc refuses smaller ones
    unpacked: Annotated[int, Field(strict=True, gt=0, le=2**36)]

    @property
    def name(self) -> str:
        """The file's name. icecream caches by it, so that it has to change with the content."""
        made = number(self.compiler)
        return f"{self.platform}-clang{made}-{self.content[:_SHORT]}.tar.zst"

    @property
    def version(self) -> str:
        """The compiler's version, and the code that it makes: `16.0.6+0f1e2d`."""
        return version(self.compiler)


def version(compiler: str) -> str:
    """The version of a compiler: `16.0.6+0f1e2d 0123456789ab` → `16.0.6+0f1e2d`."""
    return compiler.partition(" ")[0]


def number(compiler: str) -> str:
    """The version of a compiler as people know it: `16.0.6+0f1e2d 0123456789ab` → `16.0.6`."""
    return compiler.partition(" ")[0].partition("+")[0]


def major(compiler: str) -> int:
    """The major version of a compiler: `16.0.6+0f1e2d 0123456789ab` → 16."""
    return int(number(compiler).partition(".")[0])


def read_environments(text: str) -> tuple[Environment, ...]:
    """The environments in what a builder tells, newest first.

    Each is `PLATFORM VERSION+CODE DIGEST CONTENT SHA256 SIZE UNPACKED`, `;` between them. Raises
    ValueError when that is not what it says.
    """
    return tuple(_read(said) for part in text.split(";") if (said := part.strip()))


def _read(said: str) -> Environment:
    try:
        platform, made, digest, content, sha256, size, unpacked = said.split(" ")
        return Environment(
            platform=Arch(platform),
            compiler=f"{made} {digest}",
            content=content,
            sha256=sha256,
            size=int(size),
            unpacked=int(unpacked),
        )
    except ValueError:
        fix = "remove its state directory's environments* there and run again"
        raise ValueError(f"it says it has packed {show(said)}: {fix}") from None
