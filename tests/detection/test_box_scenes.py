"""The embedded scenes with boxes: each box is around what the label map shows, and day and night share the street."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.boxes.checks import box_problems, check_boxes
from pipeline.data.boxes.formats import list_boxes
from pipeline.data.boxes.scenes import CLASSES, SMALLEST, scene_boxes, write_box_scenes
from pipeline.data.scenes import draw_scene
from pipeline.edge.classes import ID_OF
from pipeline.edge.errors import UserError
from pipeline.params.data import ScenesDrawing
from pipeline.params.detection_data import DetectionData


def test_boxes_cover_the_labels_exactly() -> None:
    for index in range(4):
        scene = draw_scene(0, index, "source", "clear", 96, 192)
        boxes = scene_boxes(scene)
        assert boxes
        for name in CLASSES:
            shown = scene.label == ID_OF[name]
            covered = np.zeros_like(shown)
            for kind, (x1, y1, x2, y2), pixels in boxes:
                assert x2 > x1
                assert y2 > y1
                assert pixels <= (x2 - x1) * (y2 - y1)
                if kind == name:
                    covered[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
            assert not (shown & ~covered).any()
        assert sum(pixels for *_, pixels in boxes) == pytest.approx(
            np.isin(scene.label, [ID_OF[name] for name in CLASSES]).sum(), rel=0.2
        )


def test_two_cars_are_two_boxes_and_a_street_is_the_same_by_night() -> None:
    day, night = (draw_scene(0, 1, "target", condition, 96, 192) for condition in ("clear", "night"))
    assert scene_boxes(day) == scene_boxes(night)
    assert sum(kind == "car" for kind, *_ in scene_boxes(day)) > 1


DRAWING = ScenesDrawing(
    seed=0, height=64, width=128, source_train=4, source_val=2, target_train=3, target_val=2
)


def test_the_drawn_data_set_is_read_and_checked(tmp_path: Path) -> None:
    root = tmp_path / "scenes"
    write_box_scenes(root, DRAWING)
    stamp = (root / "source_train.json").stat().st_mtime_ns
    write_box_scenes(root, DRAWING)
    assert (root / "source_train.json").stat().st_mtime_ns == stamp
    block: dict[str, Any] = {"format": "scenes", "root": root}
    source: Any = block | {"train": "source_train", "val": "source_val"}
    target: Any = block | {"train": "target_train", "val": "target_val"}
    data = DetectionData(
        source=source,
        target=target,
        classes=("car",),
        scenes=DRAWING,
        size=(64, 128),
    )
    for section, domain, counts in ((data.source, "source", (4, 2)), (data.target, "target", (3, 2))):
        listing = list_boxes(section, domain)
        checked = list(check_boxes(listing, data.classes, {}))
        assert listing.problems + box_problems(listing, checked, data.classes)[0] == []
        records = [c.record for c in checked if c.record]
        assert [sum(r.split == split for r in records) for split in ("train", "val")] == list(counts)
        conditions = {r.condition for r in records}
        assert conditions == ({"clear"} if domain == "source" else {"night", "fog"})
        for record in records:
            for (x1, y1, x2, y2), ignored in zip(record.boxes or [], record.ignored or [], strict=True):
                assert ignored == (min(x2 - x1, y2 - y1) < SMALLEST)
    assert json.loads((root / "target_train.json").read_text(encoding="utf-8"))["annotations"] == []


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UserError, match="did not draw"):
        write_box_scenes(tmp_path, DRAWING)
