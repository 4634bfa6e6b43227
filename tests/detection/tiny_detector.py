"""A detector and a batch small enough for seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.params.detection import DetectorNetwork
from pipeline.tasks.detection.build import build_detector
from pipeline.tasks.detection.detector import Detector

HEIGHT, WIDTH = 96, 128
WEIGHTS = Path(__file__).resolve().parents[2] / "models" / "encoders" / "mobilenet_v2.safetensors"
SMALL: dict[str, Any] = {
    "encoder": "mobilenet_v2",
    "channels": 16,
    "anchors": (8, 16, 32, 64, 128),
    "representation": 32,
    "train_proposals": 60,
    "test_proposals": 60,
    "anchor_samples": 32,
    "box_samples": 32,
}


def network_params(**changes: Any) -> DetectorNetwork:
    return DetectorNetwork(**{**SMALL, "weights": WEIGHTS, **changes})


def tiny_detector(**changes: Any) -> Detector:
    torch.manual_seed(0)
    return build_detector(network_params(**changes), classes=2)


def tiny_batch() -> dict[str, Tensor]:
    """Two pictures a domain; the first source picture has two boxes, the second one."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 255, (4, 3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    return {
        "source_image": pictures[:2],
        "source_boxes": torch.tensor([[10.0, 10, 60, 70], [70, 20, 100, 50], [5, 5, 40, 30]]),
        "source_labels": torch.tensor([0, 1, 1]),
        "source_owner": torch.tensor([0, 0, 1]),
        "source_size": torch.tensor([[HEIGHT, WIDTH]] * 2),
        "target_image": pictures[2:],
        "target_size": torch.tensor([[HEIGHT, WIDTH], [HEIGHT - 20, WIDTH - 30]]),
    }
