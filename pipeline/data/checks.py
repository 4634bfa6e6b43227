"""Checks of every picture and label that a data set lists; findings are collected, not raised one by one."""

from __future__ import annotations

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from pipeline.data.encodings import Kept, encoding_findings, is_smoothed
from pipeline.data.formats import Listed, Listing, decode_ids, id_map, label_lut
from pipeline.data.index import Record
from pipeline.data.labels import Encoding, apply_lut, class_pixels, id_counts
from pipeline.data.masks import looks_like_a_mask
from pipeline.data.pictures import read_picture, stored
from pipeline.edge.classes import IGNORE
from pipeline.edge.errors import UserError
from pipeline.params.data import DataSet

LUMA = np.array([0.299, 0.587, 0.114])
ALIKE_SHOWN = 20  # sentences of one kind before the rest is only counted
IDS_SHOWN = 8
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width

# A few GTA labels are some rows smaller than their pictures, as downloaded; published code skips those pairs.
FORMATS_WITH_MISFITS = ("gta",)
MISFITS_SHARE = 0.01  # above it, it is not the data set but what was done to it


@dataclass(frozen=True)
class Checked:
    """What one picture and its label hold. `record` and `kept` are None where a file could not be used."""

    listed: Listed
    record: Record | None = None
    kept: Kept | None = None
    unknown: dict[int, int] = field(default_factory=dict)
    """Label ids outside the id map -> pixels."""
    problem: str | None = None
    misfit: bool = False
    """The problem is a label of another size than its picture."""


def check_pictures(data: DataSet, listing: Listing, data_set: int = 0) -> Iterable[Checked]:
    """Decode every picture and label fully, in list order, a few at a time.

    `data_set` is the position of `data` among those of its domain.
    """
    known, lut = id_map(data), label_lut(data)

    def check(listed: Listed) -> Checked:
        return _check(listed, data, listing.domain, data_set, known, lut)

    # Decoding and hashing release the interpreter lock, so threads do.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(check, listing.pictures)


def _check(
    listed: Listed, data: DataSet, domain: str, data_set: int, known: dict[int, int], lut: np.ndarray
) -> Checked:
    try:
        image = read_picture(listed.image)
        picture = stored(listed.image)
        ids, encoding = (None, Encoding()) if listed.label is None else decode_ids(listed.label, data)
    except UserError as error:
        return Checked(listed, problem=str(error))
    height, width = image.shape[:2]
    if ids is not None and ids.shape != (height, width):
        return Checked(
            listed, problem=_misfit(listed, ids, (height, width), picture.orientation), misfit=True
        )
    found = {} if ids is None else id_counts(ids)
    grey = float(image.mean((0, 1)) @ LUMA)
    record = Record(
        image=listed.image.as_posix(),
        label=None if listed.label is None else listed.label.as_posix(),
        domain=domain,
        split=listed.split,
        condition=listed.condition,
        height=height,
        width=width,
        pixels=None if ids is None else class_pixels(apply_lut(ids, lut)),
        sha256=hashlib.sha256(image.tobytes()).hexdigest(),
        data_set=data_set,
        grey=grey,
    )
    kept = Kept(
        listed.image,
        listed.label,
        picture,
        looks_like_a_mask(image),
        height,
        width,
        encoding,
        tuple(found),
        ids is not None and is_smoothed(ids),
    )
    return Checked(listed, record, kept, {v: n for v, n in found.items() if v not in known})


def _misfit(listed: Listed, ids: np.ndarray, size: tuple[int, int], orientation: int) -> str:
    sentence = (
        f"label {listed.label} is {ids.shape[1]}x{ids.shape[0]} pixels but its picture {listed.image} is "
        f"{size[1]}x{size[0]}"
    )
    if orientation in SIDEWAYS and ids.shape == size[::-1]:
        return (
            f"{sentence}, turned by its EXIF orientation {orientation} as the label is not: turn the label, or "
            "remove the EXIF orientation from the picture"
        )
    return f"{sentence}: export the label at the size of the picture"


