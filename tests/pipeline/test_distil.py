"""The distilled student: a network of its own, taught by the finished adapted one, then treated as any method."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pipeline import compare, evaluate, export, prepare, train
from pipeline.edge.errors import UserError
from pipeline.params import Params, load_params
from pipeline.run.workspace import Workspace

SMALL = {
    "architecture": "fpn",
    "encoder": "tu-mobilenetv4_conv_small_035",
    "decoder": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
}


def distilling(project: Path, **changes: object) -> Params:
    """The tiny project with a student of mic's."""
    path = project / "params.yaml"
    raw = yaml.safe_load(path.read_text()) | {
        "methods": ["source_only", "mic"],
        "students": ["distil"],
        "distil": {"network": SMALL, "teacher": "mic", "steps": 4},
    }
    raw["train"]["uda"]["start_step"] = 3  # the student need not wait: its teacher is finished
    path.write_text(yaml.safe_dump(raw | changes))
    return load_params()


def test_a_student_is_trained_scored_exported_and_compared(project: Path) -> None:
    params, workspace = distilling(project), Workspace()
    prepare.run(params, workspace)
    with pytest.raises(UserError, match=r"mic/student.safetensors does not exist: run .*--method mic"):
        train.run(params, workspace, "distil")
    for method in ("source_only", "mic", "distil"):
        assert train.run(params, workspace, method) == 0
        evaluate.run(params, workspace, method)
        export.run(params, workspace, method)

    small, average = load_file(workspace.weights("distil")), load_file(workspace.teacher_weights("distil"))
    assert {name: t.shape for name, t in small.items()} == {name: t.shape for name, t in average.items()}
    curve = workspace.dvclive("distil") / "plots" / "metrics" / "masked.tsv"
    assert [line.split("\t")[0] for line in curve.read_text().splitlines()] == ["step", "0", "2"]

    metrics = {m: json.loads(workspace.metrics(m).read_text()) for m in ("mic", "distil")}
    assert metrics["distil"]["teacher"].keys() == {"source", "target"}
    assert (
        0 < metrics["distil"]["target"]["label_free"]["teacher_agreement"] < 1
    )  # with the network that taught it
    assert metrics["distil"]["protocol"]["steps"] == 4
    manifests = {m: json.loads(workspace.manifest(m).read_text()) for m in ("mic", "distil")}
    assert manifests["distil"]["network"]["encoder"] == SMALL["encoder"]
    assert manifests["distil"]["network"]["parameters"] < manifests["mic"]["network"]["parameters"]
    assert "distil" in json.dumps(compare.run(params, workspace)["pairs"])


def test_a_student_that_begins_as_its_teacher(project: Path) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    narrow = raw["train"] | {"crop": [32, 64]}
    start = {"network": raw["network"] | {"shrink": 2}, "start": "teacher", "crop": [64, 64], "steps": 1}
    params, workspace = distilling(project, train=narrow, distil=start), Workspace()
    prepare.run(params, workspace)
    train.run(params, workspace, "mic")
    setup = train.set_up(params, workspace, "distil")
    assert setup.batches[0]["target_image"].shape[-2:] == (64, 64)
    student = setup.student.state_dict()
    adapted = load_file(workspace.weights("mic"))
    assert student.keys() == adapted.keys()
    assert all(torch.equal(student[name], tensor) for name, tensor in adapted.items())
    fresh = distilling(project, train=narrow, distil=start | {"start": "encoder"})
    ids = {train.run_fingerprint(p, workspace, "distil") for p in (params, fresh)}
    assert len(ids) == 2, "a checkpoint of the other start is not continued"


def test_a_student_continues_and_starts_afresh_with_another_teacher(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    params, workspace = distilling(project), Workspace()
    prepare.run(params, workspace)
    train.run(params, workspace, "mic")
    assert train.run(params, workspace, "distil") == 0
    whole = load_file(workspace.weights("distil"))

    checkpoint = workspace.checkpoints("distil") / "last.pt"
    checkpoint.unlink()
    save = train.save_checkpoint

    def killed(folder: Path, state: dict) -> None:
        save(folder, state)
        if state["step"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        train.run(params, workspace, "distil")
    monkeypatch.setattr(train, "save_checkpoint", save)
    capfd.readouterr()
    assert train.run(params, workspace, "distil") == 0
    assert "continuing at step 2" in capfd.readouterr().out
    again = load_file(workspace.weights("distil"))
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())

    workspace.weights("mic").write_bytes(workspace.teacher_weights("mic").read_bytes())
    train.run(params, workspace, "distil")
    assert "belongs to other params, data or code" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"distil": None}, r"students \[distil\] needs the block distil with a network"),
        ({"methods": ["source_only"]}, r"distil.teacher 'mic' is none of methods \['source_only'\]"),
        ({"students": ["small"]}, r"students.0 = 'small'"),
        (
            {"distil": {"network": SMALL, "techer": "mic"}},
            r"unknown key distil.techer, did you mean 'teacher'\?",
        ),
        (
            {"distil": {"network": SMALL, "start": "teacher"}},
            "distil.start `teacher` needs distil.network to have network's architecture",
        ),
    ],
)
def test_mistakes_are_one_sentence(project: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        distilling(project, **changes)


def test_a_student_needs_its_block(project: Path) -> None:
    params = distilling(project, students=[], distil=None)
    with pytest.raises(UserError, match="method distil needs the block distil with a network"):
        train.run(params, Workspace(), "distil")
