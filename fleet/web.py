"""Downloads over HTTPS, streamed, never from anywhere else."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fleet.problems import FetchError, printable
from fleet.progress import Meter

TIMEOUT_S = 60  # without a single byte
CHUNK = 1 << 16
MAX_JSON = 8 << 20  # bytes


class MissingError(FetchError):
    """The server answers, and does not have it."""


def download(url: str, target: Path, limit: int, meter: Meter) -> None:
    """Write what is there to `target`, at most `limit` bytes. Raises FetchError or OSError."""
    with _open(url) as response, target.open("wb") as file:
        meter.expect(response.length)
        copy(response, file, limit, meter)
        if response.length:  # http.client takes an early end of the connection for the end
            fault = f"{_host(url)} ended {response.length} bytes early"
            raise FetchError(fault, "try again")


def copy(response: IO[bytes], file: IO[bytes], limit: int, meter: Meter) -> None:
    """Copy, but never more than the limit."""
    left = limit
    while chunk := response.read(min(CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise FetchError(f"is longer than the {limit} bytes that it may have")
        file.write(chunk)
        meter.advance(len(chunk))


def read_json(url: str) -> Any:  # noqa: ANN401 - whatever the server says
    """The JSON that is there. Raises FetchError or OSError."""
    with _open(url) as response:
        text = response.read(MAX_JSON)
    try:
        return json.loads(text)
    except ValueError:
        raise FetchError(f"{_host(url)} gives no JSON", "try again later") from None


@contextmanager
def _open(url: str) -> Iterator[http.client.HTTPResponse]:
    request = urllib.request.Request(url, headers={"User-Agent": "agentfleet"})  # noqa: S310 - the opener knows https alone
    try:
        with _opener().open(request, timeout=TIMEOUT_S) as response:
            yield response
    except urllib.error.HTTPError as error:
        kind = MissingError if error.code in (404, 410) else FetchError
        raise kind(f"{_host(url)} answers HTTP {error.code}", _remedy(error.code)) from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or str(error.reason)
        fault = f"{_host(url)} cannot be reached: {printable(reason)}"
        raise FetchError(fault, "check the address and this machine's network") from None
    except TimeoutError:
        raise FetchError(f"{_host(url)} was silent for {TIMEOUT_S} s", "try again later") from None
    except (http.client.HTTPException, ConnectionError, ValueError, OverflowError) as error:
        fault = f"{_host(url)} failed: {printable(str(error) or type(error).__name__)}"
        raise FetchError(fault, "try again later") from None


def _host(url: str) -> str:
    return url.split("/")[2]


def _remedy(code: int) -> str:
    if code in (404, 410):
        return "check that this version is published there"
    return "try again later" if code in (403, 429) or code >= 500 else "check the address"


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows no redirection to anything that somebody on the way could have written."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise FetchError(f"{req.full_url} leads to {newurl}", "give an address that is https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Proxies and certificates are those that the machine has configured."""
    return urllib.request.build_opener(_HttpsOnly)
