"""Training: every method learns, a killed run continues to the same weights, a changed one starts afresh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from pipeline import prepare, train
from pipeline.edge.errors import UserError
from pipeline.params import METHODS, load_params
from pipeline.params.uda import MaskMode
from pipeline.run.workspace import Workspace
from pipeline.training.checkpoint import save_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def edit(project: Path, **train_keys: object) -> None:
    """Change keys of the block `train` of params.yaml."""
    path = project / "params.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["train"] |= train_keys
    path.write_text(yaml.safe_dump(raw))


def weights(project: Path, method: str = "mic") -> dict[str, torch.Tensor]:
    return load_file(Workspace(project).weights(method))


def start(method: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pipeline.train", "--method", method]
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("method", [m for m in METHODS if m != "distil"])
def test_every_method_trains_and_writes_its_outputs(project: Path, method: str) -> None:
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    assert train.run(params, workspace, method) == 0
    assert workspace.weights(method).exists()
    student, average = (load_file(p) for p in (workspace.weights(method), workspace.teacher_weights(method)))
    assert any(not torch.equal(student[name], average[name]) for name in student)
    if method == "self_training":  # its own statistics only served to label
        assert all(torch.equal(student[n], average[n]) for n in student if n.endswith("running_mean"))
    curves = {p.stem for p in workspace.dvclive(method).rglob("*.tsv")}
    losses = {
        "source_only": {"source"},
        "self_training": {"source", "mixed"},
        "entropy_minimisation": {"source", "entropy"},
        "adversarial": {"source", "fooling"},
        "mic": {"source", "mixed", "masked"},
    }
    assert losses[method] <= curves
    assert not (set.union(*losses.values()) - losses[method]) & curves
    pictures = sorted((workspace.dvclive(method) / "pictures").glob("*.png"))
    assert [p.name for p in pictures] == ["step_000003.png", "step_000006.png"]
    panels = {"source_only": 3, "self_training": 8, "entropy_minimisation": 5, "adversarial": 5, "mic": 10}
    assert Image.open(pictures[0]).width == 64 * panels[method]


@pytest.mark.parametrize("mode", get_args(MaskMode))
def test_every_mask_mode_trains(project: Path, mode: str) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["train"] |= {"steps": 2, "uda": raw["train"]["uda"] | {"mask_mode": mode}}
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    assert train.run(params, workspace, "mic") == 0
    curve = "mixed.tsv" if mode == "mixed" else "masked.tsv"
    rows = (workspace.dvclive("mic") / "plots" / "metrics" / curve).read_text().splitlines()
    assert float(rows[-1].split("\t")[-1]) > 0


def tensors(state: Any) -> list[torch.Tensor]:
    """All tensors of a checkpoint, in order."""
    if isinstance(state, torch.Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]


EVERYTHING = {
    "rare_class_sampling": {"temperature": 0.5, "min_crop_share": 0.1},
    "darken": {"kind": "exposure", "stops": [1, 3]},
}
DAFORMER = {"feature_distance": {}, "margins": [0.1, 0.2, 0.05, 0.05], "teacher_flip": True}


@pytest.mark.parametrize(
    ("method", "uda"),
    [
        ("adversarial", {"start_step": 1}),
        ("mic", {"base": "adversarial", "curriculum": {"steps": 4}}),
        ("mic", {"base": "entropy_minimisation", "weighting": "class", "teacher_statistics": "averaged"}),
        ("mic", DAFORMER | {"mask_alpha": 0.5, "weighting": "pixel", "class_prior": 0.5}),
        ("mic", {"feature_distance": {"kind": "foundation", "weight": 0.1}}),
        ("mic", {"mask_mode": "complementary_aug", "mask_level": "channels", "source_aug": True}),
        (
            "mic",
            {"mask_mode": "mixed", "mask_ratio_start": 0.1, "mix_norms": "running", "ema_from": "first_step"},
        ),
    ],
)
def test_resumed_runs_end_with_the_same_weights(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, uda: dict
) -> None:
    # The frozen encoder of the feature distance is no part of a checkpoint: it must come back as it was.
    edit(
        project,
        steps=4,
        picture_every=0,
        uda={"tau": 0.2, "alpha": 0.9, "mask_block": 16} | uda,
        **EVERYTHING,
    )
    params = load_params()
    whole, broken = Workspace(tmp_path / "whole"), Workspace()
    for workspace in (whole, broken):
        prepare.run(params, workspace)
    assert train.run(params, whole, method) == 0

    def save_and_break(folder: Path, state: dict) -> None:
        save_checkpoint(folder, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "save_checkpoint", save_and_break)
        with pytest.raises(KeyboardInterrupt):
            train.run(params, broken, method)
    assert not broken.weights(method).exists()
    assert train.run(params, broken, method) == 0
    expected, found = load_file(whole.weights(method)), weights(project, method)
    assert all(torch.equal(expected[k], found[k]) for k in expected)
    states = [torch.load(w.checkpoints(method) / "last.pt", weights_only=True) for w in (whole, broken)]
    assert states[0]["step"] == 4
    expected, found = (tensors(state) for state in states)
    assert len(expected) == len(found)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_crop_larger_than_the_pictures_is_one_sentence(project: Path) -> None:
    edit(project, crop=[96, 96])
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    with pytest.raises(
        UserError, match=r"^train\.crop \[96, 96\] is larger than every source picture, 64x96"
    ):
        train.run(params, workspace, "source_only")


def test_classes_that_rare_class_sampling_leaves_out_are_named(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    edit(project, steps=1, rare_class_sampling={"min_share": 0.35})
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    train.run(params, workspace, "source_only")
    assert "rare class sampling leaves out sky" in capsys.readouterr().out


def test_source_loss_falls(project: Path) -> None:
    edit(project, steps=60, log_every=1, picture_every=0)
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    train.run(params, workspace, "source_only")
    rows = (
        (workspace.dvclive("source_only") / "plots" / "metrics" / "source.tsv").read_text().splitlines()[1:]
    )
    losses = [float(row.split("\t")[-1]) for row in rows]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_killed_run_continues_to_the_same_weights(project: Path, tmp_path: Path) -> None:
    edit(project, steps=40, checkpoint_every=4)
    params = load_params()
    whole, broken = Workspace(tmp_path / "whole"), Workspace()
    for workspace in (whole, broken):
        prepare.run(params, workspace)
    train.run(params, whole, "mic")

    process = start("mic")
    checkpoint = broken.checkpoints("mic") / "last.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    interrupted_at = torch.load(checkpoint, weights_only=True)["step"]
    assert 4 <= interrupted_at < 40
    assert not broken.weights("mic").exists()

    process = start("mic")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert f"continuing at step {interrupted_at}" in out
    expected, found = load_file(whole.weights("mic")), weights(project)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[k], found[k]) for k in expected)
    steps = [
        row.split("\t")[0]
        for row in (broken.dvclive("mic") / "plots/metrics/source.tsv").read_text().split("\n")
    ]
    assert len(steps) == len(set(steps))


def test_ctrl_c_saves_and_says_how_to_continue(project: Path) -> None:
    edit(project, steps=2000, checkpoint_every=1000, picture_every=0)
    prepare.run(load_params(), Workspace())
    process = start("source_only")
    curve = Workspace().dvclive("source_only") / "plots/metrics/source.tsv"
    deadline = time.monotonic() + 120
    while not curve.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command continues" in out
    assert "Traceback" not in err
    assert (Workspace().checkpoints("source_only") / "last.pt").exists()


def test_changed_params_start_afresh_and_cosmetic_ones_do_not(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    train.run(params, workspace, "source_only")
    edit(project, checkpoint_every=3)
    train.run(load_params(), workspace, "source_only")
    assert "continuing at step 6" in capsys.readouterr().out
    edit(project, batch_size=3)
    train.run(load_params(), workspace, "source_only")
    assert "belongs to other params, data or code" in capsys.readouterr().out


def test_broken_checkpoint_is_one_sentence(project: Path) -> None:
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    workspace.checkpoints("mic").mkdir(parents=True)
    (workspace.checkpoints("mic") / "last.pt").write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"last\.pt cannot be read .*delete it"):
        train.run(params, workspace, "mic")


def test_non_finite_loss_names_step_loss_and_files(project: Path) -> None:
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    # A rate that no params file may hold; pydantic copies without a check.
    steep = params.train.optimiser.model_copy(update={"lr": 1e30, "warmup_steps": 0})
    params = params.model_copy(update={"train": params.train.model_copy(update={"optimiser": steep})})
    with pytest.raises(UserError, match=r"step \d+: the loss 'source' is nan.*data/tiny/source"):
        train.run(params, workspace, "source_only")
    assert not workspace.weights("source_only").exists()


def test_weights_of_another_encoder_are_refused(project: Path, shared: Path) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["network"] |= {"weights": str(shared / "weights" / "mobilenetv2_100.timm.safetensors")}
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    params, workspace = load_params(), Workspace()
    prepare.run(params, workspace)
    with pytest.raises(UserError, match=r"of \d+ encoder tensors match \(\d+ %\).*another encoder"):
        train.run(params, workspace, "source_only")
