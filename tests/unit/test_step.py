"""The training step: separate passes whose gradients add up, then one optimiser step at the rate of the step."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.edge.errors import UserError
from pipeline.params import Params
from pipeline.training.optimiser import build_optimiser
from pipeline.training.step import Setup, train_step

pytestmark = pytest.mark.floats

DATA = {"format": "camvid", "root": ".", "train": "a"}


def params(**optimiser: Any) -> Params:
    settings = {"name": "sgd", "lr": 0.5, "head_factor": 1, "weight_decay": 0, "warmup_steps": 0} | optimiser
    train = {"steps": 4, "batch_size": 1, "crop": [32, 32], "optimiser": settings}
    network = {"architecture": "fpn", "encoder": "tu-test_resnet"}
    return Params.model_validate(
        {"data": {"source": DATA, "target": DATA, "size": [32, 32]}, "network": network, "train": train}
    )


class TwoLosses:
    """sum(w * 1) and sum(w * 2): gradients of 1 and 2; the graph of the first is gone when the second is built."""

    def __init__(self, student: nn.Module, second: float) -> None:
        self.student, self.second, self.done = student, second, False

    def passes(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, also: object = ()
    ) -> list[tuple[str, Callable[[], Tensor]]]:
        return [("first", self.weight.sum), ("second", self.second_loss)]

    @property
    def weight(self) -> Tensor:
        return next(self.student.parameters())

    def second_loss(self) -> Tensor:
        assert self.weight.grad is not None
        assert self.weight.grad.unique().tolist() == [1]
        return self.second * self.weight.sum()

    def after_passes(self, step: int) -> None:
        self.done = True


def setup(settings: Params, second: float = 2.0) -> tuple[Setup, nn.Module, Any]:
    network = nn.Module()
    network.encoder = nn.Linear(2, 2, bias=False)
    network.forward = network.encoder.forward
    fabric = Fabric(accelerator="cpu", devices=1)
    student, optimiser = fabric.setup(network, build_optimiser(network, settings.train.optimiser))
    algorithm: Any = TwoLosses(student, second)
    return Setup(fabric, student, optimiser, algorithm, SimpleNamespace()), network, algorithm  # type: ignore[arg-type]


def test_gradients_of_all_passes_add_up_to_one_step() -> None:
    settings = params()
    made, network, algorithm = setup(settings)
    before = network.get_parameter("encoder.weight").detach().clone()
    for step in (0, 1):  # the second one does not see the first one's gradients
        losses = train_step(made, {}, step, settings)
        assert losses["second"] == pytest.approx(2 * losses["first"])
    rates, momentum = (0.5, 0.5 * 3 / 4), 0.9
    moved = before - network.get_parameter("encoder.weight")
    assert torch.allclose(moved, torch.full((2, 2), 3 * (rates[0] + rates[1] * (1 + momentum))))
    assert algorithm.done


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    settings = params()
    made, network, _ = setup(settings, second=float("inf"))
    before = network.get_parameter("encoder.weight").detach().clone()
    with pytest.raises(UserError, match=r"step 2: the loss 'second' is -?inf.*day\.png, night\.png"):
        train_step(made, {"source_files": ["day.png"], "target_files": ["night.png"]}, 2, settings)
    assert torch.equal(before, network.get_parameter("encoder.weight"))
