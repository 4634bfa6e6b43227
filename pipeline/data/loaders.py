"""Training batches: every step is a pure function of (seed, stream, step, rank), whatever the workers do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.data.augment import augment, source_augmentation, target_augmentation
from pipeline.data.formats import read_record_label
from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.images import enlarge_nearest, fit_size, resize_image
from pipeline.params import Params
from pipeline.randomness import Stream, step_seed

Batch = dict[str, Any]
"""One training step of one rank, B = train.batch_size, (h, w) = train.crop:

source_image uint8 (B, 3, h, w) RGB; source_label int64 (B, h, w), train ids, 255 ignored;
target_image uint8 (B, 3, h, w) RGB; target_valid float32 (B, 1, h, w), 0 where padded, else 1;
source_files, target_files: list of B file names.
"""


class TrainingBatches(Dataset[Batch]):
    """Map-style: item `step` is the whole batch of that step.

    Source and target pictures come in independent random orders, each picture once an epoch. Every picture is
    drawn by its place among all pictures of the run, so that two ranks with batch 1 see what one rank with
    batch 2 sees.
    """

    def __init__(
        self,
        source: Sequence[Record],
        target: Sequence[Record],
        params: Params,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.source = source
        self.target = target
        self.seed = params.seed
        self.size = params.data.size
        self.per_rank = params.train.batch_size
        self.rank = rank
        self.world = world
        self.data = params.data
        self.augment_source = source_augmentation(params.train.crop)
        self.augment_target = target_augmentation(params.train.crop)

    def __getitem__(self, step: int) -> Batch:
        first = (step * self.world + self.rank) * self.per_rank
        places = range(first, first + self.per_rank)
        sources = [self.source[shuffled(self.seed, Stream.SOURCE_ORDER, len(self.source), p)] for p in places]
        targets = [self.target[shuffled(self.seed, Stream.TARGET_ORDER, len(self.target), p)] for p in places]
        source = [self._source(record, place) for record, place in zip(sources, places, strict=True)]
        target = [self._target(record, place) for record, place in zip(targets, places, strict=True)]
        return {
            "source_image": _planes([image for image, _ in source]),
            "source_label": torch.from_numpy(np.stack([label for _, label in source]).astype(np.int64)),
            "target_image": _planes([image for image, _ in target]),
            "target_valid": torch.from_numpy(
                np.stack([valid for _, valid in target])[:, None].astype(np.float32)
            ),
            "source_files": [record.image for record in sources],
            "target_files": [record.image for record in targets],
        }

    def _source(self, record: Record, place: int) -> tuple[np.ndarray, np.ndarray]:
        if record.label is None:
            raise ValueError(f"source picture {record.image} has no label")  # prepare lets none pass
        size = fit_size(record.height, record.width, self.size)
        image = resize_image(read_picture(record.image), size)
        label = enlarge_nearest(read_record_label(record, self.data), size)
        return augment(self.augment_source, image, label, step_seed(self.seed, Stream.SOURCE_AUGMENT, place))

    def _target(self, record: Record, place: int) -> tuple[np.ndarray, np.ndarray]:
        size = fit_size(record.height, record.width, self.size)
        image = resize_image(read_picture(record.image), size)
        valid = np.ones(size, np.uint8)
        return augment(self.augment_target, image, valid, step_seed(self.seed, Stream.TARGET_AUGMENT, place))


def training_loader(
    source: Sequence[Record],
    target: Sequence[Record],
    params: Params,
    start_step: int = 0,
    rank: int = 0,
    world: int = 1,
) -> DataLoader[Batch]:
    """Batches of the steps start_step .. train.steps - 1 in order, read ahead by train.workers processes."""
    workers = params.train.workers
    return DataLoader(
        TrainingBatches(source, target, params, rank, world),
        batch_size=None,
        sampler=range(start_step, params.train.steps),
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_single_threaded,
    )


def shuffled(seed: int, stream: int, count: int, place: int) -> int:
    """Index of the picture at `place` in an endless sequence of random permutations of `count` pictures."""
    return int(_permutation(seed, stream, count, place // count)[place % count])


@lru_cache(maxsize=8)  # one epoch of both domains, and the next where a batch crosses over
def _permutation(seed: int, stream: int, count: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, stream, epoch)).permutation(count)


def _planes(images: list[np.ndarray]) -> torch.Tensor:
    """uint8 (B, h, w, 3) -> contiguous (B, 3, h, w)."""
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())


def _single_threaded(worker: int) -> None:
    # Each worker is one process already; libraries that thread inside it would fight for the cores.
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
