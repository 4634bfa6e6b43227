"""The pictures and boxes of a training step that a debug picture shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pipeline.tasks.detection.boxes import Boxes


@dataclass
class View:
    """What the passes of a step saw, as far as the method has it; pictures are normalised (B, 3, H, W)."""

    source: Tensor = field(init=False)
    truth: list[Boxes] = field(init=False)
    target: Tensor = field(init=False)
    pseudo: list[Boxes] = field(init=False)
    strong: Tensor = field(init=False)
    masked: Tensor = field(init=False)
