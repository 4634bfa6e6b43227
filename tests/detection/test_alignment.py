"""SADA's parts, each by hand."""

from __future__ import annotations

import math

import torch
from torch import nn

from pipeline.adaptation.gradient_reversal import scale_gradient
from pipeline.tasks.detection.consistency import consistency_loss
from pipeline.tasks.detection.image_alignment import ImageAlignment, image_loss
from pipeline.tasks.detection.instance_alignment import InstanceAlignment, instance_loss


def test_the_gradient_is_scaled_and_the_values_are_not() -> None:
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    scaled = scale_gradient(values, -0.1)
    assert torch.equal(scaled, values)
    (3 * scaled).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.tensor([-0.3, -0.3]))


def test_every_level_has_a_head_of_its_own_and_starts_undecided() -> None:
    torch.manual_seed(0)
    heads = ImageAlignment(8, 5)
    levels = [torch.randn(2, 8, side, side + 1) for side in (16, 8, 4, 2, 1)]
    logits = heads(levels)
    assert [tuple(logit.shape) for logit in logits] == [(2, 1, s, s + 1) for s in (16, 8, 4, 2, 1)]
    assert all(logit.abs().max() < 1e-3 for logit in logits)
    first = heads.heads[0]
    assert isinstance(first, nn.Sequential)
    assert [layer.out_channels for layer in first if isinstance(layer, nn.Conv2d)] == [512, 1]


def test_the_image_loss_counts_levels_alike_whatever_their_size() -> None:
    fine, coarse = torch.full((1, 1, 8, 8), 2.0), torch.full((1, 1, 1, 1), -1.0)
    source = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(1.0))) / 2
    target = (math.log1p(math.exp(2.0)) + math.log1p(math.exp(-1.0))) / 2
    torch.testing.assert_close(image_loss([fine, coarse], 1.0), torch.tensor(source))
    torch.testing.assert_close(image_loss([fine, coarse], 0.0), torch.tensor(target))


def test_enlarged_logits_meet_corner_to_corner() -> None:
    fine = torch.zeros(1, 1, 1, 3)
    coarse = torch.tensor([[[[0.0, 4.0]]]])
    wanted = (3 * math.log(2) + sum(math.log1p(math.exp(-x)) for x in (0.0, 2.0, 4.0))) / 6
    torch.testing.assert_close(image_loss([fine, coarse], 1.0), torch.tensor(wanted))


def test_boxes_are_judged_by_the_head_of_their_level() -> None:
    torch.manual_seed(0)
    heads = InstanceAlignment(6, 4).eval()
    features, levels = torch.randn(5, 6), torch.tensor([3, 0, 1, 0, 3])
    logits = heads(features, levels)
    for i, level in enumerate(levels.tolist()):
        head = heads.heads[level]
        torch.testing.assert_close(logits[i : i + 1], head(features[i : i + 1])[0])


def test_the_published_slip_leaves_the_other_levels_without_gradient() -> None:
    torch.manual_seed(0)
    heads = InstanceAlignment(6, 4, first_level_only=True).eval()
    features = torch.randn(3, 6, requires_grad=True)
    logits = heads(features, torch.tensor([0, 1, 2]))
    assert logits[1:].tolist() == [0, 0]
    instance_loss(logits, 1.0).backward()
    assert features.grad is not None
    assert features.grad[0].abs().max() > 0
    assert features.grad[1:].abs().max() == 0


def test_no_boxes_no_loss() -> None:
    heads = InstanceAlignment(6, 4)
    logits = heads(torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))
    assert instance_loss(logits, 1.0) == 0
    assert consistency_loss(torch.zeros(0, 1, 7, 7), logits) == 0


def test_consistency_is_the_mean_difference() -> None:
    pooled = torch.tensor([0.25, 0.5]).view(2, 1, 1, 1).expand(2, 1, 7, 7)
    torch.testing.assert_close(consistency_loss(pooled, torch.tensor([0.75, 0.25])), torch.tensor(0.375))
