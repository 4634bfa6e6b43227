"""Batch-norm statistics of the target for the finished student (AdaBN: Li et al., 2016, arXiv:1603.04779).

The student's running statistics are a mean over source, mixed and masked pictures, none of which it meets at work. With
an encoder full of batch norms that costs much: hidden blocks alone shift every mean. The paper's encoder has none.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def take_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of all batch norms to their mean over batches of normalised pictures (B, 3, H, W).

    Weights stay; a network without batch norms stays as it is. It is in evaluation mode afterwards.
    """
    network.eval()
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: a plain mean over all batches
        norm.train()
    for images in batches:
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
