"""The data sets on disk: one function per format lists pictures, labels, splits and conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.edge.classes import ID_OF, IGNORE, NUM_CLASSES
from pipeline.edge.images import SUFFIXES
from pipeline.params_data import CamVidData, Domain, FoldersData, ScenesData

CAMVID_IDS: dict[int, str] = {
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


@dataclass(frozen=True)
class Listed:
    """A picture as its data set lists it, before any check of its content."""

    image: Path
    label: Path | None
    split: str
    condition: str


@dataclass
class Listing:
    """All pictures of a domain that were found, and one sentence for each thing that was not."""

    pictures: list[Listed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def id_map(data: Domain) -> dict[int, int]:
    """Every id that may stand in a label of this data set -> train id 0..18, or 255 for ignored."""
    if isinstance(data, ScenesData):
        return {i: i for i in (*range(NUM_CLASSES), IGNORE)}
    names = CAMVID_IDS if isinstance(data, CamVidData) else data.id_map
    return {value: ID_OF.get(name, IGNORE) for value, name in names.items()}


def label_lut(data: Domain) -> np.ndarray:
    """`id_map` as a table for `read_label`, uint8 (65536,); ids outside the map give 255."""
    lut = np.full(65536, IGNORE, np.uint8)
    for value, train_id in id_map(data).items():
        lut[value] = train_id
    return lut


def list_pictures(data: Domain, domain: str) -> Listing:
    """Pictures of one domain, "source" or "target", in the order of their lists.

    Labels of target training pictures are never listed, even where files exist: adaptation must not see them.
    Other target labels are optional, but all pictures of a split have one or none has.
    """
    listing = Listing()
    if not data.root.is_dir():
        listing.problems.append(_no_folder(data.root, f"data.{domain}.root"))
    elif isinstance(data, FoldersData):
        _folders(data, domain, listing)
    elif isinstance(data, ScenesData):
        _scenes(data, domain, listing)
    else:
        _camvid(data, domain, listing)
    return listing


def _scenes(data: ScenesData, domain: str, listing: Listing) -> None:
    """images/<name>.png, labels/<name>.png, splits/<split>.txt with lines `<name> <condition>`."""
    images, labels = _images_and_labels(data.root, domain, listing)
    for split, list_name in (("train", data.train), ("val", data.val)):
        if list_name:
            lines = _split_lines(data.root, list_name, f"data.{domain}.{split}", listing)
            conditions = {name: condition for name, _, condition in (line.partition(" ") for line in lines)}
            _add(listing, domain, split, images, labels, conditions)


def _camvid(data: CamVidData, domain: str, listing: Listing) -> None:
    """images/<name>.jpg or .png, labels/<name>.png, splits/<split>.txt with one name a line."""
    images, labels = _images_and_labels(data.root, domain, listing)
    for split, list_name in (("train", data.train), ("val", data.val)):
        if list_name:
            names = _split_lines(data.root, list_name, f"data.{domain}.{split}", listing)
            _add(listing, domain, split, images, labels, dict.fromkeys(names, data.condition))


def _images_and_labels(root: Path, domain: str, listing: Listing) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files of images/ and labels/; a target may do without labels/."""
    key = f"data.{domain}.root"
    images, labels = root / "images", root / "labels"
    needed = domain == "source" or labels.is_dir()
    return _files(images, key, listing), _files(labels, key, listing) if needed else {}


def _folders(data: FoldersData, domain: str, listing: Listing) -> None:
    """Any picture folder and label folder, matched by file name without suffix, sub-folders included."""
    for split, block in (("train", data.train), ("val", data.val)):
        if block is None:
            continue
        key = f"data.{domain}.{split}"
        use_labels = block.labels is not None and (domain, split) != ("target", "train")
        if domain == "source" and block.labels is None:
            listing.problems.append(f"{key}.labels is missing: the source needs a label for every picture")
        if use_labels and not data.id_map:
            listing.problems.append(
                f"data.{domain}.id_map is empty, so no label pixel has a meaning: map each label value to a "
                "class name, for example `0: road`"
            )
        images = _files(data.root / block.images, f"{key}.images", listing)
        labels = (
            _files(data.root / block.labels, f"{key}.labels", listing) if block.labels and use_labels else {}
        )
        names = list(images)
        if block.list is not None:
            names = _lines(data.root / block.list, f"{key}.list", listing)
        _add(listing, domain, split, images, labels, dict.fromkeys(names, data.condition))


