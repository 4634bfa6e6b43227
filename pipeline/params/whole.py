"""The whole of params.yaml, and what one method takes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.edge.errors import UserError
from pipeline.params.data import Data
from pipeline.params.evaluate import Evaluate
from pipeline.params.export import Export
from pipeline.params.network import Network
from pipeline.params.section import EachOnce, Section, Seed, Size, Steps
from pipeline.params.train import Optimiser, Train

METHODS = ("source_only", "self_training", "entropy_minimisation", "adversarial", "mic", "distil")
Method = Literal["source_only", "self_training", "entropy_minimisation", "adversarial", "mic"]


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
                "uda": self.train.uda.model_copy(
                    update={"start_step": 0, "mask_start_step": None, "mask_mode": mode}
                ),
            }
        )
        return self.model_copy(update={"network": self.distil.network, "train": train})
