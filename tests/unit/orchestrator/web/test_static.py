"""Scripts of others are what their authors published, and come with their licences."""

from __future__ import annotations

import hashlib
from importlib.resources import files

STATIC = files("orchestrator.web").joinpath("static")


def vendored() -> dict[str, tuple[str, str]]:
    """File → version and digest, as VENDORED states them."""
    lines = STATIC.joinpath("VENDORED").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return {file: (version, digest) for file, _, version, digest in rows}


def test_every_script_of_others_is_stated_and_unaltered() -> None:
    found = {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest()
        for one in STATIC.iterdir()
        if one.name.endswith(".min.js")
    }
    assert found == {file: digest for file, (_, digest) in vendored().items()}


def test_each_comes_with_its_licence() -> None:
    for file in vendored():
        licence = STATIC.joinpath(file.replace(".min.js", ".LICENSE"))
        assert licence.read_text(encoding="utf-8").strip(), file


def test_htmx_is_of_the_version_that_is_stated() -> None:
    script = STATIC.joinpath("htmx.min.js").read_text(encoding="utf-8")
    assert f'version:"{vendored()["htmx.min.js"][0]}"' in script
