"""HTTPS downloads: streamed, whole, bounded, and never from anywhere else."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from fleet.problems import FetchError
from fleet.progress import Meter
from fleet.web import MissingError, download, read_json
from tests.unit.sources import Web

LIMIT = 1 << 30


def fetched(url: str, folder: Path, limit: int = LIMIT) -> bytes:
    download(url, folder / "file", limit, Meter("", bar=False))
    return (folder / "file").read_bytes()


def test_a_file(web: Web, tmp_path: Path) -> None:
    assert fetched(web.serve("/a", b"content"), tmp_path) == b"content"


def test_a_file_that_another_place_has(web: Web, tmp_path: Path) -> None:
    there = web.serve("/there", b"content")
    assert fetched(web.serve("/a", status=302, location=there), tmp_path) == b"content"


def test_nothing_that_is_not_https(web: Web, tmp_path: Path) -> None:
    plain = f"{web.url.replace('https', 'http')}/there"
    with pytest.raises(FetchError, match="/a leads to http://"):
        fetched(web.serve("/a", status=302, location=plain), tmp_path)


def test_a_server_that_nobody_certifies(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(FetchError, match=r"cannot be reached: .*certificate verify failed"):
        fetched(web.serve("/a", b"content"), tmp_path)
    assert web.asked == []


def test_a_connection_that_ends_early(web: Web, tmp_path: Path) -> None:
    """Half a file would otherwise be pinned as if it were the whole."""
    with pytest.raises(FetchError, match="ended 5 bytes early"):
        fetched(web.serve("/a", b"content", withheld=5), tmp_path)


def test_no_more_than_the_limit(web: Web, tmp_path: Path) -> None:
    url = web.serve("/a", b"content")
    assert fetched(url, tmp_path, 7) == b"content"
    with pytest.raises(FetchError, match="longer than the 6 bytes"):
        fetched(url, tmp_path, 6)


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (404, "check that this version is published there"),
        (403, "try again later"),
        (503, "try again later"),
        (401, "check the address"),
    ],
)
def test_a_server_that_refuses(status: int, fix: str, web: Web, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"answers HTTP {status}") as caught:
        fetched(web.serve("/a", status=status), tmp_path)
    assert caught.value.fix == fix
    assert isinstance(caught.value, MissingError) is (status == 404)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1/a", "https://127.0.0.1:99999/a", "https://nobody.invalid/a"]
)
def test_nobody_answers(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=url.split("/")[2]):
        fetched(url, tmp_path)


def test_a_large_file_is_never_whole_in_memory(web: Web, tmp_path: Path) -> None:
    url = web.serve("/large", size=32 << 20)
    tracemalloc.start()
    try:
        download(url, tmp_path / "large", LIMIT, Meter("", bar=False))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "large").stat().st_size == 32 << 20
    assert peak < 4 << 20


def test_json(web: Web) -> None:
    web.serve_json("/data", {"a": 1})
    assert read_json(f"{web.url}/data") == {"a": 1}
    with pytest.raises(FetchError, match="gives no JSON"):
        read_json(web.serve("/text", b"<html>"))
