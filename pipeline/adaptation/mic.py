"""MIC, masked image consistency (Hoyer et al., CVPR 2023): section 1.4 of the method page.

The student must give the teacher's label of the whole picture while seeing it with random blocks hidden, so it learns
to use context.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.adaptation.cross_entropy import cross_entropy
from pipeline.adaptation.masking import block_mask, mask_grid
from pipeline.adaptation.self_training import SelfTraining
from pipeline.adaptation.source_only import Loss
from pipeline.adaptation.strong_augment import draw_gates, strong_augment


class Mic(SelfTraining):
    """Three passes a step: source, mixed, and masked pictures."""

    passes = 3

    def losses(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Iterator[Loss]:
        """Losses of one step (counted from 0)."""
        yield from super().losses(batch, step, generator)

        uda = self.uda
        images, label, weight = self._pictures_to_mask()
        if uda.mask_mode.endswith("_aug"):
            # Fresh gates; blur is always eligible here, whatever the threshold of the mixed pictures.
            gates = draw_gates(generator)
            images = strong_augment(images, gates, generator, uda.jitter_threshold, per_image=False)
        height, width = images.shape[-2:]
        grid = mask_grid(len(images), height, width, uda.mask_block, generator)
        masked = images * block_mask(grid, uda.mask_ratio, height, width).to(images.device)
        logits = self.student(masked)
        self.view |= {"masked": masked, "masked_prediction": logits.detach()}
        yield "masked", uda.mask_weight * cross_entropy(logits, label, weight)

    def _pictures_to_mask(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Pictures, labels and pixel weights (None: 1 everywhere) by mask mode (table in section 1.4)."""
        view, mode = self.view, self.uda.mask_mode.removesuffix("_aug")
        if mode == "target":
            return view["target"], view["pseudo_label"], view["pseudo_weight"]
        if mode == "source":
            return view["source"], view["label"], None
        first_of_each = torch.stack([view["source"][0], view["target"][0]])
        labels = torch.stack([view["label"][0], view["pseudo_label"][0]])
        weight = view["pseudo_weight"][0]
        return first_of_each, labels, torch.stack([torch.ones_like(weight), weight])
