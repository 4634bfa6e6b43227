"""The teacher that follows the student and labels target pictures (method page, section 1, steps 2 and 6)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pipeline.adaptation.teacher import Teacher
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.class_prior import ClassPrior
from pipeline.tasks.segmentation.cross_entropy import enlarge
from pipeline.tasks.segmentation.pseudo_label import PseudoLabel, pseudo_label


class Labeller:
    """An EMA teacher with its rate `alpha` and its threshold `tau`; everything else is as `uda` has it."""

    def __init__(self, student: nn.Module, uda: Uda, alpha: float, tau: float | None) -> None:
        self.uda = uda
        self.tau = tau
        self.teacher = Teacher(student, alpha, averaged_statistics=uda.teacher_statistics == "averaged")
        self.prior = ClassPrior(uda.class_prior) if uda.class_prior else None

    def label(self, target: Tensor, valid: Tensor, source_label: Tensor) -> PseudoLabel:
        """Label normalised target pictures (B, 3, H, W); `valid` (B, 1, H, W) is 0 where nothing can be trusted.

        `source_label` (B, H, W), the train ids of the same step, is what a class-share prior looks at.
        """
        uda = self.uda
        logits = self._logits(target)
        if uda.teacher_flip:
            mirrored = self._logits(target.flip(-1)).flip(-1)
            # The mean of the probabilities, as logits: the softmax of log p is p.
            logits = ((logits.softmax(dim=1) + mirrored.softmax(dim=1)) / 2).log()
        if self.prior is not None:
            logits = self.prior.align(logits, source_label)
        return pseudo_label(logits, self.tau, uda.ignore_top, uda.ignore_bottom, valid, uda.weighting)

    def _logits(self, target: Tensor) -> Tensor:
        return enlarge(self.teacher.predict(target), (target.shape[-2], target.shape[-1]))

    def state_dict(self) -> dict[str, Any]:
        """The teacher's parameters and batch-norm statistics, and the shares that a prior has counted."""
        return {
            "teacher": self.teacher.state_dict(),
            "prior": {} if self.prior is None else self.prior.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.teacher.load_state_dict(state["teacher"])
        if self.prior is not None:
            self.prior.load_state_dict(state["prior"])
