"""Training batches: every step is a pure function of (seed, stream, step, rank), whatever the workers do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.data.augment import augment, source_augmentation, target_augmentation
from pipeline.data.colour_match import Colours, colours
from pipeline.data.darken import night_like
from pipeline.data.formats import read_record_label
from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.data.rare_class_sampling import RareClasses
from pipeline.edge.errors import UserError
from pipeline.edge.images import enlarge_nearest, fit_size, resize_image
from pipeline.params import Params
from pipeline.params.uda import Curriculum
from pipeline.run.randomness import Stream, step_seed

Batch = dict[str, Any]
"""One training step of one rank, B = train.batch_size, (h, w) = train.crop:

source_image uint8 (B, 3, h, w) RGB; source_label int64 (B, h, w), train ids, 255 ignored;
target_image uint8 (B, 3, h, w) RGB; target_valid float32 (B, 1, h, w), 0 in margins and where padded, else 1;
source_files, target_files: list of B file names.
"""


class TrainingBatches(Dataset[Batch]):
    """Map-style: item `step` is the whole batch of that step.

    Source and target pictures come in independent random orders, each picture once an epoch. Two switches draw with
    replacement instead: rare class sampling source pictures, a curriculum target pictures while it runs. Every picture
    is drawn by its place among all pictures of the run, so that two ranks with batch 1 see what one rank with batch 2
    sees.
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
        self.curriculum = params.train.uda.curriculum
        self.target = sorted(target, key=lambda r: -r.grey) if self.curriculum else target
        self.seed = params.seed
        self.target_size = params.data.size
        self.source_size = params.train.source_size or params.data.size
        self.darken = params.train.darken
        self.margins = params.train.uda.margins
        self.per_rank = params.train.batch_size
        self.rank = rank
        self.world = world
        self.data = params.data
        self.augment_source = source_augmentation(params.train.crop)
        self.augment_target = target_augmentation(params.train.crop)
        sampling = params.train.rare_class_sampling
        self.rare = RareClasses(source, sampling, params.train.crop, params.seed) if sampling else None

    def __getitem__(self, step: int) -> Batch:
        places = self._places(step)
        sources = [self.source[self._source_index(p)] for p in places]
        targets = [self.target[self._target_index(step, p)] for p in places]
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

    def target_crops(self, step: int) -> torch.Tensor:
        """The target crops of one step alone, uint8 (B, 3, h, w)."""
        crops = [self._target(self.target[self._target_index(step, p)], p) for p in self._places(step)]
        return _planes([image for image, _ in crops])

    def _places(self, step: int) -> range:
        first = (step * self.world + self.rank) * self.per_rank
        return range(first, first + self.per_rank)

    def _source_index(self, place: int) -> int:
        if self.rare is not None:
            return self.rare.draw(place)[1]
        return shuffled(self.seed, Stream.SOURCE_ORDER, len(self.source), place)

    def _target_index(self, step: int, place: int) -> int:
        pool = curriculum_pool(self.curriculum, len(self.target), step)
        if pool < len(self.target):
            return step_seed(self.seed, Stream.TARGET_CURRICULUM, place) % pool
        return shuffled(self.seed, Stream.TARGET_ORDER, pool, place)

    def _source(self, record: Record, place: int) -> tuple[np.ndarray, np.ndarray]:
        if record.label is None:
            raise ValueError(f"source picture {record.image} has no label")  # prepare lets none pass
        size = fit_size(record.height, record.width, self.source_size)
        whole = resize_image(read_picture(record.image), size)
        whole_label = enlarge_nearest(read_record_label(record, self.data), size)
        if self.darken is not None:
            seed = step_seed(self.seed, Stream.SOURCE_DARKEN, place)
            whole = night_like(whole, whole_label, self.darken, seed, self._target_colours)

        def crop(seed: int) -> tuple[np.ndarray, np.ndarray]:
            return augment(self.augment_source, whole, whole_label, seed)

        if self.rare is not None:
            return self.rare.crop(place, crop)
        return crop(step_seed(self.seed, Stream.SOURCE_AUGMENT, place))

    def _target_colours(self, rng: np.random.Generator) -> Colours:
        record = self.target[int(rng.integers(len(self.target)))]
        return picture_colours(record.image, fit_size(record.height, record.width, self.target_size))

    def _target(self, record: Record, place: int) -> tuple[np.ndarray, np.ndarray]:
        size = fit_size(record.height, record.width, self.target_size)
        image = resize_image(read_picture(record.image), size)
        valid = trusted(record.height, record.width, self.margins, size)
        return augment(self.augment_target, image, valid, step_seed(self.seed, Stream.TARGET_AUGMENT, place))


@lru_cache(maxsize=4096)
def picture_colours(path: str, size: tuple[int, int]) -> Colours:
    """Those of a picture file, fitted to `size`."""
    return colours(resize_image(read_picture(path), size))


def check_crop(crop: tuple[int, int], size: tuple[int, int], domain: str, records: Sequence[Record]) -> None:
    """Raises UserError where the training crop is larger than every picture of a domain, fitted to `size`."""
    fitted = {fit_size(record.height, record.width, size) for record in records}
    if fitted and not any(crop[0] <= height and crop[1] <= width for height, width in fitted):
        height, width = max(fitted, key=math.prod)
        raise UserError(
            f"train.crop {list(crop)} is larger than every {domain} picture, {height}x{width} when fitted to "
            f"{list(size)}: lower train.crop or raise data.size (for source pictures train.source_size)"
        )


@lru_cache(maxsize=8)
def trusted(
    height: int, width: int, margins: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """1 within the margins of a height x width picture, else 0, fitted to `size` by nearest: uint8 (*size).

    margins: shares of the picture at the top, bottom, left and right (section 1.1, high resolution).
    """
    top, bottom, left, right = margins
    valid = np.zeros((height, width), np.uint8)
    rows = slice(round(top * height), height - round(bottom * height))
    valid[rows, round(left * width) : width - round(right * width)] = 1
    return enlarge_nearest(valid, size)


def curriculum_pool(curriculum: Curriculum | None, count: int, step: int) -> int:
    """How many of `count` target pictures, brightest first, may be drawn in `step` (from 0)."""
    if curriculum is None:
        return count
    grown = min(step / curriculum.steps, 1)
    return math.ceil(count * (curriculum.start_share + (1 - curriculum.start_share) * grown))


def shuffled(seed: int, stream: int, count: int, place: int) -> int:
    """Index of the picture at `place` in an endless sequence of random permutations of `count` pictures."""
    return int(_permutation(seed, stream, count, place // count)[place % count])


@lru_cache(maxsize=8)  # one epoch of both domains, and the next where a batch crosses over
def _permutation(seed: int, stream: int, count: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, stream, epoch)).permutation(count)


def _planes(images: list[np.ndarray]) -> torch.Tensor:
    """uint8 (B, h, w, 3) -> contiguous (B, 3, h, w)."""
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())
