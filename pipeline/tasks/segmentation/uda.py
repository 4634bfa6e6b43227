"""What all methods that adapt share: the source pass, and from the start step on passes on the target."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline.adaptation.method import Adapting, Pass, ToMask
from pipeline.adaptation.norms import Norms
from pipeline.adaptation.teacher import Teacher
from pipeline.networks.hrda import MultiScale
from pipeline.networks.normalise import normalise
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.cross_entropy import logits_of, segmentation_loss
from pipeline.tasks.segmentation.feature_distance import FeatureDistance
from pipeline.tasks.segmentation.labeller import Labeller
from pipeline.tasks.segmentation.pseudo_label import PseudoLabel
from pipeline.tasks.segmentation.source_only import SourceOnly


class UdaMethod(SourceOnly, Adapting):
    """Unsupervised domain adaptation: `target_loss`, called `target_pass`, is what tells the methods apart.

    Below `Mic`, pseudo labels for masked pictures are those of the method's own pass, or from a teacher of their own
    where it has none or `mask_alpha` or `mask_tau` ask for one.
    """

    target_pass: ClassVar[str]
    labels_target: ClassVar[bool] = False

    def __init__(self, student: nn.Module, uda: Uda, ema: Teacher | None = None) -> None:
        config = uda.feature_distance
        distance = None if config is None else FeatureDistance(student, config)
        super().__init__(student, uda, ema, distance)
        self.norms = Norms(student)
        self.mask_labeller: Labeller | None = None

    def expect_masks(self) -> None:
        """Make the teacher that labels masked pictures, where there has to be another one."""
        uda = self.uda
        if not self.labels_target or uda.mask_alpha is not None or uda.mask_tau != "base":
            alpha = uda.alpha if uda.mask_alpha is None else uda.mask_alpha
            taus = {"base": uda.tau, "none": None}
            tau = taus[uda.mask_tau] if isinstance(uda.mask_tau, str) else uda.mask_tau
            self.mask_labeller = Labeller(self.student, uda, alpha, tau)

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """`source`; from `start_step` on `target_distance` for a distance of kind foundation, and the method's own."""
        passes = super().passes(batch, step, generator)
        if step < self.uda.start_step:
            return [*passes, *also]
        if self.mask_labeller is not None:
            self.mask_labeller.teacher.update(self.student, step - self.uda.start_step)
        target = self.view.target = normalise(batch["target_image"])
        distance = self.distance
        if distance is not None and distance.on_target:
            passes.append(("target_distance", lambda: distance.of_target(target)))
        passes.append((self.target_pass, lambda: self.target_loss(target, batch, step, generator)))
        return [*passes, *also]

    @abstractmethod
    def target_loss(
        self, target: Tensor, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Tensor:
        """The loss on normalised target pictures (B, 3, H, W)."""

    def to_mask(self, batch: dict[str, Tensor]) -> ToMask:
        """Target pictures and pseudo labels, source pictures and labels, or the first of each."""
        view, mode = self.view, self.uda.mask_mode.removesuffix("_aug")
        if mode == "source":
            return ToMask(view.source, view.label, None)
        pseudo = self._label_for_masks(batch)
        target = ToMask(view.target, pseudo.label, pseudo.weight)
        if mode == "target":
            return target
        if mode == "complementary":
            return _first_half_twice(target)
        weight = torch.stack([torch.ones_like(pseudo.weight[0]), pseudo.weight[0]])
        label = torch.stack([view.label[0], pseudo.label[0]])
        return ToMask(torch.stack([view.source[0], view.target[0]]), label, weight)

    def _label_for_masks(self, batch: dict[str, Tensor]) -> PseudoLabel:
        view = self.view
        if self.mask_labeller is None:
            return view.pseudo
        pseudo = self.mask_labeller.label(view.target, batch["target_valid"], view.label)
        self.scalars.setdefault("confident", pseudo.fraction)
        if not self.labels_target:  # else the picture shows what the method's own pass learns from
            view.pseudo = pseudo
        return pseudo

    def masked_loss(self, shown: Tensor, output: Tensor | MultiScale, wanted: ToMask) -> Tensor:
        """Weighted cross entropy."""
        self.view.masked, self.view.masked_prediction = shown, logits_of(output).detach()
        return segmentation_loss(output, wanted.label, wanted.weight)

    def state_dict(self) -> dict[str, Any]:
        """That of the masks' own teacher too."""
        own = {} if self.mask_labeller is None else self.mask_labeller.state_dict()
        return super().state_dict() | {"mask_labeller": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        super().load_state_dict(state)
        if self.mask_labeller is not None:
            self.mask_labeller.load_state_dict(state["mask_labeller"])


def _first_half_twice(wanted: ToMask) -> ToMask:
    """(B, ...) -> (B, ...), B even."""
    half = len(wanted.images) // 2

    def twice(values: Tensor) -> Tensor:
        return torch.cat([values[:half], values[:half]])

    weight = None if wanted.weight is None else twice(wanted.weight)
    return ToMask(twice(wanted.images), twice(wanted.label), weight)
