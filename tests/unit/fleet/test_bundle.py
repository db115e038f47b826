"""The orchestrator's bundle: for every machine, so without what is compiled for one."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from fleet.bundle import orchestrator_bundle


def test_nothing_in_it_is_compiled() -> None:
    names = zipfile.ZipFile(io.BytesIO(orchestrator_bundle())).namelist()
    assert "markupsafe/_native.py" in names
    assert not [one for one in names if "_speedups" in one or one.endswith((".so", ".pyd"))]


def test_what_escapes_works_without_its_extension(tmp_path: Path) -> None:
    program = tmp_path / "orchestrator.pyz"
    program.write_bytes(orchestrator_bundle())
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]; import markupsafe, jinja2;"
        "assert sys.argv[1] in jinja2.__file__;"
        "print(jinja2.Environment(autoescape=True).from_string('{{ x }}').render(x='<a>'))"
    )
    run = subprocess.run(
        [sys.executable, "-ISB", "-c", code, str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (run.stdout, run.stderr) == ("&lt;a&gt;\n", "")
