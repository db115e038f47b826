"""Where downloads come from, for tests: a server on loopback, programs called npm and apt-get."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Reply:
    """What the server answers: `size` zero bytes follow the body."""

    body: bytes = b""
    status: int = 200
    location: str = ""
    size: int = 0
    withheld: int = 0  # bytes that are announced and do not come


@dataclass
class Web:
    """The server: replies by path, and the requests that came."""

    url: str
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def serve(self, path: str, body: bytes = b"", **more: Any) -> str:
        self.replies[path] = Reply(body, **more)
        return f"{self.url}{path}"

    def serve_json(self, path: str, data: object) -> None:
        self.serve(path, json.dumps(data).encode())


def certificate(folder: Path) -> Path:
    """A certificate for loopback, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(LOOPBACK))
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "cert.pem"
    path.write_bytes(private + cert.public_bytes(pem))
    return path


@contextmanager
def serving(cert: Path) -> Iterator[Web]:
    """A server while inside."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert)
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    web = Web(f"https://{LOOPBACK}:{server.server_address[1]}")
    _Handler.web = web
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        self.web.asked.append(self.path)
        reply = self.web.replies.get(self.path, Reply(status=404))
        self.send_response(reply.status)
        if reply.location:
            self.send_header("Location", reply.location)
        length = len(reply.body) + reply.size + reply.withheld
        self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            self.wfile.write(reply.body)
            for start in range(0, reply.size, _CHUNK):
                self.wfile.write(bytes(min(_CHUNK, reply.size - start)))
        except OSError:
            pass  # the other side may leave when it likes

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


_NPM = """\
#!/bin/sh
# Like npm: view SPEC FIELD --json, pack SPEC --json --pack-destination DIR --ignore-scripts
here={folder}
echo "$*" >> "$here/calls"
[ ! -f "$here/$1.sh" ] || . "$here/$1.sh"
package="$here/$2"
if [ ! -d "$package" ]; then
    printf '%s\\n' '{{"error": {{"code": "E404", "summary": "None\\nmore"}}}}'
    echo "npm error code E404" >&2
    exit 1
fi
case $1 in
view) cat "$package/integrity" ;;
pack) [ "$6" = --ignore-scripts ] && cp "$package/archive" "$5/package.tgz" && echo '[]' ;;
esac
"""


def integrity(content: bytes) -> str:
    """What npm publishes of an archive."""
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


@dataclass(frozen=True)
class Npm:
    """A program named npm, and what its registry holds."""

    folder: Path

    def publish(self, spec: str, content: bytes, digest: str | None = None) -> None:
        package = self.folder / spec
        package.mkdir(parents=True, exist_ok=True)
        (package / "archive").write_bytes(content)
        stated = integrity(content) if digest is None else digest
        (package / "integrity").write_text(json.dumps(stated) if stated else "")

    def tell(self, package: str, said: object) -> None:
        """What the registry says of a package: text as it is, anything else as JSON."""
        folder = self.folder / package
        folder.mkdir(parents=True)
        (folder / "integrity").write_text(said if isinstance(said, str) else json.dumps(said))

    def on(self, verb: str, shell: str) -> None:
        """Run this whenever the verb is called."""
        (self.folder / f"{verb}.sh").write_text(shell)

    @property
    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


def install_npm(programs: Path, folder: Path) -> Npm:
    folder.mkdir()
    _program(programs / "npm", _NPM.format(folder=folder))
    return Npm(folder)


_APT_CACHE = """\
#!/bin/sh
[ "$*" = "showsrc --only-source $3" ] || exit 9
if [ ! -d {folder} ]; then
    echo "E: You must put some 'deb-src' URIs in your sources.list" >&2
    exit 100
fi
[ -f "{folder}/$3.index" ] || {{ echo "W: Unable to locate package $3" >&2; exit 0; }}
cat "{folder}/$3.index"
"""
_APT_GET = """\
#!/bin/sh
[ "$1 $2 $3 $4" = "source --download-only --tar-only --only-source" ] || exit 9
[ -d "{folder}/$5" ] || {{ echo "E: Failed to fetch it" >&2; exit 100; }}
cp "{folder}/$5/"* .
"""
# As apt 2.6 prints it.
_ENTRY = """\
Package: {package}
Binary: {package}, lib{package}
Version: {version}
Format: 3.0 (quilt)
Files:
 ca7f9f94cbba614a02800ac465c7469a 2099 {package}_{version}.dsc
 3aaecba85978a61cae2739a48ca05ca3 {size} {archive}
Checksums-Sha256:
 {other} 2099 {package}_{version}.dsc
 {digest} {size} {archive}
 {other} 100 {archive}.asc
Homepage: https://example.org/
Package-List:
 {package} deb devel optional arch=any
Directory: pool/main

"""


@dataclass(frozen=True)
class Apt:
    """Programs named apt-get and apt-cache, and what their archive holds."""

    folder: Path

    def publish(self, package: str, version: str, content: bytes, digest: str = "") -> None:
        """Version is Debian's, such as 1.4-1."""
        self.folder.mkdir(exist_ok=True)
        upstream = version.partition(":")[2] or version
        archive = f"{package}_{upstream.rpartition('-')[0]}.orig.tar.gz"
        with (self.folder / f"{package}.index").open("a") as index:
            index.write(
                _ENTRY.format(
                    package=package,
                    version=version,
                    archive=archive,
                    size=len(content),
                    digest=digest or hashlib.sha256(content).hexdigest(),
                    other="0" * 64,
                )
            )
        place = self.folder / f"{package}={version}"
        place.mkdir()
        (place / archive).write_bytes(content)


def install_apt(programs: Path, folder: Path) -> Apt:
    _program(programs / "apt-cache", _APT_CACHE.format(folder=folder))
    _program(programs / "apt-get", _APT_GET.format(folder=folder))
    return Apt(folder)


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