def content_problems(data: DataSet, listing: Listing, checked: list[Checked]) -> tuple[list[str], list[str]]:
    """Problems and warnings: files that cannot be used, ids outside the map and odd encodings of one data set."""
    domain, key = listing.domain, listing.key
    misfits = [c for c in checked if c.misfit]
    warnings: list[str] = []
    if data.format in FORMATS_WITH_MISFITS and 0 < len(misfits) <= MISFITS_SHARE * len(checked):
        warnings.append(
            f"{len(misfits)} pictures of {key} have a label of another size and are left out, the first is "
            f"{misfits[0].listed.image}: the download has some"
        )
        checked = [c for c in checked if not c.misfit]
    files = [c.problem for c in checked if c.problem]
    problems = files[:ALIKE_SHOWN]
    if len(files) > ALIKE_SHOWN:
        problems.append(
            f"{len(files) - ALIKE_SHOWN} more files of the {domain} cannot be used for like reasons"
        )
    known, kept = id_map(data), [c.kept for c in checked if c.kept]
    amiss, odd = encoding_findings(data, key, domain, kept, known)
    problems += amiss
    warnings += odd
    strange = unknown_ids(data, listing, checked)
    problems += strange
    train = [c.record for c in checked if c.record and c.record.split == "train" and c.record.pixels]
    if domain == "source" and train and not strange and not any(any(r.pixels or ()) for r in train):
        problems.append(
            "all pixels of the source training labels are ignored, so there is nothing to learn: correct "
            "data.source.id_map or the labels"
        )
    return problems, warnings


def unknown_ids(data: DataSet, listing: Listing, checked: list[Checked]) -> list[str]:
    """A sentence for each label id that the map does not have, or one for all where they are many."""
    where: dict[int, list[Checked]] = defaultdict(list)
    for c in checked:
        for value in c.unknown:
            where[value].append(c)
    folders = data.format == "folders"
    if len(where) > IDS_SHOWN:
        labels = [c for c in checked if c.unknown]
        fix = (
            f"or add the ids to {listing.key}.id_map"
            if folders
            else f"for format {data.format} has none of them"
        )
        return [
            f"{len(where)} label ids are not in the id map of the {listing.domain} (from {min(where)} to "
            f"{max(where)}, in {len(labels)} labels, the first is {labels[0].listed.label}), {_why_many(where)}: "
            f"export the class ids as they are, {fix}"
        ]
    fix = (
        f"add `{{}}: <class name or ignore>` to {listing.key}.id_map"
        if folders
        else f"format {data.format} does not have it; mend the labels, or use format folders with an id_map"
    )
    return [
        f"label id {value} is not in the id map of the {listing.domain} "
        f"({sum(c.unknown[value] for c in labels)} pixels in {len(labels)} labels, the first is "
        f"{labels[0].listed.label}): {fix.format(value)}"
        for value, labels in sorted(where.items())
    ]


def _why_many(unknown: Iterable[int]) -> str:
    """What so many ids most often are."""
    values = list(unknown)
    step = math.gcd(*(v for v in values if v != IGNORE))
    if step > 1:
        return f"all multiples of {step}, as ids stretched for viewing are, or those of instances"
    if max(values) > IGNORE:
        return "some above 255, as ids of instances are"
    return "as in a picture, or in labels that were resized smoothly or saved with loss"


def duplicates(records: list[Record]) -> tuple[list[str], list[str]]:
    """Problems and warnings about pictures with equal pixels; `records` of both domains together.

    The same picture in two splits is a problem (scores on training data); twice in one split is a warning.
    """
    alike: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        alike[record.sha256].append(record)
    problems, warnings = [], []
    for group in (g for g in alike.values() if len(g) > 1):
        first = group[0]
        other = next((r for r in group if (r.domain, r.split) != (first.domain, first.split)), None)
        if other is not None:
            problems.append(
                f"{first.image} ({first.domain} {first.split}) and {other.image} ({other.domain} "
                f"{other.split}) are the same picture: take it off one of the lists"
            )
        else:
            warnings.append(
                f"{first.image} and {group[1].image} ({first.domain} {first.split}) are the same picture, so "
                f"it counts {len(group)} times"
            )
    for sentences in (problems, warnings):
        if len(sentences) > ALIKE_SHOWN:
            sentences[ALIKE_SHOWN:] = [f"{len(sentences) - ALIKE_SHOWN} more pictures occur more than once"]
    return problems, warnings
