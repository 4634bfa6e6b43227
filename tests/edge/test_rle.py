"""COCO's run lengths: exact both ways, and byte for byte what pycocotools writes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.edge import rle
from pipeline.edge.classes import CLASSES, IGNORE

coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed: pip install --group dev")

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))
IDS = st.sampled_from([0, 1, 2, 18, IGNORE])


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(np.uint8, SIDES, elements=IDS, fill=st.sampled_from([0, 7])))
@example(np.zeros((1, 1), np.uint8))
@example(np.tile(np.arange(2, dtype=np.uint8), (3, 500)))
def test_masks_are_those_of_pycocotools(classes: np.ndarray) -> None:
    masks = rle.encode(classes)
    assert set(masks) == set(np.unique(classes).tolist())
    for i, mask in masks.items():
        reference = coco.encode(np.asfortranarray(classes == i))
        assert mask.counts == reference["counts"].decode()
        assert mask.area == coco.area(reference)
        assert list(mask.bbox) == coco.toBbox(reference).tolist()
        assert np.array_equal(rle.decode(mask.counts, *classes.shape), classes == i)


@pytest.mark.parametrize("size", [(1200, 1), (1, 1200), (700, 900)])
def test_runs_of_all_lengths(size: tuple[int, int]) -> None:
    """Lengths and their differences over one to five groups of five bits."""
    random = np.random.default_rng(0)
    lengths = np.concatenate([random.integers(1, 2**bits, 20) for bits in (4, 8, 11, 16)])
    random.shuffle(lengths)
    flat = np.resize(np.repeat(np.arange(len(lengths)) % 3, lengths), size[0] * size[1])
    classes = flat.astype(np.uint8).reshape(size[1], size[0]).T
    for i, mask in rle.encode(classes).items():
        assert mask.counts == coco.encode(np.asfortranarray(classes == i))["counts"].decode()
        assert np.array_equal(rle.decode(mask.counts, *size), classes == i)


def test_ids_without_a_name_are_left_out() -> None:
    classes = np.array([[0, IGNORE, 13], [0, 0, 13]], np.uint8)
    written = rle.as_json(classes, CLASSES)
    assert (written["height"], written["width"]) == (2, 3)
    assert [(m["id"], m["name"], m["area"], m["bbox"]) for m in written["masks"]] == [
        (0, "road", 3, [0, 0, 2, 2]),
        (13, "car", 2, [2, 0, 1, 2]),
    ]
    assert [m["segmentation"]["size"] for m in written["masks"]] == [[2, 3], [2, 3]]
