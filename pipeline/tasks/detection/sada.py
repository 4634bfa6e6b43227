"""SADA, scale-aware domain adaptive Faster R-CNN (Chen et al., IJCV 2021): the base of MIC's experiments (section 8).

Discriminators tell the domains apart by the pyramid's cells and by the features of boxes; the student learns to give
both domains the same features, as the gradient of the discriminators reaches it reversed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.gradient_reversal import scale_gradient
from pipeline.adaptation.method import Pass
from pipeline.params.detection import DetectionUda
from pipeline.tasks.detection.consistency import consistency_loss
from pipeline.tasks.detection.detector import POOLED, Pyramid
from pipeline.tasks.detection.image_alignment import ImageAlignment, image_loss
from pipeline.tasks.detection.instance_alignment import InstanceAlignment, instance_loss
from pipeline.tasks.detection.pseudo_boxes import AdaptingDetection

SOURCE, TARGET = 1.0, 0.0  # what the discriminators shall say (section 8)
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4  # of their SGD, in the paper


class Sada(AdaptingDetection):
    """The discriminators have their own optimiser, stepped here after the student's last pass."""

    target_pass = "alignment"

    def __init__(self, student: nn.Module, uda: DetectionUda, steps: int) -> None:
        """`steps`: length of the run, at whose end the discriminators' rate is 0."""
        super().__init__(student, uda)
        head: Any = self.network.roi_heads.box_head
        levels = len(self.network.rpn.anchor_generator.sizes)
        device = next(student.parameters()).device
        self.image = ImageAlignment(self.network.channels, levels).to(device)
        self.instance = InstanceAlignment(
            head.fc7.out_features, len(POOLED), uda.alignment.first_level_only
        ).to(device)
        self.steps = steps
        self.optimiser = torch.optim.SGD(
            [*self.image.parameters(), *self.instance.parameters()],
            lr=uda.alignment.lr,
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
        )

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """`source`, from `start_step` on with alignment, and `alignment`."""
        self.optimiser.zero_grad(set_to_none=True)
        self.aligns = step >= self.uda.start_step
        return super().passes(batch, step, generator, also)

    def source_alignment(self, pyramid: Pyramid, generator: torch.Generator) -> Tensor | float:
        """The source's half of the alignment."""
        return self.alignment(pyramid, SOURCE, generator) if self.aligns else 0.0

    def target_loss(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Tensor:
        """The target's half of the alignment."""
        loss = self.alignment(self.student(self.view.target), TARGET, generator)
        self.scalars["alignment"] = loss.detach()
        return loss

    def after_passes(self, step: int) -> None:
        """A step of the discriminators."""
        if step < self.uda.start_step:
            return
        for group in self.optimiser.param_groups:
            group["lr"] = self.uda.alignment.lr * (1 - step / self.steps)
        self.optimiser.step()

    def alignment(self, pyramid: Pyramid, domain: float, generator: torch.Generator) -> Tensor:
        """Half of the three losses of section 8, since the mean over both domains is the sum of the two halves."""
        weights = self.uda.alignment
        boxes = [self._some(found, generator) for found in self.network.proposals(pyramid)]
        features = self.network.instances(pyramid, boxes)
        levels = self.network.levels_of(boxes)
        with torch.autocast(features.device.type, enabled=False):
            cells = self.image([scale_gradient(m, -weights.image) for m in pyramid.levels.values()])
            answers = self.instance(scale_gradient(features, -weights.instance), levels)
            # For agreement the student works with the discriminators, so here nothing is reversed.
            agreeing = self.image(
                [scale_gradient(m, weights.consistency * weights.image) for m in pyramid.levels.values()]
            )
            said = self.instance(scale_gradient(features, weights.consistency * weights.instance), levels)
            probabilities = {name: level.sigmoid() for name, level in zip(POOLED, agreeing, strict=False)}
            pooled = self.network.pooled(probabilities, boxes, pyramid)
            agreement = consistency_loss(pooled, said.sigmoid())
            return (image_loss(cells, domain) + instance_loss(answers, domain) + agreement) / 2

    def _some(self, boxes: Tensor, generator: torch.Generator) -> Tensor:
        """At most `instances` of a picture's proposals (N, 4), at random."""
        order = torch.randperm(len(boxes), generator=generator, device=generator.device)
        return boxes[order[: self.uda.alignment.instances].to(boxes.device)]

    def state_dict(self) -> dict[str, Any]:
        """Discriminators and their optimiser, too."""
        return super().state_dict() | {
            "image": self.image.state_dict(),
            "instance": self.instance.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        super().load_state_dict(state)
        self.image.load_state_dict(state["image"])
        self.instance.load_state_dict(state["instance"])
        self.optimiser.load_state_dict(state["optimiser"])
