"""Where the downloads of the documents' examples come from, while a test runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.unit.sources import certificate, install_npm, serving

PLATFORMS = ("linux-x64", "linux-arm64", "darwin-x64")
CLAUDE, NEWEST = "@anthropic-ai/claude-code", "2.1.332"


@contextmanager
def published(folder: Path) -> Iterator[Mapping[str, str]]:
    """An npm and a web server that have what the examples fetch; what a test has to know of them.

    PROGRAMS is the folder with the npm, WEB the server's address; the rest is for the environment.
    """
    programs = folder / "programs"
    programs.mkdir(parents=True)
    npm = install_npm(programs, folder / "npm-registry")
    cert = certificate(folder)
    with serving(cert) as web:
        for version in ("1.4.0", "1.5.0"):
            archive = f"tool {version}".encode()
            npm.publish(f"@example/tool-linux-x64@{version}", archive)
            web.serve(f"/{version}/tool.tgz", archive)
        for platform in PLATFORMS:
            for version in ("2.1.330", NEWEST):
                npm.publish(f"{CLAUDE}-{platform}@{version}", f"{platform} {version}".encode())
            npm.tell(f"{CLAUDE}-{platform}", {"version": NEWEST, "time": {}})
        yield {
            "PROGRAMS": str(programs),
            "SSL_CERT_FILE": str(cert),
            "no_proxy": "*",
            "WEB": web.url,
        }
