"""The block `network` of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from pipeline.params.section import Section, Share, Size


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
