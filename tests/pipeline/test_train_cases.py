"""Reported situations in which training crashed, hung or spoilt another: one sentence, before anything is trained."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import ablation, prepare, train
from pipeline.edge.errors import UserError
from pipeline.params import load_params
from pipeline.run.stage import main_guard
from pipeline.run.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


def open_case(name: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a copy of a reported case the current folder, prepared."""
    folder = shared / "cases" / name
    if not folder.is_dir():
        pytest.skip(f"no case at {folder}")
    shutil.copytree(folder, tmp_path / "case", copy_function=shutil.copyfile)
    for path in [tmp_path / "case", *(tmp_path / "case").rglob("*")]:
        path.chmod(0o755)
    monkeypatch.chdir(tmp_path / "case")
    prepare.run(load_params(), Workspace())


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `python -m pipeline.train` says with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main_guard(lambda: train.main(arguments))
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("more", [[], ["--preflight"]])
@pytest.mark.parametrize("method", ["source_only", "mic"])
def test_batch_norm_over_one_value(
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
    more: list[str],
) -> None:
    open_case("10-deeplabv3plus-batch-1", shared, tmp_path, monkeypatch)
    said = refusal(capsys, "--method", method, *more)
    assert "deeplabv3plus" in said
    assert said.endswith("set train.batch_size to 2 or more\n")
    assert not list(Path().glob("checkpoints/*"))


def test_a_row_that_cannot_train_stops_an_ablation_before_the_first(project: Path) -> None:
    grid = {
        "params": "params.yaml",
        "rows": {
            "base": {"method": "source_only"},
            "wide": {"method": "mic", "set": {"network.architecture": "pan", "network.decoder": {}}},
        },
    }
    (project / "grid.yaml").write_text(yaml.safe_dump(grid))
    with pytest.raises(UserError, match=r"network pan .* raise train\.crop"):
        ablation.main(["grid.yaml"])
    assert {path.name for path in (project / "runs" / "grid").iterdir()} == {".locks"}


def small_shared_memory(*command: str) -> subprocess.CompletedProcess[str]:
    """A command where /dev/shm has 64 MB, as in a container."""
    mount = "mount -t tmpfs -o size=64m tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system of its own")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount}; exec "$@"', "sh", *command],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of Linux")
@pytest.mark.parametrize("more", [[], ["--preflight"]])
def test_64_mb_of_shared_memory(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    open_case("12-dev-shm-64-mb", shared, tmp_path, monkeypatch)
    ended = small_shared_memory(sys.executable, "-m", "pipeline.train", "--method", "source_only", *more)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "64 MiB free" in ended.stderr
    assert "set train.workers: 0" in ended.stderr
    assert "--shm-size" in ended.stderr
