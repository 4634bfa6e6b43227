"""Cityscapes and Foggy Cityscapes: boxes around the polygons of what moves, as downloaded."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.data.archives import read_bytes
from pipeline.data.boxes.listing import BoxListing, ListedBox, ListedPicture
from pipeline.data.formats.listing import Listing
from pipeline.data.formats.official import Files, Official, each_split
from pipeline.edge.errors import UserError
from pipeline.params.data import CityscapesData, FoggyCityscapesData

THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
"""The eight classes whose instances are told apart, in the order of the published tables."""
GROUP = "group"
"""Ending of the label of several that nobody told apart, such as `cargroup`."""
POLYGONS = Files("gtFine/{split}", "_gtFine_polygons.json", "gtFine_trainvaltest.zip")
CLEAR = Files("leftImg8bit/{split}", "_leftImg8bit.png", "leftImg8bit_trainvaltest.zip")


def cityscapes_boxes(data: CityscapesData | FoggyCityscapesData, listing: BoxListing) -> None:
    """Pictures of gtFine's splits with the box of every polygon, clipped to the picture.

    A polygon also covers what hides it, so its box may be larger than that of the instance mask.
    """
    there = Listing(listing.domain, listing.key)
    files = Official(data, there)
    foggy = isinstance(data, FoggyCityscapesData)
    for role, split in each_split(data):
        kind = _foggy(data, files, split) if foggy else CLEAR
        images = {n: p for n, p in files.find(role, kind, split).items() if files.on_list(role, n, p)}
        unseen = listing.unseen(role)
        polygons = {} if unseen or not images else files.find(role, POLYGONS, split)
        bare = [name for name in images if polygons and name not in polygons]
        if bare:
            listing.problems.append(
                f"{listing.key}.{role}: {len(bare)} of {len(images)} pictures have no {POLYGONS.ending}, the first is "
                f"{images[bare[0]]}: put {POLYGONS.archive} there, packed or unpacked"
            )
        for name, image in images.items():
            if name in bare:
                continue
            origin = polygons.get(name, image)
            try:
                size, boxes = (None, None) if unseen else _boxes(origin)
            except (UserError, ValueError, KeyError, TypeError) as error:
                listing.problems.append(
                    f"{listing.key}.{role}: {origin} is no Cityscapes polygon file ({error}): download it again"
                )
                continue
            listing.pictures.append(
                ListedPicture(image, origin, role, "fog" if foggy else "clear", boxes, size)
            )
    files.report_rest()
    listing.problems += there.problems
    listing.warnings += there.warnings


def _foggy(data: FoggyCityscapesData, files: Official, split: str) -> Files:
    ending = f"_leftImg8bit_foggy_beta_{data.beta}.png"
    tops = ("leftImg8bit_foggy", "leftImg8bit_foggyDBF", "leftImg8bit")
    kinds = [Files(f"{top}/{{split}}", ending, "leftImg8bit_trainvaltest_foggy.zip") for top in tops]
    return next((kind for kind in kinds if files.has(kind, split)), kinds[0])


def _boxes(path: Path) -> tuple[tuple[int, int], tuple[ListedBox, ...]]:
    """(height, width) and boxes of one polygon file."""
    whole = json.loads(read_bytes(path))
    height, width = int(whole["imgHeight"]), int(whole["imgWidth"])
    boxes = []
    for thing in whole["objects"]:
        name = str(thing["label"]).removesuffix(GROUP)
        if name not in THINGS or thing.get("deleted"):
            continue
        across, down = zip(*thing["polygon"], strict=True)
        corners = (
            max(min(across), 0),
            max(min(down), 0),
            min(max(across) + 1, width),  # the last pixel belongs to the polygon
            min(max(down) + 1, height),
        )
        boxes.append(ListedBox(corners, name, ignored=name != thing["label"]))
    return (height, width), tuple(boxes)
