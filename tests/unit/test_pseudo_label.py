"""Pseudo labels beyond the golden vectors: the threshold's edge, mixed precision, empty margins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pipeline.tasks.segmentation.pseudo_label import Weighting, pseudo_label

pytestmark = pytest.mark.floats


def logits_of(confidence: float, height: int = 4, width: int = 4) -> Tensor:
    """Two-class logits (1, 2, H, W) whose larger softmax value is `confidence`, for class 1."""
    logits = torch.zeros(1, 2, height, width)
    logits[:, 1] = math.log(confidence / (1 - confidence))
    return logits


def test_threshold_is_inclusive() -> None:
    even = torch.zeros(1, 2, 3, 3)  # softmax is exactly one half
    assert pseudo_label(even, 0.5).fraction == 1
    assert pseudo_label(even, math.nextafter(0.5, 1) + 1e-7).fraction == 0


def test_autocast_does_not_lift_a_confidence_over_the_threshold() -> None:
    assert torch.tensor(0.967, dtype=torch.bfloat16) >= 0.968  # what would happen without the float32 island
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = pseudo_label(logits_of(0.967), 0.968)
        assert pseudo_label(logits_of(0.969), 0.968).fraction == 1
    assert result.fraction == 0
    assert result.confidence.dtype == result.weight.dtype == torch.float32
    assert result.label.dtype == torch.int64
    assert bool((result.label == 1).all())
    assert result.confidence.mean().item() == pytest.approx(0.967, abs=1e-6)


def test_bfloat16_logits_are_widened_first() -> None:
    logits = torch.randn(2, 19, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16() * 3
    assert torch.equal(pseudo_label(logits, 0.5).confidence, pseudo_label(logits.float(), 0.5).confidence)


def test_one_share_for_the_whole_batch() -> None:
    sure, unsure = logits_of(0.99), logits_of(0.6)
    result = pseudo_label(torch.cat([sure, unsure]), 0.968)
    assert result.fraction == 0.5
    assert torch.equal(result.weight, torch.full((2, 4, 4), 0.5))
    assert bool((result.label == 1).all())  # an unsure pixel keeps its label


def test_margins_lose_weight_but_stay_in_the_share() -> None:
    logits = logits_of(0.99, height=6)
    logits[:, :, 0] = 0  # the only unsure row is one that is cut off
    result = pseudo_label(logits, 0.968, ignore_top=1, ignore_bottom=2)
    assert result.fraction.item() == pytest.approx(5 / 6)
    assert result.weight[0, :, 0].tolist() == pytest.approx([0, 5 / 6, 5 / 6, 5 / 6, 0, 0])


def test_margins_wider_than_the_picture_leave_nothing() -> None:
    assert pseudo_label(logits_of(0.99), 0.5, ignore_bottom=100).weight.sum() == 0
    assert pseudo_label(logits_of(0.99), 0.5, ignore_top=100).weight.sum() == 0


def test_without_threshold_margins_still_count() -> None:
    result = pseudo_label(logits_of(0.6), None, ignore_top=1)
    assert result.fraction == 1
    assert result.weight[0, :, 0].tolist() == [0, 1, 1, 1]


def test_valid_mask_multiplies() -> None:
    valid = torch.ones(1, 1, 4, 4)
    valid[..., 0] = 0
    weight = pseudo_label(logits_of(0.99), 0.968, valid_mask=valid).weight
    assert torch.equal(weight, valid.squeeze(1))


def test_no_gradient_reaches_the_logits() -> None:
    result = pseudo_label(logits_of(0.99).requires_grad_(), 0.5)
    assert not result.weight.requires_grad
    assert not result.confidence.requires_grad


def test_weights_by_pixel_and_by_class() -> None:
    logits = torch.zeros(1, 3, 1, 4)
    logits[0, 1, 0, :3] = torch.tensor([9.0, 9.0, 1.0])  # class 1: two of three pixels are sure
    logits[0, 2, 0, 3] = 1  # class 2: none is
    by_pixel = pseudo_label(logits, 0.9, weighting="pixel")
    by_class = pseudo_label(logits, 0.9, weighting="class")
    assert by_pixel.weight[0, 0].tolist() == [1, 1, 0, 0]
    assert by_class.weight[0, 0].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0])
    assert by_pixel.fraction == by_class.fraction == 0.5
    assert torch.equal(by_pixel.label, by_class.label)
    by_probability = pseudo_label(logits, 0.9, weighting="probability")
    assert torch.equal(by_probability.weight, logits.softmax(dim=1).amax(dim=1))
    assert by_probability.fraction == 0.5


@pytest.mark.parametrize("weighting", ["batch", "pixel", "class", "probability"])
def test_without_threshold_every_weighting_gives_one(weighting: Weighting) -> None:
    logits = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 1, 5, 6)
    valid[..., 0] = 0
    weight = pseudo_label(logits, None, ignore_top=1, valid_mask=valid, weighting=weighting).weight
    assert weight[:, 1:, 1:].min() == 1
    assert weight[:, 0].max() == weight[..., 0].max() == 0
