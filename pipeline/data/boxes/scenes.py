"""The embedded street scenes as a data set of boxes, in COCO's form: day in the source, night and fog in the target."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from pipeline.data.scenes import CONDITIONS, VAL_START, Scene, ScenesConfig, draw_scene
from pipeline.edge.classes import ID_OF
from pipeline.edge.errors import UserError

DRAWING = 1  # raise when a change alters pixels or boxes, so that old folders are drawn anew
SPLITS = ("source_train", "source_val", "target_train", "target_val")
CLASSES = ("car", "bus", "person", "rider", "bicycle")
"""What moves in the scenes; the categories of the files are numbered from 1, as COCO's are."""
SMALLEST = (
    6  # pixels a side of what shows of an object; smaller ones are `iscrowd`: neither learned nor scored
)


def scene_boxes(scene: Scene) -> list[tuple[str, tuple[float, float, float, float], int]]:
    """Class, box (x1, y1, x2, y2) in pixels and visible pixels of each object; of a cyclist both rider and bicycle."""
    wanted = np.array([ID_OF[name] for name in CLASSES])
    rows, columns = np.nonzero((scene.thing > 0) & np.isin(scene.samples, wanted))
    keys = scene.thing[rows, columns].astype(np.int64) * 256 + scene.samples[rows, columns]
    objects, index = np.unique(keys, return_inverse=True)
    ends = np.zeros((4, len(objects)), np.int64)
    ends[:2] = 1 << 30
    np.minimum.at(ends[0], index, columns)
    np.minimum.at(ends[1], index, rows)
    np.maximum.at(ends[2], index, columns + 1)
    np.maximum.at(ends[3], index, rows + 1)
    seen = np.bincount(index, minlength=len(objects)) // 4  # samples -> pixels
    name_of = {ID_OF[name]: name for name in CLASSES}
    found = []
    for key, (x1, y1, x2, y2), pixels in zip(
        objects.tolist(), (ends.T / 2).tolist(), seen.tolist(), strict=True
    ):
        found.append((name_of[key % 256], (x1, y1, x2, y2), pixels))
    return found


def write_box_scenes(root: Path, config: ScenesConfig) -> None:
    """Draw the data set into root: images/, <split>.json and scenes.json; one with this config is left alone.

    Raises UserError when root holds files that mic-adapt did not draw.
    """
    keys = ("seed", "height", "width", *SPLITS)
    record: dict[str, Any] = {"boxes": DRAWING} | {key: int(getattr(config, key)) for key in keys}
    record["target_labels"] = bool(config.target_labels)
    stamp = root / "scenes.json"
    if stamp.exists() and _read(stamp) == record:
        return
    if root.exists() and not stamp.exists() and any(root.iterdir()):
        raise UserError(
            f"{root} holds files that mic-adapt did not draw; name an empty folder as scenes root."
        )
    fresh, old = root.with_name(root.name + ".tmp"), root.with_name(root.name + ".old")
    console = Console()
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    (fresh / "images").mkdir(parents=True)
    tasks = [(fresh, split, i, config) for split in SPLITS for i in range(record[split])]
    # Spawned, because a forked child would share the threads of libraries the parent has loaded.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        drawn = pool.map(_write_scene, *zip(*tasks, strict=True), chunksize=8)
        shown = track(drawn, "drawing", total=len(tasks), console=console, disable=not console.is_terminal)
        rows = list(shown)
    for split in SPLITS:
        of_split = [row for row, task in zip(rows, tasks, strict=True) if task[1] == split]
        labelled = split != "target_train" or config.target_labels
        text = json.dumps(coco_file(of_split, (config.height, config.width), labelled))
        (fresh / f"{split}.json").write_text(text, encoding="utf-8")
    (fresh / "scenes.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if root.exists():
        root.rename(old)
    fresh.rename(root)
    shutil.rmtree(old, ignore_errors=True)


Row = tuple[str, str, list[tuple[str, tuple[float, float, float, float], int]]]
"""File name, condition and `scene_boxes` of one scene."""


def coco_file(rows: list[Row], size: tuple[int, int], labelled: bool) -> dict[str, Any]:
    """The content of one split's JSON; without `labelled` there are no annotations in it."""
    images, annotations = [], []
    for number, (name, condition, boxes) in enumerate(rows, 1):
        height, width = size
        images.append(
            {"id": number, "file_name": name, "height": height, "width": width, "condition": condition}
        )
        for kind, (x1, y1, x2, y2), pixels in boxes if labelled else ():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CLASSES.index(kind) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": pixels,
                    "iscrowd": int(min(x2 - x1, y2 - y1) < SMALLEST),
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)]
    return {"images": images, "categories": categories, "annotations": annotations}


def _write_scene(folder: Path, split: str, index: int, config: ScenesConfig) -> Row:
    domain: Literal["source", "target"] = "source" if split.startswith("source") else "target"
    condition = CONDITIONS[0] if domain == "source" else CONDITIONS[1 + index % 2]
    start = VAL_START if split.endswith("val") else 0
    scene = draw_scene(config.seed, start + index, domain, condition, config.height, config.width)
    name = f"images/{split}_{index:04d}.png"
    Image.fromarray(scene.image).save(folder / name, compress_level=3)
    return name, condition, scene_boxes(scene)


def _read(stamp: Path) -> object:
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))
    except ValueError:
        return None
