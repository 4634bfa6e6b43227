"""What a method is to the training loop: a batch in, a named loss for each pass out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.norms import Norms
from pipeline.adaptation.teacher import Teacher
from pipeline.params.uda import Uda

Pass = tuple[str, Callable[[], Tensor]]
"""Name of a loss, and the student's pass that gives it."""


Hide = Callable[[Tensor, int, torch.Generator], tuple[Tensor, AbstractContextManager[None]]]
"""Pictures, step, generator -> what the student is shown, and the context to show it in."""


class Method(ABC):
    """Says which passes a step has.

    The loop runs each, and its backward pass, before the next, so the memory is that of one pass, and batch norm sees
    each batch by itself (section 1). `view` keeps the last step's tensors for the debug picture, `scalars` its further
    figures. `ema` is the moving average of the student: in self-training the teacher.
    """

    def __init__(self, student: nn.Module, ema: Teacher) -> None:
        self.student = student
        self.ema = ema
        self.view: Any = None
        self.scalars: dict[str, Tensor] = {}

    @abstractmethod
    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """The passes of `step` (from 0) on a batch of the training loader, to be run in this order.

        `also`: those of a method around this one, to be run wherever this one takes a gradient.
        """

    def after_passes(self, step: int) -> None:  # noqa: B027  most methods have nothing left to do
        """What follows the last backward pass of `step`."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside student and optimiser."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""


@dataclass(frozen=True)
class ToMask:
    """Pictures to be masked, and what the student shall say of them."""

    images: Tensor  # normalised (B, 3, H, W)
    label: Any  # of the task
    weight: Tensor | None  # of each label; None: 1 everywhere


class Adapting(Method):
    """A method with losses on target pictures, which `Mic` can be added to."""

    uda: Uda
    norms: Norms
    hide: Hide | None = None
    """For the target pass itself, in mask mode `mixed`; where there is one, `Mic` sets it."""

    @abstractmethod
    def expect_masks(self) -> None:
        """Be ready for `to_mask`: said once, before the first step."""

    @abstractmethod
    def to_mask(self, batch: dict[str, Tensor]) -> ToMask:
        """Pictures and labels by mask mode (table in section 1.4), after the base's passes of a step."""

    @abstractmethod
    def masked_loss(self, shown: Tensor, output: Any, wanted: ToMask) -> Tensor:
        """Loss of the student's output on the masked pictures `shown`, whose label and weight are `wanted`."""
