"""manifest.schema.json: it says of a manifest what the reader in manifest.py says, key by key."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import _OPTIONAL, _RULES, Manifest

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((files("pipeline.edge") / "manifest.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
KEYS = [key for key, *_ in _RULES]
SHIPPED = sorted((ROOT / "models" / "night").glob("*.json"))


def block(keys: list[str]) -> dict[str, Any]:
    """The schema of an object by the names that lead to it."""
    found = SCHEMA
    for key in keys:
        found = found["properties"][key]
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with what its $ref says."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return SCHEMA["$defs"][name] | schema if name else schema


def undescribed(value: object, schema: dict[str, Any], path: str = "") -> list[str]:
    """Keys of a manifest that the schema does not describe; what has additionalProperties has free names."""
    if not isinstance(value, dict):
        return []
    schema = resolved(schema)
    found = []
    for key, inner in value.items():
        known = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
        named = key in schema.get("properties", {})
        if known is None or (named and not known.get("description")):
            found.append(f"{path}{key}")
        else:
            found += undescribed(inner, known, f"{path}{key}.")
    return found


def refused_by_both(raw: dict[str, Any]) -> bool:
    """Whether schema and reader agree that this is no manifest; a test fails where they differ."""
    try:
        Manifest.from_dict(raw)
        readable = True
    except BadModel:
        readable = False
    assert VALIDATOR.is_valid(raw) == readable
    return not readable


def parent_of(raw: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    *parents, last = key.split(".")
    for parent in parents:
        raw = raw[parent]
    return raw, last


def test_it_is_a_sound_schema_in_the_package() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert "$id" not in SCHEMA
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "pipeline" in wheel["packages"], "hatch takes every file of a package that git does not ignore"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_manifests_are_valid_and_described_key_by_key(path: Path) -> None:
    raw = json.loads(path.read_text("utf-8"))
    VALIDATOR.validate(raw)
    assert undescribed(raw, SCHEMA) == []


def test_a_manifest_made_by_hand_is_valid(manifest_dict: dict[str, Any]) -> None:
    VALIDATOR.validate(manifest_dict)
    assert not refused_by_both(manifest_dict)


def test_classes_are_those_of_the_code() -> None:
    listed = SCHEMA["properties"]["classes"]["prefixItems"]
    named = [(c["properties"]["id"]["const"], c["properties"]["name"]["const"]) for c in listed]
    assert named == [(c.id, c.name) for c in CLASSES]


@pytest.mark.parametrize("key", KEYS)
def test_each_key_of_the_reader_is_described_and_as_needed_as_there(
    manifest_dict: dict[str, Any], key: str
) -> None:
    *parents, last = key.split(".")
    assert block([*parents, last])["description"]
    assert (last in block(parents).get("required", [])) == (key not in _OPTIONAL)
    inside, name = parent_of(manifest_dict, key)
    inside.pop(name, None)
    assert refused_by_both(manifest_dict) == (key not in _OPTIONAL)


def test_nothing_else_is_required() -> None:
    for keys in ([], *([name] for name in SCHEMA["properties"] if name != "sample")):
        prefix = ".".join([*keys, ""])
        for name in block(keys).get("required", []):
            assert any(key == prefix + name or key.startswith(f"{prefix}{name}.") for key in KEYS), name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema_version", "1"),
        ("schema_version", 2),
        ("name", " "),
        ("seed", -1),
        ("seed", True),
        ("created", "yesterday"),
        ("network", []),
        ("network.parameters", 1.5),
        ("classes", []),
        ("trained_classes", [19]),
        ("input.layout", "NCHW"),
        ("input.stride", 0),
        ("input.stride", 14),
        ("input.training_size", [64]),
        ("input.fixed_size", [64, 0]),
        ("inference", "whole"),
        ("metrics.target", 0),
        ("conditions", "night"),
        ("source_format", ""),
        ("parity", True),
        ("quantisation", "int8"),
        ("hashes.onnx", 5),
        ("hashes.manifest", ""),
        ("sample", {"image": "", "classes": "x", "confidence": "x", "agreement": 0.99}),
        ("sample", {"image": "x", "classes": "x", "confidence": "x", "agreement": 99}),
        ("sample", {"image": "x", "classes": "x", "confidence": "x"}),
        ("licences.data", [""]),
        ("known_failures", None),
    ],
)
def test_a_wrong_value_is_refused_by_both(manifest_dict: dict[str, Any], key: str, value: object) -> None:
    inside, name = parent_of(manifest_dict, key)
    inside[name] = value
    assert refused_by_both(manifest_dict)


@pytest.mark.parametrize(
    ("key", "value"), [("name", "street"), ("id", 7), ("rgb", [0, 0, 256]), ("safe_rgb", [0, 0])]
)
def test_a_changed_class_is_refused_by_both(manifest_dict: dict[str, Any], key: str, value: object) -> None:
    manifest_dict["classes"][3][key] = value
    assert refused_by_both(manifest_dict)


@pytest.mark.parametrize("where", ["", "network", "input", "hashes", "licences"])
def test_further_keys_are_read_by_both(manifest_dict: dict[str, Any], where: str) -> None:
    inside = manifest_dict[where] if where else manifest_dict
    inside["added_later"] = 1
    assert not refused_by_both(manifest_dict)


def test_values_that_may_be_null(manifest_dict: dict[str, Any]) -> None:
    for key in (
        "input.fixed_size",
        "inference",
        "metrics.source",
        "metrics.target",
        "parity",
        "sample",
        "source_format",
    ):
        inside, name = parent_of(manifest_dict, key)
        inside[name] = None
    assert not refused_by_both(manifest_dict)
