"""Compare on fabricated evaluations: the contract, and the words when MIC wins, loses or has no labels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import compare, evaluate
from pipeline.data.index import Record, write_index
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import UserError
from pipeline.evaluation.inference import Prediction
from pipeline.evaluation.scoring import Scores, domain_metrics
from pipeline.params import Params
from pipeline.run.workspace import Workspace

CONDITIONS = ["night", "fog"] * 4
HEIGHT, WIDTH = 32, 64


def params_for(*methods: str) -> Params:
    scenes = {"format": "scenes", "root": "data/scenes", "train": "a", "val": "b"}
    drawing = {
        "seed": 0,
        "height": 64,
        "width": 64,
        "source_train": 2,
        "source_val": 1,
        "target_train": 2,
        "target_val": 2,
    }
    return Params.model_validate(
        {
            "methods": methods,
            "data": {"source": scenes, "target": scenes, "scenes": drawing, "size": [HEIGHT, WIDTH]},
            "network": {"architecture": "fpn", "encoder": "resnet18"},
            "train": {"steps": 7, "batch_size": 2, "crop": [32, 32], "optimiser": {"lr": 1e-3}},
            "evaluate": {"pictures": 4, "bootstrap": 200},
        }
    )


def truth(i: int) -> np.ndarray:
    """Sky over road with a car; 255 at the top."""
    label = np.full((HEIGHT, WIDTH), 10, np.uint8)
    label[14:] = 0
    label[14:24, 5 + i : 25 + i] = 13
    label[:2] = 255
    return label


def fabricate(workspace: Workspace, wrong: dict[str, int], labelled: bool = True) -> Params:
    """Evaluations of methods that take about `wrong` rows of every picture, from below, for terrain."""
    rng = np.random.default_rng(0)
    params = params_for(*wrong)
    records: dict[str, list[Record]] = {"source": [], "target": []}
    for domain, conditions in (("source", ["clear"] * 3), ("target", CONDITIONS)):
        for i, condition in enumerate(conditions):
            image, label = (workspace.root / f"{domain}_{i}{end}.png" for end in ("", "_label"))
            Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(image)
            Image.fromarray(truth(i)).save(label)
            known = str(label) if labelled or domain == "source" else None
            records[domain].append(
                Record(str(image), known, domain, "val", condition, HEIGHT, WIDTH, None, "")
            )
        write_index(workspace.index(domain), records[domain])
    for method, rows in wrong.items():
        kept = evaluate.Kept(workspace.pictures(method), records["target"], params.evaluate.pictures)
        scores = {"source": Scores(), "target": Scores()}
        for domain, shift in (("source", 0), ("target", rows)):
            for i, record in enumerate(records[domain]):
                classes = truth(i)
                classes[classes == 255] = 10
                classes[HEIGHT - shift - (i % 3 if shift else 0) :] = 9
                prediction = Prediction(
                    classes, np.full((HEIGHT // 4, WIDTH // 4), 0.5 + rows / 100, np.float32)
                )
                scores[domain].add(record, prediction, truth(i) if record.label else None)
                if domain == "target":
                    kept.add(record, prediction)
        source, target = scores["source"], scores["target"]
        metrics = {
            "source": domain_metrics(source),
            "target": domain_metrics(target),
            "protocol": evaluate.protocol(params, source, target, records["target"], torch.device("cpu")),
        }
        metrics["target"]["label_free"] = {"teacher_agreement": None, "masked_consistency": 0.4321}
        evaluate.write(workspace, method, metrics, source, target, kept)
    return params


def page_of(workspace: Workspace) -> str:
    return (workspace.report_dir / "index.html").read_text(encoding="utf-8")


def test_contract_and_numbers(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    params = fabricate(workspace, {"source_only": 12, "mic": 3})
    result = compare.run(params, workspace)
    assert json.loads(workspace.compare.read_text()) == result
    assert (result["baseline"], result["method"]) == ("source_only", "mic")

    before, after = (json.loads(workspace.metrics(m).read_text()) for m in ("source_only", "mic"))
    target = result["target"]
    assert target["miou_gain"] == pytest.approx(after["target"]["miou"] - before["target"]["miou"], abs=2e-6)
    assert 0 < target["miou_gain_ci95"][0] < target["miou_gain"] < target["miou_gain_ci95"][1]
    assert list(target["per_class_gain"]) == [c.name for c in CLASSES]
    assert target["per_class_gain"]["road"] > 0
    assert target["per_class_gain"]["terrain"] is None  # predicted, but nowhere labelled
    assert set(target["conditions"]) == {"night", "fog"}
    for name, part in target["conditions"].items():
        gain = after["target"]["conditions"][name]["miou"] - before["target"]["conditions"][name]["miou"]
        assert part["miou_gain"] == pytest.approx(gain, abs=2e-6)
        assert part["miou_gain_ci95"][0] <= part["miou_gain"] <= part["miou_gain_ci95"][1]
    assert result["source"] == {"miou_gain": 0.0, "miou_gain_ci95": [0.0, 0.0]}
    assert result["label_free"]["mean_confidence"] == pytest.approx({"source_only": 0.62, "mic": 0.53})
    assert result["label_free"]["changed_share"] == pytest.approx(9 / HEIGHT)
    first = workspace.compare.read_bytes()
    compare.run(params, workspace)
    assert workspace.compare.read_bytes() == first


def test_report_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    result = compare.run(fabricate(workspace, {"source_only": 12, "mic": 3}), workspace)
    page = page_of(workspace)
    assert "http" not in page
    assert "//" not in re.sub(r"base64,[^']*", "", page)
    sources = re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"'\s>]{0,20})", page)
    assert len(sources) > 4 * 4
    assert all(s.startswith("data:") for s in sources)
    assert "$" not in re.sub(r"base64,[^']*", "", page)
    assert f"{100 * result['target']['miou_gain']:+.1f}" in page
    low, high = result["target"]["miou_gain_ci95"]
    assert f"{100 * low:+.1f} to {100 * high:+.1f}" in page
    assert "Adaptation helps: MIC raises the score on fog and night pictures from" in page
    assert "drawn by a program" in page
    assert {p.name for p in workspace.report_dir.iterdir()} == {
        "index.html",
        "grid.png",
        "confusion_change.png",
    }
    assert np.array(Image.open(workspace.report_dir / "grid.png")).shape[1] > 4 * 400


def test_a_loss_is_called_a_loss(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    result = compare.run(fabricate(workspace, {"source_only": 3, "mic": 12}), workspace)
    assert result["target"]["miou_gain_ci95"][1] < 0
    page = page_of(workspace)
    assert "Adaptation hurts here: MIC lowers the score" in page
    assert "Keep the source-only model" in page
    assert "Adaptation helps" not in page
    assert "Most lost: road" in page


def test_equal_models_are_no_clear_difference(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    result = compare.run(fabricate(workspace, {"source_only": 6, "mic": 6}), workspace)
    assert result["target"]["miou_gain"] == 0
    assert result["label_free"]["changed_share"] == 0
    assert "No clear difference" in page_of(workspace)
    assert "No class gained. No class lost." in page_of(workspace)


def test_without_target_labels_nothing_is_zero_and_no_score_is_shown(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    params = fabricate(workspace, {"source_only": 12, "mic": 3}, labelled=False)
    result = compare.run(params, workspace)
    target = result["target"]
    assert target["miou_gain"] is None
    assert target["miou_gain_ci95"] is None
    assert set(target["per_class_gain"].values()) == {None}
    assert {part["miou_gain"] for part in target["conditions"].values()} == {None}
    assert result["source"]["miou_gain"] == 0
    page = page_of(workspace)
    assert "same when hidden" in page
    assert ">43.2<" in page
    assert "the two agree" not in page
    assert "No score can be given: these fog and night pictures have no labels." in page
    assert "another class than source-only" in page
    assert "28\N{NO-BREAK SPACE}%" in page  # 9 of 32 rows
    for claim in ("Adaptation helps", "Adaptation hurts", "points of 100", "ground truth"):
        assert claim not in page


def test_a_third_method_is_compared_with_both(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    params = fabricate(workspace, {"source_only": 12, "self_training": 8, "mic": 3})
    result = compare.run(params, workspace)
    pairs = {(p["method"], p["baseline"]): p["miou_gain"] for p in result["pairs"]}
    assert set(pairs) == {("mic", "source_only"), ("self_training", "source_only"), ("mic", "self_training")}
    whole = pairs["self_training", "source_only"] + pairs["mic", "self_training"]
    assert pairs["mic", "source_only"] == pytest.approx(whole, abs=3e-6)
    assert "MIC minus self-training" in page_of(workspace)


def test_what_is_missing_is_named_with_the_command(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    params = fabricate(workspace, {"source_only": 12, "mic": 3})
    workspace.metrics("mic").unlink()
    with pytest.raises(
        UserError, match=r"mic\.json does not exist: run `python -m pipeline\.evaluate --method mic`"
    ):
        compare.run(params, workspace)
    with pytest.raises(UserError, match="comparing needs source_only and one more"):
        compare.run(params_for("source_only"), workspace)
    assert not workspace.compare.exists()


def test_evaluations_of_other_pictures_are_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    params = fabricate(workspace, {"source_only": 12, "mic": 3})
    stored = dict(np.load(workspace.confusion("mic")))
    stored["target_images"] = stored["target_images"][::-1]
    np.savez(workspace.confusion("mic"), **stored)
    with pytest.raises(UserError, match="different pictures"):
        compare.run(params, workspace)
