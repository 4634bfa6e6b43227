"""The block `evaluate` of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipeline.params.section import Section, Size


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
