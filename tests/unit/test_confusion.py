"""Scores beyond the golden vectors: empty pictures, wrong ids, chosen classes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.evaluation.confusion import (
    confusion_matrix,
    iou,
    labelled_classes,
    mean_iou,
    pixel_accuracy,
    recall,
)


def test_rows_are_truth_and_columns_prediction() -> None:
    matrix = confusion_matrix(np.array([[1, 1, 255]], np.uint8), np.array([[1, 2, 2]], np.uint8), 3)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_large_counts_of_small_integers_do_not_wrap() -> None:
    truth = np.full((300, 300), 18, np.uint8)
    assert confusion_matrix(truth, truth)[18, 18] == 90_000


def test_nothing_labelled() -> None:
    empty = confusion_matrix(np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8))
    assert empty.sum() == 0
    assert empty.shape == (19, 19)
    assert np.isnan(iou(empty)).all()
    assert np.isnan(recall(empty)).all()
    assert math.isnan(mean_iou(empty))
    assert math.isnan(pixel_accuracy(empty))
    assert labelled_classes(empty) == []
    assert math.isnan(mean_iou(empty, []))


def test_a_class_predicted_but_never_labelled() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), 4)
    np.testing.assert_array_equal(iou(matrix), [0.5, 1, 0, np.nan])
    np.testing.assert_array_equal(recall(matrix), [0.5, 1, np.nan, np.nan])
    assert mean_iou(matrix) == pytest.approx(0.5)  # the reference keeps it in the mean
    assert labelled_classes(matrix) == [0, 1]
    assert mean_iou(matrix, labelled_classes(matrix)) == pytest.approx(0.75)  # the product's rule
    assert labelled_classes(matrix, scored=(1, 2)) == [1]
    assert pixel_accuracy(matrix) == 0.75


@pytest.mark.parametrize(("truth", "prediction"), [(19, 0), (0, 19), (-1, 0), (0, 255)])
def test_ids_that_are_no_class_are_refused(truth: int, prediction: int) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.18"):
        confusion_matrix(np.array([truth]), np.array([prediction]))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="but the prediction is"):
        confusion_matrix(np.zeros((2, 2), int), np.zeros((2, 3), int))
