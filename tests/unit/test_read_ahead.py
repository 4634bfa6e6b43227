"""Workers: what they need of shared memory is asked before, and nothing that befalls them lets the step wait."""

from __future__ import annotations

import multiprocessing.process
import os
import shutil
import signal
import tempfile
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.data import read_ahead
from pipeline.data.loaders import Batch, TrainingBatches
from pipeline.data.read_ahead import AHEAD, IN_HAND, LONGEST_FOLDER, check_shared_memory, training_loader
from pipeline.edge.errors import UserError
from pipeline.params.train import Optimiser, Train

Usage = namedtuple("Usage", "total used free")


class Batches(TrainingBatches):
    """Blank batches of the real shape; `befall` happens in the worker before the fourth."""

    def __init__(self, befall: Any = None) -> None:
        self.befall = befall

    def __getitem__(self, step: int) -> Batch:
        if step == 3 and self.befall:
            self.befall()
        return blank(1, 32, 32) | {"source_files": [str(step)], "target_files": []}


def blank(batch: int, height: int, width: int) -> dict[str, Any]:
    return {
        "source_image": torch.zeros(batch, 3, height, width, dtype=torch.uint8),
        "source_label": torch.zeros(batch, height, width, dtype=torch.int64),
        "target_image": torch.zeros(batch, 3, height, width, dtype=torch.uint8),
        "target_valid": torch.zeros(batch, 1, height, width),
    }


def config(workers: int, batch_size: int = 1, crop: tuple[int, int] = (32, 32)) -> Train:
    return Train(steps=8, batch_size=batch_size, crop=crop, workers=workers, optimiser=Optimiser(lr=1.0))


def free_memory(monkeypatch: pytest.MonkeyPatch, free: float, folder: Path) -> None:
    monkeypatch.setattr(read_ahead, "SHARED_MEMORY", folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free, 0, free))


@given(st.integers(1, 8), st.integers(1, 16), st.sampled_from([32, 512, 1024]), st.sampled_from([32, 1024]))
def test_it_needs_what_the_batches_hold(workers: int, batch: int, height: int, width: int) -> None:
    one = sum(t.nbytes for t in blank(1, 32, 32).values()) / 32 / 32 * batch * height * width
    needed = one * (AHEAD * workers + IN_HAND)
    asked = config(workers, batch, (height, width))
    with pytest.MonkeyPatch.context() as patch:
        free_memory(patch, needed, Path("/"))
        check_shared_memory(asked)
        free_memory(patch, needed - 1, Path("/"))
        with pytest.raises(UserError, match=r"train\.workers \d+ .*set train\.workers: 0.*--shm-size"):
            check_shared_memory(asked)


def test_the_usual_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free_memory(monkeypatch, 64 * 2**20, tmp_path)
    with pytest.raises(UserError, match=r"64 MiB free .* needs 108 MiB"):
        training_loader(Batches(), config(1, 2, (512, 1024)))
    assert len(list(training_loader(Batches(), config(0, 2, (512, 1024))))) == 8


def test_a_system_without_that_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(read_ahead, "SHARED_MEMORY", tmp_path / "shm")
    check_shared_memory(config(128, 64, (1024, 1024)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_lost_in_the_meantime_is_its_own_sentence(workers: int) -> None:
    def lost() -> None:
        raise UserError("day/a.png does not exist")

    with pytest.raises(UserError, match=r"^day/a\.png does not exist$"):
        list(training_loader(Batches(lost), config(workers)))


def test_shared_memory_filled_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Tensor) -> Tensor:
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </x>: No space left on device (28)"
        )

    monkeypatch.setattr(Tensor, "share_memory_", full)
    with pytest.raises(UserError, match=r"No space left on device .*--shm-size"):
        list(training_loader(Batches(), config(1)))


def test_a_defect_in_a_worker_keeps_its_traceback() -> None:
    def defect() -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(training_loader(Batches(defect), config(1)))


def test_a_worker_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "LONGEST_WAIT", 2)
    with pytest.raises(UserError, match=r"no batch came for 2 s.*train\.workers: 0"):
        list(training_loader(Batches(lambda: time.sleep(600)), config(1)))


def test_a_worker_that_is_killed() -> None:
    # As a signal it may reach the main process anywhere; main_guard has the sentence for that.
    with pytest.raises((UserError, RuntimeError), match="DataLoader worker"):
        list(training_loader(Batches(lambda: os.kill(os.getpid(), signal.SIGKILL)), config(1)))


@pytest.mark.parametrize("letters", [LONGEST_FOLDER, LONGEST_FOLDER + 1, 300])
def test_a_temporary_folder_too_long_for_sockets_is_said_before(
    letters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as short:
        names = letters - len(short)
        folder = Path(short + ("/" + "x" * 199) * (names // 200) + "/" + "x" * (names % 200 - 1))
        folder.mkdir(parents=True)
        assert len(str(folder)) == letters
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        # What an earlier test made of the shorter one is kept for the process.
        kept: dict[str, object] = vars(multiprocessing.process.current_process())["_config"]
        monkeypatch.delitem(kept, "tempdir", raising=False)
        if letters > LONGEST_FOLDER:
            with pytest.raises(
                UserError, match=r"too long a path for the sockets .*: set TMPDIR to one of at most 75"
            ):
                list(training_loader(Batches(), config(1)))
        else:
            assert len(list(training_loader(Batches(), config(1)))) == 8
        monkeypatch.undo()
