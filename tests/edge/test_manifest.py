"""The manifest: what holds is read, what does not is named by its key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import Manifest


def put(raw: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        raw = raw[parent]
    raw[last] = value


def test_a_sound_manifest_gives_its_parts(manifest_dict: dict[str, Any]) -> None:
    manifest = Manifest.from_json(json.dumps(manifest_dict))
    assert manifest.raw == manifest_dict
    assert (manifest.name, manifest.method, manifest.seed) == ("brightest", "mic", 0)
    assert manifest.classes == CLASSES
    assert (manifest.stride, manifest.training_size) == (32, (64, 128))
    assert manifest.trained_classes == (0, 1, 2)
    assert manifest.conditions == ("night", "fog")
    assert manifest.metrics["target"] == manifest_dict["metrics"]["target"]
    assert manifest.known_failures == ("knows three classes only",)


def test_text_comes_back_the_same(manifest_dict: dict[str, Any]) -> None:
    manifest_dict["intended_use"] = "Straßen bei Nacht"
    manifest = Manifest.from_dict(manifest_dict)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert "Straßen" in manifest.to_json()


def test_scores_may_be_null_where_there_are_no_labels(manifest_dict: dict[str, Any]) -> None:
    put(manifest_dict, "metrics.target", None)
    assert Manifest.from_dict(manifest_dict).metrics["target"] is None


def test_a_size_may_be_fixed(manifest_dict: dict[str, Any]) -> None:
    assert Manifest.from_dict(manifest_dict).fixed_size is None, "as in files made before"
    for written, read in ((None, None), ([64, 128], (64, 128))):
        put(manifest_dict, "input.fixed_size", written)
        assert Manifest.from_dict(manifest_dict).fixed_size == read


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input.fixed_size", [64]),
        ("input.fixed_size", [64, 0]),
        ("schema_version", "1"),
        ("name", ""),
        ("seed", -1),
        ("seed", True),
        ("created", "yesterday"),
        ("network.parameters", 1.5),
        ("classes", []),
        ("trained_classes", [19]),
        ("input.layout", "NCHW"),
        ("input.colour", "BGR"),
        ("input.stride", 0),
        ("input.stride", 14),
        ("input.training_size", [64]),
        ("input.training_size", [0, 128]),
        ("metrics.target", 0),
        ("conditions", "night"),
        ("hashes.onnx", 5),
        ("hashes.manifest", 5),
        ("sample", "a picture"),
        ("sample", {"image": "", "classes": "x", "confidence": "x", "agreement": 0.99}),
        ("sample", {"image": "x", "classes": "x", "confidence": "x", "agreement": 99}),
        ("licences.data", [""]),
        ("known_failures", None),
    ],
)
def test_a_wrong_value_is_named_with_its_key(manifest_dict: dict[str, Any], key: str, value: object) -> None:
    put(manifest_dict, key, value)
    with pytest.raises(BadModel, match=rf"^m\.onnx: manifest key {key} is ") as caught:
        Manifest.from_dict(manifest_dict, "m.onnx")
    assert caught.value.exit_code == 3


def test_older_manifests_lack_some_keys(manifest_dict: dict[str, Any]) -> None:
    assert Manifest.from_dict(manifest_dict).sample is None
    assert "manifest" not in manifest_dict["hashes"]
    sample = {"image": "x", "classes": "x", "confidence": "x", "agreement": 1}
    manifest_dict |= {"sample": sample, "hashes": manifest_dict["hashes"] | {"manifest": "h"}}
    assert Manifest.from_dict(manifest_dict).sample == sample


@pytest.mark.parametrize("key", ["name", "input.stride", "metrics.target", "hashes.git_commit", "licences"])
def test_a_missing_key_is_named(manifest_dict: dict[str, Any], key: str) -> None:
    *parents, last = key.split(".")
    part = manifest_dict
    for parent in parents:
        part = part[parent]
    del part[last]
    with pytest.raises(BadModel, match=rf"manifest key {key}(\.\w+)? is missing"):
        Manifest.from_dict(manifest_dict)


def test_renamed_classes_are_refused(manifest_dict: dict[str, Any]) -> None:
    manifest_dict["classes"][0]["name"] = "street"
    with pytest.raises(BadModel, match="manifest key classes is"):
        Manifest.from_dict(manifest_dict)


def test_a_newer_schema_asks_for_an_update(manifest_dict: dict[str, Any]) -> None:
    manifest_dict["schema_version"] = 2
    with pytest.raises(BadModel, match=r"schema 2 is newer.*update mic-adapt"):
        Manifest.from_dict(manifest_dict)


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"'])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(BadModel, match=r"not (JSON|a JSON object)"):
        Manifest.from_json(text)
