"""Distillation: a small network learns from a finished adapted one, on the pictures that self-training uses."""

from __future__ import annotations

from torch import nn

from pipeline.adaptation.teacher import Teacher
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.labeller import Labeller
from pipeline.tasks.segmentation.self_training import SelfTraining


class Distillation(SelfTraining):
    """Self-training whose labels come from `adapted`, a network that has been trained; below `Mic`, masked too."""

    def __init__(self, student: nn.Module, uda: Uda, adapted: nn.Module) -> None:
        super().__init__(student, uda)
        # It is used as at inference, and follows nobody; the moving average is still the student's.
        finished = uda.model_copy(update={"teacher_statistics": "averaged"})
        self.labeller = Labeller(adapted, finished, 0.0, uda.tau)
        self.ema = Teacher(student, uda.alpha, averaged_statistics=True)
