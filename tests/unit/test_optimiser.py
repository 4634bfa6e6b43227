"""Parameter groups and the rate that each step sets."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from pipeline.edge.errors import UserError
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Network
from pipeline.params.train import Optimiser
from pipeline.training.optimiser import build_optimiser, learning_rate, set_learning_rate

pytestmark = pytest.mark.floats


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(
            {"norm1": nn.LayerNorm(4), "conv": nn.Conv2d(3, 4, 1), "bn": nn.BatchNorm2d(4)}
        )
        self.decoder = nn.ModuleDict({"norm": nn.LayerNorm(4)})
        self.segmentation_head = nn.Conv2d(4, 2, 1)


def test_groups_of_rate_and_decay() -> None:
    toy = Toy()
    optimiser = build_optimiser(toy, Optimiser(lr=6e-5))
    of_parameter = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    seen = {name: of_parameter[id(p)] for name, p in toy.named_parameters()}
    assert {name: (group["lr"], group["weight_decay"]) for name, group in seen.items()} == {
        "encoder.norm1.weight": (6e-5, 0),
        "encoder.norm1.bias": (6e-5, 0),
        "encoder.conv.weight": (6e-5, 0.01),
        "encoder.conv.bias": (6e-5, 0.01),
        "encoder.bn.weight": (6e-5, 0.01),
        "encoder.bn.bias": (6e-5, 0.01),
        "decoder.norm.weight": (pytest.approx(6e-4), 0.01),
        "decoder.norm.bias": (pytest.approx(6e-4), 0.01),
        "segmentation_head.weight": (pytest.approx(6e-4), 0.01),
        "segmentation_head.bias": (pytest.approx(6e-4), 0.01),
    }


def test_every_trainable_parameter_of_an_smp_network_is_there_once() -> None:
    network = smp.create_model(
        "fpn", encoder_name="tu-mobilenetv3_small_050", encoder_weights=None, classes=19
    )
    frozen = network.get_parameter("encoder.model.conv_stem.weight").requires_grad_(False)
    optimiser = build_optimiser(network, Optimiser(lr=1e-3))
    listed = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in network.parameters()} - {id(frozen)}
    assert [group["name"] for group in optimiser.param_groups] == ["encoder", "head"]  # no empty group


def test_each_step_sets_every_group() -> None:
    settings = Optimiser(lr=1e-3, warmup_steps=10)
    optimiser = build_optimiser(Toy(), settings)
    for step in (0, 3, 10, 99):
        set_learning_rate(optimiser, step, 100, settings, start_step=50)
        rates = {group["name"]: group["lr"] for group in optimiser.param_groups}
        assert rates["encoder"] == rates["encoder_norms"] == learning_rate(step, 1e-3, 100, 10)
        assert rates["head"] == pytest.approx(10 * rates["encoder"])


def test_a_clock_that_restarts_does_each_phase_as_a_training_of_its_own() -> None:
    settings = Optimiser(lr=1e-3, warmup_steps=10, restart=True)
    optimiser = build_optimiser(Toy(), settings)
    found = []
    for step in range(100):
        set_learning_rate(optimiser, step, 100, settings, start_step=40)
        found.append(optimiser.param_groups[0]["lr"])
    phases = [learning_rate(s, 1e-3, n, 10) for n in (40, 60) for s in range(n)]
    assert found == phases
    set_learning_rate(optimiser, 30, 100, settings)  # no phase before the target: the usual clock
    assert optimiser.param_groups[0]["lr"] == learning_rate(30, 1e-3, 100, 10)


def test_schedule_without_warmup_and_its_ends() -> None:
    assert learning_rate(0, 1.0, 100, 0) == 1.0
    assert learning_rate(0, 1.0, 100, 10) == pytest.approx(1e-6)
    assert learning_rate(100, 1.0, 100, 10) == 0
    assert learning_rate(50, 1.0, 100, 10, power=2.0) == 0.25
    assert learning_rate(100, 1.0, 100, 10, minimum=0.1) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_resumed_optimiser_goes_on_bit_for_bit(name: Literal["adamw", "sgd"]) -> None:
    settings = Optimiser(name=name, lr=1e-2, warmup_steps=2)

    def train(network: Toy, optimiser: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            set_learning_rate(optimiser, step, 10, settings)
            optimiser.zero_grad()
            pixels = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(step))
            features = network.encoder["bn"](network.encoder["conv"](pixels))
            network.segmentation_head(features).square().mean().backward()
            optimiser.step()

    torch.manual_seed(0)
    whole = Toy()
    resumed = Toy()
    resumed.load_state_dict(whole.state_dict())
    optimiser = build_optimiser(whole, settings)
    train(whole, optimiser, range(3))
    resumed.load_state_dict(whole.state_dict())
    restored = build_optimiser(resumed, settings)
    restored.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    train(whole, optimiser, range(3, 6))
    train(resumed, restored, range(3, 6))
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def rates(network: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Name of a parameter -> its learning rate and weight decay."""
    group_of = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    groups = {name: group_of[id(p)] for name, p in network.named_parameters()}
    return {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()}


