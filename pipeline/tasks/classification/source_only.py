"""Source-only training of a classifier: the baseline that adaptation has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.adaptation.method import Method, Pass
from pipeline.adaptation.teacher import Teacher
from pipeline.networks.normalise import normalise
from pipeline.params.uda import Uda


class SourceOnly(Method):
    """Cross entropy on labelled source pictures: `source_image` and `source_label`, (B,) int64, of a batch."""

    def __init__(self, student: nn.Module, uda: Uda) -> None:
        super().__init__(student, Teacher(student, uda.alpha, averaged_statistics=True))
        self.uda = uda

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """`source`; the moving average is updated first."""
        self.ema.follow(self.student, step, self.uda)
        return [("source", lambda: self._source_loss(batch)), *also]

    def _source_loss(self, batch: dict[str, Tensor]) -> Tensor:
        logits, _ = self.student(normalise(batch["source_image"]))
        with torch.autocast(logits.device.type, enabled=False):
            return F.cross_entropy(logits.float(), batch["source_label"])

    def state_dict(self) -> dict[str, Any]:
        """The moving average."""
        return {"ema": self.ema.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.ema.load_state_dict(state["ema"])
