"""Offers one file on the LAN for some minutes: the way to a console without a USB stick."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from fleet.bootstrap import Script
from fleet.problems import FleetError, WrongUsageError, show

WINDOW_S = 600.0
PAUSE_S = 0.1  # between two looks whether it has been fetched
STALLED_S = 20.0  # for somebody who connects and says nothing
DISCARD_PORT = 9  # nothing is sent: the kernel only says where it would leave from


def own_address(towards: str) -> str:
    """This machine's address in the network that leads there. Raises FleetError when none does."""
    fix = "say which address of this machine the host can reach: --address"
    try:
        kind, _, _, _, place = socket.getaddrinfo(towards, DISCARD_PORT, type=socket.SOCK_DGRAM)[0]
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.connect(place)
            found = str(probe.getsockname()[0])
    except (OSError, UnicodeError) as error:
        raise FleetError.of("--serve", f"no network leads to {towards}: {error}", fix) from None
    return local(found)


def local(address: str) -> str:
    """The address, if it is one of a LAN; raises WrongUsageError for any other."""
    fix = "name an address of this machine on the LAN: --address 192.168.1.5"
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise WrongUsageError.of("--address", f"{show(address)} is no address", fix) from None
    if found.is_global or found.is_unspecified or found.is_multicast:
        raise WrongUsageError.of("--address", f"{address} is no address of a LAN", fix)
    return address


class Offer:
    """One script at one address, under a path that nobody guesses; a context manager.

    Everything else that is asked for gets 404. `fetched` counts who got all of it.
    """

    def __init__(self, script: Script, address: str, heard: Callable[[str], None]) -> None:
        self._script, self._heard = script, heard
        self._counting = threading.Lock()
        self.fetched = 0
        self._path = f"/{secrets.token_hex(4)}/{script.name}"  # short: somebody types it
        self._server = self._bound(address)

    def _bound(self, address: str) -> ThreadingHTTPServer:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = type("_Server", (ThreadingHTTPServer,), {"address_family": family})
        try:
            server: ThreadingHTTPServer = kind((address, 0), self._handler())
        except OSError as error:
            fault = f"cannot listen at {address}: {error.strerror or error}"
            fix = "name an address of this machine: --address"
            raise FleetError.of("--serve", fault, fix) from None
        return server

    @property
    def url(self) -> str:
        """Where it is."""
        place, port = self._server.server_address[:2]
        place = f"[{place!s}]" if ":" in str(place) else str(place)
        return f"http://{place}:{port}{self._path}"

    def __enter__(self) -> Offer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, times: int, window_s: float = WINDOW_S) -> bool:
        """Wait until it was fetched so often, or the time is up; whether it was fetched at all."""
        deadline = time.monotonic() + window_s
        while self.fetched < times and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        return self.fetched > 0

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        offer, content = self, self._script.text.encode()

        class Handler(BaseHTTPRequestHandler):
            timeout = STALLED_S
            server_version, sys_version = "fleet", ""

            def do_GET(self) -> None:
                """Hand it out, if that is what is asked for."""
                if not secrets.compare_digest(self.path.encode(), offer._path.encode()):
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                with offer._counting:
                    offer.fetched += 1
                offer._heard(str(self.client_address[0]))

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: who knocks here is not told."""

        return Handler


def one_line(script: Script, url: str, *, mac: bool) -> str:
    """What is typed at the host's console: fetch, compare the digest, and only then run it."""
    name, digest = script.name, script.digest
    if name.endswith(".ps1"):
        return (
            f"iwr -UseBasicParsing {url} -OutFile {name}; "
            f"if ((Get-FileHash {name}).Hash -eq '{digest}') "
            f"{{ powershell -ExecutionPolicy Bypass -File .\\{name} }} else {{ 'not the one' }}"
        )
    if mac:
        fetch, check = f"curl -fsS -o {name} {url}", "shasum -a 256 -c"
    else:
        fetch, check = f"{{ curl -fsSo {name} {url} || wget -qO {name} {url}; }}", "sha256sum -c"
    return f'{fetch} && echo "{digest}  {name}" | {check} && sudo sh {name}'
