"""The stand-in as one file: a zip application that any Python 3.11 with nothing installed runs."""

from __future__ import annotations

import io
import zipfile
from importlib.metadata import distribution
from pathlib import Path

VENDORED = ("pyte", "wcwidth")
# A Mac of the lab keeps its Python where no Mac has one.
PREFIX = b"""#!/bin/sh
for python in /usr/bin/python3 /opt/standin/bin/python3; do
    if [ -x "$python" ]; then exec "$python" -IB "$0" "$@"; fi
done
echo "agentapi (the lab's): there is no python3 here" >&2
exit 1
"""
MAIN = b"import sys\nfrom agentapi.run import main\nsys.exit(main(sys.argv[1:]))\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build() -> bytes:
    """The program: the same bytes whenever its sources are the same."""
    here = Path(__file__).parent
    contents = {"__main__.py": MAIN}
    for path in sorted((here / "agentapi").glob("*.py")):
        contents[f"agentapi/{path.name}"] = path.read_bytes()
    for name in VENDORED:
        for file in distribution(name).files or ():
            where = file.as_posix()
            if where.startswith(f"{name}/") and "__pycache__" not in where:
                contents[where] = Path(str(file.locate())).read_bytes()
    buffer = io.BytesIO()
    buffer.write(PREFIX)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name])
    return buffer.getvalue()
