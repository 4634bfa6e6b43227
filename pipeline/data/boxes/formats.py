"""The data sets with boxes: one function for each."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.boxes.cityscapes import cityscapes_boxes
from pipeline.data.boxes.coco import coco, coco_split
from pipeline.data.boxes.listing import BoxListing
from pipeline.data.boxes.voc import voc
from pipeline.data.boxes.yolo import yolo
from pipeline.data.formats.listing import no_folder
from pipeline.edge.errors import UserError
from pipeline.params.data import CityscapesData, FoggyCityscapesData
from pipeline.params.detection_data import BoxDataSet, BoxScenesData, CocoData, CocoSplit, VocData, YoloData


def list_boxes(data: BoxDataSet, domain: str) -> BoxListing:
    """Pictures and boxes of one data set of a domain, "source" or "target".

    Boxes of target training pictures are never listed, even where files have some: adaptation must not see them.
    """
    listing = BoxListing(domain, f"data.{domain}")
    if not data.root.exists():
        listing.problems.append(no_folder(data.root, f"{listing.key}.root"))
        return listing
    try:
        match data:
            case CocoData():
                coco(data, listing)
            case VocData():
                voc(data, listing)
            case YoloData():
                yolo(data, listing)
            case CityscapesData() | FoggyCityscapesData():
                cityscapes_boxes(data, listing)
            case BoxScenesData():
                for split, name in (("train", data.train), ("val", data.val)):
                    if name is not None:
                        files = CocoSplit(annotations=Path(f"{name}.json"))
                        coco_split(data.root, split, files, "clear", listing)
    except UserError as error:  # a broken archive
        listing.problems.append(f"{listing.key}.root: {error}")
    return listing
