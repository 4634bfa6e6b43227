"""Confusion pictures show shares of rows that add up; the grid has a cell for every map."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.edge.classes import palette
from pipeline.evaluation.pictures import (
    CELL_WIDTH,
    GAP,
    GridRow,
    confusion_change_picture,
    confusion_picture,
    confusion_shares,
    grid_picture,
)


def test_rows_are_the_labelled_classes_and_sum_to_one() -> None:
    confusion = np.zeros((19, 19), int)
    confusion[0, [0, 10, 9]] = 6, 3, 1  # terrain (9) is predicted but nowhere labelled
    confusion[10, 10] = 5
    shares, rows, columns = confusion_shares(confusion)
    assert (rows, columns) == (["road", "sky"], ["road", "sky", "other"])
    assert shares == pytest.approx(np.array([[0.6, 0.3, 0.1], [0, 1, 0]]))
    confusion[0, 9] = 0
    assert confusion_shares(confusion)[2] == ["road", "sky"]


def test_matrices_are_drawn() -> None:
    before = np.zeros((19, 19), int)
    before[range(6), range(6)] = 5
    after = before.copy()
    after[3, 4] = 5
    after[3, 3] = 0
    for png in (confusion_picture(before, "title"), confusion_change_picture(before, after, "title")):
        picture = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
        assert min(picture.shape[:2]) > 300
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_grid_shows_every_map_in_its_column() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    maps = [np.full((10, 20), c, np.uint8) for c in (0, 10, 13)]
    picture = np.array(grid_picture([GridRow("night", image, maps[0], maps[1:])], ["source-only", "MIC"]))
    height = CELL_WIDTH // 2
    middle = picture[40 + 26 + height // 2]
    cells = [middle[GAP + i * (CELL_WIDTH + GAP) + CELL_WIDTH // 2] for i in range(4)]
    assert [tuple(c) for c in cells] == [(0, 0, 0), *(tuple(palette()[i]) for i in (0, 10, 13))]

    unlabelled = grid_picture([GridRow("night", image, None, maps[1:])], ["source-only", "MIC"])
    assert unlabelled.width == GAP + 3 * (CELL_WIDTH + GAP)
