"""Every profile builds its network and takes one step of each of its methods, on small random pictures."""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import yaml
from lightning_fabric import Fabric

from pipeline.ablation import load_grid
from pipeline.networks.encoder_decoder import SegmentationNetwork
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


def reduced(path: Path, method: str) -> str:
    """The profile as JSON, with small crops and every pseudo label trusted (a random network is never confident).

    What only the loader or other stages read is put aside, so that profiles with the same step share it.
    """
    changes: dict[str, Any] = {
        "train.crop": [CROP, CROP],
        "methods": [method],
        "students": [],
        "distil": None,
    }
    if raw(path)["network"].get("hrda"):
        changes["network.hrda.detail"] = [DETAIL, DETAIL]
    if method == "source_only":
        changes["train.uda"] = {}
    else:
        changes |= {"train.uda.tau": 0.0, "train.uda.ignore_top": 0, "train.uda.ignore_bottom": 0}
        changes["train.uda.margins"] = [0, 0, 0, 0]
    changes |= {"data": raw(PROFILES[0])["data"], "evaluate": {}, "export": {}}
    changes |= {"train.source_size": None, "train.rare_class_sampling": None}
    return load_params(path, changes).model_dump_json()


@lru_cache(maxsize=1)
def network(settings: str) -> SegmentationNetwork:
    """The network without its pretrained weights, which are a file that no checkout has."""
    torch.manual_seed(0)
    built = build_segmenter(Network.model_validate_json(settings), pretrained=False)
    return built.to(memory_format=torch.channels_last)  # as in training


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


@lru_cache
def one_step(settings: str) -> dict[str, float]:
    """The losses of the first step that has all; refuses one that is not finite, or a parameter without a gradient."""
    params = Params.model_validate_json(settings)
    fabric = Fabric(accelerator="cpu", devices=1, precision=params.train.precision)
    built = network(params.network.model_dump_json())
    optimiser = build_optimiser(built, params.train.optimiser)
    student, optimiser = fabric.setup(built, optimiser)
    algorithm = build_method(params.methods[0], student, params)
    setup = Setup(fabric, student, optimiser, algorithm, batches=cast(Any, None))  # the batch is drawn here
    losses = train_step(setup, batch(params.train.batch_size), params.train.uda.start_step, params)
    assert all(p.grad is not None for p in built.parameters())
    built.zero_grad()
    return losses


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_one_step_of_every_method(path: Path) -> None:
    torch.set_num_threads(1)
    params = load_params(path)
    for method in params.methods:
        losses = one_step(reduced(path, method))
        expected = LOSSES[params.train.uda.base if method == "mic" else method] + ["masked"] * (
            method == "mic"
        )
        assert [name for name in losses if name != "target_distance"] == expected
        assert all(losses[name] > 0 for name in expected if name in ("source", "mixed", "masked")), losses


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_starts_with_what_a_user_must_know(path: Path) -> None:
    comment = list(takewhile(lambda line: line.startswith("#"), path.read_text().splitlines()))
    assert len(comment) <= 8
    assert all(len(line) <= 120 for line in comment)
    assert "Data" in " ".join(comment)
    assert raw(path)["export"]["data_licences"]
    assert raw(path)["network"]["licence"]


def test_the_grid_of_base_methods_has_the_settings_of_their_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    grid = load_grid(FOLDER / "ablations" / "gta_cityscapes_bases.yaml")
    short = {"entropy minimisation": "entropy", "DACS": "dacs", "DAFormer": "daformer", "HRDA": "hrda"}
    for name, row in grid.rows.items():
        base = name.removesuffix(" + MIC")
        profile = load_params(FOLDER / f"gta_cityscapes_deeplabv2_{short.get(base, base)}.yaml")
        settings = load_params(grid.params, grid.set | row.set)
        assert settings.model_dump(exclude={"methods"}) == profile.model_dump(exclude={"methods"}), name
        assert row.method in profile.methods
