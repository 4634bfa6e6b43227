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
from pipeline.evaluation.ablation_table import summary
from pipeline.params import load_params
from pipeline.workspace import Workspace

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
    return {"source": {"miou": source}, "target": block}


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
    assert rows["base"]["gain"] is None
    assert rows["better"]["per_class"]["road"] == pytest.approx(20)
    assert rows["better"]["conditions"] == {"night": pytest.approx([20, 20])}


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
    with pytest.raises(UserError, match=r"has no row 'mix': its rows are source_only, mic, all hidden"):
        ablation.main([str(write_grid(project / "small.yaml")), "--rows", "mix"])


@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.stem)
def test_grids_in_the_project_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parents[2])
    grid = ablation.load_grid(path)
    for row in grid.rows.values():
        load_params(grid.params, grid.set | row.set)
        assert row.against is None or row.against in grid.rows
