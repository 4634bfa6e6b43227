"""Pascal VOC: an XML file of boxes for each picture; corners count pixels from 1 and include the last one."""

from __future__ import annotations

from xml.etree import ElementTree

from pipeline.data.boxes.listing import BoxListing, ListedBox, ListedPicture
from pipeline.edge.images import SUFFIXES
from pipeline.params.detection_data import VocData


def voc(data: VocData, listing: BoxListing) -> None:
    """The pictures that the lists of both splits name."""
    for split, name in (("train", data.train), ("val", data.val)):
        if name is not None:
            _split(data, split, name, listing)


def _split(data: VocData, split: str, name: str, listing: BoxListing) -> None:
    origin = data.root / "ImageSets" / "Main" / f"{name}.txt"
    content = listing.read(origin, f"{listing.key}.{split}")
    if content is None:
        return
    # Lists of one class have a second column: 1, 0 or -1.
    stems = [line.split()[0] for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    folder = data.root / "JPEGImages"
    images = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() in SUFFIXES}
    listing.absent(split, [f"{stem}.jpg" for stem in stems if stem not in images], len(stems), origin, folder)
    for stem in stems:
        if stem not in images:
            continue
        if listing.unseen(split):
            listing.pictures.append(ListedPicture(images[stem], origin, split, data.condition, None))
            continue
        path = data.root / "Annotations" / f"{stem}.xml"
        text = listing.read(path, f"{listing.key}.{split}")
        if text is None:
            continue
        try:
            size, boxes = _parse(text)
        except (ElementTree.ParseError, ValueError) as error:
            listing.problems.append(
                f"{listing.key}.{split}: {path} is no VOC annotation ({error}): export it as Pascal VOC"
            )
            continue
        listing.pictures.append(ListedPicture(images[stem], path, split, data.condition, boxes, size))


def _parse(text: bytes) -> tuple[tuple[int, int] | None, tuple[ListedBox, ...]]:
    """(height, width), where it is stated, and the boxes. Raises ValueError or ParseError with what is amiss."""
    root = ElementTree.fromstring(text)
    if root.tag != "annotation":
        raise ValueError(f"its outermost tag is {root.tag!r}")
    height, width = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("height", "width"))
    boxes = []
    for number, thing in enumerate(root.iter("object")):
        name = (thing.findtext("name") or "").strip()
        sides = [thing.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        if not name or None in sides:
            raise ValueError(f"object {number} has no name or no bndbox with xmin, ymin, xmax, ymax")
        x1, y1, x2, y2 = (float(side or "nan") for side in sides)
        # The first pixel is 1 and the last one belongs to the box: ends exclusive from 0 are one less at the start.
        ignored = (thing.findtext("difficult") or "0").strip() == "1"
        boxes.append(ListedBox((x1 - 1, y1 - 1, x2, y2), name, ignored))
    return (height, width) if height and width else None, tuple(boxes)
