"""Training batches with boxes: deterministic, and every box still around its object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layouts import coco, detection_data

from pipeline.data.boxes.augment import augment_boxes
from pipeline.data.boxes.batches import DetectionBatches
from pipeline.data.boxes.checks import check_boxes
from pipeline.data.boxes.formats import list_boxes
from pipeline.data.boxes.record import BoxRecord
from pipeline.params.detection_data import DetectionData


@pytest.fixture(scope="module")
def records(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[DetectionData, list[BoxRecord], list[BoxRecord]]:
    root = tmp_path_factory.mktemp("boxes")
    blocks = [coco(root / name, seed) for name, seed in (("a", 0), ("b", 50))]
    data = detection_data(blocks[0], blocks[1], classes=("car", "person"), size=(120, 160))
    found = []
    for block, domain in ((data.source, "source"), (data.target, "target")):
        checked = check_boxes(list_boxes(block, domain), data.classes, {})
        found.append([c.record for c in checked if c.record and c.record.split == "train"])
    return data, found[0], found[1]


def batches(records: Any, data: dict[str, Any] | None = None, **changes: Any) -> DetectionBatches:
    section, source, target = records
    section = section.model_copy(update=data or {})
    return DetectionBatches(
        source, target, section, **({"crop": (96, 128), "batch_size": 2, "seed": 0} | changes)
    )


def test_shapes_and_owners(records: Any) -> None:
    batch = batches(records)[0]
    assert batch["source_image"].shape == batch["target_image"].shape == (2, 3, 96, 128)
    assert batch["source_image"].dtype == torch.uint8
    assert batch["source_boxes"].dtype == torch.float32
    assert len(batch["source_boxes"]) == len(batch["source_labels"]) == len(batch["source_owner"])
    assert batch["source_labels"].dtype == batch["source_owner"].dtype == torch.int64
    assert "target_boxes" not in batch
    assert batch["target_size"].tolist() == [[96, 128]] * 2


def test_a_step_is_a_pure_function_and_ranks_share_the_pictures(records: Any) -> None:
    one, again, other = batches(records)[3], batches(records)[3], batches(records, seed=1)[3]
    assert all(torch.equal(v, again[k]) for k, v in one.items() if isinstance(v, torch.Tensor))
    assert not torch.equal(one["source_image"], other["source_image"])
    halves = [batches(records, batch_size=1, rank=rank, world=2)[3] for rank in (0, 1)]
    assert torch.equal(torch.cat([h["source_image"] for h in halves]), one["source_image"])
    assert torch.equal(torch.cat([h["source_boxes"] for h in halves]), one["source_boxes"])
    assert torch.equal(torch.cat([h["target_image"] for h in halves]), batches(records).target_crops(3))


def test_every_box_is_still_around_its_object(records: Any) -> None:
    loader = batches(records, {"scale": (0.5, 1.5)})
    seen = 0
    for step in range(20):
        batch = loader[step]
        for (x1, y1, x2, y2), label, owner in zip(
            batch["source_boxes"].tolist(),
            batch["source_labels"].tolist(),
            batch["source_owner"].tolist(),
            strict=True,
        ):
            pixels = batch["source_image"][owner].float().mean(0)
            inner = pixels[round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2]
            if inner.numel():
                seen += 1
                assert (inner > 180).all() if label == 0 else (inner < 40).all()
    assert seen > 40


def test_padding_lies_at_the_bottom_and_right(records: Any) -> None:
    batch = batches(records, {"scale": (0.5, 0.5)})[0]
    assert batch["source_size"].tolist() == [[60, 80]] * 2
    assert (batch["source_image"][:, 0, 60:] == 124).all()
    assert (batch["source_image"][:, 2, :, 80:] == 104).all()


def test_a_crop_drops_what_it_hardly_shows() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    boxes = np.array([[0, 0, 100, 100], [0, 0, 10, 10], [90, 90, 100, 100]], np.float32)
    labels = np.array([0, 1, 2])
    for seed in range(10):
        crop = augment_boxes(image, boxes, labels, (100, 100), (60, 60), (1.0, 1.0), seed)
        assert 0 in crop.labels  # 36 % of it are left
        assert len(crop.labels) <= 2
        assert crop.boxes.min() >= 0
        assert crop.boxes.max() <= 60


def test_pictures_without_a_box_are_skipped_or_kept(records: Any) -> None:
    data, source, target = records
    bare = [BoxRecord(**{**vars(source[0]), "boxes": [], "labels": [], "ignored": []})]
    assert len(batches((data, source + bare, target)).source) == len(source)
    kept = batches((data, bare, target), {"empty": "keep"})[0]
    assert kept["source_boxes"].shape == (0, 4)
    assert kept["source_labels"].shape == kept["source_owner"].shape == (0,)


def test_ignored_boxes_are_not_learned(records: Any) -> None:
    data, source, target = records
    crowd = [BoxRecord(**{**vars(r), "ignored": [True, False]}) for r in source]
    assert set(batches((data, crowd, target))[0]["source_labels"].tolist()) == {1}


def test_sections_refuse_what_cannot_be(tmp_path: Path) -> None:
    block = {"format": "voc", "root": tmp_path}
    common: dict[str, Any] = {"source": block, "target": block, "size": (64, 96)}
    for changes, says in (
        ({"classes": ("a", "a")}, "twice"),
        ({"classes": ()}, "classes"),
        ({"classes": ("a",), "scale": (2.0, 1.0)}, "the lower first"),
        (
            {"classes": ("a",), "source": {"format": "scenes", "root": tmp_path, "train": "source_train"}},
            "data.scenes",
        ),
    ):
        with pytest.raises(ValueError, match=says):
            DetectionData(**{**common, **changes})
