"""Reading label maps of every kind that data sets come with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.index import Record, read_index, write_index
from pipeline.data.labels import apply_lut, class_pixels, read_label_ids
from pipeline.edge.errors import UserError

IDS = np.array([[0, 1, 2], [3, 200, 255]])


@pytest.fixture
def lut() -> np.ndarray:
    table = np.full(65536, 255, np.uint8)
    table[:4] = [0, 13, 18, 10]
    table[40_000] = 8
    return table


def test_eight_bit_ids_become_train_ids(tmp_path: Path, lut: np.ndarray) -> None:
    Image.fromarray(IDS.astype(np.uint8)).save(tmp_path / "a.png")
    label = apply_lut(read_label_ids(tmp_path / "a.png"), lut)
    assert label.dtype == np.uint8
    assert label.tolist() == [[0, 13, 18], [10, 255, 255]]


def test_sixteen_bit_ids_are_not_clipped(tmp_path: Path, lut: np.ndarray) -> None:
    Image.fromarray(np.array([[1, 40_000]], np.uint16)).save(tmp_path / "a.png")
    assert apply_lut(read_label_ids(tmp_path / "a.png"), lut).tolist() == [[13, 8]]


def test_a_palette_png_gives_indices_not_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(IDS.astype(np.uint8)).convert("L")
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    picture.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.mode == "P"
    assert read_label_ids(tmp_path / "a.png").tolist() == IDS.tolist()


def test_one_bit_masks_are_zero_and_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert read_label_ids(tmp_path / "a.png").tolist() == [[1, 0]]


def test_ids_beyond_the_table_are_ignored(lut: np.ndarray) -> None:
    assert apply_lut(np.array([[1, 70_000, -1]], np.int32), lut).tolist() == [[13, 255, 255]]


def test_class_pixels_leave_ignored_ones_out() -> None:
    assert class_pixels(np.array([[0, 0, 18], [255, 255, 10]], np.uint8)) == [2] + [0] * 9 + [1] + [0] * 7 + [
        1
    ]


def test_a_coloured_label_is_refused_with_the_fix(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png is a RGB picture.*export the id map, not the coloured one"):
        read_label_ids(tmp_path / "a.png")


def test_a_missing_label_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.png does not exist"):
        read_label_ids(tmp_path / "none.png")


def test_index_round_trip(tmp_path: Path) -> None:
    records = [
        Record("a b.jpg", "é.png", "source", "train", "clear", 4, 6, list(range(19)), "ff"),
        Record("c.jpg", None, "target", "val", "night", 4, 6, None, "00"),
    ]
    path = tmp_path / "data" / "source.jsonl"
    write_index(path, records)
    assert read_index(path) == records
    assert [p.name for p in path.parent.iterdir()] == ["source.jsonl"]


def test_a_missing_or_foreign_index_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dvc repro prepare`"):
        read_index(tmp_path / "source.jsonl")
    (tmp_path / "source.jsonl").write_text('{"image": "a.jpg"}\n')
    with pytest.raises(UserError, match="not an index of this version"):
        read_index(tmp_path / "source.jsonl")
