"""SDAT (Rangwani et al., 2022), the base method of classification, which `Mic` is added to (method page, section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.adaptation.method import Adapting, Pass, ToMask
from pipeline.adaptation.norms import Norms
from pipeline.adaptation.teacher import Teacher
from pipeline.networks.normalise import normalise
from pipeline.params.classification import Sdat as Settings
from pipeline.params.uda import Uda
from pipeline.tasks.classification.conditional_adversarial import build_discriminator, domain_loss
from pipeline.tasks.classification.minimum_class_confusion import class_confusion
from pipeline.tasks.classification.pseudo_label import pseudo_label, weighted_cross_entropy
from pipeline.tasks.classification.sharpness_aware import SharpnessAware

LR, GAMMA, POWER, WEIGHT_DECAY = 2e-3, 1e-3, 0.75, 1e-3  # of the discriminator's SGD, in the paper


class Sdat(Adapting):
    """Source loss and class confusion at the weights and again uphill, there with the adversarial loss.

    A step takes two gradients. The first, of the task's losses alone, says where the loss is worst nearby; the second,
    taken there, is the one that the optimiser applies.
    """

    def __init__(self, student: nn.Module, uda: Uda, settings: Settings, classes: int, features: int) -> None:
        """`features`: width of the student's second answer, which the discriminator sees beside its logits."""
        super().__init__(student, Teacher(student, uda.alpha))
        self.uda = uda
        self.settings = settings
        self.norms = Norms(student)
        device = next(student.parameters()).device
        self.discriminator = build_discriminator(classes, features).to(device)
        self.optimiser = torch.optim.SGD(
            self.discriminator.parameters(), lr=LR, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
        )
        self.sharpness = SharpnessAware(student.parameters(), settings.rho)
        self.uphill = False

    def expect_masks(self) -> None:
        """Its own teacher labels the masked pictures."""

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: Sequence[Pass] = ()
    ) -> list[Pass]:
        """`here`, whose gradient shows the way uphill, then `source`; each with those of `also`."""
        self.ema.follow(self.student, step, self.uda)
        self.scalars, self.uphill = {}, False
        here = [("here", lambda: self._task_losses(batch, None))]
        here += [(f"{name} here", loss) for name, loss in also]
        return [*here, ("source", lambda: self._uphill_losses(batch, step)), *also]

    def _uphill_losses(self, batch: dict[str, Tensor], step: int) -> Tensor:
        self.sharpness.climb()
        self.uphill = True
        return self._task_losses(batch, step)

    def _task_losses(self, batch: dict[str, Tensor], adversarial_step: int | None) -> Tensor:
        source, target = normalise(batch["source_image"]), normalise(batch["target_image"])
        # One pass for both domains, as published: batch norm sees them together.
        logits, features = self.student(torch.cat([source, target]))
        count, settings = len(source), self.settings
        with torch.autocast(logits.device.type, enabled=False):
            loss = F.cross_entropy(logits[:count].float(), batch["source_label"])
        confusion = class_confusion(logits[count:], settings.temperature)
        loss = loss + settings.confusion_weight * confusion
        if adversarial_step is not None:
            first, second = (logits[:count], features[:count]), (logits[count:], features[count:])
            domain = domain_loss(self.discriminator, first, second, adversarial_step)
            self.scalars |= {"confusion": confusion.detach(), "domain": domain.detach()}
            loss = loss + settings.adversarial_weight * domain
        return loss

    def to_mask(self, batch: dict[str, Tensor]) -> ToMask:
        """Target pictures and the teacher's labels of them."""
        target = normalise(batch["target_image"])
        logits, _ = self._teacher_answer(target)
        pseudo = pseudo_label(logits)
        self.scalars["confident"] = pseudo.weight.mean()
        return ToMask(target, pseudo.label, pseudo.weight)

    def _teacher_answer(self, target: Tensor) -> tuple[Tensor, Tensor]:
        answer: Any = self.ema.predict(target)
        return answer

    def masked_loss(self, shown: Tensor, output: Any, wanted: ToMask) -> Tensor:
        """Cross entropy, weighted as `probability_weight` and `probability_uphill_alone` say."""
        settings = self.settings
        weighted = settings.probability_weight and not (self.uphill and settings.probability_uphill_alone)
        return weighted_cross_entropy(output[0], wanted.label, wanted.weight if weighted else None)

    def after_passes(self, step: int) -> None:
        """Back to where the step began, with the gradient from uphill; and a step of the discriminator."""
        self.sharpness.descend()
        for group in self.optimiser.param_groups:
            group["lr"] = LR * (1 + GAMMA * step) ** -POWER
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """The teacher, the discriminator and its optimiser."""
        return {
            "ema": self.ema.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.ema.load_state_dict(state["ema"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
