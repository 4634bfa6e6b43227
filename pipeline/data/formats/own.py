"""Layouts of our own: the embedded scenes, CamVid with split lists, and any picture and label folders."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from pipeline.data.folder import walk
from pipeline.data.formats.left_out import report_left_out
from pipeline.data.formats.listing import Listing, inside, no_folder, read_lines, some
from pipeline.data.masks import masks_among
from pipeline.edge.images import SUFFIXES
from pipeline.params.data import CamVidData, FoldersData, Pictures, ScenesData

CAMVID_CLASSES: dict[int, str] = {
    0: "sky",
    1: "building",
    2: "pole",
    3: "road",
    4: "sidewalk",
    5: "vegetation",
    6: "traffic sign",
    7: "fence",
    8: "car",
    9: "person",
    10: "bicycle",
    11: "ignore",
}


def scenes(data: ScenesData, listing: Listing) -> None:
    """images/<name>.png, labels/<name>.png, splits/<split>.txt with lines `<name> <condition>`."""
    images, labels = _images_and_labels(data.root, listing)
    for split, list_name in (("train", data.train), ("val", data.val)):
        if list_name:
            lines = _split_lines(data.root, list_name, f"{listing.key}.{split}", listing)
            conditions = {name: condition for name, _, condition in (line.partition(" ") for line in lines)}
            listing.add(split, images, labels, conditions, common_labels=True)


def camvid(data: CamVidData, listing: Listing) -> None:
    """images/<name>.jpg or .png, labels/<name>.png, splits/<split>.txt with one name a line."""
    images, labels = _images_and_labels(data.root, listing)
    for split, list_name in (("train", data.train), ("val", data.val)):
        if list_name:
            names = _split_lines(data.root, list_name, f"{listing.key}.{split}", listing)
            listing.add(split, images, labels, dict.fromkeys(names, data.condition), common_labels=True)


def folders(data: FoldersData, listing: Listing) -> None:
    """Any picture folder and label folder, matched by file name without suffix, sub-folders included."""
    for split, block in (("train", data.train), ("val", data.val)):
        if block is None:
            continue
        key = f"{listing.key}.{split}"
        use_labels = block.labels is not None and not listing.unseen_labels(split)
        if listing.domain == "source" and block.labels is None:
            listing.problems.append(f"{key}.labels is missing: the source needs a label for every picture")
        if use_labels and not data.id_map:
            listing.problems.append(
                f"{listing.key}.id_map is empty, so no label pixel has a meaning: map each label value to a "
                "class name, for example `0: road`"
            )
        images = _files(data.root / block.images, f"{key}.images", listing)
        labels = (
            _files(data.root / block.labels, f"{key}.labels", listing, labels=True)
            if block.labels and use_labels
            else {}
        )
        if block.list is None:
            names = _without_masks(images, data, block, f"{key}.images", listing)
        else:
            names = read_lines(data.root / block.list, f"{key}.list", listing)
        listing.add(split, images, labels, dict.fromkeys(names, data.condition))


def _without_masks(
    images: dict[str, Path], data: FoldersData, block: Pictures, key: str, listing: Listing
) -> list[str]:
    """Names of the pictures; masks that lie among them are left out and said."""
    folders = {data.root / b.labels for b in (data.train, data.val) if b and b.labels} - {
        data.root / block.images
    }
    inside = {n for n, path in images.items() if any(path.is_relative_to(folder) for folder in folders)}
    masks = [*inside, *masks_among(images.keys() - inside)]
    if masks:
        listing.warnings.append(
            f"{key}: {len(masks)} of {len(images)} files are masks of the other pictures by their names and are "
            f"left out ({some(sorted(masks))}): put masks into a folder of their own, or name the pictures in a list"
        )
    return [name for name in images if name not in masks]


def _images_and_labels(root: Path, listing: Listing) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files of images/ and labels/; a target may do without labels/."""
    key = f"{listing.key}.root"
    images, labels = root / "images", root / "labels"
    needed = listing.domain == "source" or labels.is_dir()
    return _files(images, key, listing), _files(labels, key, listing, labels=True) if needed else {}


def _files(folder: Path, key: str, listing: Listing, labels: bool = False) -> dict[str, Path]:
    """Name without suffix, relative to the folder, composed (NFC) -> picture file, sorted; hidden ones are left out."""
    if not folder.is_dir():
        listing.problems.append(no_folder(folder, key))
        return {}
    walked = walk(folder, repeat=labels)
    report_left_out(walked, key, listing, pictures=not labels)
    found: dict[str, Path] = {}
    for relative, path in walked.files.items():
        if path.suffix.lower() not in SUFFIXES:
            continue
        name = unicodedata.normalize("NFC", Path(relative).with_suffix("").as_posix())
        other = found.setdefault(name, path)
        if other != path:
            listing.problems.append(f"{key}: {other} and {path} have one name: remove or rename one of them")
    if not found and not walked.closed:
        listing.problems.append(
            f"{key}: folder {folder} holds no {'label' if labels else 'picture'} (it holds {inside(folder)}): put "
            f"the {'labels' if labels else 'pictures'} there or correct the path"
        )
    return found


def _split_lines(root: Path, name: str, key: str, listing: Listing) -> list[str]:
    path = root / "splits" / f"{name}.txt"
    if path.is_file() or not path.parent.is_dir():
        return read_lines(path, key, listing)
    splits = some(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
    listing.problems.append(
        f"{key}: there is no list {path} (lists there: {splits}): name one of these or add it"
    )
    return []
