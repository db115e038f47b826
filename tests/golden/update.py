"""Write the golden files anew; `git diff tests/golden` then shows what changes on which host."""

from __future__ import annotations

from tests.golden import HOSTS, IMAGES, POLICY, pictures, policy, render


def main() -> None:
    """Write hosts/HOST.txt for every host, without those that are gone; policy and pictures."""
    HOSTS.mkdir(exist_ok=True)
    rendered = render()
    for path in HOSTS.glob("*.txt"):
        if path.stem not in rendered:
            path.unlink()
    for name, content in rendered.items():
        (HOSTS / f"{name}.txt").write_bytes(content)
    POLICY.write_text(policy())
    for name, picture in pictures().items():
        (IMAGES / name).write_text(picture)
    print(f"{HOSTS}: {len(rendered)} hosts; {POLICY}; {IMAGES}/fleet-*.svg")


if __name__ == "__main__":
    main()
