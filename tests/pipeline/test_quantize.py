"""Variants: each is a file of the contract, judged through onnxruntime, and not kept where it loses too much."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from graph_rules import broken_rules
from onnx import TensorProto, numpy_helper
from tiny import write_project

from pipeline import benchmark, evaluate, export, prepare, quantize, train
from pipeline.bench import inference, memory, models, training
from pipeline.data.index import read_index, write_index
from pipeline.data.pictures import read_picture
from pipeline.edge.checksum import graph_sha256
from pipeline.edge.errors import UserError
from pipeline.edge.runtime import Segmenter, find_models
from pipeline.onnx.variants import int8, latency
from pipeline.onnx.variants.graph import network_nodes
from pipeline.params import Params, load_params
from pipeline.run.workspace import Workspace

TAIL = {"Transpose", "Sub", "Div", "Exp", "Greater", "ReduceMax", "Round"}  # outside the network

NETWORK = {
    "architecture": "fpn",
    "encoder": "tu-test_resnet",
    "decoder": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """source_only trained for a few steps, evaluated and exported; the tests run in its folder."""
    root = tmp_path_factory.mktemp("project")
    write_project(root, network=NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        params, workspace = load_params(), Workspace()
        prepare.run(params, workspace)
        train.run(params, workspace, "source_only")
        evaluate.run(params, workspace, "source_only")
        export.run(params, workspace, "source_only")
        yield workspace


CALIBRATED_ON: list[str] = []


@pytest.fixture(scope="module")
def summary(exported: Workspace) -> Iterator[dict[str, Any]]:
    """What the stage says, with so large a budget that no variant is refused."""

    def spied(path: str) -> np.ndarray:
        CALIBRATED_ON.append(path)
        return read_picture(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "ROUNDS", 2)
        patch.setattr(int8, "read_picture", spied)
        params = with_export(int8={"budget_points": 100, "calibration_images": 3}, fp16_agreement=0.5)
        yield quantize.run(params, exported, "source_only")


def with_export(**changes: Any) -> Params:
    return load_params(changes={f"export.{key}": value for key, value in changes.items()})


def test_every_variant_is_a_file_of_the_contract(exported: Workspace, summary: dict[str, Any]) -> None:
    folder = exported.onnx("source_only").parent
    names = [f"source_only.{variant}" for variant in ("fixed", "fp16", "int8")]
    assert list(find_models(folder)) == ["source_only", *names], "fp32 first, nothing half-written"
    image = read_picture(read_index(exported.index("target"))[0].image)
    for name in names:
        model = Segmenter(folder / f"{name}.onnx")
        assert broken_rules(model.path) == []
        raw = model.manifest.raw
        assert raw == json.loads((folder / f"{name}.json").read_text())
        assert (raw["name"], raw["method"], raw["parity"]) == (name, "source_only", None)
        assert raw["hashes"]["onnx"] == graph_sha256(folder / f"{name}.onnx")
        assert raw["variants"] == summary["variants"]
        assert raw["recommended"] == summary["recommended"]
        assert raw["quantisation"]["agreement_images"] == 4
        assert model.segment(image).classes.shape == image.shape[:2]


def test_the_table_has_a_row_for_each_file(exported: Workspace, summary: dict[str, Any]) -> None:
    rows = [row for row in summary["variants"] if row["provider"] == "cpu"]
    assert [row["precision"] for row in rows] == ["fp32", "int8", "fp16", "fp32, fixed size"]
    for row in rows:
        file = exported.onnx("source_only").with_name(row["file"])
        assert row["megabytes"] == pytest.approx(file.stat().st_size / 1e6, abs=0.05)
        assert row["p50_ms"] > 0
    assert rows[0]["agreement"] == 1.0
    assert rows[3]["agreement"] >= 0.999  # but for ties
    assert json.loads(exported.variants("source_only").read_text()) == summary
    assert summary["recommended"]["cpu"] in ("source_only", "source_only.int8", "source_only.fp16")
    assert summary["recommended"]["reason"]


@pytest.mark.floats
def test_onnx_scores_are_those_of_the_evaluation(exported: Workspace, summary: dict[str, Any]) -> None:
    torch_scores = json.loads(exported.metrics("source_only").read_text())["target"]
    assert summary["variants"][0]["target_miou"] == pytest.approx(torch_scores["miou"], abs=2e-3)
    fixed = Segmenter(exported.variant("source_only", "fixed")).manifest.metrics["target"]
    assert fixed is not None
    assert fixed["per_class"] == pytest.approx(torch_scores["per_class"], abs=5e-3)
    assert fixed["ece"] == pytest.approx(torch_scores["ece"], abs=2e-3)


def test_int8_is_per_channel_and_leaves_the_tail_in_float(
    exported: Workspace, summary: dict[str, Any]
) -> None:
    model = onnx.load(exported.variant("source_only", "int8"))
    made = {name: node for node in model.graph.node for name in node.output}
    in_int8 = {n.name for n in model.graph.node if any(is_dequantised(name, made) for name in n.input)}
    convolutions = {n.name for n in onnx.load(exported.onnx("source_only")).graph.node if n.op_type == "Conv"}
    assert in_int8 >= convolutions, "all of them: the budget holds without any in float"
    assert {n.op_type for n in model.graph.node} >= TAIL
    assert not TAIL & {n.op_type for n in model.graph.node if n.name in in_int8}
    scales = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    weights = [scales[f"{n.input[1].removesuffix('_DequantizeLinear_Output')}_scale"]
               for n in model.graph.node if n.op_type == "Conv"]  # fmt: skip
    assert all(scale.ndim == 1 for scale in weights)
    assert max(scale.size for scale in weights) > 1


def is_dequantised(name: str, made: dict[str, onnx.NodeProto]) -> bool:
    return name in made and made[name].op_type == "DequantizeLinear"


def test_fp16_keeps_the_tail_in_float32(exported: Workspace, summary: dict[str, Any]) -> None:
    path = exported.variant("source_only", "fp16")
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    inside = network_nodes(model, str(path))
    outside = [n for n in model.graph.node if n.name not in inside and n.op_type != "Cast"]
    assert {n.op_type for n in outside} >= TAIL
    for node in outside:
        assert TensorProto.FLOAT16 not in {types.get(name) for name in node.input}, node.name
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    assert all(types[n.output[0]] == TensorProto.FLOAT16 for n in convolutions)
    producers = {n.output[0]: n for n in model.graph.node}
    there_and_back = [
        n
        for n in model.graph.node
        if n.op_type == "Cast" and getattr(producers.get(n.input[0]), "op_type", "") == "Cast"
    ]
    assert there_and_back == [], "no rounding to fp16 between two float32 nodes"
    assert path.stat().st_size < 0.6 * exported.onnx("source_only").stat().st_size


def test_fixed_size_takes_one_picture_of_that_size(exported: Workspace, summary: dict[str, Any]) -> None:
    path = exported.variant("source_only", "fixed")
    graph = onnx.load(path).graph
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)]
    assert shapes == [[1, 64, 96, 3], [1, 64, 96], [1, 16, 24]]
    assert not [n for n in graph.node if n.op_type == "Shape"]
    model = Segmenter(path)
    assert model.manifest.fixed_size == (64, 96)
    upright = np.full((90, 40, 3), 80, np.uint8)
    assert model.prepare(upright).pixels.shape == (1, 64, 96, 3)
    assert model.segment(upright).classes.shape == (90, 40)
    free = Segmenter(exported.onnx("source_only"))
    assert free.manifest.fixed_size is None


def test_int8_is_calibrated_on_unlabelled_target_pictures(
    exported: Workspace, summary: dict[str, Any]
) -> None:
    train_pictures = {r.image for r in read_index(exported.index("target")) if r.split == "train"}
    assert len(CALIBRATED_ON) == 3, "once, however many files are tried"
    assert set(CALIBRATED_ON) <= train_pictures
    raw = Segmenter(exported.variant("source_only", "int8")).manifest.raw
    assert raw["quantisation"]["calibration_images"] == 3


def test_every_file_is_timed_against_torch_and_openvino(
    exported: Workspace, summary: dict[str, Any], tmp_path: Path
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text()) | {"methods": ["source_only"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    # A process of its own, as users run it: three runtimes and their threads in one.
    command = [sys.executable, "-m", "pipeline.bench.models", "--params", str(tmp_path / "params.yaml")]
    timed = subprocess.run([*command, "--size", "64x128"], capture_output=True, text=True, check=False)
    assert timed.returncode == 0, timed.stderr
    assert "source_only.int8.onnx" in timed.stdout
    report = json.loads((exported.root / "metrics" / "models.json").read_text())
    files = {row["file"]: row for row in report["files"]}
    assert set(files) == {"source_only.onnx", "source_only.int8.onnx"}
    assert set(files["source_only.onnx"]["p50_ms"]) == set(models.COLUMNS)
    assert set(files["source_only.int8.onnx"]["p50_ms"]) == set(models.COLUMNS) - {models.TORCH}
    assert all(row["pictures_a_second"] > 0 for row in files.values())
    assert files["source_only.onnx"]["target_miou"] == summary["variants"][0]["target_miou"]
    with pytest.raises(
        UserError, match=r"source_only.onnx: 64x100 is no multiple of its stride: choose another"
    ):
        models.run(load_params(tmp_path / "params.yaml"), exported, (64, 100))
    with pytest.raises(UserError, match=r"--size 64: write height x width"):
        models.main(["--size", "64"])


def test_benchmark_times_every_file(exported: Workspace, summary: dict[str, Any]) -> None:
    report = benchmark.run(load_params(), exported, "source_only")
    assert [row["file"] for row in report["files"]][:2] == ["source_only.onnx", "source_only.int8.onnx"]
    for row in report["files"]:
        assert 0 < row["network_p50_ms"] <= row["network_p90_ms"]
        assert 0 < row["end_to_end_p50_ms"] <= row["end_to_end_p90_ms"]
    assert json.loads(exported.latency("source_only").read_text()) == report
    exported.variant("source_only", "fp16").unlink()
    with pytest.raises(UserError, match=r"source_only\.fp16\.onnx does not exist: run .*pipeline\.quantize"):
        benchmark.run(load_params(), exported, "source_only")


def test_a_variant_that_loses_too_much_is_not_written(
    exported: Workspace, summary: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "MOST_MODULES", 3)
    stale = exported.variant("source_only", "int8")
    stale.touch()
    index = exported.index("target")
    before = index.read_bytes()
    records = read_index(index)
    try:
        unlabelled = [replace(record, label=None, pixels=None) for record in records]
        write_index(index, unlabelled)
        params = with_export(int8={"agreement": 1.0}, fp16_agreement=1.0)
        table = quantize.run(params, exported, "source_only")["variants"]
    finally:
        index.write_bytes(before)
    assert not stale.exists()
    row = next(row for row in table if row["precision"] == "int8")
    assert (row["p50_ms"], row["target_miou"]) == (None, None)
    assert "not written: with 2 of 3 modules in float it still keeps the fp32 class of" in row["note"]
    assert "below export.int8.agreement 1.0" in row["note"]
    assert list(find_models(stale.parent))[-1] != "source_only.int8"


def test_the_bench_measures_a_finished_workspace(
    exported: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "ROUNDS", 1)
    monkeypatch.setattr(training, "ROUNDS", 1)
    params = load_params(changes={"methods": ["source_only"]})
    rows = [*inference.rows(params, exported), *training.rows(params, exported)]
    assert [row.name for row in rows] == ["onnx_vs_torch", "evaluate", "mic_step", "loader"]
    assert all(row.ratio and row.ratio > 0 for row in rows)
    assert memory.peak_above("evaluate", 1, params, exported, None) >= 0


def test_what_is_missing_is_one_sentence(exported: Workspace) -> None:
    with pytest.raises(
        UserError, match=r"mic\.onnx does not exist: run `python -m pipeline\.export --method mic`"
    ):
        quantize.run(load_params(), exported, "mic")
    with pytest.raises(
        UserError, match=r"variants_mic\.json does not exist: run .*pipeline\.quantize --method mic"
    ):
        benchmark.run(load_params(), exported, "mic")
