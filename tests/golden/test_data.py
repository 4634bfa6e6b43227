"""Resizing, crops, rare class sampling and label conversion against the published implementation's outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.augment import crop_with_category_limit
from pipeline.data.formats import label_lut
from pipeline.data.labels import apply_lut, class_pixels
from pipeline.data.rare_class_sampling import class_probabilities, eligible_files
from pipeline.edge.classes import palette
from pipeline.edge.images import fit_size
from pipeline.params.data import CityscapesData, DataSet, GtaData, SynthiaData

pytestmark = pytest.mark.floats

Golden = Callable[[str], dict[str, np.ndarray]]


def test_aspect_is_kept(golden: Golden) -> None:
    data = golden("resize_and_crop")
    for (w, h, long, short), (new_w, new_h) in zip(data["w_h_scaleL_scaleS"], data["new_w_h"], strict=True):
        assert fit_size(int(h), int(w), (int(short), int(long))) == (new_h, new_w)


@pytest.mark.parametrize("case", range(2))
def test_category_limited_crop(golden: Golden, case: int) -> None:
    data = golden("resize_and_crop")
    assert int(data["n_crop_cases"]) == 2
    label = data[f"k{case}_label"].astype(np.uint8)
    offered = iter(data[f"k{case}_boxes"])
    drawn = []

    def draw_box() -> tuple[int, int, int, int]:
        y1, y2, x1, x2 = next(offered).tolist()
        drawn.append(y1)
        return y1, y2, x1, x2

    y1, y2, x1, x2 = crop_with_category_limit(label, draw_box)
    assert len(drawn) == int(data[f"k{case}_n_drawn"])
    np.testing.assert_array_equal(label[y1:y2, x1:x2], data[f"k{case}_kept_label"])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("gta", GtaData(format="gta", root=Path())),
        ("gta", CityscapesData(format="cityscapes", root=Path())),  # the same table
        ("synthia", SynthiaData(format="synthia", root=Path())),
    ],
)
def test_id_map(golden: Golden, name: str, data: DataSet) -> None:
    vectors = golden("label_maps")
    label = apply_lut(vectors[f"{name}_raw"].astype(np.uint16), label_lut(data))
    np.testing.assert_array_equal(label, vectors[f"{name}_trainid"])
    assert class_pixels(label) == vectors[f"{name}_class_pixels"].tolist()


@pytest.mark.parametrize("case", range(3))
def test_rare_class_sampling(golden: Golden, case: int) -> None:
    data = golden("rcs")
    assert int(data["n_cases"]) == 3
    counts = data[f"c{case}_counts"]
    classes, probabilities = class_probabilities(counts, float(data[f"c{case}_temperature"]))
    np.testing.assert_array_equal(classes, data[f"c{case}_classes"])
    np.testing.assert_allclose(probabilities, data[f"c{case}_probs"], rtol=1e-3)
    eligible = eligible_files(counts, int(data[f"c{case}_min_pixels"]))
    np.testing.assert_array_equal(eligible, data[f"c{case}_eligible"])


def test_palette(golden: Golden) -> None:
    np.testing.assert_array_equal(palette()[:19], golden("label_maps")["palette"])
