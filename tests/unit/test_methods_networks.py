"""Every method on the networks that answer otherwise: HRDA's two scales in training, a ViT's tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Network, Params
from pipeline.train import build_method

FPN = {
    "architecture": "fpn",
    "encoder": "tu-test_resnet",
    "decoder": {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32},
}
NETWORKS = {
    "hrda": FPN | {"hrda": {"detail": [64, 64]}},
    "vit": {
        "architecture": "dpt",
        "encoder": "tu-test_vit",
        "decoder": {"decoder_intermediate_channels": [16] * 4},
    },
}
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("self_training", {"feature_distance": {}}),
    ("mic", {"feature_distance": {"kind": "foundation"}, "teacher_flip": True}),
    ("mic", {"base": "entropy_minimisation"}),
    ("mic", {"base": "adversarial", "mask_mode": "both_aug"}),
]


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, 128, 128), generator=generator, dtype=torch.uint8)
    label = torch.full((2, 128, 128), 13)  # cars: a thing at every position
    valid = torch.ones(2, 1, 128, 128)
    return {
        "source_image": images[:2],
        "source_label": label,
        "target_image": images[2:],
        "target_valid": valid,
    }


@pytest.mark.parametrize(("method", "uda"), METHODS)
@pytest.mark.parametrize("network", NETWORKS)
def test_one_step(network: str, method: str, uda: dict[str, Any]) -> None:
    data = {"format": "camvid", "root": ".", "train": "a"}
    params = Params.model_validate(
        {
            "data": {"source": data, "target": data, "size": [128, 128]},
            "network": NETWORKS[network],
            "train": {
                "steps": 2,
                "batch_size": 2,
                "crop": [128, 128],
                "optimiser": {"lr": 1.0},
                "uda": uda | {"tau": 0.0},
            },
        }
    )
    torch.manual_seed(0)
    student = build_segmenter(Network.model_validate(NETWORKS[network])).train()
    algorithm = build_method(method, student, params)
    with torch.no_grad():
        for parameter in student.encoder.parameters():
            parameter.add_(0.01)  # a ViT without noise would be at distance 0 from its frozen copy
    losses = {}
    for name, loss_of in algorithm.passes(batch(), 0, torch.Generator().manual_seed(0)):
        loss = loss_of()
        losses[name] = loss.item()
        loss.backward()
    assert all(0 < value < 100 for value in losses.values()), losses
    if "feature_distance" in uda:
        assert algorithm.scalars["feature_distance"] > 0
    assert algorithm.view.prediction.shape[:2] == (2, 19)
    assert all(p.grad is not None for p in student.encoder.parameters())
