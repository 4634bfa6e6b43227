"""result.schema.json: it describes every kind of JSON line that the CLI prints or saves, key by key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from clips import write_clip
from PIL import Image
from servers import Faults, web

from pipeline.edge.classes import CLASSES
from pipeline.edge.cli import main
from pipeline.edge.providers import PROVIDERS

SCHEMA = json.loads((files("pipeline.edge") / "result.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
KINDS = [entry["$ref"].removeprefix("#/$defs/") for entry in SCHEMA["oneOf"]]
ALL = "overlay,index,confidence,json,polygons,coco"


def kinds_of(line: dict[str, Any]) -> list[str]:
    """The kinds that a line is; sound is one."""
    return [
        kind
        for kind in KINDS
        if jsonschema.Draft202012Validator(SCHEMA | {"oneOf": [{"$ref": f"#/$defs/{kind}"}]}).is_valid(line)
    ]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return SCHEMA["$defs"][name] | schema if name else schema


def undescribed(value: object, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Keys that the schema does not describe; what has propertyNames has its names there."""
    if not isinstance(value, dict):
        return
    schema = resolved(schema)
    for key, inner in value.items():
        known = resolved(schema.get("properties", {}).get(key, {}))
        if known.get("description"):
            yield from undescribed(inner, known, f"{path}{key}.")
        elif "propertyNames" not in schema:
            yield f"{path}{key}"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> list[dict[str, Any]]:
    """All that mic-edge prints and saves of good and bad pictures, videos and streams, and of a bench."""
    folder = tmp_path_factory.mktemp("lines")
    inputs, out = folder / "in", folder / "out"
    inputs.mkdir()
    Image.new("RGB", (60, 40), (250, 0, 0)).save(inputs / "a.png")
    Image.new("L", (60, 40)).save(
        inputs / "two.gif", save_all=True, append_images=[Image.new("L", (60, 40), 9)]
    )
    (inputs / "text.png").write_text("no picture")
    whole = write_clip(inputs / "b.mp4", range(0, 400, 40), audio="aac")
    (inputs / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (inputs / "stub.mp4").write_bytes(whole.read_bytes()[:40])
    (inputs / "text.mp4").write_text("no video")
    Image.fromarray(np.eye(64, 96) * 255).convert("L").save(folder / "mask.png")
    faults = Faults()
    options = ["--out", str(out), "--save", ALL, "--reconnect", "0", "--segment", "0.3", "--threads", "1"]
    printed: list[str] = []
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("pipeline.edge.progress.write_line", printed.append)
        patch.setattr("pipeline.edge.cli.write_line", lambda text: printed.extend(text.splitlines()))
        address = stack.enter_context(web(inputs, faults))
        named = [str(inputs), f"{address}/b.mp4", f"{address}/none.mp4"]
        assert main(["predict", *named, "--model", str(tiny_model), *options]) == 5
        faults.cut_after = [15]
        assert main(["predict", f"{address}/live.mjpeg", "--model", str(tiny_model), *options]) == 5
        masked = ["--out", str(out / "masked"), "--ignore", str(folder / "mask.png"), "--segment", "0.3"]
        faults.cut_after = [15]
        named = [f"{address}/live.mjpeg", str(inputs / "a.png"), str(whole)]
        assert main(["predict", *named, "--model", str(tiny_model), "--reconnect", "0", *masked]) == 5
        bench = ["bench", str(tiny_model), str(tiny_model), "--runs", "2", "--size", "32x64", "--json"]
        assert main([*bench, "--threads", "1"]) == 0
        assert main([*bench]) == 0
    saved = [
        p.read_text() for p in out.glob("[!.]*.json*") if not p.name.endswith(("_rle.json", "coco.json"))
    ]
    return [json.loads(line) for text in ("\n".join(printed), *saved) for line in text.splitlines()]


def test_it_is_a_sound_schema_in_the_package() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_line_is_of_one_kind_and_every_kind_occurs(lines: list[dict[str, Any]]) -> None:
    found = {str(kinds_of(line)): line for line in lines}
    assert sorted(found) == sorted(str([kind]) for kind in KINDS), found
    for line in lines:
        VALIDATOR.validate(line)


def test_every_key_is_described(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        (kind,) = kinds_of(line)
        assert not list(undescribed(line, SCHEMA["$defs"][kind])), line


def test_every_described_key_occurs(lines: list[dict[str, Any]]) -> None:
    for kind in KINDS:
        seen = {key for line in lines if kinds_of(line) == [kind] for key in line}
        assert seen == set(SCHEMA["$defs"][kind]["properties"]), kind


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_required_may_not_be_missing_nor_of_another_type(
    lines: list[dict[str, Any]], kind: str
) -> None:
    line = next(line for line in lines if kinds_of(line) == [kind])
    for key in SCHEMA["$defs"][kind]["required"]:
        assert kind not in kinds_of({k: v for k, v in line.items() if k != key}), key
        for wrong in ([], {"road": 5}, -1):
            assert not VALIDATOR.is_valid(line | {key: wrong}), (key, wrong)
    assert VALIDATOR.is_valid(line | {"a_later_key": 1})


def test_names_are_those_of_the_code() -> None:
    assert SCHEMA["$defs"]["classes"]["propertyNames"]["enum"] == [c.name for c in CLASSES]
    assert SCHEMA["$defs"]["bench"]["properties"]["provider"]["enum"] == list(PROVIDERS)
