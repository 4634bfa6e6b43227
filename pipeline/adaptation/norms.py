"""Batch norm while the student trains: which statistics a pass normalises by, and which passes feed them.

The paper's encoder has no batch norm. With one, the hidden blocks of masked pictures shift the mean and variance of
their batch, and through the running ones those of the network at work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Norms:
    """The batch norms of a network, collected once."""

    def __init__(self, network: nn.Module) -> None:
        self.modules = [
            m for m in network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None
        ]

    def freeze(self) -> None:
        """Normalise by the running statistics and leave them, until the network's mode is set again."""
        for norm in self.modules:
            norm.eval()

    @contextmanager
    def frozen(self, frozen: bool = True) -> Iterator[None]:
        """Passes within normalise by the running statistics and leave them; weights and biases of the norms learn.

        With `frozen` False nothing happens: they use their batch's statistics, which feed the running ones.
        """
        modes = [norm.training for norm in self.modules]
        if frozen:
            self.freeze()
        try:
            yield
        finally:
            for norm, training in zip(self.modules, modes, strict=True):
                norm.training = training
