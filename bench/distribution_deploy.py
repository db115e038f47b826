"""What brings downloads to a host, and the one download of bench/distribution.py.

With BENCH_PAYLOAD=SHA256:BYTES in the environment every host wants that file, which this machine
has in its cache.
"""

import os

from deploys import artifacts, base, firewall, relay, secrets, sources, tailscale
from fleet.converge import converge, learn
from fleet.lock import ArtifactsLock, Pin, PinnedArtifact, Source
from fleet.pins import artifact
from fleet.resources import Resources
from fleet.view import HostView
from lab import overlay, pins

PAYLOAD = "payload"
sha256, _, size = os.environ.get("BENCH_PAYLOAD", "").partition(":")


def _pinned() -> ArtifactsLock:
    found = pins.artifacts()
    if not sha256:
        return found
    never_asked = Source(origin="bench", url="https://bench.invalid/payload")
    pin = Pin(sources=(never_asked,), sha256=sha256, size=int(size), vouched=())
    return found.with_artifact(PAYLOAD, PinnedArtifact(version="1", platforms={"any": pin}))


def _wanted(view: HostView) -> Resources:
    return Resources(artifacts=(artifact(view, PAYLOAD),)) if sha256 else Resources()


overlay.artifacts = _pinned  # type: ignore[attr-defined]
secrets.resources = _wanted

converge(base)
converge(sources)
converge(tailscale)
learn("what it is")
converge(firewall)
converge(artifacts)
converge(relay)
converge(secrets)
