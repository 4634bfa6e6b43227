"""The models of one folder, loaded and named in words for the page."""

from __future__ import annotations

from pathlib import Path

from pipeline.edge.errors import UserError
from pipeline.edge.runtime import Segmenter, find_models

PHOTO = "photo"
"""Stands where a model's name may stand: the picture itself, without a network."""

_TITLES = {
    "source_only": "Before adaptation (day only)",
    "self_training": "Self-training",
    "entropy_minimisation": "Entropy minimisation",
    "adversarial": "Adversarial training",
    "mic": "After adaptation (MIC)",
    "distil": "Small network, taught by the adapted one",
    PHOTO: "The picture",
}


class Models:
    """Every model of `folder`, loaded and run once; raises UserError when there is none."""

    def __init__(self, folder: Path, provider: str = "cpu") -> None:
        if not any(folder.glob("*.onnx")):
            raise UserError(
                f"No .onnx model in the folder {folder}: run `make demo` first, "
                "or name a folder that has one, such as --models models/night."
            )
        self._segmenters = {name: Segmenter(path, provider) for name, path in find_models(folder).items()}
        self.provider = provider
        for segmenter in self._segmenters.values():  # the first run is slow, and is nobody's request here
            segmenter.warm_up()

    def __getitem__(self, name: str) -> Segmenter:
        """The model of that name; raises UserError that lists the names."""
        if name not in self._segmenters:
            raise UserError(f"No model is called {name}: use one of {', '.join(self.names)}.")
        return self._segmenters[name]

    @property
    def names(self) -> list[str]:
        """File names without .onnx, source_only first."""
        return list(self._segmenters)

    @property
    def pair(self) -> tuple[str, str]:
        """What the page compares at first: source_only against mic, else the first against the last model."""
        if len(self.names) == 1:
            return PHOTO, self.names[0]
        before = "source_only" if "source_only" in self.names else self.names[0]
        rest = [name for name in self.names if name != before]
        return before, "mic" if "mic" in rest else rest[-1]

    def title(self, name: str) -> str:
        """The model's name in words."""
        return _TITLES.get(name, name)

    def megabytes(self, name: str) -> float:
        """Size of the model file in 10^6 bytes."""
        return self[name].path.stat().st_size / 1e6
