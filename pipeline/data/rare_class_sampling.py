"""Rare class sampling: source pictures by class, the rare ones most (method page, section 2.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.data.index import Record
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import UserError
from pipeline.params.train import RareClassSampling
from pipeline.run.randomness import Stream, step_seed

CROPS_TESTED = 10  # in the paper

Crop = tuple[np.ndarray, np.ndarray]
"""Of a picture and of its label."""


def class_probabilities(counts: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Classes that occur, by ascending total, and the probability of each.

    counts: labelled pixels (files, classes). The probability is the softmax of (1 - share of all pixels) / temperature.
    """
    totals = counts.sum(axis=0)
    classes = np.argsort(totals, kind="stable")
    classes = classes[totals[classes] > 0]
    share = totals[classes] / totals.sum()
    exponent = (1 - share) / temperature
    weight = np.exp(exponent - exponent.max())
    return classes, weight / weight.sum()


def eligible_files(counts: np.ndarray, min_pixels: np.ndarray | int) -> np.ndarray:
    """Whether a file may be drawn for a class: more than `min_pixels` of it; bool (classes, files).

    counts (files, classes); min_pixels one number, or one per file.
    """
    return np.asarray(min_pixels) < counts.T


class RareClasses:
    """Draws a class, then a picture that shows enough of it, then a crop that does."""

    def __init__(
        self, source: Sequence[Record], config: RareClassSampling, crop: tuple[int, int], seed: int
    ) -> None:
        """`crop`: (height, width) of the training crop.

        Raises:
            UserError: no picture has enough of any class.
        """
        counts = np.array([record.pixels or [0] * len(CLASSES) for record in source])
        sizes = np.array([record.height * record.width for record in source])
        eligible = eligible_files(counts, config.min_share * sizes)
        classes, probabilities = class_probabilities(counts, config.temperature)
        kept = eligible[classes].any(axis=1)
        if not kept.any():
            raise UserError(
                f"train.rare_class_sampling.min_share {config.min_share}: no source picture shows more than this "
                "share of any class; lower it"
            )
        self.left_out = [CLASSES[c].name for c in classes[~kept]]
        """Names of the classes that occur, but nowhere enough."""
        self.classes = classes[kept]
        self.probabilities = probabilities[kept] / probabilities[kept].sum()
        self.files = {c: np.flatnonzero(eligible[c]) for c in self.classes}
        self.min_crop_pixels = config.min_crop_share * crop[0] * crop[1]
        self.seed = seed

    def draw(self, place: int) -> tuple[int, int]:
        """(class, index of the picture) for a place of the run; a pure function of it."""
        rng = np.random.default_rng(step_seed(self.seed, Stream.RARE_CLASS, place))
        chosen = rng.choice(self.classes, p=self.probabilities)
        return int(chosen), int(rng.choice(self.files[chosen]))

    def crop(self, place: int, make_crop: Callable[[int], Crop]) -> Crop:
        """The first of ten crops that shows enough of the class drawn for `place`; else the eleventh.

        `make_crop` turns a seed into a crop of the picture drawn for `place`.
        """
        chosen, _ = self.draw(place)
        for test in range(CROPS_TESTED):
            image, label = make_crop(self._crop_seed(place, test))
            if np.count_nonzero(label == chosen) > self.min_crop_pixels:
                return image, label
        return make_crop(self._crop_seed(place, CROPS_TESTED))

    def _crop_seed(self, place: int, test: int) -> int:
        return step_seed(self.seed, Stream.RARE_CLASS_CROP, place, test)
