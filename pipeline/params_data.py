"""The block `data` of params.yaml: which pictures and labels, of which data set, in which splits."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.edge.classes import ID_OF
from pipeline.section import Section, Share, Size


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
    id_map: dict[Annotated[int, Field(ge=0, le=65535)], str] = Field(
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


Domain = Annotated[ScenesData | CamVidData | FoldersData, Field(discriminator="format")]


class ScenesDrawing(Section):
    """How many embedded scenes are drawn, and how large."""

    seed: int = Field(ge=0, description="the drawing is a pure function of it")
    height: int = Field(ge=64, le=1024, description="pixels")
    width: int = Field(ge=64, le=2048, description="pixels")
    source_train: int = Field(ge=2, description="clear-day pictures with labels")
    source_val: int = Field(ge=1, description="clear-day pictures for scores")
    target_train: int = Field(ge=2, description="night and fog pictures, no labels")
    target_val: int = Field(ge=2, description="night and fog pictures with labels, for scores only")


class Data(Section):
    """The labelled source and the unlabelled target."""

    source: Domain
    target: Domain
    scenes: ScenesDrawing | None = Field(
        default=None, description="embedded scenes to draw; null for real data"
    )
    size: Size = Field(description="(height, width) in pixels that pictures are fitted to, aspect kept")
    min_class_share: Share = Field(
        default=1e-4, description="a class below this share of the labelled source pixels is reported as rare"
    )

    @model_validator(mode="after")
    def _scenes_are_described(self) -> Data:
        if self.scenes is None and "scenes" in (self.source.format, self.target.format):
            raise ValueError("format `scenes` needs the block data.scenes")
        return self
