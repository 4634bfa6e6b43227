"""Blocks of params.yaml for object detection: the network and the adaptation (method page, section 8)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.network import Network
from pipeline.params.section import Section, Share, Weight
from pipeline.params.uda import Uda

Count = Annotated[int, Field(ge=1, le=100_000)]
Pixels = Annotated[int, Field(ge=1, le=16384)]


class DetectorNetwork(Network):
    """Faster R-CNN with a feature pyramid over any smp or timm (`tu-`) encoder with stages of stride 4 to 32.

    `resnet50` is torchvision's own: smp's encoder has its layers, names and numbers.
    """

    architecture: Literal["faster_rcnn"] = Field(default="faster_rcnn", description="the one there is")
    channels: int = Field(default=256, ge=8, le=1024, description="of every pyramid level; 256 in the paper")
    anchors: tuple[Pixels, Pixels, Pixels, Pixels, Pixels] = Field(
        default=(32, 64, 128, 256, 512),
        description="side of the anchors of each level in pixels of the fitted picture; these are the paper's, whose "
        "pictures have 800 rows: smaller pictures need smaller ones",
    )
    ratios: tuple[float, ...] = Field(
        default=(0.5, 1.0, 2.0),
        min_length=1,
        max_length=8,
        description="height / width of the anchors; paper",
    )
    representation: int = Field(
        default=1024, ge=8, le=8192, description="width of the two layers of the box head; 1024 in the paper"
    )
    train_proposals: Count = Field(
        default=2000, description="of a picture, to the box head; 2000 in the paper"
    )
    test_proposals: Count = Field(default=1000, description="the same at work; 1000 in the paper")
    anchor_samples: Count = Field(default=256, description="anchors a picture in the loss; 256 in the paper")
    box_samples: Count = Field(default=512, description="proposals a picture in the loss; 512 in the paper")
    score_threshold: Share = Field(default=0.05, description="least score of a detection; 0.05 in the paper")
    nms: Share = Field(default=0.5, description="IoU above which the lower score goes; 0.5 in the paper")
    detections: Count = Field(default=100, description="most boxes of a picture; 100 in the paper")
    frozen_norms: bool = Field(
        default=True,
        description="batch norms keep the statistics, scales and offsets of the pretrained weights (the paper): one "
        "picture a domain has no statistics to speak of",
    )
    frozen_stages: int = Field(
        default=0,
        ge=0,
        le=4,
        description="encoder stages that do not learn, counted by halvings of the picture; 2 in the paper",
    )

    @model_validator(mode="after")
    def _no_segmentation(self) -> DetectorNetwork:
        for name in ("hrda", "decoder", "shrink"):
            if name in self.model_fields_set:
                raise ValueError(f"{name} belongs to segmentation: leave it out for faster_rcnn")
        if self.frozen_norms and self.weights is None:
            raise ValueError(
                "frozen_norms keeps the statistics of pretrained weights, and weights is null: set frozen_norms: false"
            )
        return self


class Alignment(Section):
    """SADA: discriminators of the domains behind gradient reversal."""

    image: Weight = Field(default=0.025, description="reversal of the image level; paper 0.025")
    instance: Weight = Field(default=0.1, description="reversal of the instance level; paper 0.1")
    consistency: Weight = Field(
        default=0.1, description="share of the two reversals at which their agreement counts; paper 0.1"
    )
    instances: Count = Field(default=256, description="proposals a picture that are aligned; paper 256")
    lr: float = Field(
        default=0.0025, gt=0, le=100, description="of the discriminators' SGD, falling to 0; paper 0.0025"
    )
    first_level_only: bool = Field(
        default=False,
        description="a slip of the published code: the instance level leaves its loop after the finest level, so that "
        "boxes of the others count with probability 0.5 and without gradient",
    )


class DetectionUda(Uda):
    """Pseudo boxes and masked image consistency for detection, with section 8's numbers as defaults."""

    base: Literal["sada", "self_training"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="sada", description="the method that `mic` is added to"
    )
    alpha: float = Field(default=0.9, ge=0, lt=1, description="EMA rate of the teacher; 0.9 in the paper")
    alpha_warm_up: bool = Field(
        default=False, description="the rate grows to alpha as in segmentation; false in the paper"
    )
    teacher_statistics: Literal["averaged"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="averaged", description="the teacher is a moving average of all tensors (the paper)"
    )
    tau: Share = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=0.8, description="score that a detection of the teacher needs; 0.8 in the paper"
    )
    mask_mode: Literal["target", "target_aug"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="target_aug",
        description="whether masked pictures get colour jitter and blur, too (the paper)",
    )
    mask_ratio: Share = Field(default=0.5, description="share of blocks that is hidden; paper 0.5")
    target_weight: Weight = Field(default=1.0, description="of self_training's loss on the target pictures")
    alignment: Alignment = Alignment()

    @model_validator(mode="after")
    def _only_what_detection_has(self) -> DetectionUda:
        for name in sorted(self.model_fields_set & SEGMENTATION_FIELDS):
            raise ValueError(f"{name} belongs to segmentation: leave it out for faster_rcnn")
        return self


SEGMENTATION_FIELDS = frozenset(
    {
        "teacher_flip",
        "weighting",
        "class_prior",
        "ignore_top",
        "ignore_bottom",
        "margins",
        "entropy_weight",
        "adversarial_weight",
        "feature_distance",
        "curriculum",
        "mix_norms",
        "mask_alpha",
        "mask_tau",
    }
)
"""Those of Uda that mean nothing here."""
