"""Reading label maps of every kind that data sets come with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.data.index import Record, read_index, write_index
from pipeline.data.labels import apply_lut, class_pixels, read_colour_ids, read_label_ids, read_red_channel
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


def test_one_bit_masks_are_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert read_label_ids(tmp_path / "a.png").tolist() == [[255, 0]]


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
        Record("c.zip/c.jpg", None, "target", "val", "night", 4, 6, None, "00", data_set=1, grey=12.5),
    ]
    path = tmp_path / "data" / "source.jsonl"
    write_index(path, records)
    assert read_index(path) == records
    assert [p.name for p in path.parent.iterdir()] == ["source.jsonl"]


def test_a_missing_or_foreign_index_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dvc repro prepare`"):
        read_index(tmp_path / "source.jsonl")
    whole = asdict(Record("a.jpg", None, "target", "val", "night", 4, 6, None, "00"))
    older = {key: value for key, value in whole.items() if key not in ("data_set", "grey")}
    (tmp_path / "source.jsonl").write_text(json.dumps(older) + "\n")
    with pytest.raises(UserError, match=r"not an index of this version \(fields data_set, grey\)"):
        read_index(tmp_path / "source.jsonl")


def test_a_colour_label_gives_the_ids_of_its_colours(tmp_path: Path) -> None:
    pixels = np.array([[[64, 32, 32], [255, 0, 0], [64, 32, 33]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_colour_ids(tmp_path / "a.png", {(64, 32, 32): 0, (255, 0, 0): 1}).tolist() == [[0, 1, 255]]


def test_the_red_channel_of_a_sixteen_bit_label(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), np.uint16)
    pixels[..., 2], pixels[..., 1] = [[3, 22, 0], [1, 4, 300]], 5000  # OpenCV: blue, green, red
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    assert read_red_channel(tmp_path / "a.png").tolist() == [[3, 22, 0], [1, 4, 300]]
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"b\.png cannot be decoded"):
        read_red_channel(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"c\.png does not exist"):
        read_red_channel(tmp_path / "c.png")
