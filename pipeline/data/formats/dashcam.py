"""comma10k and Mapillary Vistas: street pictures whose classes are not those of Cityscapes."""

from __future__ import annotations

from pipeline.data.formats.listing import read_lines, some
from pipeline.data.formats.official import Files, Official, each_split
from pipeline.edge.classes import ID_OF, IGNORE, Colour
from pipeline.params.data import Comma10kData, MapillaryData

COMMA10K_COLOURS: dict[Colour, int] = {
    (0x40, 0x20, 0x20): 0,  # road
    (0xFF, 0x00, 0x00): 1,  # lane markings
    (0x80, 0x80, 0x60): 2,  # undrivable
    (0x00, 0xFF, 0x66): 3,  # movable: vehicles, people, animals
    (0xCC, 0x00, 0xFF): 4,  # my car
    (0x00, 0xCC, 0xFF): 5,  # movable in my car
}
# Lane markings are road in Cityscapes; the others are several classes in one. 255: stray colours at edges.
COMMA10K_IDS = {0: ID_OF["road"], 1: ID_OF["road"]} | dict.fromkeys((2, 3, 4, 5, 255), IGNORE)

# The common mapping of the 66 classes of version 1.2; what is not listed is ignored.
MAPILLARY_CLASSES = {
    "road": (13, 24, 41),  # road, general lane marking, manhole
    "sidewalk": (2, 15),  # curb, sidewalk
    "building": (17,),
    "wall": (6,),
    "fence": (3,),
    "pole": (45, 47),  # pole, utility pole
    "traffic light": (48,),
    "traffic sign": (50,),  # front
    "vegetation": (30,),
    "terrain": (29,),
    "sky": (27,),
    "person": (19,),
    "rider": (20, 21, 22),  # bicyclist, motorcyclist, other rider
    "car": (55,),
    "truck": (61,),
    "bus": (54,),
    "train": (58,),  # on rails
    "motorcycle": (57,),
    "bicycle": (52,),
}
MAPILLARY_IDS = dict.fromkeys(range(66), IGNORE) | {
    raw: ID_OF[name] for name, ids in MAPILLARY_CLASSES.items() for raw in ids
}


def comma10k(data: Comma10kData, files: Official) -> None:
    """imgs/*.png with masks/*.png, or in small editions images/*.jpg with labels/*.png and splits/<split>.txt."""
    archive = "imgs/ and masks/ of github.com/commaai/comma10k"
    pictures, labels = Files("imgs", ".png", archive), Files("masks", ".png", archive)
    small = Files("images", ".jpg", archive), Files("labels", ".png", archive)
    if not files.has(pictures) and files.has(small[0]):
        pictures, labels = small
    images = files.find("train", pictures)
    night = set(files.read(data.night_list, f"{files.listing.key}.night_list")) if data.night_list else set()
    for role, split in each_split(data):
        names = _split_of_comma10k(role, split, list(images), files)
        base = split if split in ("night", "dusk") else data.condition
        conditions = {name: "night" if name in night else base for name in names}
        chosen = {name: images[name] for name in names if name in images}
        files.add(role, chosen, conditions, labels, split)


def _split_of_comma10k(role: str, split: str, images: list[str], files: Official) -> list[str]:
    """`val` is every picture whose name ends in 9, the rule of the data set; others are lists."""
    if split in ("train", "val"):
        return [name for name in images if name.endswith("9") == (split == "val")]
    path = files.tree.file("splits", f"{split}.txt")
    if path is None:
        there = [n.removesuffix(".txt") for n in files.tree.files("splits")]
        files.report(
            f"{files.listing.key}.{role}: there is no split {split!r} in {files.root} (splits there: "
            f"{some(['train', 'val', *there])}): name one of these or add splits/{split}.txt"
        )
        return []
    return read_lines(path, f"{files.listing.key}.{role}", files.listing)


def mapillary(data: MapillaryData, files: Official) -> None:
    """<split>/images/*.jpg, <split>/labels/*.png of ids 0..65; version 2.0 has these in <split>/v1.2/labels/."""
    archive = "mapillary-vistas-dataset_public_v1.2.zip"
    pictures = Files("{split}/images", ".jpg", archive)
    kinds = [Files(f"{{split}}/{folder}", ".png", archive) for folder in ("labels", "v1.2/labels")]
    for role, split in each_split(data):
        images = files.find(role, pictures, split)
        labels = next((k for k in kinds if files.has(k, split)), kinds[0])
        files.add(role, images, data.condition, labels if split != "testing" else None, split)
