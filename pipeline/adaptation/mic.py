"""MIC, masked image consistency (Hoyer et al., CVPR 2023): section 1.4 of the method page.

The student must give the teacher's label of the whole picture while seeing it with random blocks hidden, so it learns
to use context.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pipeline.adaptation.feature_masks import hidden_blocks, hidden_channels
from pipeline.adaptation.masking import Masks
from pipeline.adaptation.method import Adapting, Method, Pass, ToMask
from pipeline.adaptation.strong_augment import draw_gates, strong_augment


class Mic(Method):
    """A base method and one pass more, on masked pictures; in mask mode `mixed` the base's own pass is masked instead.

    It knows no task: the base says which pictures are masked and what the loss on them is.
    """

    def __init__(self, base: Adapting, steps: int) -> None:
        """`steps`: those of the whole training."""
        super().__init__(base.student, base.ema)
        self.base = base
        self.uda = base.uda
        self.network = getattr(base.student, "module", base.student)  # Fabric wraps the student that trains
        self.masks = Masks(base.uda, steps)
        self.in_base = base.uda.mask_mode == "mixed"
        if self.in_base:
            base.hide = self._hidden
        base.expect_masks()

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """Those of the base, and from the first masked step on `masked`."""
        if step >= self.uda.first_masked_step and not self.in_base:
            also = [*also, self._masked(batch, step, generator)]
        passes = self.base.passes(batch, step, generator, also)
        self.view, self.scalars = self.base.view, self.base.scalars
        return passes

    def after_passes(self, step: int) -> None:
        """The base's."""
        self.base.after_passes(step)

    def _masked(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Pass:
        @cache  # a base that takes two gradients a step takes both on the same masked pictures
        def shown() -> tuple[ToMask, Tensor, AbstractContextManager[None]]:
            uda, wanted = self.uda, self.base.to_mask(batch)
            images = wanted.images
            if uda.mask_mode.endswith("_aug"):
                # Fresh gates; blur is always eligible here, whatever the threshold of the mixed pictures.
                gates = draw_gates(generator)
                images = strong_augment(images, gates, generator, uda.jitter_threshold, per_image=False)
            return wanted, *self._hidden(images, step, generator)

        def loss() -> Tensor:
            wanted, masked, hidden = shown()
            with self.base.norms.frozen(self.uda.mask_norms == "running"), hidden:
                output = self.student(masked)
            return self.uda.mask_weight * self.base.masked_loss(masked, output, wanted)

        return "masked", loss

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

    def state_dict(self) -> dict[str, Any]:
        """The base's."""
        return self.base.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.base.load_state_dict(state)
