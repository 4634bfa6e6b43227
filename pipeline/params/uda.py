"""The block `train.uda` of params.yaml: every part of the adaptation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipeline.params.section import LARGEST_SIDE, Section, Share, Steps, Weight

MaskMode = Literal[
    "target",
    "target_aug",
    "source",
    "source_aug",
    "both",
    "both_aug",
    "complementary",
    "complementary_aug",
    "mixed",
]
BaseMethod = Literal["self_training", "entropy_minimisation", "adversarial"]
PassNorms = Literal["batch", "running"]


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
    """Self-training and masked image consistency; source_only takes the fields of SOURCE_FIELDS alone."""

    base: BaseMethod = Field(default="self_training", description="the method that `mic` is added to")
    start_step: Steps = Field(
        default=0, ge=0, description="first step with losses on the target; 0 in the paper"
    )
    alpha: float = Field(default=0.999, ge=0, lt=1, description="EMA rate of the teacher; 0.999 in the paper")
    ema_from: Literal["start_step", "first_step"] = Field(
        default="start_step",
        description="where the moving average of the student begins as a copy; source_only has one, too",
    )
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
    weighting: Literal["batch", "pixel", "class", "probability"] = Field(
        default="batch",
        description="weight of a pseudo label: the batch's confident share (the paper); 1 for confident pixels, else "
        "0; the confident share of its class in the batch; or the teacher's probability of it, whatever tau",
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
    source_aug: bool = Field(
        default=False,
        description="colour jitter and blur for the source pass, too, in every method (source_only included), so that "
        "a baseline sees what mixed and masked pictures get; false in the paper",
    )
    feature_distance: FeatureDistance | None = Field(default=None, description="null: none, as plain DACS")
    curriculum: Curriculum | None = Field(
        default=None, description="null: all target pictures from the start"
    )
    mask_mode: MaskMode = Field(
        default="target_aug",
        description="which pictures are masked (section 1.4); complementary: half of the target crops, each twice, and "
        "what one copy hides the other shows; mixed: the base's mixed pictures in their own pass, with no third one",
    )
    mask_level: Literal["pixels", "features", "channels"] = Field(
        default="pixels",
        description="what is hidden: blocks of the picture (the paper), the same blocks of the encoder's features, or "
        "a share of the features' channels",
    )
    mask_fill: Literal["grey", "own"] = Field(
        default="grey",
        description="colour of hidden pixels: ImageNet's mean (the paper) or the picture's own",
    )
    mask_block: int = Field(
        default=32,
        ge=1,
        le=LARGEST_SIDE,
        description="side of a hidden block in pixels; paper 64 at full size",
    )
    mask_ratio: Share = Field(default=0.7, description="share of blocks that is hidden; paper 0.7")
    mask_ratio_start: Share | None = Field(
        default=None,
        description="mask_ratio in the first masked step; it changes evenly to mask_ratio in the last, up or "
        "down; null: constant",
    )
    mask_start_step: Steps | None = Field(
        default=None,
        ge=0,
        description="first step with the masked loss, once the teacher knows something; null: start_step (the paper)",
    )
    mask_weight: Weight = Field(default=1.0, description="weight of the masked loss; paper 1")
    mask_norms: PassNorms = Field(
        default="batch",
        description="batch norm in the masked pass: by the batch's statistics, which feed the running ones (the "
        "paper), or by the running ones, which stay as the other passes made them",
    )
    mix_norms: PassNorms = Field(default="batch", description="the same for the pass on mixed pictures")
    mask_alpha: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="EMA rate of a second teacher for the masked loss; null: share the base's",
    )
    mask_tau: Share | Literal["base", "none"] = Field(
        default="base", description="tau of the masked loss; `none`: every weight is 1; `base`: as tau"
    )

    @property
    def first_masked_step(self) -> int:
        """First step with the masked loss."""
        return self.start_step if self.mask_start_step is None else self.mask_start_step

    @model_validator(mode="after")
    def _margins_leave_something(self) -> Uda:
        top, bottom, left, right = self.margins
        if top + bottom >= 1 or left + right >= 1:
            raise ValueError(
                f"margins {list(self.margins)} leave nothing of a picture: they are shares of it"
            )
        return self


SOURCE_FIELDS = frozenset(
    {"alpha", "ema_from", "start_step", "source_aug", "jitter_threshold", "blur_threshold"}
)
"""Those of Uda that the source pass has a use for."""
