"""The block `train` of params.yaml: the loop, the optimiser, the data order, and every part of the adaptation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.section import LARGEST_SIDE, Section, Share, Size, Weight

MaskMode = Literal["target", "target_aug", "source", "source_aug", "both", "both_aug"]
BaseMethod = Literal["self_training", "entropy_minimisation", "adversarial"]
Steps = Annotated[int, Field(le=10**9)]
"""No one waits for more: 10^9 steps of a millisecond are twelve days."""
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
    """Source pictures made night-like in linear light; the labels are kept. For every method alike."""

    kind: Literal["exposure", "relight"] = Field(
        default="relight",
        description="exposure: less light everywhere; relight: each class lit as at night by the labels (dark sky, "
        "head lamps, street lamps)",
    )
    share: Share = Field(default=0.5, description="share of the source pictures that is darkened")
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


class FeatureDistance(Section):
    """Keep the encoder's features near those of the frozen pretrained encoder (section 1.5, field notes C.3)."""

    kind: Literal["imagenet", "foundation"] = Field(
        default="imagenet",
        description="imagenet: things of the source, Euclidean (the paper); foundation: all of source and target, "
        "0.9 cosine + 0.1 smooth L1, for self-supervised ViTs",
    )
    weight: Weight = Field(default=0.005, description="0.005 in the paper; 0.1 for kind foundation")


class Curriculum(Section):
    """Target pictures from bright to dark: a growing share of them, by mean grey level, is drawn."""

    start_share: float = Field(default=0.3, gt=0, le=1, description="brightest share in the first step")
    steps: Steps = Field(ge=1, description="step at which all target pictures are drawn")


class Uda(Section):
    """Self-training and masked image consistency; source_only ignores this block."""

    base: BaseMethod = Field(default="self_training", description="the method that `mic` is added to")
    start_step: Steps = Field(
        default=0, ge=0, description="first step with losses on the target; 0 in the paper"
    )
    alpha: float = Field(default=0.999, ge=0, lt=1, description="EMA rate of the teacher; 0.999 in the paper")
    teacher_statistics: Literal["own", "averaged"] = Field(
        default="own",
        description="batch norm of the teacher: its own, from each batch (the paper), or averaged from the student "
        "and used as at inference",
    )
    norm_statistics: Literal["running", "target"] = Field(
        default="running",
        description="batch norm of the finished student: as training left it (the paper), or of target pictures",
    )
    teacher_flip: bool = Field(
        default=False, description="pseudo labels from the mean over the picture and its mirror image"
    )
    tau: Share | None = Field(
        default=0.968, description="confidence a pixel needs to count; null: every weight is 1"
    )
    weighting: Literal["batch", "pixel", "class"] = Field(
        default="batch",
        description="weight of a pseudo label: the batch's confident share (the paper); 1 for confident pixels, else "
        "0; or the confident share of its class in the batch",
    )
    class_prior: Share = Field(
        default=0.0,
        description="0..1: how far pseudo labels are drawn towards the class shares of the source labels as drawn; "
        "0: not at all (the paper)",
    )
    ignore_top: int = Field(
        default=0,
        ge=0,
        le=LARGEST_SIDE,
        description="rows of the target crop without trust, from the top; paper 15 or 0",
    )
    ignore_bottom: int = Field(
        default=0,
        ge=0,
        le=LARGEST_SIDE,
        description="rows of the target crop without trust, from the bottom; paper 120 or 0",
    )
    margins: tuple[Share, Share, Share, Share] = Field(
        default=(0.0, 0.0, 0.0, 0.0),
        description="shares of the whole target picture without trust: top, bottom, left, right; paper (HRDA) 30/1024, "
        "240/1024, 30/2048, 30/2048",
    )
    entropy_weight: Weight = Field(
        default=0.001, description="of the entropy loss on the target; paper 0.001"
    )
    adversarial_weight: Weight = Field(
        default=0.001, description="of the loss that fools the discriminator; paper 0.001"
    )
    jitter_threshold: Share = Field(
        default=0.2, description="colour jitter where a uniform draw exceeds it; paper 0.2"
    )
    blur_threshold: Share = Field(default=0.5, description="blur where a uniform draw exceeds it; paper 0.5")
    feature_distance: FeatureDistance | None = Field(default=None, description="null: none, as plain DACS")
    curriculum: Curriculum | None = Field(
        default=None, description="null: all target pictures from the start"
    )
    mask_mode: MaskMode = Field(default="target_aug", description="which pictures are masked (section 1.4)")
    mask_block: int = Field(
        default=32,
        ge=1,
        le=LARGEST_SIDE,
        description="side of a hidden block in pixels; paper 64 at full size",
    )
    mask_ratio: Share = Field(default=0.7, description="share of blocks that is hidden; paper 0.7")
    mask_weight: Weight = Field(default=1.0, description="weight of the masked loss; paper 1")
    mask_alpha: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="EMA rate of a second teacher for the masked loss; null: share the base's",
    )
    mask_tau: Share | Literal["base", "none"] = Field(
        default="base", description="tau of the masked loss; `none`: every weight is 1; `base`: as tau"
    )

    @model_validator(mode="after")
    def _margins_leave_something(self) -> Uda:
        top, bottom, left, right = self.margins
        if top + bottom >= 1 or left + right >= 1:
            raise ValueError(
                f"margins {list(self.margins)} leave nothing of a picture: they are shares of it"
            )
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
    def _both_mode_needs_two(self) -> Train:
        if self.uda.mask_mode.startswith("both") and self.batch_size != 2:
            raise ValueError(
                f"uda.mask_mode {self.uda.mask_mode!r} masks one source and one target picture and needs "
                f"batch_size 2, not {self.batch_size}"
            )
        return self
