"""SDAT and MIC on it, on a tiny network: the two gradients of a step, and what each is taken of."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.adaptation.method import Method
from pipeline.adaptation.mic import Mic
from pipeline.edge.errors import UserError
from pipeline.networks.normalise import normalise
from pipeline.params.classification import Sdat as Settings
from pipeline.params.uda import Uda
from pipeline.tasks.classification.classifier import Classifier
from pipeline.tasks.classification.minimum_class_confusion import class_confusion
from pipeline.tasks.classification.sdat import Sdat
from pipeline.tasks.classification.source_only import SourceOnly

pytestmark = pytest.mark.floats

CLASSES, FEATURES, SIDE = 4, 6, 16
UDA = Uda(alpha=0.9, mask_block=8)


class Tiny(nn.Module):
    """A classifier of two layers that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3 * SIDE * SIDE, FEATURES)
        self.head = nn.Linear(FEATURES, CLASSES)
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.shown.append(images.detach())
        features = self.encoder(images.flatten(1)).tanh()
        return self.head(features), features


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (8, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    label = torch.tensor([0, 1, 2, 3])
    return {"source_image": images[:4], "source_label": label, "target_image": images[4:]}


def student() -> Tiny:
    torch.manual_seed(0)
    return Tiny()


def sdat(network: nn.Module, uda: Uda = UDA, **settings: Any) -> Sdat:
    return Sdat(network, uda, Settings(**settings), CLASSES, FEATURES)


def step_of(method: Method, step: int = 0) -> dict[str, float]:
    """All passes of a step with their gradients, before the optimiser."""
    losses = {}
    for name, loss_of in method.passes(batch(), step, torch.Generator().manual_seed(2)):
        loss = loss_of()
        losses[name] = loss.item()
        loss.backward()
    method.after_passes(step)
    return losses


def gradient(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_passes_without_and_with_masks() -> None:
    assert list(step_of(SourceOnly(student(), UDA))) == ["source"]
    assert list(step_of(sdat(student()))) == ["here", "source"]
    assert list(step_of(Mic(sdat(student()), 10))) == ["here", "masked here", "source", "masked"]


def test_the_gradient_is_taken_uphill_and_applied_where_the_step_began() -> None:
    network = student()
    before = copy.deepcopy(network)
    method = sdat(network, rho=0.5, adversarial_weight=0)
    losses = step_of(method)
    assert losses["source"] > losses["here"]

    def task_losses(of: nn.Module) -> Tensor:
        logits, _ = of(torch.cat([normalise(batch()["source_image"]), normalise(batch()["target_image"])]))
        return F.cross_entropy(logits[:4], batch()["source_label"]) + class_confusion(logits[4:], 3.0)

    task_losses(before).backward()
    norm = gradient(before).norm()
    uphill = copy.deepcopy(before)
    with torch.no_grad():
        for moved, at in zip(uphill.parameters(), before.parameters(), strict=True):
            assert at.grad is not None
            moved.add_(0.5 * at.grad / norm)
    uphill.zero_grad()
    task_losses(uphill).backward()
    torch.testing.assert_close(gradient(network), gradient(uphill), rtol=1e-4, atol=1e-6)
    for after, at in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.equal(after, at)


def test_both_gradients_see_the_same_masked_pictures() -> None:
    network = student()
    step_of(Mic(sdat(network), 10))
    pictures = [shown for shown in network.shown if len(shown) == 4]
    assert len(pictures) == 2
    assert torch.equal(*pictures)
    whole = normalise(batch()["target_image"])
    assert not torch.equal(pictures[0], whole)


@pytest.mark.parametrize(
    ("settings", "here", "uphill"),
    [
        ({}, True, True),
        ({"probability_weight": False}, False, False),
        ({"probability_uphill_alone": True}, True, False),
    ],
)
def test_the_weight_of_the_masked_loss(settings: dict[str, Any], here: bool, uphill: bool) -> None:
    losses = step_of(Mic(sdat(student(), rho=0, **settings), 10))
    plain = step_of(Mic(sdat(student(), rho=0, probability_weight=False), 10))
    assert (losses["masked here"] < plain["masked here"]) == here
    assert (losses["masked"] < plain["masked"]) == uphill


def test_the_discriminator_learns_and_the_features_hide() -> None:
    network = student()
    method = sdat(network, rho=0)
    before = copy.deepcopy(method.discriminator)
    step_of(method, step=500)
    moved = zip(method.discriminator.parameters(), before.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in moved)
    with_adversary = gradient(network)
    network.zero_grad()
    step_of(sdat(network, rho=0, adversarial_weight=0), step=500)
    assert not torch.allclose(with_adversary, gradient(network))


def test_a_checkpoint_holds_what_the_next_step_needs() -> None:
    method = sdat(student())
    step_of(method)
    other = sdat(student())
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    for one in (method, other):
        one.student.zero_grad()
    assert step_of(method, 1) == step_of(other, 1)


def test_a_timm_network_with_a_bottleneck() -> None:
    network = Classifier("test_resnet", classes=5, bottleneck=16)
    logits, features = network(torch.zeros(2, 3, 64, 64))
    assert (logits.shape, features.shape) == ((2, 5), (2, 16))
    assert features.min() >= 0
    with pytest.raises(UserError, match=r"network.encoder 'resnet': timm has no network of this name"):
        Classifier("resnet", classes=5)
