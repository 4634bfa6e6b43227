"""Self-training as DACS does it: an EMA teacher's pseudo labels on class-mixed pictures (sections 1.1 to 1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.adaptation.classmix import class_mask, draw_classes, mix
from pipeline.adaptation.cross_entropy import cross_entropy, enlarge
from pipeline.adaptation.pseudo_label import pseudo_label
from pipeline.adaptation.source_only import Loss, SourceOnly
from pipeline.adaptation.strong_augment import draw_gates, strong_augment
from pipeline.adaptation.teacher import Teacher
from pipeline.networks.normalise import normalise
from pipeline.params_train import Uda


class SelfTraining(SourceOnly):
    """Two passes a step: source, and source classes pasted onto pseudo-labelled target pictures."""

    passes = 2

    def __init__(self, student: nn.Module, uda: Uda) -> None:
        super().__init__(student)
        self.uda = uda
        # Fabric wraps the student that trains; the teacher copies the network itself.
        self.ema = Teacher(getattr(student, "module", student), uda.alpha)

    def losses(self, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> Iterator[Loss]:
        """Losses of one step (counted from 0); the teacher is updated first."""
        uda = self.uda
        self.ema.update(self.student, step)
        gates = draw_gates(generator)
        yield from super().losses(batch, step, generator)

        source, label = self.view["source"], self.view["label"]
        target = normalise(batch["target_image"])
        logits = enlarge(self.ema.predict(target), (target.shape[-2], target.shape[-1]))
        pseudo = pseudo_label(logits, uda.tau, uda.ignore_top, uda.ignore_bottom, batch["target_valid"])

        mask = class_mask(label, draw_classes(label, generator))
        mixed = strong_augment(
            mix(mask, source, target),
            gates,
            generator,
            uda.jitter_threshold,
            uda.blur_threshold,
            per_image=True,
        )
        mixed_label = mix(mask, label, pseudo.label)
        mixed_weight = mix(mask, torch.ones_like(pseudo.weight), pseudo.weight)
        self.view |= {
            "target": target,
            "pseudo_label": pseudo.label,
            "pseudo_weight": pseudo.weight,
            "confidence": pseudo.confidence,
            "mixed": mixed,
            "mixed_label": mixed_label,
        }
        self.scalars = {"confident": pseudo.fraction}
        yield "mixed", cross_entropy(self.student(mixed), mixed_label, mixed_weight)

    @property
    def teacher(self) -> nn.Module:
        """The EMA teacher."""
        return self.ema.network

    def state_dict(self) -> dict[str, Any]:
        """The teacher's parameters and batch-norm statistics."""
        return self.ema.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with a teacher from `state_dict`."""
        self.ema.load_state_dict(state)
