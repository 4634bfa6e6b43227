"""What all methods that adapt share: the source pass, and from the start step on losses on the target."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.adaptation.feature_distance import FeatureDistance
from pipeline.adaptation.method import Loss
from pipeline.adaptation.norms import Norms
from pipeline.adaptation.source_only import SourceOnly
from pipeline.adaptation.teacher import Teacher
from pipeline.networks.normalise import normalise
from pipeline.params.uda import Uda


class UdaMethod(SourceOnly):
    """Unsupervised domain adaptation: `target_losses`, one a step, is what tells the methods apart."""

    def __init__(self, student: nn.Module, uda: Uda, ema: Teacher | None = None) -> None:
        config = uda.feature_distance
        distance = None if config is None else FeatureDistance(student, config)
        super().__init__(student, uda, ema, distance)
        self.norms = Norms(student)

    def passes(self, step: int) -> int:
        """The source's alone before `start_step`."""
        if step < self.uda.start_step:
            return 1
        return 3 if self.distance is not None and self.distance.on_target else 2

    def losses(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Iterator[Loss]:
        """`source`, `target_distance` for a distance of kind foundation, and the method's own."""
        yield from super().losses(batch, step, generator)
        if step < self.uda.start_step:
            return
        target = normalise(batch["target_image"])
        self.view["target"] = target
        if self.distance is not None and self.distance.on_target:
            yield "target_distance", self.distance.of_target(target)
        yield from self.target_losses(target, batch, step, generator)

    @abstractmethod
    def target_losses(
        self, target: Tensor, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Loss]:
        """One loss on normalised target pictures (B, 3, H, W)."""
