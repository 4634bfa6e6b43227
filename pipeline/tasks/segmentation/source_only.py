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
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.cross_entropy import logits_of, segmentation_loss
from pipeline.tasks.segmentation.feature_distance import FeatureDistance
from pipeline.tasks.segmentation.view import View


class SourceOnly(Method):
    """Cross entropy on labelled source pictures; methods that adapt may add a feature distance to it."""

    def __init__(
        self,
        student: nn.Module,
        uda: Uda,
        ema: Teacher | None = None,
        distance: FeatureDistance | None = None,
    ) -> None:
        """`uda`: of it, source-only training takes SOURCE_FIELDS alone."""
        super().__init__(student, ema or Teacher(student, uda.alpha, averaged_statistics=True))
        self.uda = uda
        self.distance = distance
        self.view = View()

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """`source`; the moving average is updated first."""
        self.ema.follow(self.student, step, self.uda)
        self.view, self.scalars = View(), {}
        return [("source", lambda: self._source_loss(batch, generator)), *also]

    def _source_loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """With a feature distance the sum of both, since one backward pass needs less memory than two."""
        source, label = normalise(batch["source_image"]), batch["source_label"]
        shown = source
        if self.uda.source_aug:
            uda, gates = self.uda, draw_gates(generator)
            shown = strong_augment(
                source, gates, generator, uda.jitter_threshold, uda.blur_threshold, per_image=True
            )
        if self.distance is None:
            output = self.student(shown)
            loss = segmentation_loss(output, label)
        else:
            output, features = self.student(shown, with_features=True)
            distance = self.distance.of_source(features, source, label)
            self.scalars["feature_distance"] = distance.detach()
            loss = segmentation_loss(output, label) + distance
        view = self.view
        view.source, view.label, view.prediction = source, label, logits_of(output).detach()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The moving average; a feature distance is built anew from the pretrained weights."""
        return {"ema": self.ema.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.ema.load_state_dict(state["ema"])
