"""Source-only training: the baseline that adaptation has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.cross_entropy import cross_entropy
from pipeline.networks.normalise import normalise

Loss = tuple[str, Tensor]


class SourceOnly:
    """One pass a step: cross entropy on labelled source pictures.

    A method yields (name, loss) pairs, `passes` of them a step. The loop runs the backward pass of each before it
    asks for the next, so the memory is that of one pass, and batch norm sees each batch by itself (section 1).
    `view` keeps the last step's tensors for the debug picture, `scalars` its further figures.
    """

    passes = 1

    def __init__(self, student: nn.Module) -> None:
        self.student = student
        self.view: dict[str, Tensor] = {}
        self.scalars: dict[str, Tensor] = {}

    def losses(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Iterator[Loss]:
        """Losses of one step (counted from 0) on a batch of the training loader."""
        source = normalise(batch["source_image"])
        label = batch["source_label"]
        logits = self.student(source)
        self.view = {"source": source, "label": label, "prediction": logits.detach()}
        yield "source", cross_entropy(logits, label)

    @property
    def teacher(self) -> nn.Module | None:
        """The teacher network, for the methods that have one."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside student and optimiser."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
