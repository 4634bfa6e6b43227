"""Batch norms that keep their statistics: for some passes, or for the whole run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.adaptation.norms import Norms


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.BatchNorm2d(4),
        nn.Dropout(0.5),
        nn.GroupNorm(2, 4),
        nn.BatchNorm2d(4, track_running_stats=False),
    ).train()


def test_within_norms_keep_their_statistics_and_afterwards_all_is_as_before() -> None:
    made = network()
    norms = Norms(made)
    assert norms.modules == [made[1]], "those that have running statistics"
    before = [b.clone() for b in made.buffers()]
    with norms.frozen():
        made(torch.randn(4, 3, 8, 8) + 5).sum().backward()
        assert made.training, "dropout is none of its business"
        assert made[2].training
        assert not made[1].training
    assert all(torch.equal(a, b) for a, b in zip(before, made.buffers(), strict=True))
    assert made[1].weight.grad is not None
    assert all(m.training for m in made.modules())
    with norms.frozen(False):
        made(torch.randn(4, 3, 8, 8) + 5)
    assert not torch.equal(before[0], made.get_buffer("1.running_mean"))


def test_an_error_within_leaves_the_modes_as_they_were() -> None:
    made = network()
    with pytest.raises(ZeroDivisionError), Norms(made).frozen():
        _ = 1 / 0
    assert made[1].training


def test_norms_frozen_for_the_run_stay_so_after_a_pass() -> None:
    made = network()
    norms = Norms(made)
    norms.freeze()
    with norms.frozen():
        pass
    assert not made[1].training
