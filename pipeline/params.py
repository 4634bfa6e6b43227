"""params.yaml as frozen models: every field with its unit and meaning, every mistake as one sentence.

An unknown key is refused with the nearest right name; a wrong value with its key path, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.edge.classes import ID_OF
from pipeline.edge.errors import UserError
from pipeline.mistakes import sentence

METHODS = ("source_only", "self_training", "mic")
Method = Literal["source_only", "self_training", "mic"]
MaskMode = Literal["target", "target_aug", "source", "source_aug", "both", "both_aug"]
Share = Annotated[float, Field(ge=0, le=1)]
Size = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]


class Section(BaseModel):
    """A block of params.yaml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Network(Section):
    """Any smp architecture over any smp or timm (`tu-`) encoder."""

    architecture: str = Field(
        description="segmentation_models_pytorch name: fpn, unet, deeplabv3plus, segformer ..."
    )
    encoder: str = Field(description="smp encoder name, or `tu-` and a timm name")
    weights: Path | None = Field(
        default=None, description="encoder weights (.safetensors); null for a random start"
    )
    sha256: str | None = Field(default=None, description="checksum the weights file must have; null for any")
    licence: str = Field(
        default="none (random start)", description="licence of the encoder weights, for the manifest"
    )
    decoder: dict[str, Any] = Field(
        default_factory=dict, description="further arguments of the smp architecture"
    )


class Optimiser(Section):
    """AdamW with linear warm-up and polynomial decay (method page, section 1.7)."""

    lr: float = Field(gt=0, description="encoder learning rate; 6e-5 in the paper")
    head_factor: float = Field(default=10.0, gt=0, description="decoder rate / encoder rate; 10 in the paper")
    weight_decay: float = Field(default=0.01, ge=0, description="0.01 in the paper")
    warmup_steps: int = Field(default=1500, ge=0, description="1500 of 40 000 in the paper")
    power: float = Field(default=1.0, gt=0, description="of the polynomial decay; 1 in the paper")


class Uda(Section):
    """Self-training and masked image consistency; source_only ignores this block."""

    alpha: float = Field(default=0.999, ge=0, lt=1, description="EMA rate of the teacher; 0.999 in the paper")
    tau: Share | None = Field(
        default=0.968, description="confidence a pixel needs to count; null: every weight is 1"
    )
    ignore_top: int = Field(
        default=0, ge=0, description="rows of the target crop without trust, from the top"
    )
    ignore_bottom: int = Field(
        default=0, ge=0, description="rows of the target crop without trust, from the bottom"
    )
    jitter_threshold: Share = Field(
        default=0.2, description="colour jitter where a uniform draw exceeds it; paper 0.2"
    )
    blur_threshold: Share = Field(default=0.5, description="blur where a uniform draw exceeds it; paper 0.5")
    mask_mode: MaskMode = Field(default="target_aug", description="which pictures are masked (section 1.4)")
    mask_block: int = Field(
        default=32, ge=1, description="side of a hidden block in pixels; paper 64 at full size"
    )
    mask_ratio: Share = Field(default=0.7, description="share of blocks that is hidden; paper 0.7")
    mask_weight: float = Field(default=1.0, ge=0, description="weight of the masked loss; paper 1")


class Train(Section):
    """The training loop."""

    steps: int = Field(ge=1, description="optimiser steps; 40 000 in the paper")
    batch_size: int = Field(ge=1, description="source and target pictures a step, each; 2 in the paper")
    crop: Size = Field(description="(height, width) of the training crop in pixels")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        default="32-true", description="lightning-fabric precision"
    )
    workers: int = Field(default=1, ge=0, description="loader processes")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of torch; null: all")
    log_every: int = Field(default=10, ge=1, description="steps between two points of a curve")
    checkpoint_every: int = Field(default=100, ge=1, description="steps between two checkpoints")
    picture_every: int = Field(default=200, ge=0, description="steps between two debug pictures; 0: never")
    optimiser: Optimiser
    uda: Uda = Uda()

    @model_validator(mode="after")
    def _both_mode_needs_two(self) -> Train:
        if self.uda.mask_mode.startswith("both") and self.batch_size != 2:
            raise ValueError(
                f"uda.mask_mode {self.uda.mask_mode!r} masks one source and one target picture and needs "
                f"batch_size 2, not {self.batch_size}"
            )
        return self


class Evaluate(Section):
    """How pictures are predicted and scores are made."""

    mode: Literal["whole", "sliding"] = Field(default="whole", description="one pass, or overlapping windows")
    window: Size | None = Field(default=None, description="(height, width) of a sliding window in pixels")
    window_stride: Size | None = Field(default=None, description="step of the sliding window in pixels")
    bootstrap: int = Field(default=1000, ge=100, description="resamples of the 95 % interval")
    pictures: int = Field(default=6, ge=1, description="pictures in the before/after grid")

    @model_validator(mode="after")
    def _sliding_needs_a_window(self) -> Evaluate:
        if self.mode == "sliding" and (self.window is None or self.window_stride is None):
            raise ValueError("mode `sliding` needs window and window_stride")
        return self


class Export(Section):
    """The ONNX file."""

    opset: int = Field(default=18, ge=17, le=23, description="ONNX operator set")
    parity_agreement: Share = Field(
        default=0.9999, description="share of pixels where torch and ONNX must agree"
    )
    data_licences: tuple[str, ...] = Field(
        default=(), description="licences of the training data, for the manifest"
    )
    intended_use: str = Field(default="", description="one sentence for the manifest")
    known_failures: tuple[str, ...] = Field(default=(), description="sentences for the manifest")


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(default=0, ge=0, description="of weights, batches and masks")
    methods: tuple[Method, ...] = Field(
        default=("source_only", "mic"), min_length=1, description="what is trained"
    )
    data: Data
    network: Network
    train: Train
    evaluate: Evaluate = Evaluate()
    export: Export = Export()


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file.

    Raises:
        UserError: the file is missing, no YAML, or has an unknown key or a wrong value.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run from the project folder or pass --params FILE") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(
            f"{path} must hold keys such as seed, data, network and train, not {type(raw).__name__}"
        )
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(sentence(e, Params) for e in error.errors(include_url=False))
        raise UserError(f"{path}: {problems}") from None


def fingerprint(*parts: BaseModel | str | int) -> str:
    """sha256 over params blocks and strings; equal parts give an equal fingerprint."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
