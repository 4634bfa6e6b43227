"""The ablation grid: rows differ by what the grid says, gains are seed by seed, mistakes are one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from pipeline import ablation, prepare, train
from pipeline.edge.errors import UserError
from pipeline.evaluation.ablation_table import interval, print_tables, summary
from pipeline.params import load_params
from pipeline.run.workspace import Workspace

GRIDS = sorted((Path(__file__).resolve().parents[2] / "profiles" / "ablations").glob("*.yaml"))


def write_grid(path: Path, **keys: object) -> Path:
    rows = {
        "source_only": {"method": "source_only"},
        "mic": {"method": "mic"},
        "all hidden": {"method": "mic", "set": {"train.uda.mask_ratio": 1.0}, "against": "mic"},
    }
    grid = {"params": "params.yaml", "seeds": [0, 1], "set": {"train.steps": 2}, "rows": rows} | keys
    path.write_text(yaml.safe_dump(grid, sort_keys=False))
    return path


def metrics(source: float, target: float | None) -> dict:
    block = {
        "miou": target,
        "per_class": {"road": target},
        "conditions": {"night": {"miou": target}},
        "mean_confidence": 0.5,
        "class_shares": {"road": 1.0},
        "label_free": {"teacher_agreement": None, "masked_consistency": 0.25},
    }
    training = {"seconds_per_step": 0.5, "memory_gib": 2.0}
    return {"source": {"miou": source}, "target": block, "training": training}


def test_a_grid_runs_every_row_and_seed_and_continues(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write_grid(project / "small.yaml")
    assert ablation.main([str(grid)]) == 0
    result = json.loads((project / "metrics" / "ablation_small.json").read_text())
    assert list(result["rows"]) == ["source_only", "mic", "all hidden"]
    assert result["steps"] == 2
    assert result["rows"]["all hidden"]["against"] == "mic"
    assert result["rows"]["mic"]["target"] != result["rows"]["all hidden"]["target"]
    for name, row in result["rows"].items():
        assert len(row["target"]) == 2
        assert (row["gain"] is None) == (name == "source_only")
        assert 0 < row["seconds_per_step"] < 60
        assert 0.01 < row["memory_gib"] < 30
    assert Image.open(project / "metrics" / "ablation_small.png").width > 300
    assert "all hidden" in capsys.readouterr().out
    # One prepare served all rows, and finished trainings are not repeated.
    assert len(list((project / "runs" / "small" / "data").iterdir())) == 1
    weights = Workspace(project / "runs" / "small" / "mic" / "seed1").checkpoints("mic") / "last.pt"
    before = weights.stat().st_mtime_ns
    assert ablation.main([str(grid), "--rows", "mic", "--seeds", "1"]) == 0
    assert weights.stat().st_mtime_ns == before


def test_steps_before_the_target_losses_are_trained_once(project: Path) -> None:
    steps = {"train.steps": 4, "train.uda.start_step": 2}
    distance = {"train.uda.feature_distance": {"weight": 1.0}}
    rows = {
        "source_only": {"method": "source_only"},
        "mic": {"method": "mic"},
        "DAFormer": {"method": "self_training", "set": distance},
        "DAFormer + MIC": {"method": "mic", "set": distance},
    }
    grid = write_grid(project / "late.yaml", seeds=[0], set=steps, rows=rows)
    assert ablation.main([str(grid)]) == 0
    begun = list((project / "runs" / "late" / "shared").iterdir())
    assert len(begun) == 2, "once without, once with the feature distance"
    checkpoints = [Workspace(folder).checkpoints("self_training") / "last.pt" for folder in begun]
    assert {torch.load(path, weights_only=True)["step"] for path in checkpoints} == {2}
    # Each row is to the bit what it is by itself.
    alone = Workspace(project / "alone")
    prepare.run(load_params(), alone)
    for folder, row in (("source_only", "source_only"), ("mic", "mic"), ("daformer_mic", "DAFormer + MIC")):
        method = str(rows[row]["method"])
        params = load_params(Path("params.yaml"), steps | {"train.threads": 1} | rows[row].get("set", {}))
        assert train.run(params, alone, method) == 0
        expected = load_file(alone.weights(method))
        found = load_file(Workspace(project / "runs" / "late" / folder / "seed0").weights(method))
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    # Asked again, it finds all of it done.
    before = [path.stat().st_mtime_ns for path in checkpoints]
    assert ablation.main([str(grid), "--rows", "mic", "DAFormer"]) == 0
    assert [path.stat().st_mtime_ns for path in checkpoints] == before


def test_gains_are_seed_by_seed() -> None:
    scores = {
        "base": [metrics(0.6, 0.1), metrics(0.6, 0.3)],
        "better": [metrics(0.5, 0.2), metrics(0.5, 0.2)],
    }
    rows = summary(scores, [0, 1], {"base": "base", "better": "base"})["rows"]
    assert rows["better"]["gain"] == pytest.approx([10, -10])
    assert rows["better"]["source_gain"] == pytest.approx([-10, -10])
    assert rows["better"]["source_gain_ci95"] == pytest.approx([-10, -10])
    assert rows["base"]["gain"] is None
    assert rows["better"]["per_class"]["road"] == pytest.approx(20)
    assert rows["better"]["conditions"] == {"night": pytest.approx([20, 20])}


def test_the_interval_of_paired_gains_is_students() -> None:
    """Against the textbook: sleep data of Student (1908), ten paired differences, mean 1.58, 0.70 to 2.46."""
    sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert interval(sleep) == pytest.approx((0.7001, 2.4599), abs=1e-4)
    assert interval([1.0]) is None
    assert interval(None) is None


def test_the_share_of_the_gap_lies_between_the_first_row_and_the_upper_bound() -> None:
    scores = {
        "source_only": [metrics(0.6, 0.1), metrics(0.6, 0.2)],
        "mic": [metrics(0.5, 0.3), metrics(0.5, 0.5)],
        "on target labels": [metrics(0.2, 0.6), metrics(0.2, 0.7)],
    }
    against = dict.fromkeys(scores, "source_only")
    rows = summary(scores, [0, 1], against, "on target labels")["rows"]
    assert [rows[name]["gap_closed"] for name in scores] == pytest.approx([0, 0.5, 1])
    assert all(row["gap_closed"] is None for row in summary(scores, [0, 1], against)["rows"].values())


def test_few_seeds_are_called_a_lead(capsys: pytest.CaptureFixture[str]) -> None:
    for seeds, lead in ((4, True), (5, False)):
        scores = {"base": [metrics(0.6, 0.1)] * seeds, "mic": [metrics(0.5, 0.3)] * seeds}
        print_tables(summary(scores, range(seeds), {"base": "base", "mic": "base"}, "mic"), "grid")
        shown = capsys.readouterr().out
        assert ("are a lead" in shown) == lead
        assert "+20.0 [+20.0, +20.0]" in shown


def test_without_labels_there_is_no_gain_but_evidence() -> None:
    scores = {"base": [metrics(0.6, None)], "mic": [metrics(0.5, None)]}
    row = summary(scores, [0], {"base": "base", "mic": "base"})["rows"]["mic"]
    assert row["gain"] is None
    assert row["target"] == [None]
    assert row["masked_consistency"] == [25]


def test_mistakes_are_one_sentence(project: Path) -> None:
    with pytest.raises(UserError, match=r"nothing.yaml does not exist: grids are in profiles/ablations/"):
        ablation.main(["nothing.yaml"])
    grid = write_grid(project / "small.yaml", row={})
    with pytest.raises(UserError, match=r"small.yaml: unknown key row, did you mean 'rows'\?"):
        ablation.main([str(grid)])
    grid = write_grid(project / "small.yaml", set={"train.uda.mask_ration": 0.5})
    with pytest.raises(UserError, match=r"unknown key train.uda.mask_ration, did you mean 'mask_ratio'\?"):
        ablation.main([str(grid)])
    with pytest.raises(UserError, match=r"upper: no row 'labels': the rows are source_only, mic, all hidden"):
        ablation.main([str(write_grid(project / "small.yaml", upper="labels"))])
    rows: dict[str, object] = {
        "source_only": {"method": "source_only"},
        "mic": {"method": "mic", "against": "bass"},
    }
    grid = write_grid(project / "small.yaml", rows=rows)
    with pytest.raises(UserError, match=r"row mic: against: no row 'bass': the rows are source_only, mic$"):
        ablation.main([str(grid)])
    with pytest.raises(UserError, match=r"has no row 'mix': its rows are source_only, mic, all hidden"):
        ablation.main([str(write_grid(project / "small.yaml")), "--rows", "mix"])


@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.stem)
def test_grids_in_the_project_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parents[2])
    grid = ablation.load_grid(path)
    for row in grid.rows.values():
        load_params(grid.params, grid.set | row.set)
        assert row.against is None or row.against in grid.rows
