"""Every profile builds its network and takes one step of each of its methods, on small random pictures."""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning_fabric import Fabric

from pipeline.data.loaders import TrainingBatches
from pipeline.networks.encoder_decoder import Segmenter
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Network, Params, load_params
from pipeline.train import build_method
from pipeline.training.optimiser import build_optimiser
from pipeline.training.step import Setup, train_step

FOLDER = Path(__file__).resolve().parents[2] / "profiles"
CROP, DETAIL = 64, 32  # the smallest that HRDA takes: a context view of 32, a detail window of 32
LOSSES = {
    "source_only": ["source"],
    "self_training": ["source", "mixed"],
    "entropy_minimisation": ["source", "entropy"],
    "adversarial": ["source", "fooling"],
}


def raw(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


# By network, since building one takes longer than a step of it.
PROFILES = sorted(FOLDER.glob("*.yaml"), key=lambda path: str(raw(path)["network"]))


def reduced(path: Path) -> Params:
    """The profile with small crops, and every pseudo label trusted, since a random network is never confident."""
    changes: dict[str, Any] = {"train.crop": [CROP, CROP], "train.uda.tau": 0.0}
    changes |= {"train.uda.ignore_top": 0, "train.uda.ignore_bottom": 0, "train.uda.start_step": 0}
    changes["train.rare_class_sampling"] = None  # there are no pictures to draw from
    if raw(path)["network"].get("hrda"):
        changes["network.hrda.detail"] = [DETAIL, DETAIL]
    return load_params(path, changes)


@lru_cache(maxsize=1)
def network(settings: str) -> Segmenter:
    """The network without its pretrained weights, which are a file that no checkout has."""
    torch.manual_seed(0)
    return build_segmenter(Network.model_validate_json(settings), pretrained=False)


def batch(size: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2 * size, 3, CROP, CROP), generator=generator, dtype=torch.uint8)
    label = torch.randint(0, 19, (size, CROP // 32, CROP // 32), generator=generator)
    return {
        "source_image": images[:size],
        "source_label": label.repeat_interleave(32, dim=1).repeat_interleave(32, dim=2),
        "target_image": images[size:],
        "target_valid": torch.ones(size, 1, CROP, CROP),
        "source_files": [],
        "target_files": [],
    }


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_one_step_of_every_method(path: Path) -> None:
    params = reduced(path)
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=1, precision=params.train.precision)
    built = network(params.network.model_dump_json())
    optimiser = build_optimiser(built, params.train.optimiser)
    student, optimiser = fabric.setup(built, optimiser)
    for method in params.methods:
        algorithm = build_method(method, student, params)
        setup = Setup(fabric, student, optimiser, algorithm, TrainingBatches([], [], params))
        # The first step of the warm-up: the network stays nearly as it is for the next method and profile.
        # Raises for a loss that is not finite.
        losses = train_step(setup, batch(params.train.batch_size), 0, params)
        uda = params.train.uda
        expected = LOSSES[uda.base if method == "mic" else method] + ["masked"] * (method == "mic")
        assert [name for name in losses if name != "target_distance"] == expected
        assert all(value > 0 for name, value in losses.items() if name in ("source", "mixed", "masked")), (
            losses
        )
        assert all(p.grad is not None for p in built.parameters()), method


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_starts_with_what_a_user_must_know(path: Path) -> None:
    lines = path.read_text().splitlines()
    comment = list(takewhile(lambda line: line.startswith("#"), lines))
    assert len(comment) <= 8
    assert all(len(line) <= 120 for line in comment)
    assert "Data" in " ".join(comment)
    assert raw(path)["export"]["data_licences"]
    assert raw(path)["network"]["licence"]