def test_layer_decay_slows_a_vit_towards_its_embedding() -> None:
    network = build_segmenter(Network(architecture="dpt", encoder="tu-test_vit"))  # six blocks
    settings = Optimiser(lr=1e-3, head_factor=10, layer_decay=0.5)
    optimiser = build_optimiser(network, settings)
    found = rates(network, optimiser)
    for name, (lr, decay) in found.items():
        if not name.startswith("encoder."):
            expected = 1e-2
        elif ".blocks." in name:
            expected = 1e-3 * 0.5 ** (5 - int(name.split(".")[3]))
        else:
            expected = 1e-3 * 0.5**6  # class token, positions, patches
        assert lr == pytest.approx(expected), name
        assert decay == (0.0 if name.startswith("encoder.") and "norm" in name else 0.01), name
    assert optimiser.param_groups[0]["lr"] == 1e-3
    listed = [p for group in optimiser.param_groups for p in group["params"]]
    assert len(listed) == len(list(network.parameters()))
    set_learning_rate(optimiser, 1750, 2000, settings)
    assert rates(network, optimiser)["encoder.model.cls_token"][0] == pytest.approx(1e-3 / 8 * 0.5**6)


def test_layer_decay_needs_blocks() -> None:
    network = build_segmenter(Network(architecture="fpn", encoder="tu-test_resnet"))
    with pytest.raises(UserError, match=r"layer_decay 0\.9 needs a ViT encoder .* null"):
        build_optimiser(network, Optimiser(lr=1e-3, layer_decay=0.9))


@pytest.mark.parametrize(("architecture", "encoder"), [("daformer", "mit_b0"), ("dpt", "tu-test_vit")])
def test_norms_of_real_encoders_are_not_decayed(architecture: str, encoder: str) -> None:
    network = build_segmenter(Network(architecture=architecture, encoder=encoder))
    found = rates(network, build_optimiser(network, Optimiser(lr=1e-3, weight_decay=0.02)))
    norms = {
        f"encoder.{name}.{kind}"
        for name, module in network.encoder.named_modules()
        if isinstance(module, nn.LayerNorm)
        for kind, _ in module.named_parameters()
    }
    assert len(norms) >= 10
    assert {name for name, (_, decay) in found.items() if decay == 0} == norms


def test_sgd_is_the_papers() -> None:
    optimiser = build_optimiser(Toy(), Optimiser(name="sgd", lr=2.5e-3, head_factor=1, weight_decay=5e-4))
    assert isinstance(optimiser, torch.optim.SGD)
    assert {(g["lr"], g["momentum"], g["nesterov"]) for g in optimiser.param_groups} == {(2.5e-3, 0.9, False)}
    assert {g["name"]: g["weight_decay"] for g in optimiser.param_groups}["encoder"] == 5e-4
