"""The torch-free runtime: pictures in, classes and confidence out."""

import importlib

TYPE_CHECKING = False  # typing's own takes milliseconds to import, before mic-edge answers Ctrl-C
if TYPE_CHECKING:
    from pipeline.edge.ignore import IgnoreMask, read_ignore_mask
    from pipeline.edge.images import read_image
    from pipeline.edge.runtime import Segmenter

__all__ = ["IgnoreMask", "Segmenter", "read_ignore_mask", "read_image"]

_MODULES = {
    "IgnoreMask": "ignore",
    "Segmenter": "runtime",
    "read_ignore_mask": "ignore",
    "read_image": "images",
}


def __getattr__(name: str) -> object:
    """Imported when asked for: `mic-edge --help` waits for neither numpy nor onnxruntime."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
