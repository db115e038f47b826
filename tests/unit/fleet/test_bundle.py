"""The orchestrator's bundle is for every machine."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from fleet.bundle import orchestrator_bundle

ESCAPE = """
import sys
sys.path[:0] = [sys.argv[1]]
import markupsafe, jinja2
assert markupsafe.__file__.startswith(sys.argv[1]), markupsafe.__file__
page = jinja2.Environment(autoescape=True).from_string("{{ said }}")
print(page.render(said="<b>"))
"""


def test_nothing_in_it_is_for_one_machine() -> None:
    names = zipfile.ZipFile(io.BytesIO(orchestrator_bundle())).namelist()
    assert "markupsafe/_native.py" in names
    assert [name for name in names if "_speedups" in name or name.endswith(".so")] == []


def test_pages_are_escaped_without_what_was_left_out(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pyz"
    bundle.write_bytes(orchestrator_bundle())
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ESCAPE, str(bundle)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "&lt;b&gt;\n"
