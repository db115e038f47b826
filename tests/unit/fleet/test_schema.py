"""The JSON Schema that editors get: it says what the loader says."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.model import Role
from fleet.schema import MIN_LLVM, fleet_schema


@pytest.fixture
def schema() -> dict[str, Any]:
    return fleet_schema()


def nodes(schema: object) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in nodes(item)]
    if not isinstance(schema, dict):
        return []
    return [schema, *(found for item in schema.values() for found in nodes(item))]


def test_every_key_is_described(schema: dict[str, Any]) -> None:
    for node in nodes(schema):
        for name, value in node.get("properties", {}).items():
            assert value.get("description"), name


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    references = {node["$ref"] for node in nodes(schema) if "$ref" in node}
    assert references == {f"#/$defs/{name}" for name in schema["$defs"]}


def test_unknown_keys_are_refused_and_required_ones_are_named(schema: dict[str, Any]) -> None:
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["version", "name", "hosts"]
    host = schema["$defs"]["HostEntry"]
    assert host["additionalProperties"] is False
    assert host["required"] == ["role", "os", "arch", "cores"]


def test_words_and_bounds_are_there(schema: dict[str, Any]) -> None:
    assert schema["$defs"]["Role"]["enum"] == list(Role)
    port = schema["$defs"]["SshEntry"]["properties"]["port"]
    assert (port["minimum"], port["maximum"]) == (1, 65535)
    assert schema["properties"]["version"]["const"] == 1
    assert schema["properties"]["hosts"]["propertyNames"]["pattern"].startswith("^[a-z0-9]")


def test_nothing_may_be_null(schema: dict[str, Any]) -> None:
    assert {"type": "null"} not in nodes(schema)
    assert not [node for node in nodes(schema) if node.get("default", "") is None]


def test_only_words_of_json_schema(schema: dict[str, Any]) -> None:
    budget = schema["properties"]["budgets"]["additionalProperties"]
    assert budget == {"type": "number", "minimum": 0, "maximum": 10_000}
    assert schema["properties"]["name"]["pattern"] == "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


def test_the_toolchain_says_what_it_takes(schema: dict[str, Any]) -> None:
    entry = schema["$defs"]["ToolchainEntry"]
    assert entry["required"] == ["llvm"]
    assert entry["additionalProperties"] is False
    llvm, sample = (entry["properties"][key] for key in ("llvm", "sample_percent"))
    assert (llvm["type"], llvm["minimum"], llvm["maximum"]) == ("integer", MIN_LLVM, 99)
    assert (sample["type"], sample["minimum"], sample["maximum"]) == ("number", 0, 100)
    assert sample["default"] == 1
    assert "toolchain" not in schema["required"], "icecream runs without one"
