"""The labeller: its own threshold, and the mean over a picture and its mirror image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.labeller import Labeller

pytestmark = pytest.mark.floats


class Lopsided(nn.Module):
    """Logits that depend on the column, so that a mirrored picture gets other ones."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        ramp = torch.arange(images.shape[-1], dtype=torch.float32)
        return self.scale * torch.stack([images[:, 0], images[:, 1] * ramp], dim=1)


SOURCE_LABEL = torch.zeros(1, 4, 6, dtype=torch.int64)


def labeller(**uda: Any) -> Labeller:
    return Labeller(Lopsided(), Uda(**uda), alpha=0.9, tau=0.7)


def test_a_flip_takes_the_mean_of_both_probabilities() -> None:
    target = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 1, 4, 6)
    plain = labeller().label(target, valid, SOURCE_LABEL)
    flipped = labeller(teacher_flip=True).label(target, valid, SOURCE_LABEL)
    network = Lopsided()
    mean = (network(target).softmax(1) + network(target.flip(-1)).flip(-1).softmax(1)) / 2
    assert torch.allclose(flipped.confidence, mean.amax(1), atol=1e-6)
    assert torch.equal(flipped.label, mean.argmax(1))
    assert not torch.equal(plain.label, flipped.label)


def test_a_flip_of_a_symmetric_answer_changes_nothing() -> None:
    target = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    target[:, 1] = 0  # no more ramp: the answer moves with the picture
    valid = torch.ones(2, 1, 4, 6)
    plain, flipped = (
        labeller(teacher_flip=flip).label(target, valid, SOURCE_LABEL) for flip in (False, True)
    )
    assert torch.allclose(plain.confidence, flipped.confidence, atol=1e-6)
    assert torch.equal(plain.label, flipped.label)


def test_valid_margins_and_weighting_come_from_the_params() -> None:
    target = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 1, 4, 6)
    valid[..., -1] = 0
    weight = labeller(ignore_top=1, weighting="pixel").label(target, valid, SOURCE_LABEL).weight
    assert set(weight.unique().tolist()) == {0, 1}
    assert weight[:, 0].max() == weight[..., -1].max() == 0


def test_logits_are_enlarged_before_the_softmax() -> None:
    coarse = torch.tensor([[[[0.0, 4.0], [0.0, 4.0]], [[2.0, 0.0], [2.0, 0.0]]]])  # (1, 2, 2, 2)

    class Coarse(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return coarse.repeat(len(images), 1, 1, 1)

    found = Labeller(Coarse(), Uda(), alpha=0.9, tau=0.7).label(
        torch.zeros(1, 3, 4, 8), torch.ones(1, 1, 4, 8), SOURCE_LABEL
    )
    right = F.interpolate(coarse, (4, 8), mode="bilinear").softmax(dim=1).amax(dim=1)
    wrong = F.interpolate(coarse.softmax(dim=1), (4, 8), mode="bilinear").amax(dim=1)
    assert torch.allclose(found.confidence, right, atol=1e-6)
    assert not torch.allclose(right, wrong, atol=1e-2)
