"""The class-share prior: probabilities times the ratio of shares, counted over the batches so far."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pipeline.edge.classes import IGNORE, NUM_CLASSES
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.class_prior import ClassPrior
from pipeline.tasks.segmentation.labeller import Labeller

pytestmark = pytest.mark.floats

ROAD, SKY, CAR = 0, 10, 13


def answers(**probabilities: float) -> Tensor:
    """Logits (1, 19, 4, 5) of a teacher that answers the same everywhere; other classes have 1e-6 each."""
    shares = torch.full((NUM_CLASSES,), 1e-6)
    for name, value in probabilities.items():
        shares[{"road": ROAD, "sky": SKY, "car": CAR}[name]] = value
    return shares.log().view(1, -1, 1, 1).expand(1, NUM_CLASSES, 4, 5)


def labels(road: int, sky: int, car: int = 0) -> Tensor:
    """So many pixels of each, and one without a class."""
    ids = [ROAD] * road + [SKY] * sky + [CAR] * car + [IGNORE]
    return torch.tensor(ids).view(1, 1, -1)


@pytest.mark.parametrize(("strength", "sky"), [(1.0, 0.5), (0.5, 1 / 3), (0.0, 0.2)])
def test_shares_are_drawn_towards_those_of_the_source(strength: float, sky: float) -> None:
    # 0.8 : 0.2 times (0.5/0.8 : 0.5/0.2) ** strength
    aligned = ClassPrior(strength).align(answers(road=0.8, sky=0.2), labels(road=3, sky=3)).softmax(1)
    assert aligned[0, SKY].mean() == pytest.approx(sky, abs=1e-3)
    assert aligned[0, ROAD].mean() == pytest.approx(1 - sky, abs=1e-3)


def test_a_teacher_of_the_same_shares_and_a_class_that_nobody_shows_stay() -> None:
    logits = answers(road=0.75, sky=0.25)
    aligned = ClassPrior(1.0).align(logits, labels(road=6, sky=2))
    torch.testing.assert_close(aligned.softmax(1), logits.softmax(1), atol=1e-4, rtol=0)


def test_shares_are_those_of_many_batches_and_the_latest_count_most() -> None:
    prior = ClassPrior(1.0)
    for _ in range(99):
        prior.align(answers(road=0.5, sky=0.5), labels(road=1, sky=1))
    logits = answers(road=0.9, sky=0.1)
    one = prior.align(logits, labels(road=1, sky=1)).softmax(1)[0, SKY].mean()
    assert 0.1 < one < 0.11, "one batch hardly moves it"
    for _ in range(500):
        prior.align(logits, labels(road=1, sky=1))
    assert prior.align(logits, labels(road=1, sky=1)).softmax(1)[0, SKY].mean() == pytest.approx(
        0.5, abs=0.01
    )


def test_source_pictures_without_a_labelled_pixel_count_for_nothing() -> None:
    prior = ClassPrior(1.0)
    prior.align(answers(road=0.5, sky=0.5), labels(road=1, sky=1))
    nothing = torch.full((1, 2, 2), IGNORE)
    aligned = prior.align(answers(road=0.5, sky=0.5), nothing)
    assert torch.isfinite(aligned).all()
    torch.testing.assert_close(aligned.softmax(1)[0, SKY].mean().item(), 0.5, atol=1e-3, rtol=0)


class Overlooks(nn.Module):
    """Sees sky with 0.4 where there is road with 0.6, everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        return answers(road=0.6, sky=0.4) + self.zero


def test_the_labeller_labels_by_the_aligned_answer_and_keeps_the_shares() -> None:
    def labelled(labeller: Labeller, label: Tensor) -> int:
        pseudo = labeller.label(torch.zeros(1, 3, 4, 5), torch.ones(1, 1, 4, 5), label)
        (only,) = pseudo.label.unique().tolist()
        return only

    bright = labels(road=1, sky=3)
    assert labelled(Labeller(Overlooks(), Uda(), 0.9, 0.5), bright) == ROAD
    first = Labeller(Overlooks(), Uda(class_prior=1.0), 0.9, 0.5)
    assert labelled(first, bright) == SKY
    second = Labeller(Overlooks(), Uda(class_prior=1.0), 0.9, 0.5)
    second.load_state_dict(first.state_dict())
    assert labelled(second, labels(road=1, sky=1)) == SKY, "the shares of before still count"
