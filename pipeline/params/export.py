"""The block `export` of params.yaml: the ONNX file and its variants."""

from __future__ import annotations

from pydantic import Field

from pipeline.params.section import Section, Share


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
