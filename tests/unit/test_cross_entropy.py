"""The loss beyond the golden vectors: the denominator, mixed precision."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pipeline.tasks.segmentation.cross_entropy import cross_entropy, enlarge

pytestmark = pytest.mark.floats


def test_nothing_labelled_gives_zero_loss_and_zero_gradient() -> None:
    logits = torch.randn(2, 19, 4, 4).requires_grad_()
    loss = cross_entropy(logits, torch.full((2, 16, 16), 255))
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_and_weightless_pixels_stay_in_the_denominator() -> None:
    logits = torch.zeros(1, 4, 2, 2)  # every pixel costs log 4
    label = torch.tensor([[[0, 255], [1, 2]]])
    per_pixel = torch.log(torch.tensor(4.0)).item()
    assert cross_entropy(logits, label).item() == pytest.approx(per_pixel * 3 / 4)
    weight = torch.tensor([[[0.5, 1.0], [0.0, 1.0]]])
    assert cross_entropy(logits, label, weight).item() == pytest.approx(per_pixel * 1.5 / 4)


def test_autocast_changes_nothing() -> None:
    logits = torch.randn(1, 19, 4, 6, generator=torch.Generator().manual_seed(0)) * 5
    label = torch.randint(0, 19, (1, 16, 24), generator=torch.Generator().manual_seed(1))
    weight = torch.rand(1, 16, 24, generator=torch.Generator().manual_seed(2))
    plain = cross_entropy(logits, label, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = cross_entropy(logits, label, weight)
        coarse = cross_entropy(logits.bfloat16(), label, weight)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, plain)
    # Half-precision logits are widened before they are enlarged, not after.
    assert torch.equal(coarse, cross_entropy(logits.bfloat16().float(), label, weight))


def test_enlarge_uses_half_pixel_centres_and_leaves_the_right_size_alone() -> None:
    logits = torch.randn(1, 2, 3, 5)
    assert enlarge(logits, (3, 5)) is logits
    wanted = F.interpolate(logits, size=(12, 20), mode="bilinear", align_corners=False)
    assert torch.equal(enlarge(logits, (12, 20)), wanted)
    assert torch.equal(wanted[..., 0, 0], logits[..., 0, 0])
