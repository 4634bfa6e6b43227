"""What all methods that adapt share: the source pass, and from the start step on passes on the target."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.adaptation.feature_distance import FeatureDistance
from pipeline.adaptation.method import Pass
from pipeline.adaptation.norms import Norms
from pipeline.adaptation.source_only import SourceOnly
from pipeline.adaptation.teacher import Teacher
from pipeline.networks.normalise import normalise
from pipeline.params.uda import Uda


class UdaMethod(SourceOnly):
    """Unsupervised domain adaptation: `target_loss`, called `target_pass`, is what tells the methods apart."""

    target_pass: ClassVar[str]

    def __init__(self, student: nn.Module, uda: Uda, ema: Teacher | None = None) -> None:
        config = uda.feature_distance
        distance = None if config is None else FeatureDistance(student, config)
        super().__init__(student, uda, ema, distance)
        self.norms = Norms(student)

    def passes(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> list[Pass]:
        """`source`; from `start_step` on `target_distance` for a distance of kind foundation, and the method's own."""
        passes = super().passes(batch, step, generator)
        if step < self.uda.start_step:
            return passes
        target = self.view.target = normalise(batch["target_image"])
        distance = self.distance
        if distance is not None and distance.on_target:
            passes.append(("target_distance", lambda: distance.of_target(target)))
        passes.append((self.target_pass, lambda: self.target_loss(target, batch, step, generator)))
        return passes

    @abstractmethod
    def target_loss(
        self, target: Tensor, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Tensor:
        """The loss on normalised target pictures (B, 3, H, W)."""
