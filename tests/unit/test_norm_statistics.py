"""The finished student's batch norms get the mean of the target batches, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.adaptation.norm_statistics import take_statistics

pytestmark = pytest.mark.floats


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=0.3), nn.Dropout(0.5), nn.Conv2d(4, 2, 1)
    )


def test_statistics_are_the_mean_over_the_batches() -> None:
    model = network()
    model.train()
    model(10 + torch.randn(4, 3, 8, 8))  # what a masked batch leaves behind
    batches = [torch.randn(2, 3, 8, 8) + shift for shift in (0.0, 1.0, 5.0)]
    take_statistics(model, batches)
    inside = [model[0](batch) for batch in batches]
    mean = torch.stack([x.mean((0, 2, 3)) for x in inside]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in inside]).mean(0)
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)


def test_weights_modes_and_momentum_stay() -> None:
    model = network()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    take_statistics(model, [torch.randn(2, 3, 8, 8)])
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())
    assert not any(module.training for module in model.modules())
    assert model[1].momentum == 0.3


def test_a_network_without_batch_norms_is_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm([4, 8, 8]))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    take_statistics(model, [torch.randn(2, 3, 8, 8)])
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
