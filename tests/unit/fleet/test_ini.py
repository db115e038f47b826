"""Keys in somebody else's INI file."""

from __future__ import annotations

import pytest

from fleet.ini import value, with_value

TEXT = "# mine\n[boot]\nsystemd = false\n\n[User]\ndefault=me"


@pytest.mark.parametrize(
    ("section", "key", "found"),
    [("boot", "systemd", "false"), ("user", "Default", "me"), ("boot", "default", None)],
)
def test_what_is_there(section: str, key: str, found: str | None) -> None:
    assert value(TEXT, section, key) == found


def test_the_last_one_counts_and_is_the_one_that_changes() -> None:
    text = "[a]\nx=1\n[b]\nx=2\n[a]\nX=3\n"
    assert value(text, "a", "x") == "3"
    assert with_value(text, "a", "x", "4") == "[a]\nx=1\n[b]\nx=2\n[a]\nx=4\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[boot]\nsystemd=true\n"),
        (TEXT, "# mine\n[boot]\nsystemd=true\n\n[User]\ndefault=me"),
        ("[boot]", "[boot]\nsystemd=true\n"),
        ("[user]\r\ndefault=me", "[user]\r\ndefault=me\r\n[boot]\r\nsystemd=true\r\n"),
        ("[boot]\ncommand=x\n[y]\n", "[boot]\nsystemd=true\ncommand=x\n[y]\n"),
        ("[boot]\n#systemd=false\n", "[boot]\nsystemd=true\n#systemd=false\n"),
    ],
)
def test_a_key_is_set_and_all_else_stays(before: str, after: str) -> None:
    assert with_value(before, "boot", "systemd", "true") == after
    assert value(after, "boot", "systemd") == "true"
    assert with_value(after, "boot", "systemd", "true") == after
