"""Checks of every picture and label that a data set lists; findings are collected, not raised one by one."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from pipeline.data.formats import Listed, Listing, id_map, label_lut, read_ids
from pipeline.data.index import Record
from pipeline.data.labels import apply_lut, class_pixels
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import UserError
from pipeline.params_data import DataSet

LUMA = np.array([0.299, 0.587, 0.114])
ALIKE_SHOWN = 20  # sentences of one kind before the rest is only counted


# A few GTA labels are some rows smaller than their pictures, as downloaded; published code skips those pairs.
FORMATS_WITH_MISFITS = ("gta",)
MISFITS_SHARE = 0.01  # above it, it is not the data set but what was done to it


@dataclass(frozen=True)
class Checked:
    """What one picture and its label hold. `record` is None where a file could not be used."""

    listed: Listed
    record: Record | None = None
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
        ids = None if listed.label is None else read_ids(listed.label, data)
    except UserError as error:
        return Checked(listed, problem=str(error))
    height, width = image.shape[:2]
    if ids is not None and ids.shape != (height, width):
        return Checked(
            listed,
            problem=f"label {listed.label} is {ids.shape[1]}x{ids.shape[0]} pixels but its picture "
            f"{listed.image} is {width}x{height}: export the label at the size of the picture",
            misfit=True,
        )
    unknown: dict[int, int] = {}
    if ids is not None:
        values, counts = np.unique(ids, return_counts=True)
        unknown = {int(v): int(n) for v, n in zip(values, counts, strict=True) if int(v) not in known}
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
    return Checked(listed, record, unknown)


def content_problems(data: DataSet, listing: Listing, checked: list[Checked]) -> tuple[list[str], list[str]]:
    """Problems and warnings: files that cannot be used and label ids outside the map of one data set."""
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
    where: dict[int, list[Checked]] = defaultdict(list)
    for c in checked:
        for value in c.unknown:
            where[value].append(c)
    fix = (
        f"add `{{}}: <class name or ignore>` to {key}.id_map"
        if data.format == "folders"
        else f"format {data.format} does not have it; mend the labels, or use format folders with an id_map"
    )
    for value, labels in sorted(where.items()):
        pixels = sum(c.unknown[value] for c in labels)
        problems.append(
            f"label id {value} is not in the id map of the {domain} ({pixels} pixels in {len(labels)} "
            f"labels, the first is {labels[0].listed.label}): {fix.format(value)}"
        )
    train = [c.record for c in checked if c.record and c.record.split == "train" and c.record.pixels]
    if domain == "source" and train and not where and not any(any(r.pixels or ()) for r in train):
        problems.append(
            "all pixels of the source training labels are ignored, so there is nothing to learn: correct "
            "data.source.id_map or the labels"
        )
    return problems, warnings


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
