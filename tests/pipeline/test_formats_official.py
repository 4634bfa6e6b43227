"""Every data set in its official layout, unpacked and as archives: pictures, splits, conditions, classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from drawing import HEIGHT, WIDTH, Miniature
from miniatures import BUILDERS, TEST_ONLY, ZIPPED, Block, build
from projects import params_for, prepared

from pipeline.data.formats import read_record_label
from pipeline.data.formats.cityscapes import TRAIN_ID_ORDER
from pipeline.data.formats.synthetic import SYNTHIA_CLASSES
from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.classes import CLASSES, ID_OF
from pipeline.params.data import FORMATS

Splits = dict[str, Counter[str]]

EXPECTED: dict[str, tuple[Splits, set[str]]] = {
    # format: conditions of each split, and the classes in its labels
    "camvid": ({"train": Counter(clear=3), "val": Counter(clear=2)}, {"sky", "road", "car"}),
    "folders": ({"train": Counter(clear=3), "val": Counter(clear=2)}, {"sky", "road", "car"}),
    "cityscapes": (
        {"train": Counter(clear=3), "val": Counter(clear=2)},
        {"road", "building", "sky", "car", "bicycle"},
    ),
    "foggy_cityscapes": (
        {"train": Counter(fog=3), "val": Counter(fog=2)},
        {"road", "building", "sky", "car", "bicycle"},
    ),
    "gta": ({"train": Counter(mixed=4)}, {c.name for c in CLASSES}),
    "synthia": (
        {"train": Counter(mixed=4)},
        {c.name for c in CLASSES} - {"terrain", "truck", "train"},
    ),
    "acdc": (
        {"train": Counter(fog=2, night=2, rain=2, snow=2), "val": Counter(fog=1, night=1, rain=1, snow=1)},
        {"road", "sidewalk", "sky", "car"},
    ),
    "dark_zurich": (
        {"train": Counter(night=3), "val": Counter(night=2)},
        {"road", "sidewalk", "sky", "car"},
    ),
    "nighttime_driving": ({"val": Counter(night=3)}, {"road", "sidewalk", "sky", "car"}),
    "foggy_zurich": ({"train": Counter(fog=4), "val": Counter(fog=2)}, {"road", "sidewalk", "sky", "car"}),
    "foggy_driving": ({"val": Counter(fog=3)}, {"road", "building", "sky", "car"}),
    "bdd100k": (
        {"train": Counter(clear=1, night=1, unknown=1), "val": Counter(snow=1, night=1)},
        {"road", "sidewalk", "sky", "car"},
    ),
    "comma10k": ({"train": Counter(mixed=3), "val": Counter(mixed=2)}, {"road"}),
    "mapillary": (
        {"train": Counter(mixed=3), "val": Counter(mixed=2)},
        {"road", "building", "sky", "car"},
    ),
}
UNLABELLED_TRAIN = ("dark_zurich", "foggy_zurich")  # nobody has labels for it: a target, never a source


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def source_beside(name: str) -> Block:
    """A source that is not the data set itself."""
    other = "mapillary" if name == "cityscapes" else "cityscapes"
    return build(other, Path("source"))


def target_beside(name: str) -> Block:
    """A target with training pictures that is not the data set itself."""
    other = "folders" if name == "camvid" else "camvid"
    return build(other, Path("target"))


def classes(records: list[Record]) -> set[str]:
    """Names of the classes that occur in the labels, as the index counts them."""
    pixels = np.array([r.pixels for r in records if r.pixels])
    return {c.name for c in CLASSES if pixels[:, c.id].any()}


def test_every_format_has_a_miniature_and_an_expectation() -> None:
    assert set(BUILDERS) == set(EXPECTED) == set(FORMATS) - {"scenes"}


@pytest.mark.parametrize("name", BUILDERS)
def test_as_a_target(name: str) -> None:
    target = [build(name, Path(name)), target_beside(name)]
    records = prepared(source_beside(name), target)[1]
    mine = [r for r in records if r.data_set == 0]
    splits, names = EXPECTED[name]
    assert {s: Counter(r.condition for r in mine if r.split == s) for s in splits} == splits
    assert {r.split for r in mine} == set(splits)
    assert {r.label for r in mine if r.split == "train"} <= {None}
    assert all((r.height, r.width) == (HEIGHT, WIDTH) for r in mine)
    assert all(0 < r.grey < 255 for r in mine)
    if "val" in splits:
        assert classes(mine) == names
        assert all(r.label for r in mine if r.split == "val")


@pytest.mark.parametrize("name", [n for n in BUILDERS if n not in TEST_ONLY + UNLABELLED_TRAIN])
def test_as_a_source(name: str) -> None:
    records, _, report = prepared(build(name, Path(name)), target_beside(name))
    splits, names = EXPECTED[name]
    assert {s: Counter(r.condition for r in records if r.split == s) for s in splits} == splits
    assert all(r.label for r in records)
    assert classes(records) == names
    never = next((w for w in report["warnings"] if "never learned" in w), "")
    assert set(never.partition(": ")[2].split(", ")) - {""} == {c.name for c in CLASSES} - names


@pytest.mark.parametrize("name", ZIPPED)
def test_archives_are_read_in_place(name: str) -> None:
    source, other = source_beside(name), target_beside(name)
    packed = prepared(source, [build(name, Path("zipped") / name, zipped=True), other])[1]
    unpacked = prepared(source, [build(name, Path("plain") / name), other])[1]
    assert not [p for p in (Path("zipped") / name).rglob("*") if p.suffix != ".zip"]

    def facts(record: Record) -> tuple[str, str, str, list[int] | None, float]:
        return record.sha256, record.split, record.condition, record.pixels, record.grey

    assert [facts(r) for r in packed] == [facts(r) for r in unpacked]
    inside = next(r.image for r in packed if r.data_set == 0)
    assert ".zip/" in inside
    assert read_picture(inside).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("gta", dict(enumerate(TRAIN_ID_ORDER))),
        ("synthia", {ID_OF[name]: raw for raw, name in SYNTHIA_CLASSES.items()}),
    ],
)
def test_train_ids_of_rendered_scenes_by_pixel(name: str, raw: dict[int, int]) -> None:
    block = build(name, Path(name))
    target = target_beside(name)
    record = prepared(block, target)[0][0]
    assert record.label is not None
    label = read_record_label(record, params_for(block, target).data)
    m = Miniature(name)
    if name == "gta":
        ids = m.ids("labels/00001.png", (*TRAIN_ID_ORDER, 0, 34))
    else:
        in_data = [i for i, n in SYNTHIA_CLASSES.items() if n not in ("terrain", "truck", "train")]
        ids = m.ids("GT/LABELS/0000000.png", (*in_data, 0, 22))
    known = {stored: train_id for train_id, stored in raw.items()}
    assert label.tolist() == [[known.get(int(i), 255) for i in row] for row in ids]
