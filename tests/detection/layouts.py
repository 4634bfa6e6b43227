"""Miniatures of the layouts of data sets with boxes: three pictures a split, each with a car and a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.params.detection_data import DetectionData

HEIGHT, WIDTH = 60, 80
CAR, PERSON = (10, 20, 40, 50), (50, 10, 60, 45)  # x1, y1, x2, y2, ends exclusive
PICTURES = 3


def picture(path: Path, seed: int) -> None:
    """Noise with a light car and a dark person; each seed another one."""
    pixels = np.random.default_rng(seed).integers(60, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for (x1, y1, x2, y2), value in ((CAR, 220), (PERSON, 10)):
        pixels[y1:y2, x1:x2] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def coco_content(names: list[str], **changes: Any) -> dict[str, Any]:
    """A COCO file for pictures of these names; `changes` replace its keys."""
    images = [{"id": i, "file_name": n, "height": HEIGHT, "width": WIDTH} for i, n in enumerate(names, 7)]
    annotations = [
        {"id": 2 * i + k, "image_id": image["id"], "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for i, image in enumerate(images)
        for k, (label, (x1, y1, x2, y2)) in enumerate(((3, CAR), (5, PERSON)))
    ]
    categories = [{"id": 3, "name": "car"}, {"id": 5, "name": "person"}]
    return {"images": images, "annotations": annotations, "categories": categories} | changes


def coco(root: Path, seed: int, **changes: Any) -> dict[str, Any]:
    """Write a COCO data set; returns its block of the params."""
    block: dict[str, Any] = {"format": "coco", "root": root}
    for k, split in enumerate(("train", "val")):
        names = [f"{split}_{i}.png" for i in range(PICTURES)]
        for i, name in enumerate(names):
            picture(root / "pictures" / name, seed + 10 * k + i)
        (root / f"{split}.json").write_text(json.dumps(coco_content(names, **changes)), encoding="utf-8")
        block[split] = {"annotations": f"{split}.json", "images": "pictures"}
    return block


VOC_OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
    "<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
)


def voc_content(difficult: int = 0) -> str:
    """The annotation of one picture; VOC counts pixels from 1."""
    things = "".join(
        VOC_OBJECT.format(name=name, difficult=difficult, x1=x1 + 1, y1=y1 + 1, x2=x2, y2=y2)
        for name, (x1, y1, x2, y2) in (("car", CAR), ("person", PERSON))
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation>{size}{things}</annotation>"


def voc(root: Path, seed: int) -> dict[str, Any]:
    """Write a Pascal VOC year."""
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (root / "Annotations").mkdir()
    for k, split in enumerate(("trainval", "test")):
        stems = [f"{k}{i:05d}" for i in range(PICTURES)]
        (lists / f"{split}.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
        for i, stem in enumerate(stems):
            picture(root / "JPEGImages" / f"{stem}.jpg", seed + 10 * k + i)
            (root / "Annotations" / f"{stem}.xml").write_text(voc_content(), encoding="utf-8")
    return {"format": "voc", "root": root}


def yolo(root: Path, seed: int) -> dict[str, Any]:
    """Write a YOLO data set."""
    lines = [
        f"{number} {(x1 + x2) / 2 / WIDTH} {(y1 + y2) / 2 / HEIGHT} {(x2 - x1) / WIDTH} {(y2 - y1) / HEIGHT}\n"
        for number, (x1, y1, x2, y2) in ((1, CAR), (0, PERSON))
    ]
    for k, split in enumerate(("train", "val")):
        (root / "labels" / split).mkdir(parents=True)
        for i in range(PICTURES):
            picture(root / "images" / split / f"{i}.png", seed + 10 * k + i)
            (root / "labels" / split / f"{i}.txt").write_text("".join(lines), encoding="utf-8")
    return {"format": "yolo", "root": root, "names": ["person", "car"]}


def polygon(label: str, box: tuple[int, int, int, int]) -> dict[str, Any]:
    """A diamond whose outermost pixels are those of the box."""
    x1, y1, x2, y2 = box[0], box[1], box[2] - 1, box[3] - 1
    middle = ((x1 + x2) // 2, (y1 + y2) // 2)
    return {"label": label, "polygon": [[middle[0], y1], [x2, middle[1]], [middle[0], y2], [x1, middle[1]]]}


def cityscapes(
    root: Path, seed: int, ending: str = "leftImg8bit", top: str = "leftImg8bit"
) -> dict[str, Any]:
    """Write Cityscapes' folders: pictures, and polygons of a car, a person and a group of persons."""
    objects = [polygon("car", CAR), polygon("person", PERSON), polygon("persongroup", (62, 5, 70, 30))]
    objects.append(polygon("road", (0, 40, WIDTH, HEIGHT)))
    content = json.dumps({"imgHeight": HEIGHT, "imgWidth": WIDTH, "objects": objects})
    for k, split in enumerate(("train", "val")):
        for i in range(PICTURES):
            stem = f"aachen/aachen_{i:06d}_000019"
            picture(root / top / split / f"{stem}_{ending}.png", seed + 10 * k + i)
            path = root / "gtFine" / split / f"{stem}_gtFine_polygons.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    return {"format": "cityscapes", "root": root}


def foggy_cityscapes(root: Path, seed: int) -> dict[str, Any]:
    """Write Foggy Cityscapes' folders, with the polygons of Cityscapes beside them."""
    block = cityscapes(root, seed, "leftImg8bit_foggy_beta_0.02", "leftImg8bit_foggy")
    return block | {"format": "foggy_cityscapes"}


def detection_data(source: Any, target: Any, **rest: Any) -> DetectionData:
    """The block `data` from blocks as YAML gives them."""
    return DetectionData(source=source, target=target, **rest)


LAYOUTS = {
    "coco": coco,
    "voc": voc,
    "yolo": yolo,
    "cityscapes": cityscapes,
    "foggy_cityscapes": foggy_cityscapes,
}
