"""Preflight: says what a run will take, leaves a picture alone behind, and refuses what will not fit."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from pipeline import prepare, train
from pipeline.edge.errors import UserError
from pipeline.params import load_params
from pipeline.run.workspace import Workspace
from pipeline.training import preflight

ROOT = Path(__file__).resolve().parents[2]


def edit(project: Path, **train_keys: object) -> None:
    """Change keys of the block `train` of params.yaml."""
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["train"] |= train_keys
    (project / "params.yaml").write_text(yaml.safe_dump(raw))


@pytest.fixture
def prepared(project: Path) -> Path:
    prepare.run(load_params(), Workspace())
    return project


@pytest.mark.parametrize("workers", [0, 1])
def test_it_prints_what_the_run_will_take(
    prepared: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    edit(prepared, workers=workers, steps=1_000_000)
    capsys.readouterr()
    assert train.main(["--method", "mic", "--preflight"]) == 0
    out = capsys.readouterr().out
    for part in ("source │ train │ 6", "target │ train │ 5", "night 5", "96x64", "sky"):
        assert part in " ".join(out.split()).replace("┃", "│"), part
    assert 0.05 < float(re.findall(r"memory: ([\d.]+) GiB at the peak", out)[0]) < 10
    seconds, rate = map(float, re.findall(r"step: ([\d.]+) s, ([\d.]+) images/s", out)[0])
    assert seconds * rate == pytest.approx(4, rel=0.05)
    loader, ratio = map(float, re.findall(r"loader: ([\d.]+) images/s, ([\d.]+) times", out)[0])
    assert loader / rate == pytest.approx(ratio, abs=0.1, rel=0.05)
    hours, minutes, _ = map(int, re.findall(r"in (\d+):(\d\d):(\d\d) hours \(1000000 steps\)", out)[0])
    waits = 4 / loader
    expected = max(seconds, waits) if workers else seconds + waits
    assert hours + minutes / 60 == pytest.approx(expected * 1e6 / 3600, rel=0.1)
    if ratio != 1.5:  # as printed it may be either side
        assert (f"raise train.workers (now {workers}" in out) == (ratio < 1.5)


def test_a_slow_loader_names_the_key(
    prepared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    time_loader = preflight.time_loader
    monkeypatch.setattr(preflight, "time_loader", lambda *a: (*time_loader(*a)[:2], 1000.0))
    assert train.main(["--method", "source_only", "--preflight"]) == 0
    assert "raise train.workers (now 1" in capsys.readouterr().out


def test_it_leaves_a_picture_alone_behind_and_training_is_as_without_it(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = yaml.safe_load((prepared / "params.yaml").read_text())
    edit(prepared, steps=3, uda=raw["train"]["uda"] | {"start_step": 2, "feature_distance": {}})
    params, without = load_params(), Workspace(tmp_path / "without")
    prepare.run(params, without)
    assert train.run(params, without, "mic") == 0

    before = set(prepared.rglob("*"))
    assert train.main(["--method", "mic", "--preflight"]) == 0
    picture = Workspace().preflight("mic") / "step_000003.png"
    assert f"picture of the step: {picture}\n" in capsys.readouterr().out
    assert Image.open(picture).width == 64 * 10  # the masked ones too: the step has all losses
    assert {p for p in set(prepared.rglob("*")) - before if p.is_file()} == {prepared / picture}

    assert train.run(params, Workspace(), "mic") == 0
    expected, found = (load_file(w.weights("mic")) for w in (without, Workspace()))
    assert all(torch.equal(expected[k], found[k]) for k in expected)


SENTENCE = (
    r"^a training step needs (more than )?[\d.]+ GiB of memory and [\d.]+ GiB are there: lower train\.crop \[64, 64\], "
    r"train\.batch_size 2, or take a smaller network\.encoder than tu-mobilenetv4_conv_small_050$"
)


def test_a_peak_above_what_is_there_is_refused(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "available_gib", lambda: 0.01)
    monkeypatch.setattr(preflight, "data_limit", lambda there: torch.no_grad())
    with pytest.raises(UserError, match=SENTENCE):
        train.main(["--method", "mic", "--preflight"])
    assert not Workspace().preflight("mic").exists()


def test_an_allocation_that_fails_is_refused(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ...")

    monkeypatch.setattr(preflight, "train_step", fail)
    with pytest.raises(UserError, match=SENTENCE) as refusal:
        train.main(["--method", "mic", "--preflight"])
    assert 20 < float(re.findall(r"needs more than ([\d.]+)", str(refusal.value))[0]) < 30


def test_other_errors_pass(prepared: Path) -> None:
    with pytest.raises(RuntimeError, match="a mistake of ours"), preflight.enough_memory(load_params(), 100):
        raise RuntimeError("a mistake of ours")


@pytest.mark.skipif(
    sys.platform != "linux" or torch.cuda.is_available(), reason="the limit is of Linux on a CPU"
)
def test_too_much_memory_on_a_cpu_is_one_sentence_and_not_a_kill(prepared: Path) -> None:
    edit(prepared, batch_size=64)
    script = (
        "import psutil; from pipeline import train; from pipeline.training import preflight\n"
        "from pipeline.run.stage import main_guard\n"
        "preflight.available_gib = lambda: psutil.Process().memory_info().rss / 2**30 + 0.25\n"
        "main_guard(lambda: train.main(['--method', 'mic', '--preflight']))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    # Refused at the allocation or, where that came through, by the peak after the step.
    last = done.stderr.splitlines()[-1]
    assert re.match(
        r"error: a training step needs (more than )?[\d.]+ GiB of memory and [\d.]+ GiB are there", last
    )
    assert "Traceback" not in done.stderr


def test_the_limit_is_lifted_afterwards() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with preflight.data_limit(100):
        pass
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
