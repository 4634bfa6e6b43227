"""The teacher: an exponential moving average of the student (method page, section 1, steps 2 and 6)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.params.uda import Uda


def ema_decay(step: int, alpha: float) -> float:
    """Share of the old teacher kept at `step` (from 0): min(1 - 1/(step+1), alpha); 0 is a plain copy."""
    return min(1 - 1 / (step + 1), alpha)


class Teacher:
    """A copy of the student that follows it slowly and labels target pictures.

    In the paper only parameters are averaged: the running statistics of the teacher's batch norms are its own, fed
    by `predict`, which uses each batch's statistics. With `averaged_statistics` the student's are averaged like
    parameters, and `predict` uses them as at inference.
    """

    def __init__(
        self, student: nn.Module, alpha: float, averaged_statistics: bool = False, warm_up: bool = True
    ) -> None:
        """`warm_up` False: the rate is `alpha` from step 1 on, as for detection (section 8)."""
        self.alpha = alpha
        self.warm_up = warm_up
        self.averaged_statistics = averaged_statistics
        # Fabric wraps the student that trains; the teacher copies the network itself.
        self.network = copy.deepcopy(getattr(student, "module", student)).requires_grad_(False)
        self.network.zero_grad(set_to_none=True)

    @torch.no_grad()
    def update(self, student: nn.Module, step: int) -> None:
        """Follow the student as the optimiser step before iteration `step` (from 0) left it."""
        decay = ema_decay(step, self.alpha) if self.warm_up or step == 0 else self.alpha
        for mine, theirs in zip(self.network.parameters(), student.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        if self.averaged_statistics:
            for mine, theirs in zip(self.network.buffers(), student.buffers(), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(theirs, 1 - decay)
                else:
                    mine.copy_(theirs)  # counters

    def follow(self, student: nn.Module, step: int, uda: Uda) -> None:
        """`update` before iteration `step` (from 0), once `uda.ema_from` is reached, where it begins as a copy."""
        first = 0 if uda.ema_from == "first_step" else uda.start_step
        if step >= first:
            self.update(student, step - first)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Logits of normalised pictures (B, 3, H, W).

        Batch norms use the batch's statistics, as in training, or the averaged ones; dropout and stochastic depth
        are off.
        """
        # Train mode for the norms alone: some networks drop paths or attention by a plain function that
        # reads its parent's mode, so that switching off Dropout and DropPath modules would miss them.
        self.network.eval()
        for module in () if self.averaged_statistics else self.network.modules():
            if "running_mean" in module._buffers or "running_var" in module._buffers:
                module.train()
        return self.network(images)

    @torch.no_grad()
    def finish(self, student: nn.Module) -> None:
        """Statistics to work with: those of the finished student, where its own only served `predict`."""
        if not self.averaged_statistics:
            for mine, theirs in zip(self.network.buffers(), student.buffers(), strict=True):
                mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers of the teacher network."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave; raises RuntimeError for another network."""
        self.network.load_state_dict(state)
