"""Each layout as downloaded: what is listed, and one training step on it."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import (
    CAR,
    LAYOUTS,
    PERSON,
    PICTURES,
    cityscapes,
    coco,
    coco_content,
    detection_data,
    voc,
    voc_content,
    yolo,
)
from tiny_detector import tiny_detector

from pipeline.adaptation.mic import Mic
from pipeline.data.boxes.batches import DetectionBatches
from pipeline.data.boxes.checks import box_problems, check_boxes
from pipeline.data.boxes.formats import list_boxes
from pipeline.data.boxes.listing import BoxListing
from pipeline.data.boxes.record import BoxRecord
from pipeline.params.detection import DetectionUda
from pipeline.params.detection_data import DetectionData
from pipeline.tasks.detection.sada import Sada

CLASSES = ("car", "person")


def prepared(data: DetectionData, domain: str) -> tuple[BoxListing, list[BoxRecord]]:
    """What is listed and checked of a domain; nothing may be wrong with it."""
    block = data.source if domain == "source" else data.target
    listing = list_boxes(block, domain)
    checked = list(check_boxes(listing, data.classes, getattr(block, "class_map", {})))
    problems, _ = box_problems(listing, checked, data.classes)
    assert listing.problems + problems == []
    return listing, [c.record for c in checked if c.record]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_and_trains_a_step(tmp_path: Path, name: str) -> None:
    source, target = LAYOUTS[name](tmp_path / "a", 0), LAYOUTS[name](tmp_path / "b", 50)
    data = detection_data(source, target, classes=CLASSES, size=(64, 96))
    records = {domain: prepared(data, domain)[1] for domain in ("source", "target")}
    assert [len(records[d]) for d in records] == [2 * PICTURES] * 2
    for record in records["source"] + [r for r in records["target"] if r.split == "val"]:
        assert record.boxes is not None
        kept = [b for b, ignored in zip(record.boxes, record.ignored or [], strict=True) if not ignored]
        found = dict(zip(record.labels or [], kept, strict=False))
        assert found[0] == pytest.approx(CAR)
        assert found[1] == pytest.approx(PERSON)
    assert all(r.boxes is None for r in records["target"] if r.split == "train")

    train = {d: [r for r in rs if r.split == "train"] for d, rs in records.items()}
    batch = DetectionBatches(train["source"], train["target"], data, (64, 96), 2, seed=0)[0]
    student = tiny_detector().train()
    method = Mic(Sada(student, DetectionUda(tau=0.0), 10), 10)
    tensors = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor)}
    for _, loss_of in method.passes(tensors, 0, torch.Generator().manual_seed(0)):
        loss = loss_of()
        loss.backward()
        assert torch.isfinite(loss)


def listed(block: dict[str, Any], domain: str = "source") -> BoxListing:
    data = detection_data(block, block, classes=CLASSES, size=(64, 96))
    return list_boxes(data.source if domain == "source" else data.target, domain)


def test_cityscapes_reads_its_archives_in_place(tmp_path: Path) -> None:
    block = cityscapes(tmp_path / "data", 0)
    with zipfile.ZipFile(tmp_path / "data" / "gtFine_trainvaltest.zip", "w") as archive:
        for path in (tmp_path / "data" / "gtFine").rglob("*.json"):
            archive.write(path, path.relative_to(tmp_path / "data"))
    shutil.rmtree(tmp_path / "data" / "gtFine")
    listing = listed(block)
    assert listing.problems == []
    assert [len(p.boxes or ()) for p in listing.pictures] == [3] * 2 * PICTURES
    assert [box.ignored for box in listing.pictures[0].boxes or ()] == [False, False, True]


def test_difficult_and_crowded_boxes_are_marked(tmp_path: Path) -> None:
    block = voc(tmp_path / "voc", 0)
    (tmp_path / "voc" / "Annotations" / "000000.xml").write_text(voc_content(difficult=1), encoding="utf-8")
    assert [b.ignored for b in listed(block).pictures[0].boxes or ()] == [True, True]
    block = coco(tmp_path / "coco", 0)
    path = tmp_path / "coco" / "train.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(content), encoding="utf-8")
    assert [b.ignored for b in listed(block).pictures[0].boxes or ()] == [True, False]


def test_a_yolo_picture_without_a_file_has_no_box(tmp_path: Path) -> None:
    block = yolo(tmp_path, 0)
    (tmp_path / "labels" / "train" / "1.txt").unlink()
    listing = listed(block)
    assert listing.problems == []
    assert [len(p.boxes or ()) for p in listing.pictures[:PICTURES]] == [2, 0, 2]


def test_boxes_of_target_training_pictures_are_not_even_parsed(tmp_path: Path) -> None:
    broken = [{"image_id": 7, "category_id": 99, "bbox": "nonsense"}]
    block = coco(tmp_path, 0, annotations=broken)
    listing = listed(block | {"val": None}, "target")
    assert listing.problems == []
    assert all(picture.boxes is None for picture in listing.pictures)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "it is no JSON"),
        ("[]", "it holds a list where an object is meant"),
        (json.dumps({"images": []}), "it has no list `categories`"),
        (
            json.dumps(coco_content(["train_0.png"], images=[{"id": 1}])),
            r"images\[0\] has no file_name, height, width",
        ),
        (
            json.dumps(
                coco_content(["train_0.png"], annotations=[{"image_id": 7, "category_id": 3, "bbox": [1, 2]}])
            ),
            r"bbox \[1, 2\], which is not \[x, y, width, height\]",
        ),
        (
            json.dumps(
                coco_content(
                    ["train_0.png"], annotations=[{"image_id": 1, "category_id": 3, "bbox": [1] * 4}]
                )
            ),
            "image_id 1, which no picture has",
        ),
        (
            json.dumps(
                coco_content(
                    ["train_0.png"], annotations=[{"image_id": 7, "category_id": 4, "bbox": [1] * 4}]
                )
            ),
            "category_id 4, which no category has",
        ),
    ],
)
def test_json_of_another_schema_is_one_sentence(tmp_path: Path, content: str, says: str) -> None:
    block = coco(tmp_path, 0)
    (tmp_path / "train.json").write_text(content, encoding="utf-8")
    (problem,) = listed(block | {"val": None}).problems
    assert problem.startswith(
        f"data.source.train.annotations: {tmp_path / 'train.json'} is no COCO file of boxes ("
    )
    assert re.search(says, problem)
    assert "\n" not in problem


@pytest.mark.parametrize("name", ["coco", "voc"])
def test_a_listed_picture_that_is_gone_is_one_sentence(tmp_path: Path, name: str) -> None:
    block = LAYOUTS[name](tmp_path, 0)
    next(p for p in sorted(tmp_path.rglob("*")) if p.suffix in {".png", ".jpg"}).unlink()
    (problem,) = listed(block).problems
    assert "1 of the 3 pictures" in problem
    assert "put them there, or take them out of the file" in problem


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("7 0.5 0.5 0.1 0.1", "has class 7 in line 1, beyond the 2"),
        ("0 0.5 0.5", "has '0 0.5 0.5' in line 1"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", "has 7 numbers in line 1, as outlines have"),
    ],
)
def test_a_broken_yolo_line_is_one_sentence(tmp_path: Path, line: str, says: str) -> None:
    block = yolo(tmp_path, 0)
    (tmp_path / "labels" / "train" / "0.txt").write_text(line, encoding="utf-8")
    (problem,) = listed(block).problems
    assert says in problem
    assert "0.txt" in problem


def test_xml_of_another_kind_is_one_sentence(tmp_path: Path) -> None:
    block = voc(tmp_path, 0)
    (tmp_path / "Annotations" / "000000.xml").write_text("<html/>", encoding="utf-8")
    (problem,) = listed(block).problems
    assert "000000.xml is no VOC annotation (its outermost tag is 'html')" in problem


def test_a_root_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    (problem,) = listed({"format": "voc", "root": tmp_path / "nowhere"}).problems
    assert "does not exist" in problem
