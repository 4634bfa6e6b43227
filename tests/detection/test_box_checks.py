"""What prepare says of boxes that are amiss: one sentence each, with the file, the value and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from layouts import PICTURES, coco, detection_data, picture, yolo

from pipeline.data.boxes.checks import CheckedPicture, box_problems, category_problems, check_boxes
from pipeline.data.boxes.formats import list_boxes
from pipeline.data.boxes.listing import BoxListing
from pipeline.data.boxes.record import read_box_index, write_box_index
from pipeline.data.checks import duplicates
from pipeline.edge.errors import UserError

CLASSES = ("car", "person")


def checked(
    block: dict[str, Any], classes: tuple[str, ...] = CLASSES
) -> tuple[BoxListing, list[CheckedPicture]]:
    data = detection_data(block, block, classes=classes, size=(64, 96)).source
    listing = list_boxes(data, "source")
    return listing, list(check_boxes(listing, classes, getattr(data, "class_map", {})))


def with_box(root: Path, box: list[float], **row: Any) -> dict[str, Any]:
    """A COCO data set whose first box is `box`."""
    block = coco(root, 0)
    path = root / "train.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annotations"][0] |= {"bbox": box} | row
    path.write_text(json.dumps(content), encoding="utf-8")
    return block


@pytest.mark.parametrize(
    ("box", "says"),
    [
        (
            [70, 20, 30, 10],
            "reaches from (70, 20) to (100, 30), outside the 80x60 pixels of the picture: clip it",
        ),
        ([-5, 20, 30, 10], "reaches from (-5, 20) to (25, 30), outside"),
        ([10, 20, 0, 10], "has no size: take it out or give it two sides above 0"),
        ([10, 20, 30, -1], "has no size"),
        ([10, 20, float("nan"), 3], "write numbers"),
    ],
)
def test_a_bad_box_is_one_sentence(tmp_path: Path, box: list[float], says: str) -> None:
    listing, found = checked(with_box(tmp_path, box))
    problems, warnings = box_problems(listing, found, CLASSES)
    (problem,) = problems
    assert problem.startswith(
        f"{tmp_path / 'train.json'}: box 0 (car) of {tmp_path / 'pictures' / 'train_0.png'} "
    )
    assert says in problem
    assert "\n" not in problem
    assert not any("train_0" in warning for warning in warnings)


def test_rounding_is_forgiven_and_clipped(tmp_path: Path) -> None:
    listing, found = checked(with_box(tmp_path, [-1, 20, 82, 41]))
    assert box_problems(listing, found, CLASSES)[0] == []
    assert found[0].record is not None
    assert found[0].record.boxes is not None
    assert found[0].record.boxes[0] == [0, 20, 80, 60]


def test_a_picture_of_another_size_is_one_sentence(tmp_path: Path) -> None:
    block = coco(tmp_path, 0)
    path = tmp_path / "train.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"width": 80', '"width": 90'), encoding="utf-8")
    listing, found = checked(block | {"val": None})
    problems, _ = box_problems(listing, found, CLASSES)
    assert f"{path} states 90x60 pixels for" in problems[0]
    assert problems[0].endswith("train_0.png, which has 80x60: export the boxes for the picture as it is")


def test_an_undecodable_picture_is_one_sentence(tmp_path: Path) -> None:
    block = coco(tmp_path, 0)
    (tmp_path / "pictures" / "train_0.png").write_bytes(b"no picture")
    listing, found = checked(block)
    problems, _ = box_problems(listing, found, CLASSES)
    (problem,) = problems
    assert "train_0.png" in problem


def test_an_empty_class_is_a_problem_in_the_source_with_the_name_that_may_be_meant(tmp_path: Path) -> None:
    classes = ("cars", "person")
    listing, found = checked(coco(tmp_path, 0), classes)
    problems, warnings = box_problems(listing, found, classes)
    assert problems == [
        f"data.source.train: no box of cars in {PICTURES} pictures, so they cannot be learned: did you mean 'car' for "
        "'cars'? Else take them off data.classes, or name what they are called here in class_map"
    ]
    assert any("classes that data.classes does not have are left out: car (6)" in w for w in warnings)
    assert any("val: no box of cars, so they get no score" in w for w in warnings)


def test_a_class_map_renames(tmp_path: Path) -> None:
    block = coco(tmp_path, 0) | {"class_map": {"car": "vehicle"}}
    listing, found = checked(block, ("vehicle", "person"))
    assert box_problems(listing, found, ("vehicle", "person"))[0] == []
    assert found[0].record is not None
    assert found[0].record.labels == [0, 1]


def test_a_box_given_twice_counts_once(tmp_path: Path) -> None:
    block = with_box(tmp_path, [50, 10, 10, 35], category_id=5)
    listing, found = checked(block)
    _, warnings = box_problems(listing, found, CLASSES)
    assert found[0].record is not None
    assert found[0].record.labels == [1]
    assert any("1 boxes stand twice in 1 pictures" in warning for warning in warnings)


def test_the_same_picture_in_two_splits_is_a_problem(tmp_path: Path) -> None:
    block = coco(tmp_path, 0)
    picture(tmp_path / "pictures" / "val_1.png", 0)
    _, found = checked(block)
    records: Any = [c.record for c in found]
    (problem,), _ = duplicates(records)
    assert "train_0.png" in problem
    assert "val_1.png" in problem


def categories(
    source: dict[str, Any], target: dict[str, Any], classes: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    data = detection_data(source, target, classes=classes, size=(64, 96))
    maps = {"source": getattr(data.source, "class_map", {}), "target": getattr(data.target, "class_map", {})}
    return category_problems(
        list_boxes(data.source, "source"), list_boxes(data.target, "target"), classes, maps
    )


def test_category_ids_that_differ_are_said_and_names_count(tmp_path: Path) -> None:
    problems, warnings = categories(coco(tmp_path / "a", 0), yolo(tmp_path / "b", 50), CLASSES)
    assert problems == []
    assert warnings == [
        "category ids differ between source and target, names count: car (3 and 1), person (5 and 0)"
    ]


def test_a_category_that_is_called_otherwise_is_one_sentence(tmp_path: Path) -> None:
    other = [{"id": 3, "name": "automobile"}, {"id": 5, "name": "person"}]
    source, target = coco(tmp_path / "a", 0), coco(tmp_path / "b", 50, categories=other)
    problems, _ = categories(source, target, CLASSES)
    assert problems == [
        "category 'car', id 3 in the other domain, is missing in data.target, where id 3 is 'automobile': write "
        "data.target.class_map: {automobile: car}, or take it off data.classes"
    ]
    assert categories(source, target | {"class_map": {"automobile": "car"}}, CLASSES) == ([], [])


def test_the_index_is_whole_or_refused(tmp_path: Path) -> None:
    _, found = checked(coco(tmp_path, 0))
    records = [c.record for c in found if c.record]
    path = tmp_path / "index.jsonl"
    write_box_index(path, records)
    assert read_box_index(path) == records
    path.write_text('{"image": "a.png"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="is not an index of boxes of this version"):
        read_box_index(path)
    with pytest.raises(UserError, match="does not exist"):
        read_box_index(tmp_path / "none.jsonl")
