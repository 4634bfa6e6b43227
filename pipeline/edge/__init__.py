"""The torch-free runtime: pictures in, classes and confidence out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.edge.images import read_image
    from pipeline.edge.runtime import Segmenter

__all__ = ["Segmenter", "read_image"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: `mic-edge --help` waits for neither numpy nor onnxruntime."""
    if name == "Segmenter":
        from pipeline.edge.runtime import Segmenter

        return Segmenter
    if name == "read_image":
        from pipeline.edge.images import read_image

        return read_image
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
