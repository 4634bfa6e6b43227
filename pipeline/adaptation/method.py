"""What a method is to the training loop: a batch in, named losses out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.teacher import Teacher

Loss = tuple[str, Tensor]


class Method(ABC):
    """Yields the losses of a step one by one.

    The loop runs the backward pass of each before it asks for the next, so the memory is that of one pass, and batch
    norm sees each batch by itself (section 1). `view` keeps the last step's tensors for the debug picture and for
    `Mic`, `scalars` its further figures. `ema` is the moving average of the student: in self-training the teacher.
    """

    def __init__(self, student: nn.Module, ema: Teacher) -> None:
        self.student = student
        self.ema = ema
        self.view: dict[str, Tensor] = {}
        self.scalars: dict[str, Tensor] = {}

    @abstractmethod
    def passes(self, step: int) -> int:
        """How many losses `step` (from 0) has."""

    @abstractmethod
    def losses(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Iterator[Loss]:
        """(name, loss) of each pass of `step` on a batch of the training loader.

        To be asked for one more than there are: a method may have work left after its last backward pass.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside student and optimiser."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
