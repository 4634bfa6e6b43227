"""What all methods that adapt share: pseudo boxes of the teacher, and the loss of the student against them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline.adaptation.method import Adapting, Pass, ToMask
from pipeline.adaptation.norms import Norms
from pipeline.networks.normalise import normalise
from pipeline.params.detection import DetectionUda
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.detector import Pyramid
from pipeline.tasks.detection.source_only import SourceOnly


class AdaptingDetection(SourceOnly, Adapting):
    """Unsupervised domain adaptation: `target_loss`, called `target_pass`, is what tells the methods apart."""

    target_pass: ClassVar[str]
    uda: DetectionUda  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, student: nn.Module, uda: DetectionUda) -> None:
        super().__init__(student, uda)
        self.norms = Norms(student)

    def expect_masks(self) -> None:
        """Nothing to prepare: the teacher labels whole pictures in every method."""

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """`source`, and from `start_step` on the method's own on the target."""
        passes = super().passes(batch, step, generator)
        if step >= self.uda.start_step:
            self.view.target = normalise(batch["target_image"])
            passes.append((self.target_pass, lambda: self.target_loss(batch, step, generator)))
        return [*passes, *also]

    @abstractmethod
    def target_loss(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Tensor:
        """The loss on the target pictures."""

    def pseudo_boxes(self, batch: dict[str, Tensor]) -> list[Boxes]:
        """The teacher's detections on the whole target pictures with a score >= `tau` (section 8), once a step."""
        if not hasattr(self.view, "pseudo"):
            found: Any = self.ema.predict(self.view.target)
            sizes = batch["target_size"].tolist()
            self.view.pseudo = [
                boxes.confident(self.uda.tau).clipped(*size) for boxes, size in zip(found, sizes, strict=True)
            ]
            self.scalars["pseudo_boxes"] = torch.tensor(sum(map(len, self.view.pseudo)) / len(found))
        return self.view.pseudo

    def to_mask(self, batch: dict[str, Tensor]) -> ToMask:
        """Target pictures and their pseudo boxes; the weight is 0 for a picture without any."""
        pseudo = self.pseudo_boxes(batch)
        found = torch.tensor([len(boxes) > 0 for boxes in pseudo], device=self.view.target.device)
        return ToMask(self.view.target, pseudo, found.float())

    def masked_loss(self, shown: Tensor, output: Any, wanted: ToMask) -> Tensor:
        """Objectness and classification against the pseudo boxes; 0 where no picture has any (section 8)."""
        self.view.masked = shown
        return self.pseudo_loss(output, wanted.label)

    def pseudo_loss(self, pyramid: Pyramid, pseudo: list[Boxes]) -> Tensor:
        """Of the pictures that have a pseudo box; the others may hold what the teacher was not sure of."""
        rows = torch.tensor([i for i, boxes in enumerate(pseudo) if len(boxes)], dtype=torch.long)
        if not len(rows):
            return 0 * torch.stack([level.sum() for level in pyramid.levels.values()]).sum()
        chosen = pyramid[rows.to(pyramid.levels["0"].device)]
        return self.network.losses(chosen, [pseudo[i] for i in rows.tolist()]).unlocated
