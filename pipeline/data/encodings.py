"""What the way in which pictures and labels are stored may have done to them: findings over one data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.labels import Encoding
from pipeline.data.pictures import Stored
from pipeline.edge.classes import CLASSES, ID_OF, IGNORE, Colour
from pipeline.params.data import DataSet, Downloaded

_UPRIGHT_OR_TURNED_IN_PLACE = (1, 2, 3, 4)
_CLASS_AT = {c.rgb: c.name for c in CLASSES}
_NAMES = {train_id: name for name, train_id in ID_OF.items()}
_SPREAD = {1: "0 and 255", 2: "0, 85, 170 and 255", 4: "multiples of 17"}

# Of 2 100 true labels none reached 0.05, of those that were resized with smoothing none stayed below 0.06.
_SMOOTHED = 0.07
_FEW_EDGES = 50  # too few to judge
_MANY_EDGES, _RAMPS = (
    0.3,
    0.5,
)  # noise rather than areas, where a third is in between by chance; ramps are more
_SMOOTHED_LABELS = 0.05


@dataclass(frozen=True)
class Kept:
    """A picture that can be used, its label, and how both are stored."""

    image: Path
    label: Path | None
    picture: Stored
    flat: bool
    """A few flat colours, as a mask has."""
    height: int
    width: int
    encoding: Encoding
    ids: tuple[int, ...]
    """The ids in the label."""
    smoothed: bool


def is_smoothed(ids: np.ndarray) -> bool:
    """Whether the borders between areas run through ids in between, as after smooth resizing or lossy saving.

    Of a label (H, W) every fourth row is looked at: in a true one two neighbours of a pixel hardly ever have an id
    below and an id above its own.
    """
    rows = ids[::4]
    before, here, after = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    edges = before != after
    between = (here > np.minimum(before, after)) & (here < np.maximum(before, after))
    count = int(np.count_nonzero(edges))
    if count < _FEW_EDGES:
        return False
    share = _RAMPS if count > _MANY_EDGES * edges.size else _SMOOTHED
    return int(np.count_nonzero(between)) > share * count


def encoding_findings(
    data: DataSet, key: str, domain: str, kept: Sequence[Kept], known: dict[int, int]
) -> tuple[list[str], list[str]]:
    """Problems and warnings of one data set; `known` is its id map, as `formats.id_map` gives it."""
    palettes = _palette_problem(key, kept) or _grey_palette_problem(key, kept, known)
    warnings = _picture_warnings(key, kept) + _turned_warnings(key, domain, kept)
    warnings += _label_warnings(key, kept, known)
    if palettes and isinstance(data, Downloaded):  # its maker says that the indices are ids
        return [], [*warnings, palettes]
    return [palettes] if palettes else [], warnings


def _picture_warnings(key: str, kept: Sequence[Kept]) -> list[str]:
    """Pictures that are read, but perhaps not as they were meant."""
    kinds: list[tuple[Callable[[Kept], bool], str]] = [
        (lambda k: k.flat, "have a few flat colours, as masks have and photographs have not: take masks out"),
        (
            lambda k: k.picture.grey and not k.flat,
            "are stored in grey, which is read as it is: take them out unless a grey camera took them",
        ),
        (
            lambda k: k.picture.transparent,
            "are partly transparent and are laid over mid-grey: save them without transparency",
        ),
        (
            lambda k: k.picture.frames > 1,
            "hold several frames or pages, of which the first is taken: save each as a picture of its own",
        ),
    ]
    found = [(text, [k for k in kept if is_so(k)]) for is_so, text in kinds]
    return [_some_of(len(kept), odd, "pictures", key, text) for text, odd in found if odd]


def _turned_warnings(key: str, domain: str, kept: Sequence[Kept]) -> list[str]:
    """Pictures turned by EXIF whose labels are not, where their sizes cannot tell whether they fit."""
    turned = [
        k for k in kept if k.label and k.picture.orientation != k.encoding.orientation and _may_be_off(k)
    ]
    if not turned:
        return []
    return [
        _some_of(
            sum(k.label is not None for k in kept),
            turned,
            "labelled pictures",
            key,
            "are turned by EXIF and their labels are not, or otherwise: if the labels were drawn on unturned "
            f"pictures, remove the EXIF orientation from the pictures, and look at metrics/data_{domain}.png",
        )
    ]


def _may_be_off(k: Kept) -> bool:
    in_place = all(o in _UPRIGHT_OR_TURNED_IN_PLACE for o in (k.picture.orientation, k.encoding.orientation))
    return in_place or k.height == k.width


def _palette_problem(key: str, kept: Sequence[Kept]) -> str | None:
    """Indices that have another colour in another file, so that they are no class ids."""
    colours: dict[int, dict[Colour, list[Kept]]] = defaultdict(lambda: defaultdict(list))
    for k in kept:
        for value, colour in _used_colours(k).items():
            colours[value][colour].append(k)
    differing = {value: by_colour for value, by_colour in colours.items() if len(by_colour) > 1}
    if not differing:
        return None
    value, by_colour = min(differing.items())
    (one, first), (other, second) = list(by_colour.items())[:2]
    return (
        f"the palettes of the labels of {key} differ in {len(differing)} indices (index {value} is {one} in "
        f"{first[0].label} and {other} in {second[0].label}), so an index is no class id: export the labels as "
        "8-bit grey, or with one palette for all"
    )


def _grey_palette_problem(key: str, kept: Sequence[Kept], known: dict[int, int]) -> str | None:
    """Greys that a program has numbered anew, where the greys may be the ids that were meant."""
    renumbered = [k for k in kept if _hides_ids(_used_colours(k), known)]
    if not renumbered:
        return None
    return (
        f"{len(renumbered)} labels of {key} number their greys in a palette (the first is {renumbered[0].label}), "
        "so that either the greys or the indices may be the class ids: export the labels as 8-bit grey"
    )


def _label_warnings(key: str, kept: Sequence[Kept], known: dict[int, int]) -> list[str]:
    """Labels that are read, but perhaps not as they were meant."""
    labelled = [k for k in kept if k.label]
    warnings = []
    for bits, spread in _SPREAD.items():
        if few := [k for k in labelled if k.encoding.bits == bits]:
            text = (
                f"are stored in {bits} bit{'s' * (bits > 1)} a pixel and read as greys, {spread}: where other ids "
                "were meant, save them in 8 bits"
            )
            warnings.append(_some_of(len(labelled), few, "labels", key, text))
    smoothed = [k for k in labelled if k.smoothed]
    if len(smoothed) > _SMOOTHED_LABELS * len(labelled):
        text = (
            "have ids in between along the borders of areas, which is what smooth resizing and JPEG leave: resize "
            "labels by nearest neighbour and never save them with loss"
        )
        warnings.append(_some_of(len(labelled), smoothed, "labels", key, text))
    return warnings + _colour_warnings(key, labelled, known)


def _colour_warnings(key: str, labelled: Sequence[Kept], known: dict[int, int]) -> list[str]:
    """Palettes of the Cityscapes colours whose indices the id map calls otherwise."""
    right: set[int] = set()
    wrong: dict[int, tuple[str, str]] = {}
    for k in labelled:
        for value, colour in _used_colours(k).items():
            drawn, train_id = _CLASS_AT.get(colour), known.get(value, IGNORE)
            if drawn is None or train_id == IGNORE:
                continue
            if drawn == _NAMES[train_id]:
                right.add(value)
            else:
                wrong[value] = drawn, _NAMES[train_id]
    if len(wrong) < 2 or len(wrong) < len(right):
        return []
    value, (drawn, meant) = min(wrong.items())
    return [
        f"the palettes of the labels of {key} draw {len(wrong)} ids in the Cityscapes colour of another class than "
        f"the id map names (id {value} is drawn {drawn} and mapped to {meant}): correct the id map, or export ids"
    ]


def _used_colours(k: Kept) -> dict[int, Colour]:
    """Index -> colour, of the indices that are in the label."""
    table = k.encoding.palette or b""
    return {
        value: (table[3 * value], table[3 * value + 1], table[3 * value + 2])
        for value in k.ids
        if 3 * value + 2 < len(table)
    }


def _hides_ids(colours: dict[int, Colour], known: dict[int, int]) -> bool:
    greys = {value: red for value, (red, green, blue) in colours.items() if red == green == blue}
    if len(greys) < max(2, len(colours)):  # a single one may be the black of what is ignored
        return False
    return any(v != grey for v, grey in greys.items()) and all(grey in known for grey in greys.values())


def _some_of(of: int, odd: Sequence[Kept], what: str, key: str, text: str) -> str:
    first = odd[0].label if what == "labels" else odd[0].image
    return f"{len(odd)} of {of} {what} of {key} {text} (the first is {first})"