def _add(
    listing: Listing,
    domain: str,
    split: str,
    images: dict[str, Path],
    labels: dict[str, Path],
    conditions: dict[str, str],
) -> None:
    """Append the pictures called by the names in `conditions`, or say which of their files are missing."""
    key = f"data.{domain}.{split}"
    absent = [name for name in conditions if name not in images]
    if absent and images:
        folder = next(iter(images.values())).parent
        listing.problems.append(
            f"{key}: {len(absent)} of {len(conditions)} listed pictures do not exist ({_some(absent)}): put "
            f"them beside those in {folder} or take them off the list"
        )
    if (domain, split) == ("target", "train"):
        labels = {}
    bare = [name for name in conditions if name in images and name not in labels]
    if bare and labels and (domain == "source" or len(bare) < len(conditions)):
        listing.problems.append(
            f"{key}: {len(bare)} of {len(conditions)} pictures have no label of the same name "
            f"({_some(bare)}): add the labels or take the pictures off the list"
        )
    listing.pictures += [
        Listed(images[name], labels.get(name), split, condition)
        for name, condition in conditions.items()
        if name in images
    ]


def _files(folder: Path, key: str, listing: Listing) -> dict[str, Path]:
    """Name without suffix, relative to the folder -> picture file, sorted; hidden files are left out."""
    if not folder.is_dir():
        listing.problems.append(_no_folder(folder, key))
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in relative.parts):
            continue
        other = found.setdefault(relative.with_suffix("").as_posix(), path)
        if other != path:
            listing.problems.append(f"{key}: {other} and {path} have one name: remove or rename one of them")
    if not found:
        listing.problems.append(
            f"{key}: folder {folder} holds no picture (it holds {_inside(folder)}): put the pictures "
            "there or correct the path"
        )
    return found


def _split_lines(root: Path, name: str, key: str, listing: Listing) -> list[str]:
    path = root / "splits" / f"{name}.txt"
    if path.is_file() or not path.parent.is_dir():
        return _lines(path, key, listing)
    splits = _some(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
    listing.problems.append(
        f"{key}: there is no list {path} (lists there: {splits}): name one of these or add it"
    )
    return []


def _lines(path: Path, key: str, listing: Listing) -> list[str]:
    """The lines of a list file without picture suffixes; what is wrong with it goes to the listing."""
    if not path.is_file():
        listing.problems.append(
            f"{key}: there is no list {path}; {_nearest(path)}: correct the path or add the list"
        )
        return []
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        listing.problems.append(f"{key}: {path} is no text file: write one picture name a line, in UTF-8")
        return []
    names = [str(Path(x).with_suffix("")) if Path(x).suffix.lower() in SUFFIXES else x for x in lines]
    unique = list(dict.fromkeys(names))
    if not unique:
        listing.problems.append(f"{key}: {path} is empty: write one picture name a line")
    if len(unique) < len(names):
        twice = [name for name in unique if names.count(name) > 1]
        listing.problems.append(f"{key}: {path} lists {_some(twice)} more than once: keep one line each")
    return unique


def _no_folder(folder: Path, key: str) -> str:
    return (
        f"{key}: folder {folder} does not exist; {_nearest(folder)}: correct the path or put the files there"
    )


def _nearest(path: Path) -> str:
    """What the closest folder that does exist holds."""
    parent = next(p for p in path.absolute().parents if p.is_dir())
    return f"{parent} holds {_inside(parent)}"


def _inside(folder: Path) -> str:
    entries = sorted(
        p.name + ("/" if p.is_dir() else "") for p in folder.iterdir() if not p.name.startswith(".")
    )
    return _some(entries) or "nothing"


def _some(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
