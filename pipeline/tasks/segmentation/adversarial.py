"""Output-space adversarial adaptation: the student's target predictions shall look like source ones (section 1.7)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.edge.classes import NUM_CLASSES
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.cross_entropy import enlarge, logits_of
from pipeline.tasks.segmentation.uda import UdaMethod

SOURCE, TARGET = 0.0, 1.0  # what the discriminator shall say (least squares)
WIDTHS = (64, 128, 256, 512, 1)  # channels of its five convolutions, in the paper
SMALLEST = 32  # cells along a side that five halvings need
LR, BETAS, POWER = 1e-4, (0.9, 0.99), 0.9  # of its Adam and polynomial decay, in the paper


class Adversarial(UdaMethod):
    """A discriminator learns to tell the domains apart by the predictions; the student learns to fool it.

    The discriminator has its own optimiser, stepped here after the student's last pass.
    """

    target_pass = "fooling"

    def __init__(self, student: nn.Module, uda: Uda, steps: int) -> None:
        """`steps`: length of the run, at whose end the discriminator's rate is 0."""
        super().__init__(student, uda)
        device = next(student.parameters()).device
        self.discriminator = build_discriminator().to(device)
        self.optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=LR, betas=BETAS)
        self.steps = steps

    def target_loss(
        self, target: Tensor, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Tensor:
        """Weighted as `adversarial_weight` says."""
        logits = logits_of(self.student(target))
        self.view.target_prediction = logits.detach()
        return self.uda.adversarial_weight * self.fooling_loss(logits)

    def after_passes(self, step: int) -> None:
        """A step of the discriminator on what the student has answered."""
        if step < self.uda.start_step:
            return
        for group in self.optimiser.param_groups:
            group["lr"] = LR * (1 - step / self.steps) ** POWER
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.discriminator_loss(self.view.prediction, self.view.target_prediction)
        loss.backward()
        self.optimiser.step()
        self.scalars["discriminator"] = loss.detach()

    def fooling_loss(self, target: Tensor) -> Tensor:
        """How far target logits (B, 19, h, w) are from passing as source; no gradient for the discriminator."""
        self.discriminator.requires_grad_(False)
        loss = self._distance(target, SOURCE)
        self.discriminator.requires_grad_(True)
        return loss

    def discriminator_loss(self, source: Tensor, target: Tensor) -> Tensor:
        """How far the discriminator is from the truth on logits of both domains; no gradient for the student."""
        return (self._distance(source.detach(), SOURCE) + self._distance(target.detach(), TARGET)) / 2

    def _distance(self, logits: Tensor, domain: float) -> Tensor:
        height, width = logits.shape[-2:]
        with torch.autocast(logits.device.type, enabled=False):
            enlarged = enlarge(logits, (max(height, SMALLEST), max(width, SMALLEST)))
            answer = self.discriminator(enlarged.softmax(dim=1))
            return F.mse_loss(answer, torch.full_like(answer, domain))

    def state_dict(self) -> dict[str, Any]:
        """Discriminator and its optimiser, too."""
        return super().state_dict() | {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        super().load_state_dict(state)
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])


def build_discriminator() -> nn.Sequential:
    """Class probabilities (B, 19, h, w), h and w at least 32 -> (B, 1, h/32, w/32): 0 says source, 1 target."""
    layers: list[nn.Module] = []
    channels = NUM_CLASSES
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        channels = width
    return nn.Sequential(*layers[:-1])
