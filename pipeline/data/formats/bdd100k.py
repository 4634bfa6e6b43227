"""BDD100K: labelled 10k pictures and unlabelled 100k pictures, picked by time of day and weather."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.data.archives import read_bytes
from pipeline.data.formats.listing import some
from pipeline.data.formats.official import Files, Official, each_split
from pipeline.edge.errors import UserError
from pipeline.params.data import Bdd100kData

WEATHER = {"rainy": "rain", "snowy": "snow", "foggy": "fog"}
ATTRIBUTES = (
    *(("labels/det_20", f"det_{split}.json") for split in ("train", "val")),
    *(("labels", f"bdd100k_labels_images_{split}.json") for split in ("train", "val")),  # the release of 2018
)
DOWNLOAD = "bdd100k_det_20_labels_trainval.zip"

Attributes = dict[str, str]


def bdd100k(data: Bdd100kData, files: Official) -> None:
    """images/<10k or 100k>/<split>/*.jpg, labels/sem_seg/masks/<split>/*.png of train ids for 10k."""
    attributes = _attributes(files)
    picky = bool(data.timeofday or data.weather)
    if picky and not attributes:
        files.report(
            f"{files.listing.key}: timeofday and weather need the attributes of the pictures, and "
            f"{files.root} has no labels/det_20/det_train.json: put {DOWNLOAD} there, packed or unpacked"
        )
    unknown = 0
    for role, split in each_split(data):
        images, labels = _images_and_labels(role, split, files)
        if picky:
            unknown += sum(name not in attributes for name in images)
            images = {n: p for n, p in images.items() if _wanted(attributes.get(n), data)}
        conditions = {name: condition(attributes.get(name, {})) for name in images}
        files.add(role, images, conditions, labels, split.rpartition("/")[2])
    if unknown and attributes:
        files.listing.warnings.append(
            f"{files.listing.key}: {unknown} pictures have no attributes and are left out by timeofday or weather"
        )
    _leave_out_val(files)


def condition(attributes: Attributes) -> str:
    """The condition that the report shows for a picture's attributes; night goes before weather."""
    time, weather = attributes.get("timeofday"), attributes.get("weather", "")
    if time == "night":
        return "night"
    if weather in WEATHER:
        return WEATHER[weather]
    return {"dawn/dusk": "dusk", "daytime": "clear"}.get(time or "", "unknown")


def _images_and_labels(role: str, split: str, files: Official) -> tuple[dict[str, Any], Files | None]:
    part, _, name = split.rpartition("/")
    known = [f"{p}/{s}" for p in ("10k", "100k") for s in files.tree.folders(f"images/{p}")]
    if known and split not in known:
        files.report(
            f"{files.listing.key}.{role}: there is no split {split!r} in {files.root}/images (splits there: "
            f"{some(known)}): name one of these"
        )
        return {}, None
    images = files.find(role, Files(f"images/{part}/{{split}}", ".jpg", f"bdd100k_images_{part}.zip"), name)
    labels = Files("labels/sem_seg/masks/{split}", ".png", "bdd100k_sem_seg_labels_trainval.zip")
    return images, labels if part == "10k" and name in ("train", "val") else None


def _wanted(attributes: Attributes | None, data: Bdd100kData) -> bool:
    if attributes is None:
        return False
    by_time = not data.timeofday or attributes.get("timeofday") in data.timeofday
    return by_time and (not data.weather or attributes.get("weather") in data.weather)


def _leave_out_val(files: Official) -> None:
    """Some of the 10k pictures are also among the 100k: what is scored is not trained on."""
    listed = files.listing.pictures
    scored = {p.image.stem for p in listed if p.split == "val"}
    kept = [p for p in listed if p.split == "val" or p.image.stem not in scored]
    if len(kept) < len(listed):
        files.listing.warnings.append(
            f"{files.listing.key}: {len(listed) - len(kept)} pictures of the train splits are also in the val "
            "splits and are left out of training"
        )
    files.listing.pictures = kept


def _attributes(files: Official) -> dict[str, Attributes]:
    """Picture name -> its attributes, from whichever of the label files are there."""
    found: dict[str, Attributes] = {}
    for folder, name in ATTRIBUTES:
        path = files.tree.file(folder, name)
        if path is None:
            continue
        try:
            for frame in _frames(read_bytes(path).decode("utf-8")):
                if "name" in frame:
                    found.setdefault(frame["name"].removesuffix(".jpg"), frame.get("attributes") or {})
        except ValueError as error:
            raise UserError(f"{path} is no JSON list of frames ({error}): download it again") from None
    return found


def _frames(text: str) -> Iterator[dict[str, Any]]:
    """The objects of the list in `text`, one after the other: all at once would take gigabytes."""
    decoder, at = json.JSONDecoder(), text.find("[")
    while (start := text.find("{", at)) >= 0:
        frame, at = decoder.raw_decode(text, start)
        yield frame
