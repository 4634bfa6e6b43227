"""The paired bootstrap against a case small enough to enumerate, and its coverage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import paired_bootstrap

# Two pixels of each of two classes an image. Before: image 1 has both of class 0 wrong, image 2 all right.
BEFORE = np.array([[[0, 2], [0, 2]], [[2, 0], [0, 2]]])
AFTER = np.array([[[2, 0], [0, 2]], [[1, 1], [0, 2]]])


def miou(confusion: np.ndarray) -> float:
    right = np.diagonal(confusion)
    return float(np.mean(right / (confusion.sum(0) + confusion.sum(1) - right)))


def test_gain_by_hand() -> None:
    # Summed before: class 0 IoU 2/4, class 1 IoU 4/6; after: 3/4 and 4/5.
    gain = paired_bootstrap(BEFORE, AFTER)
    assert gain.per_class == pytest.approx([3 / 4 - 2 / 4, 4 / 5 - 4 / 6])
    assert gain.miou == pytest.approx((0.25 + 4 / 5 - 4 / 6) / 2)


def test_a_class_that_is_not_scored_leaves_the_mean_alone() -> None:
    gain = paired_bootstrap(BEFORE, AFTER, scored=(1,))
    assert gain.miou == pytest.approx(
        4 / 5 - 4 / 6
    )  # pixels of class 0 still count as wrongly taken for class 1
    assert np.isnan(gain.per_class[0])
    assert np.isnan(gain.per_class_ci95[0]).all()


def test_interval_is_that_of_all_resamples_of_two_images() -> None:
    # Two images have three different resamples: (1,1) and (2,2) with chance 1/4, (1,2) with 1/2.
    possible = [
        miou(AFTER[list(pick)].sum(0)) - miou(BEFORE[list(pick)].sum(0))
        for pick in itertools.combinations_with_replacement(range(2), 2)
    ]
    gain = paired_bootstrap(BEFORE, AFTER, draws=400)
    assert gain.miou_ci95 == pytest.approx((min(possible), max(possible)))


def test_pairing_removes_what_the_images_share() -> None:
    # Pictures differ widely in difficulty, the method always mends five pixels of a hundred.
    wrong = np.array([10, 25, 40, 60, 90, 95])
    before, after = (np.array([[[100 - w, w], [0, 100]] for w in picture]) for picture in (wrong, wrong - 5))
    gain = paired_bootstrap(before, after)
    assert gain.miou_ci95 is not None
    assert 0 < gain.miou_ci95[0] < gain.miou < gain.miou_ci95[1]
    alone = [miou(before[np.random.default_rng(i).integers(6, size=6)].sum(0)) for i in range(200)]
    assert gain.miou_ci95[1] - gain.miou_ci95[0] < 0.1 * (
        np.percentile(alone, 97.5) - np.percentile(alone, 2.5)
    )


def test_same_seed_same_interval() -> None:
    before, after = random_images(np.random.default_rng(1), 20)
    assert (
        paired_bootstrap(before, after, seed=3).miou_ci95 == paired_bootstrap(before, after, seed=3).miou_ci95
    )
    assert (
        paired_bootstrap(before, after, seed=3).miou_ci95 != paired_bootstrap(before, after, seed=4).miou_ci95
    )


def test_swapping_the_methods_turns_the_interval_round() -> None:
    before, after = random_images(np.random.default_rng(2), 20)
    there, back = paired_bootstrap(before, after), paired_bootstrap(after, before)
    assert there.miou == pytest.approx(-back.miou)
    assert there.miou_ci95 is not None
    assert back.miou_ci95 is not None
    assert there.miou_ci95 == pytest.approx((-back.miou_ci95[1], -back.miou_ci95[0]))


def test_a_class_without_labels_is_unknown_even_where_it_is_predicted() -> None:
    before = np.zeros((2, 3, 3), int)
    after = np.zeros((2, 3, 3), int)
    before[:, 0, 0] = after[:, 0, 0] = 5
    before[:, 1, 2] = 4  # class 2 is only ever predicted
    after[:, 1, 1] = 4
    gain = paired_bootstrap(before, after)
    assert np.isnan(gain.per_class[2])
    assert np.isnan(gain.per_class_ci95[2]).all()
    assert gain.miou == pytest.approx((0 + 1) / 2)


def test_one_image_has_a_gain_but_no_interval() -> None:
    gain = paired_bootstrap(BEFORE[:1], AFTER[:1])
    assert gain.miou > 0
    assert gain.miou_ci95 is None


def test_other_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="different labels"):
        paired_bootstrap(BEFORE, AFTER[::-1] + 1)
    with pytest.raises(ValueError, match="same images"):
        paired_bootstrap(BEFORE, AFTER[:1])


def random_images(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n pairs of confusion matrices of three classes; each image has its own difficulty and its own gain."""
    labelled = rng.integers(50, 500, size=(n, 3))
    difficulty = rng.uniform(0.2, 0.6, size=(n, 1))
    better = np.clip(difficulty - rng.normal(0.05, 0.05, size=(n, 1)), 0, 1)
    pair = []
    for wrong in (difficulty, better):
        confusion = np.zeros((n, 3, 3), int)
        missed = np.round(labelled * wrong).astype(int)
        for c in range(3):
            confusion[:, c, c] = labelled[:, c] - missed[:, c]
            confusion[:, c, (c + 1) % 3] = missed[:, c]
        pair.append(confusion)
    return pair[0], pair[1]


def test_interval_covers_the_true_gain_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    big = random_images(rng, 20000)
    truth = miou(big[1].sum(0)) - miou(big[0].sum(0))
    covered = 0
    for trial in range(200):
        interval = paired_bootstrap(*random_images(rng, 30), draws=300, seed=trial).miou_ci95
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    # A percentile interval of 30 images covers a little less than 95 %, and 200 trials spread by 1.5 %.
    assert 176 <= covered <= 199
