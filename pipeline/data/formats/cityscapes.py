"""Cityscapes, Foggy Cityscapes and Foggy Driving: leftImg8bit/ pictures with labels of Cityscapes ids."""

from __future__ import annotations

from pipeline.data.formats.official import Files, Official, each_split
from pipeline.edge.classes import IGNORE
from pipeline.params.data import CityscapesData, FoggyCityscapesData, FoggyDrivingData

# Method page, section 2.3; also the ids of GTA.
TRAIN_ID_ORDER = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# 255 is -1, the licence plate, in 8 bits; GTA stores it as 34.
CITYSCAPES_IDS = dict.fromkeys((*range(35), 255), IGNORE) | {raw: i for i, raw in enumerate(TRAIN_ID_ORDER)}

GT_FINE = Files("gtFine/{split}", "_gtFine_labelIds.png", "gtFine_trainvaltest.zip")


def cityscapes(data: CityscapesData, files: Official) -> None:
    """leftImg8bit/<split>/<city>/*_leftImg8bit.png, gtFine/<split>/<city>/*_gtFine_labelIds.png."""
    pictures = Files("leftImg8bit/{split}", "_leftImg8bit.png", "leftImg8bit_trainvaltest.zip")
    for role, split in each_split(data):
        images = files.find(role, pictures, split)
        # The label files of `test` hold no class.
        labels = GT_FINE if split in ("train", "val") else None
        files.add(role, images, "clear", labels, split)


def foggy_cityscapes(data: FoggyCityscapesData, files: Official) -> None:
    """leftImg8bit_foggy/<split>/<city>/*_leftImg8bit_foggy_beta_<beta>.png with the labels of Cityscapes.

    The pictures may also lie in leftImg8bit_foggyDBF/ (the later rendering) or, renamed, in leftImg8bit/.
    """
    ending = f"_leftImg8bit_foggy_beta_{data.beta}.png"
    archive = "leftImg8bit_trainvaltest_foggy.zip"
    tops = ("leftImg8bit_foggy", "leftImg8bit_foggyDBF", "leftImg8bit")
    kinds = [Files(f"{top}/{{split}}", ending, archive) for top in tops]
    for role, split in each_split(data):
        images = files.find(role, next((k for k in kinds if files.has(k, split)), kinds[0]), split)
        labels = GT_FINE if split in ("train", "val") else None
        files.add(role, images, "fog", labels, split)


def foggy_driving(data: FoggyDrivingData, files: Official) -> None:
    """leftImg8bit/<split>/<record>/*_leftImg8bit.png; gtFine/test/ and gtCoarse/test_extra/ hold the labels."""
    archive = "Foggy_Driving.zip"
    pictures = Files("leftImg8bit/{split}", "_leftImg8bit.png", archive)
    labels = {
        "test": Files("gtFine/{split}", "_gtFine_labelIds.png", archive),
        "test_extra": Files("gtCoarse/{split}", "_gtCoarse_labelIds.png", archive),
    }
    for role, split in each_split(data):
        images = files.find(role, pictures, split)
        files.add(role, images, "fog", labels.get(split), split)
