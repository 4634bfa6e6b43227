"""Source-only training: the baseline that adaptation has to beat, and the first pass of every method that does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.method import Method, Pass
from pipeline.adaptation.strong_augment import draw_gates, strong_augment
from pipeline.adaptation.teacher import Teacher
from pipeline.networks.normalise import normalise
from pipeline.params.detection import DetectionUda
from pipeline.tasks.detection.boxes import truth_of
from pipeline.tasks.detection.detector import Detector, Pyramid
from pipeline.tasks.detection.view import View


class SourceOnly(Method):
    """The four losses of Faster R-CNN on labelled source pictures."""

    def __init__(self, student: nn.Module, uda: DetectionUda) -> None:
        """`student`: a Detector, or what Fabric wraps around it."""
        ema = Teacher(student, uda.alpha, averaged_statistics=True, warm_up=uda.alpha_warm_up)
        super().__init__(student, ema)
        self.uda = uda
        network: Any = getattr(student, "module", student)  # Fabric wraps the student that trains
        self.network: Detector = network
        self.view = View()

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """`source`; the moving average is updated first."""
        self.ema.follow(self.student, step, self.uda)
        self.view, self.scalars = View(), {}
        return [("source", lambda: self._source_loss(batch, generator)), *also]

    def _source_loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        source = normalise(batch["source_image"])
        truth = truth_of(batch, "source", len(source))
        shown = source
        if self.uda.source_aug:
            uda, gates = self.uda, draw_gates(generator)
            shown = strong_augment(
                source, gates, generator, uda.jitter_threshold, uda.blur_threshold, per_image=True
            )
        self.view.source, self.view.truth = source, truth
        pyramid: Pyramid = self.student(shown)
        losses = self.network.losses(pyramid, truth)
        self.scalars |= {name: value.detach() for name, value in vars(losses).items()}
        return losses.total + self.source_alignment(pyramid, generator)

    def source_alignment(self, pyramid: Pyramid, generator: torch.Generator) -> Tensor | float:
        """What a method that adapts adds to the source pass."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        """The moving average."""
        return {"ema": self.ema.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.ema.load_state_dict(state["ema"])
