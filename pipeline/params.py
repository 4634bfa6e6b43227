"""params.yaml as frozen models: every field with its unit and meaning, every mistake as one sentence.

An unknown key is refused with the nearest right name; a wrong value with its key path, the value and what is allowed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from pipeline.edge.errors import UserError
from pipeline.mistakes import sentence
from pipeline.params_data import Data
from pipeline.params_train import Optimiser, Train
from pipeline.section import EachOnce, Section, Seed, Share, Size, Steps
from pipeline.yaml_file import read_yaml

FORMER = {"export.parity_agreement": "the export is held to torch in float64 and ties are counted"}
"""Keys of older params files that decide nothing any more, and why."""

Block = TypeVar("Block", bound=Section)
SAID = 10  # mistakes of a file that are told at once
METHODS = ("source_only", "self_training", "entropy_minimisation", "adversarial", "mic", "distil")
Method = Literal["source_only", "self_training", "entropy_minimisation", "adversarial", "mic"]


class Hrda(Section):
    """HRDA around any network: a context view at lower resolution and a detail window at full (section 3.4)."""

    scale: float = Field(default=0.5, ge=1 / 32, lt=1, description="size of the context view; paper 0.5")
    detail: Size = Field(description="(height, width) of the detail window in pixels; paper 512 x 512")
    detail_weight: Share = Field(default=0.1, description="share of the detail loss; paper 0.1")


class Network(Section):
    """Any smp architecture, DAFormer or DeepLabV2 over any smp or timm (`tu-`) encoder."""

    architecture: str = Field(
        description="daformer, deeplabv2, or a segmentation_models_pytorch name: fpn, unet, segformer, dpt ..."
    )
    encoder: str = Field(description="smp encoder name, or `tu-` and a timm name")
    weights: Path | None = Field(
        default=None,
        description="encoder weights: a file (.safetensors or .pth); `timm` for a tu- encoder or one of smp's names "
        "(`imagenet`), fetched from the hub and pinned in weights.lock; null for a random start",
    )
    sha256: str | None = Field(default=None, description="checksum the weights file must have; null for any")
    licence: str = Field(
        default="none (random start)", description="licence of the encoder weights, for the manifest"
    )
    decoder: dict[str, Any] = Field(
        default_factory=dict,
        description="further arguments of the decoder or the smp architecture; those it does not know go to a timm "
        "(`tu-`) encoder",
    )
    hrda: Hrda | None = Field(default=None, description="two-resolution training and inference; null: one")
    shrink: int = Field(
        default=1, ge=1, le=8, description="sees pictures this many times smaller: faster, loses small things"
    )

    @property
    def hub_name(self) -> str | None:
        """`weights` where it is a name on the hub; None where it is a file."""
        is_file = self.weights is None or self.weights.suffix or len(self.weights.parts) > 1
        return None if is_file else str(self.weights)

    def fits(self, other: Network) -> bool:
        """Whether it has the same tensors."""
        kind = {"architecture", "encoder", "decoder", "hrda"}
        return self.model_dump(include=kind) == other.model_dump(include=kind)

    @model_validator(mode="after")
    def _one_resolution(self) -> Network:
        if self.hrda is not None and self.shrink > 1:
            raise ValueError("hrda looks at full resolution: set shrink: 1 or hrda: null")
        return self


class Distil(Section):
    """A smaller network that learns from source labels and from an adapted network's labels of the target."""

    network: Network
    teacher: Method = Field(default="mic", description="the method whose network labels the target pictures")
    start: Literal["encoder", "teacher"] = Field(
        default="encoder",
        description="`teacher`: all the teacher's weights, for its network with another shrink; `encoder`: those of "
        "distil.network.weights",
    )
    steps: Steps | None = Field(default=None, ge=1, description="null: train.steps")
    crop: Size | None = Field(
        default=None,
        description="(height, width) of its training crops, larger where it shrinks; null: train.crop",
    )
    optimiser: Optimiser | None = Field(default=None, description="null: train.optimiser")


class Evaluate(Section):
    """How pictures are predicted and scores are made."""

    mode: Literal["whole", "sliding"] = Field(default="whole", description="one pass, or overlapping windows")
    window: Size | None = Field(default=None, description="(height, width) of a sliding window in pixels")
    window_stride: Size | None = Field(default=None, description="step of the sliding window in pixels")
    bootstrap: int = Field(default=1000, ge=100, le=100_000, description="resamples of the 95 % interval")
    pictures: int = Field(default=6, ge=1, le=60, description="pictures in the before/after grid")

    @model_validator(mode="after")
    def _sliding_needs_a_window(self) -> Evaluate:
        if self.mode == "sliding" and (self.window is None or self.window_stride is None):
            raise ValueError("mode `sliding` needs window and window_stride")
        return self

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Evaluate:
        if self.window and self.window_stride:
            for stride, side in zip(self.window_stride, self.window, strict=True):
                if stride > side:
                    raise ValueError(
                        f"window_stride {list(self.window_stride)} is larger than window {list(self.window)} and "
                        "leaves pixels out: swap the two, or take half the window as stride"
                    )
        return self


class Int8(Section):
    """The int8 variant of the ONNX file: what it is calibrated on and what it may lose."""

    calibration_images: int = Field(
        default=32, ge=1, le=10_000, description="unlabelled target training pictures that set the ranges"
    )
    budget_points: float = Field(
        default=1.0, ge=0, le=100, description="mIoU points it may lose on the labelled target val split"
    )
    agreement: Share = Field(
        default=0.98, description="without target labels: share of pixels that must keep their fp32 class"
    )


