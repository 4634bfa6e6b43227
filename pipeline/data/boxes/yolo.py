"""YOLO: images/<split>/*.jpg and labels/<split>/*.txt with lines `class x y width height`, shares of the picture."""

from __future__ import annotations

from pipeline.data.boxes.listing import BoxListing, ListedBox, ListedPicture
from pipeline.data.folder import walk
from pipeline.edge.images import SUFFIXES
from pipeline.params.detection_data import YoloData


def yolo(data: YoloData, listing: BoxListing) -> None:
    """The pictures of both splits; one without a .txt file has no boxes, as YOLO's own tools read it."""
    listing.categories |= dict(enumerate(data.names))
    for split, name in (("train", data.train), ("val", data.val)):
        if name is not None:
            _split(data, split, name, listing)


def _split(data: YoloData, split: str, name: str, listing: BoxListing) -> None:
    pictures, labels = data.root / "images" / name, data.root / "labels" / name
    key = f"{listing.key}.{split}"
    if not pictures.is_dir():
        listing.problems.append(
            f"{key}: folder {pictures} does not exist: correct {key} or put the pictures there"
        )
        return
    found = {n: path for n, path in walk(pictures).files.items() if path.suffix.lower() in SUFFIXES}
    stems = {n.rpartition(".")[0] for n in found}
    texts = walk(labels).files if labels.is_dir() and not listing.unseen(split) else {}
    texts = {n.removesuffix(".txt"): path for n, path in texts.items() if n.endswith(".txt")}
    if not texts and not listing.unseen(split) and listing.domain == "source":
        listing.problems.append(f"{key}: {labels} has no .txt file: put the boxes there, one file a picture")
    spare = [stem for stem in texts if stem not in stems and stem not in {"classes", "labels"}]
    listing.absent(split, [f"{stem}.jpg" for stem in spare], len(texts), labels, pictures)
    for n, image in found.items():
        stem = n.rpartition(".")[0]
        path = texts.get(stem)
        boxes: tuple[ListedBox, ...] | None = None if listing.unseen(split) else ()
        if path is not None:
            content = listing.read(path, key)
            try:
                boxes = _parse((content or b"").decode("utf-8-sig"), data.names)
            except ValueError as error:
                listing.problems.append(
                    f"{key}: {path} {error}: write `class x y width height`, the last four as shares of the picture"
                )
                continue
        listing.pictures.append(
            ListedPicture(image, path or labels / f"{stem}.txt", split, data.condition, boxes, shares=True)
        )


def _parse(text: str, names: tuple[str, ...]) -> tuple[ListedBox, ...]:
    """Raises ValueError with what is amiss, to follow the name of the file."""
    boxes = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            identity, (x, y, width, height) = int(words[0]), map(float, words[1:5])
        except ValueError:
            raise ValueError(f"has {line!r} in line {number}") from None
        if len(words) > 6:
            raise ValueError(f"has {len(words)} numbers in line {number}, as outlines have")
        if not 0 <= identity < len(names):
            raise ValueError(f"has class {identity} in line {number}, beyond the {len(names)} of `names`")
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        boxes.append(ListedBox(corners, names[identity]))
    return tuple(boxes)
