"""What a method is to the training loop: a batch in, a named loss for each pass out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.pseudo_label import PseudoLabel
from pipeline.adaptation.teacher import Teacher

Pass = tuple[str, Callable[[], Tensor]]
"""Name of a loss, and the student's pass that gives it."""


@dataclass
class View:
    """What the passes of a step saw and answered, as far as the method has it; logits without their gradient."""

    source: Tensor = field(init=False)  # normalised pictures (B, 3, H, W), as are target, mixed and masked
    label: Tensor = field(init=False)  # (B, H, W) int64
    prediction: Tensor = field(init=False)  # logits (B, C, h, w), as are the other predictions
    target: Tensor = field(init=False)
    target_prediction: Tensor = field(init=False)
    pseudo: PseudoLabel = field(init=False)
    mixed: Tensor = field(init=False)
    mixed_label: Tensor = field(init=False)
    masked: Tensor = field(init=False)
    masked_prediction: Tensor = field(init=False)


class Method(ABC):
    """Says which passes a step has.

    The loop runs each, and its backward pass, before the next, so the memory is that of one pass, and batch norm sees
    each batch by itself (section 1). `view` keeps the last step's tensors for the debug picture and for `Mic`,
    `scalars` its further figures. `ema` is the moving average of the student: in self-training the teacher.
    """

    def __init__(self, student: nn.Module, ema: Teacher) -> None:
        self.student = student
        self.ema = ema
        self.view = View()
        self.scalars: dict[str, Tensor] = {}

    @abstractmethod
    def passes(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> list[Pass]:
        """The passes of `step` (from 0) on a batch of the training loader, to be run in this order."""

    def after_passes(self, step: int) -> None:  # noqa: B027  most methods have nothing left to do
        """What follows the last backward pass of `step`."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside student and optimiser."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
