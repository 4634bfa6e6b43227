"""COCO's scores, the same by torchmetrics and by the bootstrap's own counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.tasks.detection.bootstrap import Ranked, match, paired_bootstrap50
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.scores import Truth, score

CLASSES = ("car", "person", "train")


def random_pictures(seed: int, count: int = 12, noise: float = 6.0) -> tuple[list[Boxes], list[Truth]]:
    """Labels of the first two classes, detections near some of them, and some anywhere."""
    g = torch.Generator().manual_seed(seed)
    found, truth = [], []
    for _ in range(count):
        n = int(torch.randint(0, 5, (1,), generator=g))
        corner, side = torch.rand(n, 2, generator=g) * 80, 10 + torch.rand(n, 2, generator=g) * 40
        corners, labels = torch.cat([corner, corner + side], 1), torch.randint(0, 2, (n,), generator=g)
        truth.append(Truth(Boxes.true(corners, labels), torch.rand(n, generator=g) < 0.2))
        near = corners + torch.randn(n, 4, generator=g) * noise
        near[:, 2:] = torch.maximum(near[:, 2:], near[:, :2] + 1)
        extra, size = torch.rand(4, 2, generator=g) * 80, 5 + torch.rand(4, 2, generator=g) * 40
        both = torch.cat([near, torch.cat([extra, extra + size], 1)])
        names = torch.cat([labels, torch.randint(0, 2, (4,), generator=g)])
        found.append(Boxes(both, names, torch.rand(len(both), generator=g)))
    return found, truth


def test_perfect_detections_score_one_and_a_class_without_boxes_none() -> None:
    _, truth = random_pictures(0)
    result = score([t.boxes for t in truth], truth, CLASSES)
    assert result.ap == pytest.approx(1)
    assert result.ap50 == pytest.approx(1)
    assert result.per_class50 == {"car": pytest.approx(1), "person": pytest.approx(1), "train": None}


def test_nothing_found_scores_zero() -> None:
    _, truth = random_pictures(0)
    nothing = Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    assert score([nothing] * len(truth), truth, CLASSES).ap50 == 0


def test_no_label_at_all_is_no_score() -> None:
    none = Truth(
        Boxes.true(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)), torch.zeros(0, dtype=torch.bool)
    )
    found, _ = random_pictures(1, count=2)
    result = score(found, [none, none], CLASSES)
    assert result.ap is None
    assert result.ap50 is None


@pytest.mark.parametrize("seed", range(4))
def test_our_counting_is_cocos(seed: int) -> None:
    found, truth = random_pictures(seed)
    result = score(found, truth, CLASSES)
    matches = [match(f, t, len(CLASSES)) for f, t in zip(found, truth, strict=True)]
    for i, name in enumerate(CLASSES):
        ours = Ranked([picture[i] for picture in matches]).average_precision()
        wanted = result.per_class50[name]
        assert np.isnan(ours) if wanted is None else ours == pytest.approx(wanted, abs=1e-6)


def test_a_picture_counted_twice_is_the_picture_twice() -> None:
    found, truth = random_pictures(5)
    matches = [match(f, t, 1)[0] for f, t in zip(found, truth, strict=True)]
    times = np.array([2, 0] + [1] * (len(matches) - 2))
    doubled = Ranked([matches[0], matches[0], *matches[2:]]).average_precision()
    assert Ranked(matches).average_precision(times) == pytest.approx(doubled)


def test_the_interval_holds_the_gain_of_a_better_method() -> None:
    worse, truth = random_pictures(7, count=40, noise=15)
    better, _ = random_pictures(7, count=40, noise=2)
    before, after = ([match(f, t, 3) for f, t in zip(found, truth, strict=True)] for found in (worse, better))
    gain = paired_bootstrap50(before, after, draws=200)
    assert gain.mean is not None
    assert gain.ci95 is not None
    low, high = gain.ci95
    assert 0 < low < gain.mean < high
    assert gain.per_class[2] is None
    assert gain.per_class_ci95[2] is None
    assert paired_bootstrap50(before, after, draws=200) == gain
    nothing = paired_bootstrap50(before, before, draws=20)
    assert (nothing.mean, nothing.ci95) == (0, (0, 0))


def test_other_labels_are_refused() -> None:
    found, truth = random_pictures(0)
    other = random_pictures(1)[1]
    ours, theirs = ([match(f, t, 2) for f, t in zip(found, labels, strict=True)] for labels in (truth, other))
    with pytest.raises(ValueError, match="same labels"):
        paired_bootstrap50(ours, theirs)
    with pytest.raises(ValueError, match="pictures"):
        score(found[1:], truth, CLASSES)