class Export(Section):
    """The ONNX file and its variants."""

    opset: int = Field(default=18, ge=17, le=23, description="ONNX operator set")
    data_licences: tuple[str, ...] = Field(
        default=(), description="licences of the training data, for the manifest"
    )
    sample: str = Field(
        default="",
        description="picture that is stored in the file to verify it by, one you may pass on; empty: of the target",
    )
    intended_use: str = Field(default="", description="one sentence for the manifest")
    known_failures: tuple[str, ...] = Field(default=(), description="sentences for the manifest")
    int8: Int8 = Int8()
    fp16_agreement: Share = Field(
        default=0.99, description="share of pixels that must keep their fp32 class in the fp16 variant"
    )


class Params(Section):
    """The whole of params.yaml."""

    seed: Seed = Field(default=0, description="of weights, batches and masks")
    methods: Annotated[tuple[Method, ...], EachOnce] = Field(
        default=("source_only", "mic"), min_length=1, description="what is trained"
    )
    students: Annotated[tuple[Literal["distil"], ...], EachOnce] = Field(
        default=(), description="[distil] trains the network of the block distil after its teacher"
    )
    ship: Literal["student", "teacher"] = Field(
        default="student",
        description="which network of every method is scored, exported and shown: the student of the last step (the "
        "paper's), or its moving average",
    )
    data: Data
    network: Network
    train: Train
    evaluate: Evaluate = Evaluate()
    export: Export = Export()
    distil: Distil | None = Field(default=None, description="null: no student can be trained")

    @model_validator(mode="after")
    def _students_have_a_teacher(self) -> Params:
        if self.students and self.distil is None:
            raise ValueError("students [distil] needs the block distil with a network")
        if self.students and self.distil and self.distil.teacher not in self.methods:
            raise ValueError(
                f"distil.teacher {self.distil.teacher!r} is none of methods {list(self.methods)}"
            )
        if self.distil and self.distil.start == "teacher" and not self.distil.network.fits(self.network):
            raise ValueError(
                "distil.start `teacher` needs distil.network to have network's architecture, encoder and decoder: "
                "only its shrink may differ, or set start: encoder"
            )
        return self

    @model_validator(mode="after")
    def _frozen_norms_have_statistics(self) -> Params:
        if self.train.encoder_norms == "frozen" and self.network.weights is None:
            raise ValueError(
                "train.encoder_norms `frozen` keeps the statistics of pretrained weights, and network.weights is null: "
                "set it to a file, or encoder_norms: batch"
            )
        return self

    @property
    def trained(self) -> tuple[str, ...]:
        """All that `dvc repro` trains, students last."""
        return (*self.methods, *self.students)

    def for_method(self, method: str) -> Params:
        """What `method` trains with: `distil` has a network of its own, and labels to trust from the first step.

        Raises:
            UserError: `distil` without its block.
        """
        if method != "distil":
            return self
        if self.distil is None:
            raise UserError(
                "method distil needs the block distil with a network: see profiles/camvid_dusk.yaml"
            )
        mode = self.train.uda.mask_mode
        mode = "target_aug" if mode == "mixed" else mode  # distil mixes no pictures
        train = self.train.model_copy(
            update={
                "steps": self.distil.steps or self.train.steps,
                "crop": self.distil.crop or self.train.crop,
                "optimiser": self.distil.optimiser or self.train.optimiser,
                "uda": self.train.uda.model_copy(update={"start_step": 0, "mask_mode": mode}),
            }
        )
        return self.model_copy(update={"network": self.distil.network, "train": train})


def load_params(path: Path = Path("params.yaml"), changes: Mapping[str, Any] | None = None) -> Params:
    """Read and check a params file; `changes` maps key paths (`train.uda.tau`) to values that replace its own.

    Raises:
        UserError: the file is missing, no YAML, or has an unknown key or a wrong value.
    """
    raw = read_yaml(path, "run from the project folder or pass --params FILE")
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else type(raw).__name__
        raise UserError(f"{path} must hold keys such as seed, data, network and train, not {found}")
    for key, value in (changes or {}).items():
        *blocks, field = key.split(".")
        block = raw
        for name in blocks:
            if block.get(name) is None:
                block[name] = {}
            block = block[name]
            if not isinstance(block, dict):
                raise UserError(f"{path}: {key} cannot be set: {name} is no block of keys there")
        block[field] = value
    _leave_out_former_keys(raw, path)
    return checked(Params, raw, path)


def _leave_out_former_keys(raw: dict[str, Any], path: Path) -> None:
    """Take the keys that only older versions read out of `raw`, and say so: an old file still runs."""
    for key, reason in FORMER.items():
        name, field = key.split(".")
        if isinstance(raw.get(name), dict) and field in raw[name]:
            del raw[name][field]
            print(f"warning: {path}: {key} is no longer read ({reason}): delete the key", file=sys.stderr)


def checked(model: type[Block], raw: Any, path: Path) -> Block:
    """`raw`, read from `path`, as a model. Raises UserError with a sentence for each unknown key or wrong value."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = [sentence(e, model) for e in error.errors(include_url=False)]
        more = [f"and {len(problems) - SAID} more"] if len(problems) > SAID else []
        raise UserError(f"{path}: {'; '.join(problems[:SAID] + more)}") from None


def fingerprint(*parts: BaseModel | str | int) -> str:
    """sha256 over params blocks and strings; equal parts give an equal fingerprint."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
