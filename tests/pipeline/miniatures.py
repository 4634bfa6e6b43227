"""Every data set in miniature: its official layout with a few 64 x 48 pictures, unpacked or as its .zip archives.

`build(name, root)` writes one and returns the params block that reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drawing import Miniature

from pipeline.data.formats.cityscapes import TRAIN_ID_ORDER
from pipeline.data.formats.dashcam import COMMA10K_COLOURS
from pipeline.data.formats.synthetic import SYNTHIA_CLASSES

Block = dict[str, Any]


def build(name: str, root: Path, zipped: bool = False) -> Block:
    """Write the data set of format `name` below `root`; returns its params block."""
    miniature = Miniature(name)
    options = BUILDERS[name](miniature)
    miniature.write(root, zipped)
    return {"format": name, "root": str(root), **options}


def _camvid(m: Miniature) -> Block:
    for split, count in (("day", 3), ("day_val", 2)):
        names = [f"{split}_{i}" for i in range(count)]
        for name in names:
            m.picture("", f"images/{name}.jpg")
            m.label("", f"labels/{name}.png", (0, 3, 8, 11))
        m.text("", f"splits/{split}.txt", "\n".join(names))
    return {"train": "day", "val": "day_val"}


def _folders(m: Miniature) -> Block:
    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            m.picture("", f"{split}/images/{i}.png")
            m.label("", f"{split}/labels/{i}.png", (0, 1, 2, 9))
    return {
        "id_map": {0: "road", 1: "car", 2: "sky", 9: "ignore"},
        **{split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in ("train", "val")},
    }


def _gt_fine(m: Miniature, split: str, city: str, frame: str) -> None:
    ids = (0, 3) if split == "test" else (0, 3, 7, 11, 23, 26, 33)
    start = f"gtFine/{split}/{city}/{city}_{frame}_gtFine"
    m.label("gtFine_trainvaltest.zip", f"{start}_labelIds.png", ids)
    m.label("gtFine_trainvaltest.zip", f"{start}_instanceIds.png", (7, 200))
    m.text("gtFine_trainvaltest.zip", f"{start}_polygons.json", "{}")


CITIES = (("train", "aachen", 3), ("val", "lindau", 2), ("test", "berlin", 1))


def _cityscapes(m: Miniature) -> Block:
    for split, city, count in CITIES:
        for i in range(count):
            frame = f"00000{i}_000019"
            m.picture(
                "leftImg8bit_trainvaltest.zip",
                f"leftImg8bit/{split}/{city}/{city}_{frame}_leftImg8bit.png",
            )
            _gt_fine(m, split, city, frame)
    return {}


def _foggy_cityscapes(m: Miniature) -> Block:
    for split, city, count in CITIES[:2]:
        for i in range(count):
            frame = f"00000{i}_000019"
            for beta in ("0.005", "0.01", "0.02"):
                m.picture(
                    "leftImg8bit_trainvaltest_foggy.zip",
                    f"leftImg8bit_foggy/{split}/{city}/{city}_{frame}_leftImg8bit_foggy_beta_{beta}.png",
                )
            _gt_fine(m, split, city, frame)
    return {}


def _gta(m: Miniature) -> Block:
    for i in range(1, 5):
        part = f"{1 + i // 3:02d}"
        m.picture(f"{part}_images.zip", f"images/{i:05d}.png")
        m.palette_label(f"{part}_labels.zip", f"labels/{i:05d}.png", (*TRAIN_ID_ORDER, 0, 34))
    return {}


def _synthia(m: Miniature) -> Block:
    for i in range(4):
        for path in (f"RGB/{i:07d}.png", f"GT/COLOR/{i:07d}.png"):
            m.picture("RAND_CITYSCAPES/SYNTHIA_RAND_CITYSCAPES.zip", path)
        in_data = [i for i, name in SYNTHIA_CLASSES.items() if name not in ("terrain", "truck", "train")]
        m.red_label(
            "RAND_CITYSCAPES/SYNTHIA_RAND_CITYSCAPES.zip", f"GT/LABELS/{i:07d}.png", (*in_data, 0, 22)
        )
    return {}


def _acdc(m: Miniature) -> Block:
    for number, condition in enumerate(("fog", "night", "rain", "snow")):
        for split, count in (("train", 2), ("val", 1), ("test", 1)):
            sequence = f"GOPR0{number}{len(split)}"
            for i in range(count):
                stem = f"{condition}/{split}/{sequence}/{sequence}_frame_00004{i}"
                ref = f"{condition}/{split}_ref/{sequence}/{sequence}_frame_00004{i}"
                m.picture("rgb_anon_trainvaltest.zip", f"rgb_anon/{stem}_rgb_anon.png")
                m.picture("rgb_anon_trainvaltest.zip", f"rgb_anon/{ref}_rgb_ref_anon.png")
                if split != "test":
                    m.label("gt_trainval.zip", f"gt/{stem}_gt_labelTrainIds.png")
                    m.label("gt_trainval.zip", f"gt/{stem}_gt_labelIds.png", (7, 200))
    return {}


def _dark_zurich(m: Miniature) -> Block:
    for time, sequence, count in (
        ("day", "GOPR0345", 1),
        ("twilight", "GOPR0346", 1),
        ("night", "GOPR0351", 3),
    ):
        for i in range(count):
            path = f"rgb_anon/train/{time}/{sequence}/{sequence}_frame_00015{i}_rgb_anon.png"
            m.picture("Dark_Zurich_train_anon.zip", path)
    for i in range(2):
        stem = f"val/night/GOPR0356/GOPR0356_frame_00032{i}"
        m.picture("Dark_Zurich_val_anon.zip", f"rgb_anon/{stem}_rgb_anon.png")
        m.label("Dark_Zurich_val_anon.zip", f"gt/{stem}_gt_labelTrainIds.png")
        ref = f"val_ref/day/GOPR0356_ref/GOPR0356_frame_00032{i}_ref"
        m.picture("Dark_Zurich_val_anon.zip", f"rgb_anon/{ref}_rgb_anon.png")
        test = f"rgb_anon/test/night/GOPR0364/GOPR0364_frame_00000{i}_rgb_anon.png"
        m.picture("Dark_Zurich_test_anon_withoutGt.zip", test)
    return {}


def _nighttime_driving(m: Miniature) -> Block:
    archive = "NighttimeDrivingTest/NighttimeDrivingTest.zip"
    for i in range(3):
        m.picture(archive, f"leftImg8bit/test/night/{i}_leftImg8bit.png")
        stem = f"gtCoarse_daytime_trainvaltest/test/night/{i}_gtCoarse"
        m.label(archive, f"{stem}_labelTrainIds.png")
        m.label(archive, f"{stem}_labelIds.png", (7, 200))
    return {}


def _foggy_zurich(m: Miniature) -> Block:
    archive = "Foggy_Zurich/Foggy_Zurich.zip"
    for split, sequence, count in (
        ("light", "GOPR0122", 2),
        ("medium", "GP010229", 2),
        ("testv2", "GOPR0229", 2),
    ):
        names = [f"{sequence}/150804091{i}.0_frame_000955.png" for i in range(count)]
        for name in names:
            m.picture(archive, f"RGB/{name}")
            if split == "testv2":
                m.label(archive, f"gt_labelTrainIds/{name}")
                m.label(archive, f"gt_labelIds/{name}", (7, 200))
        m.text(archive, f"lists_file_names/RGB_{split}_filenames.txt", "".join(f"RGB/{n}\n" for n in names))
    return {}


def _foggy_driving(m: Miniature) -> Block:
    archive = "Foggy_Driving/Foggy_Driving.zip"
    for split, record, gt, count in (("test", "public", "gtFine", 2), ("test_extra", "web", "gtCoarse", 1)):
        for i in range(count):
            stem = f"{split}/{record}/{record}_0000{i}_000000"
            m.picture(archive, f"leftImg8bit/{stem}_leftImg8bit.png")
            m.label(archive, f"{gt}/{stem}_{gt}_labelIds.png", (0, 3, 7, 11, 23, 26))
    dense = "leftImg8bit/test/public/public_00001_000000_leftImg8bit.png\n"
    m.text(archive, "lists_file_names/leftImg8bit_testdense_filenames.txt", dense)
    return {}


BDD_FRAMES = {
    "10k/train": (("a-0", "daytime", "clear"), ("a-1", "night", "rainy"), ("a-2", None, None)),
    "10k/val": (("b-0", "daytime", "snowy"), ("b-1", "night", "clear")),
    "10k/test": (("c-0", None, None),),
    "100k/train": (("d-0", "daytime", "foggy"), ("d-1", "night", "clear"), ("d-2", "dawn/dusk", "clear")),
    "100k/val": (("b-1", "night", "clear"), ("e-0", "night", "undefined")),
}
"""Pictures of the BDD100K miniature: name, timeofday, weather; b-1 is in two of its parts."""


def _bdd100k(m: Miniature) -> Block:
    frames: dict[str, list[Block]] = {"train": [], "val": []}
    for split, pictures in BDD_FRAMES.items():
        part, name = split.split("/")
        for stem, time, weather in pictures:
            m.picture(f"bdd100k/bdd100k_images_{part}.zip", f"images/{split}/{stem}.jpg")
            if part == "10k" and name != "test":
                archive = "bdd100k/bdd100k_sem_seg_labels_trainval.zip"
                m.label(archive, f"labels/sem_seg/masks/{name}/{stem}.png")
            if time:
                attributes = {"weather": weather, "scene": "city street", "timeofday": time}
                box = {"id": "0", "category": "car", "box2d": {"x1": 0.5, "y1": 1, "x2": 2, "y2": 3}}
                frames[name].append({"name": f"{stem}.jpg", "attributes": attributes, "labels": [box]})
    for name, listed in frames.items():
        archive = "bdd100k/bdd100k_det_20_labels_trainval.zip"
        m.text(archive, f"labels/det_20/det_{name}.json", json.dumps(listed))
    return {}


def _comma10k(m: Miniature) -> Block:
    archive = "comma10k-master/comma10k-master.zip"
    for i in (0, 1, 8, 9, 19):
        name = f"{i:04d}_a23b0de0bc12dcba_2018-06-24--00-29-19_17_{i}.png"
        m.picture(archive, f"imgs/{name}")
        m.colour_label(archive, f"masks/{name}", (*list(COMMA10K_COLOURS)[:5], (1, 2, 3)))
    return {}


def _mapillary(m: Miniature) -> Block:
    archive = "mapillary-vistas-dataset_public_v1.2.zip"
    for split, count in (("training", 3), ("validation", 2), ("testing", 1)):
        for i in range(count):
            m.picture(archive, f"{split}/images/{split}-{i}_xYz.jpg")
            if split != "testing":
                m.palette_label(archive, f"{split}/labels/{split}-{i}_xYz.png", (13, 17, 24, 27, 55, 65))
    return {}


BUILDERS: dict[str, Callable[[Miniature], Block]] = {
    "camvid": _camvid,
    "folders": _folders,
    "cityscapes": _cityscapes,
    "foggy_cityscapes": _foggy_cityscapes,
    "gta": _gta,
    "synthia": _synthia,
    "acdc": _acdc,
    "dark_zurich": _dark_zurich,
    "nighttime_driving": _nighttime_driving,
    "foggy_zurich": _foggy_zurich,
    "foggy_driving": _foggy_driving,
    "bdd100k": _bdd100k,
    "comma10k": _comma10k,
    "mapillary": _mapillary,
}
"""Format -> builder; all formats but the drawn scenes."""

ZIPPED = tuple(name for name in BUILDERS if name not in ("camvid", "folders"))
"""Formats that come as archives."""
TEST_ONLY = ("nighttime_driving", "foggy_driving")
"""Formats without a split for training."""
