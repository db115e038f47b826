"""docs/fleet-yaml.md and the schema of fleet.yaml agree: each block a table, each key a row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.schema import fleet_schema

DOCS = Path(__file__).resolve().parents[3] / "docs" / "fleet-yaml.md"
TEXT = DOCS.read_text(encoding="utf-8")
FILE = "The file"  # the section of the keys at the top
ROW = re.compile(r"^\| `([a-z_]+)` \|(.*)\|$", re.MULTILINE)

Block = dict[str, Any]  # key → its schema
SCHEMA = fleet_schema()


def _entry(schema: dict[str, Any]) -> dict[str, Any]:
    """What a schema refers to; itself when it refers to nothing."""
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    return SCHEMA["$defs"][reference] if reference else schema


def blocks(schema: dict[str, Any], path: str = FILE) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path → schema of every block of keys; of those in several places the first one."""
    yield path, schema
    for key, value in schema.get("properties", {}).items():
        at = key if path == FILE else f"{path}.{key}"
        inner = value.get("additionalProperties")
        names = value.get("propertyNames", {}).get("enum")
        if names:
            yield at, {"properties": {name: {} for name in names}}
        elif isinstance(inner, dict) and "properties" in _entry(inner):
            yield from blocks(_entry(inner), f"{at}.NAME")
        elif "properties" in _entry(value):
            yield from blocks(_entry(value), at)


def wanted() -> dict[str, dict[str, Any]]:
    """What has to be documented: hosts' `ssh` is the file's own."""
    found: dict[str, dict[str, Any]] = {}
    for path, schema in blocks(SCHEMA):
        if schema not in found.values():
            found[path] = schema
    return found


def sections(text: str) -> dict[str, dict[str, list[str]]]:
    """Path of the block → key → cells of its row."""
    parts = re.split(r"^## `?([^`\n]+)`?$", text, flags=re.MULTILINE)
    return {
        title: {
            key: [cell.strip() for cell in rest.split(" | ")] for key, rest in ROW.findall(body)
        }
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }


SECTIONS = sections(TEXT)


@pytest.mark.parametrize("path", wanted())
def test_every_key_is_documented(path: str) -> None:
    keys = wanted()[path]["properties"]
    hint = "| `key` | type | default, or required | what it is, with an example |"
    assert path in SECTIONS, (
        f"docs/fleet-yaml.md: add a section ## `{path}` with a table of {', '.join(keys)}: {hint}"
    )
    missing = sorted(set(keys) - set(SECTIONS[path]))
    assert not missing, f"docs/fleet-yaml.md, `{path}`: add a row for {', '.join(missing)}: {hint}"


@pytest.mark.parametrize("path", SECTIONS)
def test_every_documented_key_is_there(path: str) -> None:
    assert path in wanted(), f"docs/fleet-yaml.md: fleet.yaml has no block `{path}`: remove it"
    unknown = sorted(set(SECTIONS[path]) - set(wanted()[path]["properties"]))
    assert not unknown, f"docs/fleet-yaml.md, `{path}`: there is no {', '.join(unknown)}: remove it"


@pytest.mark.parametrize(
    ("path", "key"),
    [(path, key) for path, block in wanted().items() for key in block["properties"]],
)
def test_what_is_said_of_defaults_is_true(path: str, key: str) -> None:
    block, cells = wanted()[path], SECTIONS[path][key]
    if len(cells) < 3:  # a secret: there are no defaults
        assert path == "secrets"
        return
    default = cells[1]
    if key in block.get("required", ()):
        assert default == "required", f"docs/fleet-yaml.md, `{path}.{key}`: it is required"
    stated = block["properties"][key].get("default")
    if isinstance(stated, str | int | float) and stated != "":
        assert f"{stated}" in default, f"docs/fleet-yaml.md, `{path}.{key}`: {stated} by default"


def test_the_examples_are_valid(tmp_path: Path) -> None:
    """Each by itself as YAML; the first one as a whole fleet."""
    from fleet.model import load_fleet

    found = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert len(found) > 2
    for text in found:
        assert isinstance(yaml.safe_load(text), dict)
    path = tmp_path / "fleet.yaml"
    path.write_text(found[0])
    assert load_fleet(path).hosts[0].name == "boss"


def test_the_check_finds_what_is_missing() -> None:
    found = sections("## The file\n| `a` | text | none | `b` |\n## `x.NAME`\n| `c_d` | for |\n")
    assert found == {"The file": {"a": ["text", "none", "`b`"]}, "x.NAME": {"c_d": ["for"]}}
