"""Checks of every picture and box that a data set lists; findings are collected, not raised one by one."""

from __future__ import annotations

import difflib
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.data.boxes.listing import BoxListing, ListedBox, ListedPicture
from pipeline.data.boxes.record import BoxRecord
from pipeline.data.checks import ALIKE_SHOWN, LUMA
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError

ROUNDING = 1.5  # pixels that a box may stick out of its picture: exporters round, and some count from 1
FEW = 10  # boxes of a class, below which its training is a gamble


@dataclass(frozen=True)
class CheckedPicture:
    """What one picture and its boxes hold; `record` is None where the picture cannot be used."""

    listed: ListedPicture
    record: BoxRecord | None = None
    problems: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    """Names of classes that are not detected -> boxes."""
    twice: int = 0
    """Boxes that stand in the file before, with the same class."""


def check_boxes(
    listing: BoxListing, classes: Sequence[str], class_map: Mapping[str, str]
) -> Iterable[CheckedPicture]:
    """Decode every picture and look at every box, in list order, a few pictures at a time."""
    ids = {name: i for i, name in enumerate(classes)}

    def check(listed: ListedPicture) -> CheckedPicture:
        return _check(listed, listing.domain, ids, class_map)

    # Decoding and hashing release the interpreter lock, so threads do.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(check, listing.pictures)


def _check(
    listed: ListedPicture, domain: str, ids: Mapping[str, int], class_map: Mapping[str, str]
) -> CheckedPicture:
    try:
        image = read_picture(listed.image)
    except UserError as error:
        return CheckedPicture(listed, problems=[str(error)])
    height, width = image.shape[:2]
    if listed.size is not None and listed.size != (height, width):
        sentence = (
            f"{listed.origin} states {listed.size[1]}x{listed.size[0]} pixels for {listed.image}, which has "
            f"{width}x{height}: export the boxes for the picture as it is"
        )
        return CheckedPicture(listed, problems=[sentence])
    problems: list[str] = []
    unknown: Counter[str] = Counter()
    kept: dict[tuple[int, tuple[float, ...]], bool] = {}
    twice = 0
    for number, box in enumerate(listed.boxes or ()):
        name = class_map.get(box.name, box.name)
        corners = _in_pixels(box, (height, width), listed.shares)
        fault = _fault(corners, (height, width))
        if fault is not None:
            problems.append(f"{listed.origin}: box {number} ({box.name}) of {listed.image} {fault}")
        elif name not in ids:
            unknown[box.name] += 1
        else:
            x1, y1, x2, y2 = corners
            inside = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
            place = (ids[name], tuple(round(value, 2) for value in inside))
            twice += place in kept
            kept.setdefault(place, box.ignored)
    labelled = listed.boxes is not None
    record = BoxRecord(
        image=listed.image.as_posix(),
        boxes=[list(corners) for _, corners in kept] if labelled else None,
        labels=[label for label, _ in kept] if labelled else None,
        ignored=list(kept.values()) if labelled else None,
        domain=domain,
        split=listed.split,
        condition=listed.condition,
        height=height,
        width=width,
        sha256=hashlib.sha256(image.tobytes()).hexdigest(),
        grey=float(image.mean((0, 1)) @ LUMA),
    )
    return CheckedPicture(listed, record, problems, unknown, twice)


def _in_pixels(box: ListedBox, size: tuple[int, int], shares: bool) -> tuple[float, float, float, float]:
    height, width = size if shares else (1, 1)
    x1, y1, x2, y2 = (float(value) for value in box.corners)
    return x1 * width, y1 * height, x2 * width, y2 * height


def _fault(corners: tuple[float, float, float, float], size: tuple[int, int]) -> str | None:
    """What is wrong with a box and what to do, to follow its name; None where nothing is."""
    x1, y1, x2, y2 = corners
    height, width = size
    where = f"from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})"
    if not all(math.isfinite(value) for value in corners):
        return f"reaches {where}: write numbers"
    if x2 <= x1 or y2 <= y1:
        return f"reaches {where} and so has no size: take it out or give it two sides above 0"
    if x1 < -ROUNDING or y1 < -ROUNDING or x2 > width + ROUNDING or y2 > height + ROUNDING:
        return f"reaches {where}, outside the {width}x{height} pixels of the picture: clip it, or export it again"
    return None


