"""Rendered street scenes without splits: GTA and SYNTHIA-RAND-CITYSCAPES."""

from __future__ import annotations

from pipeline.data.formats.official import Files, Official
from pipeline.edge.classes import ID_OF, IGNORE
from pipeline.params.data import GtaData, SynthiaData

# Method page, section 2.3; terrain, truck and train are in the table but in no picture.
SYNTHIA_CLASSES = {
    3: "road", 4: "sidewalk", 2: "building", 21: "wall", 5: "fence", 7: "pole", 15: "traffic light",
    9: "traffic sign", 6: "vegetation", 16: "terrain", 1: "sky", 10: "person", 17: "rider", 8: "car",
    18: "truck", 19: "bus", 20: "train", 12: "motorcycle", 11: "bicycle",
}  # fmt: skip
SYNTHIA_IDS = dict.fromkeys(range(23), IGNORE) | {raw: ID_OF[n] for raw, n in SYNTHIA_CLASSES.items()}


def gta(data: GtaData, files: Official) -> None:
    """images/00001.png and labels/00001.png, of ten archives each."""
    pictures = Files("images", ".png", "01_images.zip to 10_images.zip")
    labels = Files("labels", ".png", "01_labels.zip to 10_labels.zip")
    _all_or_lists(data, files, pictures, labels)


def synthia(data: SynthiaData, files: Official) -> None:
    """RGB/0000000.png and GT/LABELS/0000000.png; GT/COLOR is for people and is not read."""
    pictures = Files("RGB", ".png", "RGB/ of SYNTHIA_RAND_CITYSCAPES.rar")
    labels = Files("GT/LABELS", ".png", "GT/LABELS/ of SYNTHIA_RAND_CITYSCAPES.rar")
    _all_or_lists(data, files, pictures, labels)


def _all_or_lists(data: GtaData | SynthiaData, files: Official, pictures: Files, labels: Files) -> None:
    """Pictures of val_list are for scores; those of train_list, or else the rest, for training."""
    images = files.find("train", pictures)
    held_out = {n: path for n, path in images.items() if data.val_list and files.on_list("val", n, path)}
    rest = {n: path for n, path in images.items() if data.train_list or n not in held_out}
    files.add("train", rest, data.condition, labels)
    if held_out:
        files.add("val", held_out, data.condition, labels)
