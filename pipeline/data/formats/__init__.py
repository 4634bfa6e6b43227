"""The data sets on disk: what each lists, and how its labels become train ids. One function per data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.data.formats.adverse import acdc, dark_zurich, foggy_zurich, nighttime_driving
from pipeline.data.formats.bdd100k import bdd100k
from pipeline.data.formats.cityscapes import CITYSCAPES_IDS, cityscapes, foggy_cityscapes, foggy_driving
from pipeline.data.formats.dashcam import COMMA10K_COLOURS, COMMA10K_IDS, MAPILLARY_IDS, comma10k, mapillary
from pipeline.data.formats.listing import Listed, Listing, no_folder
from pipeline.data.formats.official import Official
from pipeline.data.formats.own import CAMVID_CLASSES, camvid, folders, scenes
from pipeline.data.formats.synthetic import SYNTHIA_IDS, gta, synthia
from pipeline.data.index import Record
from pipeline.data.labels import Encoding, apply_lut, decode_label, read_colour_ids, read_red_channel
from pipeline.edge.classes import ID_OF, IGNORE, NUM_CLASSES
from pipeline.edge.errors import UserError
from pipeline.params.data import (
    AcdcData,
    Bdd100kData,
    CamVidData,
    CityscapesData,
    Comma10kData,
    DarkZurichData,
    Data,
    DataSet,
    Downloaded,
    FoggyCityscapesData,
    FoggyDrivingData,
    FoggyZurichData,
    FoldersData,
    GtaData,
    MapillaryData,
    NighttimeDrivingData,
    ScenesData,
    SynthiaData,
)

__all__ = [
    "Listed",
    "Listing",
    "decode_ids",
    "id_map",
    "label_lut",
    "list_pictures",
    "read_label",
    "read_record_label",
]

TRAIN_IDS = {i: i for i in (*range(NUM_CLASSES), IGNORE)}


def id_map(data: DataSet) -> dict[int, int]:
    """Every id that may stand in a label of this data set -> train id 0..18, or 255 for ignored."""
    match data:
        case CamVidData():
            return {value: ID_OF.get(name, IGNORE) for value, name in CAMVID_CLASSES.items()}
        case FoldersData():
            return {value: ID_OF.get(name, IGNORE) for value, name in data.id_map.items()}
        case CityscapesData() | FoggyCityscapesData() | FoggyDrivingData() | GtaData():
            return CITYSCAPES_IDS
        case SynthiaData():
            return SYNTHIA_IDS
        case Comma10kData():
            return COMMA10K_IDS
        case MapillaryData():
            return MAPILLARY_IDS
        case _:  # scenes, ACDC, Dark Zurich, Nighttime Driving, Foggy Zurich and BDD100K store train ids
            return TRAIN_IDS


def label_lut(data: DataSet) -> np.ndarray:
    """`id_map` as a table, uint8 (65536,): stored id -> train id; ids outside the map give 255."""
    lut = np.full(65536, IGNORE, np.uint8)
    for value, train_id in id_map(data).items():
        lut[value] = train_id
    return lut


def decode_ids(path: str | Path, data: DataSet) -> tuple[np.ndarray, Encoding]:
    """The ids of a label file as its data set stores them, integer (H, W). Raises UserError as labels.py says."""
    if isinstance(data, SynthiaData):
        return read_red_channel(path), Encoding()
    if isinstance(data, Comma10kData):
        return read_colour_ids(path, COMMA10K_COLOURS), Encoding()
    return decode_label(path)


def read_label(path: str | Path, data: DataSet) -> np.ndarray:
    """Train ids of a label file of this data set, uint8 (H, W), 255 = ignored."""
    return apply_lut(decode_ids(path, data)[0], label_lut(data))


def read_record_label(record: Record, data: Data) -> np.ndarray:
    """Train ids of a record's label, uint8 (H, W), 255 = ignored. Raises ValueError where it has none."""
    if record.label is None:
        raise ValueError(f"picture {record.image} has no label")
    return read_label(record.label, data.data_sets(record.domain)[record.data_set])


def list_pictures(data: DataSet, domain: str, key: str) -> Listing:
    """Pictures of one data set of a domain, "source" or "target", in the order of its lists or file names.

    Labels of target training pictures are never listed, even where files exist: adaptation must not see them.
    `key` is the place in the params that the sentences name.
    """
    listing = Listing(domain, key)
    if not data.root.is_dir() and not (isinstance(data, Downloaded) and data.root.is_file()):
        listing.problems.append(no_folder(data.root, f"{key}.root"))
        return listing
    try:
        _list(data, listing)
    except UserError as error:  # a broken archive or attribute file
        listing.problems.append(f"{key}.root: {error}")
    except OSError as error:
        listing.problems.append(
            f"{key}.root: {error.filename} cannot be opened ({error.strerror}): check its permissions"
        )
    return listing


def _list(data: DataSet, listing: Listing) -> None:  # noqa: PLR0912  one case a data set
    match data:
        case ScenesData():
            return scenes(data, listing)
        case CamVidData():
            return camvid(data, listing)
        case FoldersData():
            return folders(data, listing)
    files = Official(data, listing)
    match data:
        case CityscapesData():
            cityscapes(data, files)
        case FoggyCityscapesData():
            foggy_cityscapes(data, files)
        case GtaData():
            gta(data, files)
        case SynthiaData():
            synthia(data, files)
        case AcdcData():
            acdc(data, files)
        case DarkZurichData():
            dark_zurich(data, files)
        case NighttimeDrivingData():
            nighttime_driving(data, files)
        case FoggyZurichData():
            foggy_zurich(data, files)
        case FoggyDrivingData():
            foggy_driving(data, files)
        case Bdd100kData():
            bdd100k(data, files)
        case Comma10kData():
            comma10k(data, files)
        case MapillaryData():
            mapillary(data, files)
    files.report_rest()
    return None
