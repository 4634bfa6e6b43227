"""Training batches with boxes: every step is a pure function of (seed, stream, step, rank)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.data.boxes.augment import Crop, augment_boxes
from pipeline.data.boxes.record import BoxRecord
from pipeline.data.loaders import shuffled
from pipeline.data.pictures import read_picture
from pipeline.params.detection_data import DetectionData
from pipeline.run.randomness import Stream, step_seed

Batch = dict[str, Any]
"""One training step of one rank, B pictures a domain, (h, w) the crop, N boxes in all of the source's pictures:

source_image, target_image uint8 (B, 3, h, w) RGB, padded at the bottom and right with the mean colour;
source_boxes float32 (N, 4), x1, y1, x2, y2; source_labels int64 (N,), class ids; source_owner int64 (N,), 0..B-1;
source_size, target_size int64 (B, 2), height and width without the padding;
source_files, target_files: list of B file names.
"""


class DetectionBatches(Dataset[Batch]):
    """Map-style: item `step` is the whole batch of that step.

    Source and target pictures come in independent random orders, each picture once an epoch, by their place among all
    pictures of the run, so that two ranks with batch 1 see what one rank with batch 2 sees.
    """

    def __init__(
        self,
        source: Sequence[BoxRecord],
        target: Sequence[BoxRecord],
        data: DetectionData,
        crop: tuple[int, int],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """`crop`: (height, width) in pixels, for both domains."""
        self.source = [r for r in source if data.empty == "keep" or _learned(r)]
        self.target = target
        self.data = data
        self.crop = crop
        self.per_rank = batch_size
        self.seed = seed
        self.rank = rank
        self.world = world

    def __getitem__(self, step: int) -> Batch:
        places = self._places(step)
        sources = [self._drawn(self.source, Stream.SOURCE_ORDER, place) for place in places]
        targets = [self._drawn(self.target, Stream.TARGET_ORDER, place) for place in places]
        source = [self._crop(r, Stream.SOURCE_AUGMENT, p) for r, p in zip(sources, places, strict=True)]
        target = [self._crop(r, Stream.TARGET_AUGMENT, p) for r, p in zip(targets, places, strict=True)]
        owners = np.repeat(np.arange(len(source)), [len(crop.labels) for crop in source])
        return {
            "source_image": _planes(source),
            "source_boxes": torch.from_numpy(np.concatenate([crop.boxes for crop in source])),
            "source_labels": torch.from_numpy(np.concatenate([crop.labels for crop in source])),
            "source_owner": torch.from_numpy(owners),
            "source_size": torch.tensor([crop.size for crop in source]),
            "target_image": _planes(target),
            "target_size": torch.tensor([crop.size for crop in target]),
            "source_files": [record.image for record in sources],
            "target_files": [record.image for record in targets],
        }

    def target_crops(self, step: int) -> torch.Tensor:
        """The target crops of one step alone, uint8 (B, 3, h, w)."""
        drawn = [(self._drawn(self.target, Stream.TARGET_ORDER, p), p) for p in self._places(step)]
        return _planes([self._crop(record, Stream.TARGET_AUGMENT, place) for record, place in drawn])

    def _places(self, step: int) -> range:
        first = (step * self.world + self.rank) * self.per_rank
        return range(first, first + self.per_rank)

    def _drawn(self, records: Sequence[BoxRecord], stream: Stream, place: int) -> BoxRecord:
        return records[shuffled(self.seed, stream, len(records), place)]

    def _crop(self, record: BoxRecord, stream: Stream, place: int) -> Crop:
        kept = ~np.array(record.ignored or [], bool)
        boxes = np.array(record.boxes or [], np.float32).reshape(-1, 4)[kept]
        labels = np.array(record.labels or [], np.int64)[kept]
        seed = step_seed(self.seed, stream, place)
        image = read_picture(record.image)
        return augment_boxes(image, boxes, labels, self.data.size, self.crop, self.data.scale, seed)


def _learned(record: BoxRecord) -> bool:
    """Whether there is a box to learn from."""
    return not all(record.ignored or [])


def _planes(crops: list[Crop]) -> torch.Tensor:
    """uint8 (B, 3, h, w), contiguous."""
    return torch.from_numpy(np.stack([crop.image for crop in crops]).transpose(0, 3, 1, 2).copy())
