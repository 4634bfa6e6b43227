"""Evaluate end to end on a handful of drawn pictures: what is written, what is null, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.index import Record, write_index
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import UserError
from pipeline.evaluate import run
from pipeline.evaluation.inference import predict
from pipeline.evaluation.scoring import spread
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.weights import save_weights
from pipeline.params import Params
from pipeline.params.data import SynthiaData
from pipeline.run.workspace import Workspace

PARAMS = Params.model_validate(
    {
        "methods": ["source_only", "mic"],
        "data": {
            "source": {"format": "scenes", "root": "data/scenes", "train": "a", "val": "b"},
            "target": {"format": "scenes", "root": "data/scenes", "train": "c", "val": "d"},
            "scenes": {
                "seed": 0, "height": 64, "width": 128,
                "source_train": 2, "source_val": 2, "target_train": 2, "target_val": 4,
            },
            "size": [64, 128],
        },
        "network": {
            "architecture": "fpn",
            "encoder": "tu-mobilenetv4_conv_small_050",
            "decoder": {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32},
        },
        "train": {"steps": 1, "batch_size": 2, "crop": [64, 128], "optimiser": {"lr": 1e-3}},
        "evaluate": {"pictures": 2, "bootstrap": 100},
    }
)  # fmt: skip


def add_pictures(
    root: Path, domain: str, split: str, conditions: list[str], labelled: bool = True
) -> list[Record]:
    """Draw a picture of noise for every condition: road below, sky above, a stripe without label."""
    records = []
    for i, condition in enumerate(conditions):
        stem = f"{domain}_{split}_{i}"
        rng = np.random.default_rng(len(stem) + i)
        image, label = root / f"{stem}.png", root / f"{stem}_label.png"
        Image.fromarray(rng.integers(0, 255, (70, 128, 3), np.uint8)).save(image)
        ids = np.full((70, 128), 10, np.uint8)
        ids[35:] = 0
        ids[:5] = 255
        Image.fromarray(ids).save(label)
        records.append(
            Record(
                str(image), str(label) if labelled else None, domain, split, condition, 70, 128, None, stem
            )
        )
    return records


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    write_index(workspace.index("source"), add_pictures(tmp_path, "source", "val", ["clear"] * 2))
    target = add_pictures(tmp_path, "target", "val", ["night", "fog", "night", "fog"])
    write_index(
        workspace.index("target"), target + add_pictures(tmp_path, "target", "train", ["night"], False)
    )
    for seed, path in enumerate((workspace.weights("mic"), workspace.teacher_weights("mic"))):
        torch.manual_seed(seed)
        save_weights(build_segmenter(PARAMS.network), path)
    return workspace


def test_scores_are_those_of_the_one_inference(workspace: Workspace) -> None:
    metrics = run(PARAMS, workspace, "mic", "cpu")
    assert json.loads(workspace.metrics("mic").read_text()) == metrics

    torch.manual_seed(0)
    network = build_segmenter(PARAMS.network).eval()
    right = labelled = 0
    hits, unions = np.zeros(19), np.zeros(19)
    for i in range(4):
        image = np.array(Image.open(workspace.root / f"target_val_{i}.png"))
        truth = np.array(Image.open(workspace.root / f"target_val_{i}_label.png"))
        classes = predict(network, image, size=PARAMS.data.size).classes
        known = truth != 255
        right, labelled = right + (classes == truth)[known].sum(), labelled + known.sum()
        for c in (0, 10):
            hits[c] += ((classes == c) & (truth == c)).sum()
            unions[c] += (known & ((classes == c) | (truth == c))).sum()
    target = metrics["target"]
    assert target["pixel_accuracy"] == pytest.approx(right / labelled, abs=1e-6)
    assert target["miou"] == pytest.approx((hits / np.maximum(unions, 1))[[0, 10]].mean(), abs=1e-6)
    assert target["per_class"]["road"] == pytest.approx(hits[0] / unions[0], abs=1e-6)
    assert target["per_class"]["car"] is None
    assert 0 <= target["ece"] <= 1
    assert 0 < target["mean_confidence"] <= 1
    assert set(target["conditions"]) == {"night", "fog"}
    assert set(metrics["source"]["conditions"]) == {"clear"}
    assert metrics["protocol"]["classes_in_mean"] == ["road", "sky"]
    assert metrics["protocol"]["images"] == {"source": 2, "target": 4}
    assert metrics["protocol"]["target_labels"] is True
    assert metrics["teacher"]["target"]["miou"] != target["miou"]
    assert metrics["protocol"]["network"] == "student, last step"

    swapped = run(PARAMS.model_copy(update={"ship": "teacher"}), workspace, "mic", "cpu")
    assert swapped["protocol"]["network"] == "teacher, last step"
    for domain in ("source", "target"):
        assert swapped[domain]["miou"] == metrics["teacher"][domain]["miou"]
        assert swapped["student"][domain]["miou"] == metrics[domain]["miou"]
    assert swapped["target"]["label_free"]["teacher_agreement"] == target["label_free"]["teacher_agreement"]


def test_a_synthia_protocol_takes_classes_out_of_the_mean_alone(workspace: Workspace) -> None:
    source = SynthiaData(format="synthia", root=Path("synthia"))
    params = PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update={"source": source})})
    write_index(workspace.index("source"), [])
    for i in range(4):
        path = workspace.root / f"target_val_{i}_label.png"
        ids = np.array(Image.open(path))
        ids[40:50] = 9  # terrain
        Image.fromarray(ids).save(path)
    everything = run(PARAMS, workspace, "mic", "cpu")["target"]
    metrics = run(params, workspace, "mic", "cpu")
    target = metrics["target"]
    assert metrics["protocol"]["classes_in_mean"] == ["road", "sky"]
    assert target["per_class"]["terrain"] is None
    assert target["per_class"]["road"] == everything["per_class"]["road"]
    road_and_sky = everything["per_class"]["road"] + everything["per_class"]["sky"]
    assert target["miou"] == pytest.approx(road_and_sky / 2, abs=1e-5)
    assert target["conditions"]["fog"]["per_class"]["terrain"] is None


def test_files_for_compare_and_dvc(workspace: Workspace) -> None:
    run(PARAMS, workspace, "mic", "cpu")
    stored = np.load(workspace.confusion("mic"))
    assert stored["target"].shape == (4, 19, 19)
    assert stored["source"].shape == (2, 19, 19)
    assert stored["target"].sum() == 4 * 65 * 128
    assert list(stored["target_conditions"]) == ["night", "fog", "night", "fog"]

    folder = workspace.pictures("mic")
    assert np.array(Image.open(folder / "confusion_target.png")).ndim == 3
    bars = json.loads((workspace.plots("mic") / "iou.json").read_text())
    assert {b["class"] for b in bars} == {"road", "sky"}
    curve = json.loads((workspace.plots("mic") / "reliability.json").read_text())
    assert sum(bin_["share"] for bin_ in curve) == pytest.approx(1)
    rows = json.loads((folder / "pictures.json").read_text())
    assert len(rows) == 4
    assert sorted(r["condition"] for r in rows if r["in_grid"]) == ["fog", "night"]
    for row in rows:
        classes = np.array(Image.open(folder / row["prediction"]))
        assert classes.shape == (70, 128)
        assert classes.max() < len(CLASSES)
    assert not [p for p in workspace.root.rglob("*") if "tmp" in p.name]


def test_a_second_run_leaves_nothing_of_the_first(workspace: Workspace) -> None:
    run(PARAMS, workspace, "mic", "cpu")
    (workspace.pictures("mic") / "predictions" / "stale.png").write_bytes(b"")
    run(PARAMS, workspace, "mic", "cpu")
    assert not (workspace.pictures("mic") / "predictions" / "stale.png").exists()


def test_without_target_labels_scores_are_null_and_confidence_is_not(workspace: Workspace) -> None:
    pictures = add_pictures(workspace.root, "target", "train", ["night"] * 3, labelled=False)
    write_index(workspace.index("target"), pictures)
    metrics = run(PARAMS, workspace, "mic", "cpu")
    target = metrics["target"]
    assert target["miou"] is None
    assert target["pixel_accuracy"] is None
    assert target["ece"] is None
    assert set(target["per_class"].values()) == {None}
    assert target["conditions"]["night"]["miou"] is None
    assert metrics["teacher"]["target"] == {"miou": None}
    assert 0 < target["label_free"]["teacher_agreement"] < 1
    assert 0 < target["label_free"]["masked_consistency"] < 1
    assert 0 < target["mean_confidence"] <= 1
    assert sum(target["class_shares"].values()) == pytest.approx(1, abs=1e-4)
    assert metrics["source"]["miou"] is not None
    assert metrics["protocol"]["target_labels"] is False
    assert metrics["protocol"]["target_split"] == "train"
    assert (workspace.pictures("mic") / "confusion_source.png").exists()
    assert np.load(workspace.confusion("mic"))["target"].shape == (0, 19, 19)


def test_missing_weights_name_the_command(workspace: Workspace) -> None:
    with pytest.raises(UserError, match=r"does not exist: run `.*--method source_only` first"):
        run(PARAMS, workspace, "source_only", "cpu")
    assert not workspace.metrics("source_only").exists()


def test_spread_shares_out_over_conditions() -> None:
    conditions = ["night"] * 20 + ["fog"] * 4 + ["rain"]
    records = [Record(str(i), None, "target", "val", c, 1, 1, None, "") for i, c in enumerate(conditions)]
    chosen = [conditions[i] for i in spread(records, 6)]
    assert {c: chosen.count(c) for c in set(chosen)} == {"night": 3, "fog": 2, "rain": 1}
    assert spread(records, 6)[:3] == [0, 6, 13]
    assert spread(records, 100) == list(range(25))
    assert spread([], 3) == []
