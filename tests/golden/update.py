"""Write the golden files anew; `git diff tests/golden` then shows what changes on which host."""

from __future__ import annotations

from tests.golden import BOOTSTRAP, HOSTS, IMAGES, POLICY, consoles, pictures, policy, render


def main() -> None:
    """Write hosts/HOST.txt for every host, without those that are gone; all the rest."""
    HOSTS.mkdir(exist_ok=True)
    rendered = render()
    for path in HOSTS.glob("*.txt"):
        if path.stem not in rendered:
            path.unlink()
    for name, content in rendered.items():
        (HOSTS / f"{name}.txt").write_bytes(content)
    POLICY.write_text(policy())
    BOOTSTRAP.mkdir(exist_ok=True)
    for path in BOOTSTRAP.iterdir():
        path.unlink()
    for name, text in consoles().items():
        (BOOTSTRAP / name).write_text(text)
    for name, picture in pictures().items():
        (IMAGES / name).write_text(picture)
    print(f"{HOSTS}: {len(rendered)} hosts; {POLICY}; {BOOTSTRAP}; {IMAGES}/fleet-*.svg")


if __name__ == "__main__":
    main()
