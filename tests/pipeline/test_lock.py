"""The lock of a stage: a second run is refused and told who runs, a dead one blocks nobody."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pipeline import ablation, benchmark, compare, evaluate, export, prepare, quantize, submit, train
from pipeline.edge.errors import UserError
from pipeline.params import load_params
from pipeline.run.lock import alone
from pipeline.run.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from pipeline.run.lock import alone
from pipeline.run.workspace import Workspace
with alone(Workspace(Path(sys.argv[1])), sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""
MIC = ["--method", "mic"]
STAGES: list[tuple[Callable[[list[str]], int], list[str], str]] = [
    (prepare.main, [], "prepare"),
    (train.main, MIC, "train mic"),
    (evaluate.main, MIC, "evaluate mic"),
    (export.main, MIC, "export mic"),
    (quantize.main, MIC, "quantize mic"),
    (benchmark.main, MIC, "benchmark mic"),
    (submit.main, MIC, "submit mic"),
    (compare.main, [], "compare"),
]


def command(*arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def held(root: str, work: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that does the work."""
    with command("-c", HOLD, root, work) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("main", "arguments", "work"), STAGES, ids=[work for *_, work in STAGES])
def test_every_stage_is_refused_while_it_runs(
    project: Path, main: Callable[[list[str]], int], arguments: list[str], work: str
) -> None:
    before = {p for p in project.rglob("*") if p.is_file()}
    with held(".", work) as other:
        with pytest.raises(UserError) as caught:
            main(arguments)
        said = str(caught.value)
        assert said.startswith(f"{work} already runs in {project.resolve()} (process {other.pid} on ")
        assert said.endswith("wait for it, stop it, or work in another folder")
    written = {p for p in project.rglob("*") if p.is_file()} - before
    assert {p.parent.name for p in written} == {".locks"}


def test_an_ablation_is_refused_while_it_runs(project: Path) -> None:
    rows = {"base": {"method": "source_only"}}
    (project / "grid.yaml").write_text(yaml.safe_dump({"params": "params.yaml", "rows": rows}))
    with (
        held("runs/grid", "ablation"),
        pytest.raises(UserError, match=r"ablation already runs in .*runs/grid"),
    ):
        ablation.main(["grid.yaml"])


def test_two_trainings_at_once(project: Path) -> None:
    prepare.run(load_params(), Workspace())
    with held(".", "train source_only"):
        second = command("-m", "pipeline.train", "--method", "source_only")
        _, said = second.communicate(timeout=300)
        assert second.returncode == 2
        assert said.startswith("error: train source_only already runs in")
        assert said.count("\n") == 1
        with alone(Workspace(), "train mic"):
            pass  # as DVC allows it, another method may be trained beside it


def test_other_processes_of_one_run_do_not_block_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(train, "run", lambda *_: started.append(1) or 0)
    monkeypatch.setattr(train.rank_zero_only, "rank", 1)
    with held(".", "train mic"):
        assert train.main(MIC) == 0
    assert started


def test_a_killed_training_blocks_nobody(project: Path) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["train"] |= {"steps": 100_000, "checkpoint_every": 2, "workers": 2, "picture_every": 0}
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    prepare.run(load_params(), Workspace())
    first = command("-m", "pipeline.train", "--method", "source_only")
    checkpoint = Workspace().checkpoints("source_only") / "last.pt"
    deadline = time.monotonic() + 200
    while not checkpoint.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert first.poll() is None
    with (
        pytest.raises(UserError, match="train source_only already runs"),
        alone(Workspace(), "train source_only"),
    ):
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()  # its workers still live
    with alone(Workspace(), "train source_only"):
        pass
    first.communicate()


def test_a_disk_without_locks_is_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(self: object, **_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("pipeline.run.lock.FileLock.acquire", none)
    with alone(Workspace(), "train mic"):
        assert "on a disk without locks: start train mic once at a time" in capsys.readouterr().err
