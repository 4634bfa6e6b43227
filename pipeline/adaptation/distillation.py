"""Distillation: a small network learns from a finished adapted one, on the pictures that self-training uses."""

from __future__ import annotations

from torch import nn

from pipeline.adaptation.labeller import FinishedLabeller
from pipeline.adaptation.self_training import SelfTraining
from pipeline.params_train import Uda


class Distillation(SelfTraining):
    """Self-training whose labels come from `adapted`, a network that has been trained; below `Mic`, masked too."""

    def __init__(self, student: nn.Module, uda: Uda, adapted: nn.Module) -> None:
        super().__init__(student, uda)
        self.labeller = FinishedLabeller(adapted, uda)
