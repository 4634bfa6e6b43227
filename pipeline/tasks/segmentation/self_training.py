"""Self-training as DACS does it: an EMA teacher's pseudo labels on class-mixed pictures (sections 1.1 to 1.3)."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.strong_augment import draw_gates, strong_augment
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.classmix import class_mask, draw_classes, mix
from pipeline.tasks.segmentation.cross_entropy import segmentation_loss
from pipeline.tasks.segmentation.labeller import Labeller
from pipeline.tasks.segmentation.uda import UdaMethod


class SelfTraining(UdaMethod):
    """Source classes pasted onto pseudo-labelled target pictures.

    Plain DACS; with feature distance, rare class sampling and margins it is DAFormer's training (section 5).
    """

    target_pass = "mixed"
    labels_target = True

    def __init__(self, student: nn.Module, uda: Uda) -> None:
        self.labeller = Labeller(student, uda, uda.alpha, uda.tau)
        super().__init__(student, uda, self.labeller.teacher)

    def target_loss(
        self, target: Tensor, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Tensor:
        """Cross entropy on mixed pictures, target pixels weighted as the teacher trusts its labels."""
        source, label = self.view.source, self.view.label
        gates = draw_gates(generator)
        pseudo = self.labeller.label(target, batch["target_valid"], label)
        mask = class_mask(label, draw_classes(label, generator))
        mixed = strong_augment(
            mix(mask, source, target),
            gates,
            generator,
            self.uda.jitter_threshold,
            self.uda.blur_threshold,
            per_image=True,
        )
        mixed_label = mix(mask, label, pseudo.label)
        mixed_weight = mix(mask, torch.ones_like(pseudo.weight), pseudo.weight)
        shown, hidden = (mixed, nullcontext()) if self.hide is None else self.hide(mixed, step, generator)
        self.view.pseudo, self.view.mixed, self.view.mixed_label = pseudo, shown, mixed_label
        self.scalars["confident"] = pseudo.fraction
        with self.norms.frozen(self.uda.mix_norms == "running"), hidden:
            output = self.student(shown)
        return segmentation_loss(output, mixed_label, mixed_weight)

    def state_dict(self) -> dict[str, Any]:
        """That of the labeller too."""
        return super().state_dict() | self.labeller.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        super().load_state_dict(state)
        self.labeller.load_state_dict(state)
