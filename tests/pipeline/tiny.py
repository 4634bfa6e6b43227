"""A project folder with a few 96 x 64 street pictures, source by day and target by night."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

HEIGHT, WIDTH = 64, 96

TINY: dict[str, Any] = {
    "seed": 0,
    "methods": ["source_only", "self_training", "mic"],
    "data": {
        "source": {
            "format": "folders",
            "root": "data/tiny",
            "id_map": {0: "road", 1: "building", 2: "sky", 255: "ignore"},
            "train": {"images": "source/train/images", "labels": "source/train/labels"},
            "val": {"images": "source/val/images", "labels": "source/val/labels"},
        },
        "target": {
            "format": "folders",
            "root": "data/tiny",
            "condition": "night",
            "id_map": {0: "road", 1: "building", 2: "sky", 255: "ignore"},
            "train": {"images": "target/train/images"},
            "val": {"images": "target/val/images", "labels": "target/val/labels"},
        },
        "size": [HEIGHT, WIDTH],
    },
    "network": {
        "architecture": "fpn",
        "encoder": "tu-mobilenetv4_conv_small_050",
        "decoder": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
    },
    "train": {
        "steps": 6,
        "batch_size": 2,
        "crop": [64, 64],
        "workers": 1,
        "threads": 1,
        "checkpoint_every": 2,
        "picture_every": 3,
        "log_every": 2,
        "optimiser": {"lr": 1e-3, "warmup_steps": 2},
        "uda": {"tau": 0.0, "alpha": 0.9, "mask_block": 16},
    },
    "evaluate": {"bootstrap": 100, "pictures": 2},
}


def street(seed: int, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its label: sky over a building over a road."""
    rng = np.random.default_rng(seed)
    horizon, kerb = rng.integers(12, 24), rng.integers(36, 48)
    label = np.full((HEIGHT, WIDTH), 1, np.uint8)
    label[:horizon], label[kerb:] = 2, 0
    base = np.array([[90, 80, 95], [150, 90, 60], [160, 200, 240]])[label] * (0.3 if dark else 1.0)
    noisy = base + rng.normal(0, 8, base.shape)
    return noisy.clip(0, 255).astype(np.uint8), label


def write_split(root: Path, domain: str, split: str, count: int, first_seed: int, labels: bool) -> None:
    """Pictures <domain>/<split>/images/<n>.png and, where asked for, labels of the same name."""
    for kind in ("images", "labels") if labels else ("images",):
        (root / domain / split / kind).mkdir(parents=True)
    for n in range(count):
        image, label = street(first_seed + n, dark=domain == "target")
        Image.fromarray(image).save(root / domain / split / "images" / f"{n:03d}.png")
        if labels:
            Image.fromarray(label).save(root / domain / split / "labels" / f"{n:03d}.png")


def write_project(root: Path, **changes: Any) -> None:
    """params.yaml, TINY but for `changes`, and data/tiny with source and target pictures."""
    data = root / "data" / "tiny"
    write_split(data, "source", "train", 6, 0, labels=True)
    write_split(data, "source", "val", 3, 100, labels=True)
    write_split(data, "target", "train", 5, 200, labels=False)
    write_split(data, "target", "val", 4, 300, labels=True)
    (root / "params.yaml").write_text(yaml.safe_dump(TINY | changes))
