"""Batches made ahead of the steps by worker processes, which hand them over in shared memory: never a silent wait."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from pipeline.data.loaders import Batch, TrainingBatches
from pipeline.edge.errors import UserError
from pipeline.params.train import Train

SHARED_MEMORY = Path("/dev/shm")
AHEAD = 4  # batches of each worker
IN_HAND = 2  # the batch of the step before and that of this one
PIXEL_BYTES = 3 + 8 + 3 + 4  # source and its label, target and what of it is valid
LONGEST_FOLDER = 75  # bytes of TMPDIR: a socket's path may have 107, and 32 are added
LONGEST_WAIT = 1800  # seconds for one batch: a sleeping disk wakes in less
FIX = "set train.workers: 0, lower train.batch_size or give a container more (--shm-size=2g)"


def training_loader(batches: TrainingBatches, config: Train, start_step: int = 0) -> Iterator[Batch]:
    """Batches of the steps start_step .. config.steps - 1 in order, read ahead by config.workers processes.

    Raises:
        UserError: shared memory is too small, TMPDIR too long a path, or the workers fail or fall silent.
    """
    workers = config.workers
    if workers:
        check_shared_memory(config)
        check_sockets()
    loader = DataLoader(
        _Handed(batches),
        batch_size=None,
        sampler=range(start_step, config.steps),
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_single_threaded,
        timeout=LONGEST_WAIT if workers else 0,
    )
    return _checked(loader) if workers else iter(loader)


def check_shared_memory(config: Train) -> None:
    """Raises UserError where the system tells how much shared memory is free, and it is less than workers fill."""
    if not SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    height, width = config.crop
    needed = (AHEAD * config.workers + IN_HAND) * config.batch_size * height * width * PIXEL_BYTES
    if needed > free:
        raise UserError(
            f"{SHARED_MEMORY} has {free / 2**20:.0f} MiB free and train.workers {config.workers} with train.batch_size "
            f"{config.batch_size} and train.crop {list(config.crop)} needs {needed / 2**20:.0f} MiB: {FIX}"
        )


def check_sockets() -> None:
    """Raises UserError where the workers' sockets, by which shared memory is handed over, get too long a path."""
    folder = tempfile.gettempdir()
    if (
        torch.multiprocessing.get_sharing_strategy() == "file_descriptor"
        and len(os.fsencode(folder)) > LONGEST_FOLDER
    ):
        raise UserError(
            f"the temporary folder {folder} is too long a path for the sockets of worker processes: set TMPDIR to one "
            f"of at most {LONGEST_FOLDER} bytes, or train.workers: 0"
        )


class _Handed(Dataset[Batch | UserError]):
    """Batches as they leave a worker: in shared memory, or as the sentence that says why there is none.

    torch would move them there behind the worker's back, where a failure is printed and the step waits for ever, and
    would raise the sentence as a traceback.
    """

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Batch | UserError:
        if get_worker_info() is None:
            return self.batches[step]
        try:
            batch = self.batches[step]
            for value in batch.values():
                if isinstance(value, Tensor):
                    value.share_memory_()
        except UserError as error:
            return error
        except RuntimeError as error:
            if "shared memory" not in str(error):
                raise
            return UserError(f"a worker finds no shared memory ({' '.join(str(error).split())}): {FIX}")
        return batch


def _checked(loader: DataLoader[Batch | UserError]) -> Iterator[Batch]:
    """The batches; what ends them ends in one sentence."""
    try:
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch
    except RuntimeError as error:
        said = str(error)
        if not said.startswith("DataLoader") or isinstance(error, UserError):
            raise
        if "timed out" in said:
            said = f"no batch came for {LONGEST_WAIT} s"
        raise UserError(
            f"the worker processes that read the pictures failed ({' '.join(said.split())}): look at the memory and "
            "the disk, or set train.workers: 0"
        ) from None


def _single_threaded(worker: int) -> None:
    # Each worker is one process already; libraries that thread inside it would fight for the cores.
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
