"""Evidence without labels: do teacher and student agree, and does the student see the same through a mask?

Both are shares of pixels on target pictures, 0..1. They describe, they do not prove: a network that calls everything
road agrees with itself perfectly, so they are read beside the pictures and the class shares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pipeline.adaptation.masking import block_mask, mask_grid
from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.images import MEAN_COLOUR, fit_size, resize_image
from pipeline.evaluation.inference import predict_as
from pipeline.params import Params
from pipeline.run.randomness import Stream, step_seed


def label_free(
    student: nn.Module,
    teacher: nn.Module | None,
    records: Sequence[Record],
    params: Params,
    device: torch.device,
) -> dict[str, float | None]:
    """Mean over pictures; the masks are those of training (block, ratio), the same for every method and run.

    teacher_agreement: share of pixels where student and teacher give one class; None without a teacher.
    masked_consistency: share of hidden pixels that keep the class they have in the whole picture.
    """
    agreement: list[float] = []
    consistency: list[float] = []
    for number, record in enumerate(records):
        image = read_picture(record.image)
        image = resize_image(image, fit_size(image.shape[0], image.shape[1], params.data.size))
        hidden = _hidden(image.shape[0], image.shape[1], number, params)
        covered = np.where(hidden[..., None], np.array(MEAN_COLOUR, np.uint8), image)
        # Fitted once, for the mask; fitting a fitted picture again leaves it as it is.
        whole = predict_as(params, student, image, device).classes
        if hidden.any():
            same = whole == predict_as(params, student, covered, device).classes
            consistency.append(float(same[hidden].mean()))
        if teacher is not None:
            agreement.append(float((whole == predict_as(params, teacher, image, device).classes).mean()))
    return {
        "teacher_agreement": round(float(np.mean(agreement)), 6) if agreement else None,
        "masked_consistency": round(float(np.mean(consistency)), 6) if consistency else None,
    }


def _hidden(height: int, width: int, number: int, params: Params) -> np.ndarray:
    """Which pixels of picture `number` are hidden: bool (H, W)."""
    # Not the run's seed: all seeds and methods are asked the same question.
    generator = torch.Generator().manual_seed(step_seed(0, Stream.EVALUATION_MASK, number))
    grid = mask_grid(1, height, width, params.train.uda.mask_block, generator)
    return block_mask(grid, params.train.uda.mask_ratio, height, width)[0, 0].numpy() == 0
