"""COCO's JSON: pictures, categories and annotations with boxes `[x, y, width, height]` in pixels."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from pipeline.data.boxes.listing import BoxListing, ListedBox, ListedPicture
from pipeline.params.detection_data import CocoData, CocoSplit

Rows = list[dict[str, Any]]


def coco(data: CocoData, listing: BoxListing) -> None:
    """The pictures of both splits."""
    for split, files in (("train", data.train), ("val", data.val)):
        if files is not None:
            coco_split(data.root, split, files, data.condition, listing)


def coco_split(root: Path, split: str, files: CocoSplit, condition: str, listing: BoxListing) -> None:
    """The pictures of one annotation file. A picture's own key `condition` goes before the data set's."""
    path, folder = root / files.annotations, root / files.images
    key = f"{listing.key}.{split}.annotations"
    content = listing.read(path, key)
    if content is None:
        return
    labelled = not listing.unseen(split)
    try:
        found = _parse(content, labelled)
    except ValueError as error:
        listing.problems.append(
            f"{key}: {path} is no COCO file of boxes ({error}): export it as COCO detection"
        )
        return
    images, names, boxes = found
    _add_categories(listing, names, path, key)
    missing = [row["file_name"] for row in images if not (folder / row["file_name"]).is_file()]
    listing.absent(split, missing, len(images), path, folder)
    gone = set(missing)
    listing.pictures += [
        ListedPicture(
            image=folder / row["file_name"],
            origin=path,
            split=split,
            condition=row.get("condition", condition),
            boxes=tuple(boxes[row["id"]]) if labelled else None,
            size=(int(row["height"]), int(row["width"])),
        )
        for row in images
        if row["file_name"] not in gone
    ]


def _parse(content: bytes, labelled: bool) -> tuple[Rows, dict[int, str], dict[Any, list[ListedBox]]]:
    """Pictures, names of the categories, and boxes by picture. Raises ValueError with what is amiss."""
    try:
        whole = json.loads(content)
    except ValueError:
        raise ValueError("it is no JSON") from None
    if not isinstance(whole, dict):
        raise ValueError(f"it holds a {type(whole).__name__} where an object is meant")
    images = _rows(whole, "images", {"id", "file_name", "height", "width"})
    categories = _rows(whole, "categories", {"id", "name"})
    # Of target training pictures not even the place of the boxes is read.
    annotations = _rows(whole, "annotations", {"image_id", "category_id", "bbox"}) if labelled else []
    names = {row["id"]: str(row["name"]) for row in categories}
    known = {row["id"] for row in images}
    if len(known) < len(images):
        raise ValueError("an id stands twice in `images`")
    boxes: dict[Any, list[ListedBox]] = defaultdict(list)
    for number, row in enumerate(annotations):
        if row["image_id"] not in known:
            raise ValueError(f"annotations[{number}] has image_id {row['image_id']!r}, which no picture has")
        if row["category_id"] not in names:
            raise ValueError(
                f"annotations[{number}] has category_id {row['category_id']!r}, which no category has"
            )
        corners = _corners(row["bbox"])
        if corners is None:
            raise ValueError(
                f"annotations[{number}] has bbox {row['bbox']!r}, which is not [x, y, width, height]"
            )
        ignored = bool(row.get("iscrowd", 0))
        boxes[row["image_id"]].append(ListedBox(corners, names[row["category_id"]], ignored))
    return images, names, boxes


def _rows(whole: dict[str, Any], key: str, wanted: set[str]) -> Rows:
    rows = whole.get(key)
    if not isinstance(rows, list):
        raise ValueError(f"it has no list `{key}`")
    for number, row in enumerate(rows):
        lacking = wanted - row.keys() if isinstance(row, dict) else wanted
        if lacking:
            raise ValueError(f"{key}[{number}] has no {', '.join(sorted(lacking))}")
    return rows


def _corners(box: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        return None
    x, y, width, height = box
    return x, y, x + width, y + height


def _add_categories(listing: BoxListing, names: dict[int, str], path: Path, key: str) -> None:
    for number, name in names.items():
        if listing.categories.setdefault(number, name) != name:
            listing.problems.append(
                f"{key}: category id {number} is {name!r} in {path} and {listing.categories[number]!r} in the file of "
                "the other split: number the categories alike"
            )
