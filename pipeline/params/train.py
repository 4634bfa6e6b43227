"""The block `train` of params.yaml: the loop, the optimiser and the data order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.section import Section, Share, Size, Steps
from pipeline.params.uda import Uda

Grey = Annotated[float, Field(ge=0, le=255)]
Stops = Annotated[float, Field(ge=0, le=16)]
"""Halvings of the light; beyond 16 nothing is left of 16 bits."""


class Optimiser(Section):
    """Linear warm-up and polynomial decay for every group (method page, section 1.7)."""

    name: Literal["adamw", "sgd"] = Field(
        default="adamw", description="sgd (momentum 0.9) is the paper's for the two weaker base methods"
    )
    lr: float = Field(gt=0, le=100, description="encoder learning rate; 6e-5 in the paper")
    head_factor: float = Field(
        default=10.0, gt=0, le=1000, description="decoder rate / encoder rate; 10 in the paper"
    )
    layer_decay: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="rate of a ViT block / rate of the block above it; null: one rate",
    )
    weight_decay: float = Field(default=0.01, ge=0, le=10, description="0.01 in the paper")
    warmup_steps: Steps = Field(default=1500, ge=0, description="1500 of 40 000 in the paper")
    power: float = Field(default=1.0, gt=0, le=100, description="of the polynomial decay; 1 in the paper")
    restart: bool = Field(
        default=False, description="warm-up and decay begin anew at uda.start_step, in every method alike"
    )


class RareClassSampling(Section):
    """Source pictures by rare class (section 2.1); pixel counts as shares, so that small pictures work."""

    temperature: float = Field(
        default=0.01, ge=1e-6, le=1e4, description="of the class softmax; 0.01 in the paper"
    )
    min_share: Share = Field(
        default=0.0015,
        description="a picture is drawn for a class above this share of its pixels; paper 3000 px",
    )
    min_crop_share: Share = Field(
        default=0.0057, description="a crop is kept above this share of its pixels; paper 1500 of 512 x 512"
    )


class Darken(Section):
    """Source pictures made night-like; the labels are kept. For every method alike."""

    kind: Literal["exposure", "relight", "match"] = Field(
        default="relight",
        description="in linear light, exposure: less light everywhere; relight: each class lit as at night by the "
        "labels (dark sky, head lamps, street lamps); match: mean and deviation in Lab of a random target picture",
    )
    share: Share = Field(default=0.5, description="share of the source pictures that is changed")
    grey: tuple[Grey, Grey] = Field(
        default=(8.0, 65.0),
        description="relight: range of the mean grey level (0..255), as metrics/data.json has it",
    )
    stops: tuple[Stops, Stops] = Field(
        default=(0.5, 4.5), description="exposure: 2^-s of the light with s uniform between these"
    )
    cast: Share = Field(default=0.2, description="exposure: largest relative change of a colour channel")
    noise: Share = Field(
        default=0.01, description="exposure: largest read noise, of full scale in linear light"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Darken:
        for name, (low, high) in {"grey": self.grey, "stops": self.stops}.items():
            if low > high:
                raise ValueError(f"{name} [{low}, {high}] must be two numbers, the lower first")
        return self


class Train(Section):
    """The training loop."""

    steps: Steps = Field(ge=1, description="optimiser steps; 40 000 in the paper")
    batch_size: int = Field(
        ge=1, le=1024, description="source and target pictures a step, each; 2 in the paper"
    )
    crop: Size = Field(description="(height, width) of the training crop in pixels")
    source_size: Size | None = Field(
        default=None,
        description="(height, width) that source pictures are fitted to in training, where their scale is not the "
        "target's; null: data.size",
    )
    precision: Literal["32-true", "bf16-mixed"] = Field(
        default="32-true", description="lightning-fabric precision"
    )
    encoder_norms: Literal["batch", "frozen"] = Field(
        default="batch",
        description="batch norm of the encoder, in every pass of every method: by the batch's statistics (the paper), "
        "or by those of the pretrained weights, which then stay",
    )
    workers: int = Field(default=1, ge=0, le=128, description="loader processes")
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="CPU threads of torch, at most one a core; null: all"
    )
    log_every: Steps = Field(default=10, ge=1, description="steps between two points of a curve")
    checkpoint_every: Steps = Field(default=100, ge=1, description="steps between two checkpoints")
    picture_every: Steps = Field(default=200, ge=0, description="steps between two debug pictures; 0: never")
    rare_class_sampling: RareClassSampling | None = Field(
        default=None, description="null: each source picture once an epoch"
    )
    darken: Darken | None = Field(default=None, description="night-like source pictures; null: none")
    optimiser: Optimiser
    uda: Uda = Uda()

    @property
    def first_full_step(self) -> int:
        """The first step with all passes, or the last one."""
        return min(self.uda.first_masked_step, self.steps - 1)

    @model_validator(mode="after")
    def _target_is_reached(self) -> Train:
        if self.uda.start_step >= self.steps:
            raise ValueError(
                f"uda.start_step {self.uda.start_step} leaves none of the {self.steps} steps for the target: lower it "
                "or raise steps"
            )
        top, bottom = self.uda.ignore_top, self.uda.ignore_bottom
        if top + bottom >= self.crop[0]:
            raise ValueError(
                f"uda.ignore_top {top} and ignore_bottom {bottom} leave no row of a crop of {self.crop[0]} rows"
            )
        return self

    @model_validator(mode="after")
    def _masks_begin_in_time(self) -> Train:
        start = self.uda.mask_start_step
        if start is not None and not self.uda.start_step <= start < self.steps:
            raise ValueError(
                f"uda.mask_start_step {start} must be from uda.start_step {self.uda.start_step} to the last step "
                f"{self.steps - 1}"
            )
        return self

    @model_validator(mode="after")
    def _complementary_mode_needs_pairs(self) -> Train:
        if self.uda.mask_mode.startswith("complementary") and self.batch_size % 2:
            raise ValueError(
                f"uda.mask_mode {self.uda.mask_mode!r} masks half of the crops twice and needs an even batch_size, "
                f"not {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _mixed_mode_needs_mixed_pictures(self) -> Train:
        if self.uda.mask_mode == "mixed" and self.uda.base != "self_training":
            raise ValueError(
                f"uda.mask_mode 'mixed' hides blocks of mixed pictures, which only base self_training has, not "
                f"{self.uda.base!r}"
            )
        return self

    @model_validator(mode="after")
    def _both_mode_needs_two(self) -> Train:
        if self.uda.mask_mode.startswith("both") and self.batch_size != 2:
            raise ValueError(
                f"uda.mask_mode {self.uda.mask_mode!r} masks one source and one target picture and needs "
                f"batch_size 2, not {self.batch_size}"
            )
        return self
