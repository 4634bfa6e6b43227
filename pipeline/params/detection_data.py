"""The block `data` of params.yaml for object detection: pictures and boxes, of which data set, in which splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline.params.data import CityscapesData, FoggyCityscapesData, ScenesDrawing
from pipeline.params.section import EachOnce, Section, Size

CONDITION = "weather or light of these pictures, e.g. clear, night"
CLASS_MAP = "name of a class in the files -> name in data.classes; names that are there already need no line"


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    if blank := next((name for name in names if name != name.strip() or not name), None):
        raise ValueError(f"{blank!r} is no name of a class")
    return names


Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=1000), EachOnce, AfterValidator(_named)]


class CocoSplit(Section):
    """One split of a COCO data set."""

    annotations: Path = Field(description="JSON file, relative to root")
    images: Path = Field(default=Path(), description="folder that its file names are relative to, from root")


class CocoData(Section):
    """Boxes in COCO's JSON, `[x, y, width, height]`; `iscrowd` boxes are neither learned nor scored."""

    format: Literal["coco"]
    root: Path = Field(description="folder that the other paths are relative to")
    train: CocoSplit | None = Field(default=None, description="split for training, null for none")
    val: CocoSplit | None = Field(default=None, description="split for scores, null for none")
    condition: str = Field(default="clear", description=CONDITION)
    class_map: dict[str, str] = Field(default_factory=dict, description=CLASS_MAP)


class VocData(Section):
    """Pascal VOC as downloaded: JPEGImages/, Annotations/*.xml, ImageSets/Main/<split>.txt; `difficult` boxes are
    neither learned nor scored."""

    format: Literal["voc"]
    root: Path = Field(description="the folder of one year, VOCdevkit/VOC2007")
    train: str | None = Field(
        default="trainval", description="list in ImageSets/Main for training, null for none"
    )
    val: str | None = Field(default="test", description="list in ImageSets/Main for scores, null for none")
    condition: str = Field(default="clear", description=CONDITION)
    class_map: dict[str, str] = Field(default_factory=dict, description=CLASS_MAP)


class YoloData(Section):
    """YOLO: a .txt file for each picture, `class x y width height` as shares of it, and the names of the classes."""

    format: Literal["yolo"]
    root: Path = Field(description="folder that holds images/ and labels/")
    names: Names = Field(description="of the classes, by number from 0, as in the data set's .yaml")
    train: str | None = Field(
        default="train", description="folder below images/ and labels/ for training, null for none"
    )
    val: str | None = Field(
        default="val", description="folder below images/ and labels/ for scores, null for none"
    )
    condition: str = Field(default="clear", description=CONDITION)
    class_map: dict[str, str] = Field(default_factory=dict, description=CLASS_MAP)


class BoxScenesData(Section):
    """The embedded street scenes with the boxes of what moves in them, drawn by `prepare` in COCO's form."""

    format: Literal["scenes"]
    root: Path = Field(description="folder the scenes are drawn into")
    train: Literal["source_train", "target_train"] = Field(description="split for training")
    val: Literal["source_val", "target_val"] | None = Field(default=None, description="split for scores")
    class_map: dict[str, str] = Field(default_factory=dict, description=CLASS_MAP)


BoxDataSet = CocoData | VocData | YoloData | CityscapesData | FoggyCityscapesData | BoxScenesData
BoxDomain = Annotated[BoxDataSet, Field(discriminator="format")]


class DetectionData(Section):
    """The source with boxes and the target without."""

    source: BoxDomain
    target: BoxDomain
    classes: Names = Field(description="what is detected; their order gives the ids, from 0")
    scenes: ScenesDrawing | None = Field(
        default=None, description="embedded scenes to draw; null for real data"
    )
    size: Size = Field(description="(height, width) in pixels that pictures are fitted to, aspect kept")
    empty: Literal["skip", "keep"] = Field(
        default="skip",
        description="source training pictures without a box: not trained on, or seen as background",
    )
    scale: tuple[float, float] = Field(
        default=(1.0, 1.0),
        description="in training, pictures of both domains are resized by a random factor between these; (1, 1) in the "
        "paper",
    )

    @model_validator(mode="after")
    def _scenes_are_described(self) -> DetectionData:
        if self.scenes is None and "scenes" in (self.source.format, self.target.format):
            raise ValueError("format `scenes` needs the block data.scenes")
        return self

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> DetectionData:
        low, high = self.scale
        if not 0.1 <= low <= high <= 10:
            raise ValueError(f"scale [{low}, {high}] must be two factors from 0.1 to 10, the lower first")
        return self
