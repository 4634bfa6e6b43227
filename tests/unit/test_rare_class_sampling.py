"""Rare class sampling beyond the golden vectors: what is drawn, how often it crops, what it leaves out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipeline.data.index import Record
from pipeline.data.rare_class_sampling import RareClasses
from pipeline.edge.errors import UserError
from pipeline.params.train import RareClassSampling

SIDE = 100  # of a picture


def record(**pixels: int) -> Record:
    """A picture with `c<class>` pixels of the named classes."""
    counts = [pixels.get(f"c{c}", 0) for c in range(19)]
    return Record("", "", "source", "train", "clear", SIDE, SIDE, counts, "")


def sampler(records: list[Record], seed: int = 0, **config: float) -> RareClasses:
    return RareClasses(records, RareClassSampling(**config), (10, 10), seed)


def test_rare_classes_come_most_and_only_from_pictures_that_show_enough() -> None:
    records = [record(c0=9000, c5=900), record(c0=9000, c5=15), record(c0=9000), record(c0=8000, c5=16)]
    rare = sampler(records, temperature=0.2, min_share=0.0015)
    drawn = [rare.draw(place) for place in range(3000)]
    classes = Counter(c for c, _ in drawn)
    share = 931 / 35931
    expected = 1 / (1 + np.exp(-(1 - 2 * share) / 0.2))
    assert classes[5] / 3000 == pytest.approx(expected, abs=0.01)
    assert {i for c, i in drawn if c == 5} == {0, 3}  # 15 pixels are not more than 0.0015 of 10 000
    assert {i for c, i in drawn if c == 0} == {0, 1, 2, 3}


def test_draws_are_a_function_of_seed_and_place() -> None:
    records = [record(c0=5000, c5=5000) for _ in range(20)]
    first = [sampler(records).draw(place) for place in range(20)]
    assert first == [sampler(records).draw(place) for place in range(20)]
    assert first != [sampler(records, seed=1).draw(place) for place in range(20)]


def test_a_class_that_is_nowhere_enough_is_named_and_never_drawn() -> None:
    rare = sampler([record(c0=9000, c16=3), record(c0=9000, c13=500)])
    assert rare.left_out == ["train"]
    assert {rare.draw(place)[0] for place in range(300)} == {13}  # at T = 0.01 the road has no chance
    with pytest.raises(UserError, match=r"min_share 0\.5: no source picture"):
        sampler([record(c0=4000, c1=4000)], min_share=0.5)


def test_crops_until_one_shows_enough_and_at_most_ten_are_tested() -> None:
    rare = sampler([record(c13=500)], min_crop_share=0.05)
    seeds: list[int] = []

    def crop_with(pixels: list[int]) -> int:
        """Crops with these numbers of car pixels are offered; returns the number in the one kept."""
        seeds.clear()

        def make_crop(seed: int) -> tuple[np.ndarray, np.ndarray]:
            label = np.zeros(100, np.uint8)
            label[: pixels[len(seeds)]] = 13
            seeds.append(seed)
            return np.zeros((10, 10, 3), np.uint8), label.reshape(10, 10)

        return int((rare.crop(7, make_crop)[1] == 13).sum())

    assert crop_with([0, 5, 6]) == 6  # 5 of 100 are not more than 0.05
    assert len(seeds) == len(set(seeds)) == 3
    assert crop_with([0] * 10 + [1, 50]) == 1  # the eleventh is taken untested
    assert len(set(seeds)) == 11
    assert crop_with([99]) == 99