def box_problems(
    listing: BoxListing, checked: Sequence[CheckedPicture], classes: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Problems and warnings of one data set: unusable pictures and boxes, empty classes, boxes given twice."""
    problems = [sentence for c in checked for sentence in c.problems]
    if len(problems) > ALIKE_SHOWN:
        problems[ALIKE_SHOWN:] = [
            f"{len(problems) - ALIKE_SHOWN} more boxes or pictures of the {listing.domain} are amiss"
        ]
    warnings: list[str] = []
    unknown = sum((c.unknown for c in checked), Counter[str]())
    if unknown:
        left_out = ", ".join(f"{name} ({count})" for name, count in unknown.most_common(8))
        warnings.append(
            f"{listing.key}: boxes of classes that data.classes does not have are left out: {left_out}; to keep some, "
            f"name their class in {listing.key}.class_map"
        )
    repeated = [c for c in checked if c.twice]
    if repeated:
        warnings.append(
            f"{listing.key}: {sum(c.twice for c in repeated)} boxes stand twice in {len(repeated)} pictures, the first "
            f"is {repeated[0].listed.image}: each counts once"
        )
    for split in ("train", "val"):
        records = [c.record for c in checked if c.record and c.record.split == split]
        records = [r for r in records if r.labels is not None]
        if not records:
            continue
        counts = Counter(label for r in records for label in r.labels or ())
        empty = [name for i, name in enumerate(classes) if not counts[i]]
        if empty and (listing.domain, split) == ("source", "train"):
            meant = _nearest(empty, unknown)
            problems.append(
                f"{listing.key}.{split}: no box of {', '.join(empty)} in {len(records)} pictures, so they cannot be "
                f"learned: {meant}take them off data.classes, or name what they are called here in class_map"
            )
        elif empty:
            warnings.append(f"{listing.key}.{split}: no box of {', '.join(empty)}, so they get no score")
        few = [f"{name} ({counts[i]})" for i, name in enumerate(classes) if 0 < counts[i] < FEW]
        if few:
            warnings.append(f"{listing.key}.{split}: hardly any box of {', '.join(few)}")
    return problems, warnings


def _nearest(empty: Sequence[str], unknown: Counter[str]) -> str:
    for name in empty:
        if near := difflib.get_close_matches(name, unknown, n=1):
            return f"did you mean {near[0]!r} for {name!r}? Else "
    return ""


def category_problems(
    source: BoxListing, target: BoxListing, classes: Sequence[str], maps: Mapping[str, Mapping[str, str]]
) -> tuple[list[str], list[str]]:
    """Problems and warnings about categories that differ between the domains, where both have numbers.

    Classes are matched by name, so a number may differ; a name that one domain lacks is a problem. `maps`: the
    `class_map` of "source" and "target".
    """
    if not source.categories or not target.categories:
        return [], []
    problems: list[str] = []
    moved: list[str] = []
    here, there = (_numbers(listing, maps.get(listing.domain, {})) for listing in (source, target))
    for name in classes:
        if name in here and name in there:
            if here[name] != there[name]:
                moved.append(f"{name} ({here[name]} and {there[name]})")
        elif name in here:
            problems.append(_missing(name, here[name], target))
        elif name in there:
            problems.append(_missing(name, there[name], source))
    warnings = (
        [f"category ids differ between source and target, names count: {', '.join(moved)}"] if moved else []
    )
    return problems, warnings


def _numbers(listing: BoxListing, class_map: Mapping[str, str]) -> dict[str, int]:
    """Name, as data.classes has it -> number."""
    return {class_map.get(name, name): number for number, name in listing.categories.items()}


def _missing(name: str, number: int, listing: BoxListing) -> str:
    called = listing.categories.get(number)
    meant = f"id {number} is {called!r}" if called else f"there are {', '.join(listing.categories.values())}"
    return (
        f"category {name!r}, id {number} in the other domain, is missing in {listing.key}, where {meant}: write "
        f"{listing.key}.class_map: {{{called or 'its name here'}: {name}}}, or take it off data.classes"
    )
