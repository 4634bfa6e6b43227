"""The tensors of a training step that a debug picture shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pipeline.tasks.segmentation.pseudo_label import PseudoLabel


@dataclass
class View:
    """What the passes of a step saw and answered, as far as the method has it; logits without their gradient."""

    source: Tensor = field(init=False)  # normalised pictures (B, 3, H, W), as are target, mixed and masked
    label: Tensor = field(init=False)  # (B, H, W) int64
    prediction: Tensor = field(init=False)  # logits (B, C, h, w), as are the other predictions
    target: Tensor = field(init=False)
    target_prediction: Tensor = field(init=False)
    pseudo: PseudoLabel = field(init=False)
    mixed: Tensor = field(init=False)
    mixed_label: Tensor = field(init=False)
    masked: Tensor = field(init=False)
    masked_prediction: Tensor = field(init=False)
