"""The block `data` of params.yaml: which pictures and labels, of which data set, in which splits."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from pipeline.edge.classes import ID_OF
from pipeline.params.section import EachOnce, Section, Seed, Share, Size


class ScenesData(Section):
    """The embedded street scenes (drawn by `prepare`); each picture records its own condition."""

    format: Literal["scenes"]
    root: Path = Field(description="folder the scenes are drawn into")
    train: str = Field(description="split for training")
    val: str | None = Field(default=None, description="labelled split for scores")


class CamVidData(Section):
    """CamVid, 11 classes and void: images/, labels/, splits/<split>.txt."""

    format: Literal["camvid"]
    root: Path = Field(description="folder that holds images/, labels/ and splits/")
    train: str = Field(description="split for training, a name in splits/")
    val: str | None = Field(default=None, description="labelled split for scores, null for none")
    condition: str = Field(
        default="clear", description="weather or light of these pictures, e.g. clear, dusk, night"
    )


class Pictures(Section):
    """One split of a `folders` data set."""

    images: Path = Field(description="picture folder, relative to root")
    labels: Path | None = Field(default=None, description="label folder, relative to root; null for none")
    list: Path | None = Field(
        default=None, description="text file of picture names, one a line; null for all"
    )


class FoldersData(Section):
    """Any picture folder with an optional label folder."""

    format: Literal["folders"]
    root: Path = Field(description="folder that the other paths are relative to")
    train: Pictures
    val: Pictures | None = None
    condition: str = Field(
        default="clear", description="weather or light of these pictures, e.g. clear, fog, night"
    )
    id_map: dict[Annotated[int, Field(ge=0, le=65535, strict=True)], str] = Field(
        default_factory=dict, description="label value -> Cityscapes class name, or `ignore`"
    )

    @model_validator(mode="after")
    def _known_classes(self) -> FoldersData:
        for value, name in self.id_map.items():
            if name != "ignore" and name not in ID_OF:
                near = difflib.get_close_matches(name, [*ID_OF, "ignore"], n=1)
                hint = f", did you mean {near[0]!r}" if near else ""
                raise ValueError(
                    f"id_map {value}: {name!r} is not one of the 19 class names or `ignore`{hint}"
                )
        return self


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise ValueError("name at least one")
    return value


NotEmpty = AfterValidator(_not_empty)
Splits = Annotated[tuple[str, ...], BeforeValidator(_one_or_more), NotEmpty, EachOnce]
"""One split or several: `val: test` or `val: [test, test_extra]`."""

TRAIN, VAL = "splits for training, null for none", "splits for scores, null for none"
CONDITION = "weather or light of these pictures, e.g. clear, night"


class Downloaded(Section):
    """A data set in its official layout, described in docs/data.md; splits have their official names."""

    root: Path = Field(description="folder with the unpacked data set, its .zip archives, or both")
    train_list: Path | None = Field(
        default=None, description="text file of the training pictures to use, one name a line; null for all"
    )
    val_list: Path | None = Field(
        default=None, description="text file of the pictures to score, one name a line; null for all"
    )


class CityscapesData(Downloaded):
    """Cityscapes."""

    format: Literal["cityscapes"]
    train: Splits | None = Field(default=("train",), description=TRAIN)
    val: Splits | None = Field(default=("val",), description=VAL)


class FoggyCityscapesData(Downloaded):
    """Cityscapes with drawn fog and the labels of Cityscapes."""

    format: Literal["foggy_cityscapes"]
    train: Splits | None = Field(default=("train",), description=TRAIN)
    val: Splits | None = Field(default=("val",), description=VAL)
    beta: float = Field(default=0.02, description="fog density: 0.005, 0.01 or 0.02 (dense)")

    @model_validator(mode="after")
    def _is_a_drawn_density(self) -> FoggyCityscapesData:
        if self.beta not in (0.005, 0.01, 0.02):
            raise ValueError(f"beta {self.beta} was never drawn: use 0.005, 0.01 or 0.02")
        return self


class GtaData(Downloaded):
    """GTA (Playing for Data). It has no split: val_list makes one, and leaves the rest for training."""

    format: Literal["gta"]
    condition: str = Field(default="mixed", description=CONDITION)


class SynthiaData(Downloaded):
    """SYNTHIA-RAND-CITYSCAPES. It has no split: val_list makes one, and leaves the rest for training."""

    format: Literal["synthia"]
    protocol: Literal[16, 13] = Field(
        default=16,
        description="classes in the mean: 16 without terrain, truck, train; 13 also without wall, "
        "fence, pole",
    )
    condition: str = Field(default="mixed", description=CONDITION)


class AcdcData(Downloaded):
    """ACDC; train_ref and val_ref are its clear-weather pictures, without labels."""

    format: Literal["acdc"]
    train: Splits | None = Field(default=("train",), description=TRAIN)
    val: Splits | None = Field(default=("val",), description=VAL)
    conditions: Annotated[tuple[Literal["fog", "night", "rain", "snow"], ...], NotEmpty, EachOnce] = Field(
        default=("fog", "night", "rain", "snow"), description="which of the four are used"
    )


class DarkZurichData(Downloaded):
    """Dark Zurich."""

    format: Literal["dark_zurich"]
    train: Splits | None = Field(default=("train",), description=TRAIN)
    val: Splits | None = Field(default=("val",), description=VAL)
    times: Annotated[tuple[Literal["day", "twilight", "night"], ...], NotEmpty, EachOnce] = Field(
        default=("night",), description="light of the training pictures; val is night"
    )


class NighttimeDrivingData(Downloaded):
    """Nighttime Driving: 50 labelled night pictures, for scores alone."""

    format: Literal["nighttime_driving"]
    train: Splits | None = Field(default=None, description=TRAIN)
    val: Splits | None = Field(default=("test",), description=VAL)


class FoggyZurichData(Downloaded):
    """Foggy Zurich; light and medium have no labels, testv1 (16 pictures) and testv2 (40) have."""

    format: Literal["foggy_zurich"]
    train: Splits | None = Field(default=("light", "medium"), description=TRAIN)
    val: Splits | None = Field(default=("testv2",), description=VAL)


class FoggyDrivingData(Downloaded):
    """Foggy Driving: 33 finely and 68 coarsely labelled pictures, for scores alone."""

    format: Literal["foggy_driving"]
    train: Splits | None = Field(default=None, description=TRAIN)
    val: Splits | None = Field(default=("test", "test_extra"), description=VAL)


class Bdd100kData(Downloaded):
    """BDD100K: the labelled 10k/train and 10k/val, the unlabelled 10k/test and 100k/train, 100k/val, 100k/test."""

    format: Literal["bdd100k"]
    train: Splits | None = Field(default=("10k/train",), description=TRAIN)
    val: Splits | None = Field(default=("10k/val",), description=VAL)
    timeofday: tuple[Literal["daytime", "dawn/dusk", "night"], ...] = Field(
        default=(), description="use only pictures with one of these in the attributes; empty for all"
    )
    weather: tuple[Literal["clear", "partly cloudy", "overcast", "rainy", "snowy", "foggy"], ...] = Field(
        default=(), description="use only pictures with one of these in the attributes; empty for all"
    )


class Comma10kData(Downloaded):
    """comma10k; val holds the names that end in 9, train the others; other names are lists in splits/."""

    format: Literal["comma10k"]
    train: Splits | None = Field(default=("train",), description=TRAIN)
    val: Splits | None = Field(default=("val",), description=VAL)
    condition: str = Field(default="mixed", description=CONDITION)
    night_list: Path | None = Field(default=None, description="text file of the pictures taken at night")


class MapillaryData(Downloaded):
    """Mapillary Vistas with the 66 classes of version 1.2."""

    format: Literal["mapillary"]
    train: Splits | None = Field(default=("training",), description=TRAIN)
    val: Splits | None = Field(default=("validation",), description=VAL)
    condition: str = Field(default="mixed", description=CONDITION)


DataSet = (
    ScenesData
    | CamVidData
    | FoldersData
    | CityscapesData
    | FoggyCityscapesData
    | GtaData
    | SynthiaData
    | AcdcData
    | DarkZurichData
    | NighttimeDrivingData
    | FoggyZurichData
    | FoggyDrivingData
    | Bdd100kData
    | Comma10kData
    | MapillaryData
)
Domain = Annotated[DataSet, Field(discriminator="format")]
FORMATS: tuple[str, ...] = tuple(get_args(d.model_fields["format"].annotation)[0] for d in get_args(DataSet))

ONE, MORE = "one", "more"
"""Tags of the two forms of data.target, a data set or a list; pydantic puts them into the path of an error."""


def _form(value: Any) -> str:
    return MORE if isinstance(value, list | tuple) else ONE


class ScenesDrawing(Section):
    """How many embedded scenes are drawn, and how large."""

    seed: Seed = Field(description="the drawing is a pure function of it")
    height: int = Field(ge=64, le=1024, description="pixels")
    width: int = Field(ge=64, le=2048, description="pixels")
    source_train: int = Field(ge=2, le=100_000, description="clear-day pictures with labels")
    source_val: int = Field(ge=1, le=100_000, description="clear-day pictures for scores")
    target_train: int = Field(ge=2, le=100_000, description="night and fog pictures, no labels")
    target_labels: bool = Field(
        default=False, description="labels for target_train, too: for an upper bound that trains on them"
    )
    target_val: int = Field(
        ge=2, le=100_000, description="night and fog pictures with labels, for scores only"
    )


class Data(Section):
    """The labelled source and the unlabelled target, or several targets at once."""

    source: Domain
    target: Annotated[
        Annotated[Domain, Tag(ONE)] | Annotated[tuple[Domain, ...], NotEmpty, Tag(MORE)],
        Discriminator(_form),
    ]
    scenes: ScenesDrawing | None = Field(
        default=None, description="embedded scenes to draw; null for real data"
    )
    size: Size = Field(description="(height, width) in pixels that pictures are fitted to, aspect kept")
    min_class_share: Share = Field(
        default=1e-4, description="a class below this share of the labelled source pixels is reported as rare"
    )

    @model_validator(mode="after")
    def _scenes_are_described(self) -> Data:
        if self.scenes is None and any(d.format == "scenes" for d in (self.source, *self.targets)):
            raise ValueError("format `scenes` needs the block data.scenes")
        return self

    @property
    def targets(self) -> tuple[DataSet, ...]:
        """The target data sets; a record's `data_set` is the position in it."""
        return self.target if isinstance(self.target, tuple) else (self.target,)

    def data_sets(self, domain: str) -> tuple[DataSet, ...]:
        """Those of "source" or "target"."""
        return (self.source,) if domain == "source" else self.targets

    @property
    def scored_classes(self) -> tuple[int, ...]:
        """Train ids whose IoU counts in a mean: all, or those of the SYNTHIA protocol (section 4).

        Only the mean changes: each IoU still counts every labelled pixel, as in the published figures.
        """
        left_out: set[str] = set()
        if self.source.format == "synthia":
            left_out = {"terrain", "truck", "train"}
            if self.source.protocol == 13:
                left_out |= {"wall", "fence", "pole"}
        return tuple(i for name, i in ID_OF.items() if name not in left_out)
