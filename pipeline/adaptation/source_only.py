"""Source-only training: the baseline that adaptation has to beat, and the first pass of every method that does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.cross_entropy import logits_of, segmentation_loss
from pipeline.adaptation.feature_distance import FeatureDistance
from pipeline.adaptation.method import Loss, Method
from pipeline.networks.normalise import normalise


class SourceOnly(Method):
    """Cross entropy on labelled source pictures; methods that adapt may add a feature distance to it."""

    def __init__(self, student: nn.Module, distance: FeatureDistance | None = None) -> None:
        super().__init__(student)
        self.distance = distance

    def passes(self, step: int) -> int:
        """One."""
        return 1

    def losses(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Iterator[Loss]:
        """`source`: with a feature distance their sum, since one backward pass needs less memory than two."""
        source, label = normalise(batch["source_image"]), batch["source_label"]
        self.scalars = {}
        if self.distance is None:
            output = self.student(source)
            loss = segmentation_loss(output, label)
        else:
            output, features = self.student(source, with_features=True)
            distance = self.distance.of_source(features, source, label)
            self.scalars["feature_distance"] = distance.detach()
            loss = segmentation_loss(output, label) + distance
        self.view = {"source": source, "label": label, "prediction": logits_of(output).detach()}
        yield "source", loss

    @property
    def teacher(self) -> nn.Module | None:
        """None."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Nothing; a feature distance is built anew from the pretrained weights."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to continue from."""
