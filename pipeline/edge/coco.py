"""coco.json: the masks of all pictures of a results folder as one COCO data set, from what `--save rle` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.edge.classes import SegClass
from pipeline.edge.errors import UserError
from pipeline.edge.results import cannot_write, part

FILE = "coco.json"


def write_coco(masks: list[Path], classes: tuple[SegClass, ...], path: Path) -> None:
    """Write `path`, whole or not at all, from the files of `--save rle`; a picture at a time is in memory.

    Ids of categories are the classes' own; pictures and annotations count from 1. Raises UserError.
    """
    made = part(path)
    categories = [{"id": c.id, "name": c.name, "supercategory": ""} for c in classes]
    try:
        with made.open("w", encoding="utf-8") as file:
            file.write('{"categories": ' + json.dumps(categories))
            for key, items in (("images", _images(masks)), ("annotations", _annotations(masks))):
                file.write(f',\n"{key}": [')
                for number, item in enumerate(items):
                    file.write((",\n" if number else "\n") + json.dumps(item))
                file.write("]")
            file.write("}\n")
        made.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        made.unlink(missing_ok=True)


def _images(masks: list[Path]) -> Iterator[dict[str, Any]]:
    for number, picture in enumerate(_read(masks), 1):
        size = {"height": picture["height"], "width": picture["width"]}
        yield {"id": number, "file_name": picture["input"], **size}


def _annotations(masks: list[Path]) -> Iterator[dict[str, Any]]:
    count = 0
    for number, picture in enumerate(_read(masks), 1):
        for mask in picture["masks"]:
            count += 1
            what = {"category_id": mask["id"], "area": mask["area"], "bbox": mask["bbox"]}
            how = {"segmentation": mask["segmentation"], "iscrowd": 0}
            yield {"id": count, "image_id": number, **what, **how}


def _read(masks: list[Path]) -> Iterator[dict[str, Any]]:
    for path in masks:
        try:
            picture = json.loads(path.read_text(encoding="utf-8"))
            yield {key: picture[key] for key in ("input", "height", "width", "masks")}
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is not what --save rle wrote: delete it and run again.") from None
