"""Mean teacher: pseudo boxes of the whole picture for a strongly augmented one (as Liu et al., 2021, do it)."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.adaptation.strong_augment import draw_gates, strong_augment
from pipeline.tasks.detection.pseudo_boxes import AdaptingDetection


class SelfTraining(AdaptingDetection):
    """No adversary: the student learns what and where from the teacher, and how exactly from the source alone."""

    target_pass = "target"

    def target_loss(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Tensor:
        """Objectness and classification against the pseudo boxes, times `target_weight`."""
        pseudo, uda, gates = self.pseudo_boxes(batch), self.uda, draw_gates(generator)
        self.view.strong = strong_augment(
            self.view.target, gates, generator, uda.jitter_threshold, uda.blur_threshold, per_image=True
        )
        return uda.target_weight * self.pseudo_loss(self.student(self.view.strong), pseudo)
