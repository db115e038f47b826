"""Write the golden files anew; `git diff tests/golden` then shows what changes on which host."""

from __future__ import annotations

from tests.golden import HOSTS, POLICY, policy, render


def main() -> None:
    """Write hosts/HOST.txt for every host, remove those of hosts that are gone, and the policy."""
    HOSTS.mkdir(exist_ok=True)
    rendered = render()
    for path in HOSTS.glob("*.txt"):
        if path.stem not in rendered:
            path.unlink()
    for name, content in rendered.items():
        (HOSTS / f"{name}.txt").write_bytes(content)
    POLICY.write_text(policy())
    print(f"{HOSTS}: {len(rendered)} hosts; {POLICY}")


if __name__ == "__main__":
    main()
