"""MIC, masked image consistency (Hoyer et al., CVPR 2023): section 1.4 of the method page.

The student must give the teacher's label of the whole picture while seeing it with random blocks hidden, so it learns
to use context.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.adaptation.cross_entropy import logits_of, segmentation_loss
from pipeline.adaptation.feature_masks import hidden_blocks, hidden_channels
from pipeline.adaptation.labeller import Labeller
from pipeline.adaptation.masking import Masks
from pipeline.adaptation.method import Method, Pass
from pipeline.adaptation.self_training import SelfTraining
from pipeline.adaptation.strong_augment import draw_gates, strong_augment
from pipeline.adaptation.uda import UdaMethod


@dataclass(frozen=True)
class Shown:
    """Pictures to be masked, and what the student shall say of them."""

    images: Tensor  # normalised (B, 3, H, W)
    label: Tensor  # (B, H, W) int64
    weight: Tensor | None  # (B, H, W); None: 1 everywhere

    def first_half_twice(self) -> Shown:
        """B, which is even, stays."""
        half = len(self.images) // 2

        def twice(values: Tensor) -> Tensor:
            return torch.cat([values[:half], values[:half]])

        return Shown(
            twice(self.images), twice(self.label), None if self.weight is None else twice(self.weight)
        )


class Mic(Method):
    """A base method and one pass more, on masked pictures; in mask mode `mixed` the base's own pass is masked instead.

    Pseudo labels are the base's, or from a teacher of its own where the base has none or `mask_alpha` or `mask_tau`
    ask for one.
    """

    def __init__(self, base: UdaMethod, steps: int) -> None:
        """`steps`: those of the whole training."""
        super().__init__(base.student, base.ema)
        self.base = base
        self.uda = uda = base.uda
        self.network = getattr(base.student, "module", base.student)  # Fabric wraps the student that trains
        self.masks = Masks(uda, steps)
        self.in_base = uda.mask_mode == "mixed"
        if self.in_base:
            assert isinstance(base, SelfTraining)  # params let no other through
            base.hide = self._hidden
        self.labeller: Labeller | None = None
        if not isinstance(base, SelfTraining) or uda.mask_alpha is not None or uda.mask_tau != "base":
            alpha = uda.alpha if uda.mask_alpha is None else uda.mask_alpha
            taus = {"base": uda.tau, "none": None}
            tau = taus[uda.mask_tau] if isinstance(uda.mask_tau, str) else uda.mask_tau
            self.labeller = Labeller(self.student, uda, alpha, tau)

    def passes(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> list[Pass]:
        """Those of the base, and from the first masked step on `masked`."""
        uda = self.uda
        if self.labeller is not None and step >= uda.start_step:
            self.labeller.teacher.update(self.student, step - uda.start_step)
        passes = self.base.passes(batch, step, generator)
        self.view, self.scalars = self.base.view, self.base.scalars
        if step >= uda.first_masked_step and not self.in_base:
            passes.append(("masked", lambda: self._masked_loss(batch, step, generator)))
        return passes

    def after_passes(self, step: int) -> None:
        """The base's."""
        self.base.after_passes(step)

    def _masked_loss(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Tensor:
        uda, shown = self.uda, self._pictures_to_mask(batch)
        images = shown.images
        if uda.mask_mode.endswith("_aug"):
            # Fresh gates; blur is always eligible here, whatever the threshold of the mixed pictures.
            gates = draw_gates(generator)
            images = strong_augment(images, gates, generator, uda.jitter_threshold, per_image=False)
        masked, hidden = self._hidden(images, step, generator)
        with self.base.norms.frozen(uda.mask_norms == "running"), hidden:
            output = self.student(masked)
        self.view.masked, self.view.masked_prediction = masked, logits_of(output).detach()
        return uda.mask_weight * segmentation_loss(output, shown.label, shown.weight)

    def _hidden(
        self, images: Tensor, step: int, generator: torch.Generator
    ) -> tuple[Tensor, AbstractContextManager[None]]:
        """The pictures to show, and the context to show them in: one of the two hides something."""
        if step < self.uda.first_masked_step:
            return images, nullcontext()
        if self.uda.mask_level == "channels":
            ratio = self.masks.ratio(step)
            return images, hidden_channels(self.network, ratio, self.masks.complementary, generator)
        keep = self.masks.draw(images, step, generator)
        if self.uda.mask_level == "features":
            return images, hidden_blocks(self.network, keep)
        return self.masks.hide(images, keep), nullcontext()

    def _pictures_to_mask(self, batch: dict[str, Tensor]) -> Shown:
        """By mask mode (table in section 1.4)."""
        view, mode = self.view, self.uda.mask_mode.removesuffix("_aug")
        if mode == "source":
            return Shown(view.source, view.label, None)
        if self.labeller is not None:
            pseudo = self.labeller.label(view.target, batch["target_valid"], view.label)
            self.scalars.setdefault("confident", pseudo.fraction)
            if not hasattr(view, "pseudo"):  # what the base shows stays
                view.pseudo = pseudo
        else:
            pseudo = view.pseudo
        target = Shown(view.target, pseudo.label, pseudo.weight)
        if mode == "target":
            return target
        if mode == "complementary":
            return target.first_half_twice()
        weight = torch.stack([torch.ones_like(pseudo.weight[0]), pseudo.weight[0]])
        label = torch.stack([view.label[0], pseudo.label[0]])
        return Shown(torch.stack([view.source[0], view.target[0]]), label, weight)

    def state_dict(self) -> dict[str, Any]:
        """The base's state, and the teacher of its own."""
        own = {} if self.labeller is None else self.labeller.state_dict()
        return {"base": self.base.state_dict(), "labeller": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.base.load_state_dict(state["base"])
        if self.labeller is not None:
            self.labeller.load_state_dict(state["labeller"])
