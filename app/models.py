"""The models of one folder, loaded and named in words for the page."""

from __future__ import annotations

from pathlib import Path

from pipeline.edge.errors import UserError
from pipeline.edge.runtime import Segmenter, find_models, is_variant

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
_VARIANTS = {"int8": "int8 for CPUs", "fp16": "fp16 for GPUs", "fixed": "one fixed size"}


class Models:
    """Every model of `folder`, loaded and run once, its variants when first asked for.

    Raises UserError when there is none.
    """

    def __init__(self, folder: Path, provider: str = "cpu") -> None:
        if not any(folder.glob("*.onnx")):
            raise UserError(
                f"No .onnx model in the folder {folder}: run `make demo` first, "
                "or name a folder that has one, such as --models models/night."
            )
        self._paths = find_models(folder)
        self._segmenters: dict[str, Segmenter] = {}
        self.provider = provider
        for name in self.full:
            self[name]

    def check(self, name: str) -> None:
        """Raises UserError that lists the names if no model is called `name`."""
        if name not in self._paths:
            raise UserError(f"No model is called {name}: use one of {', '.join(self.names)}.")

    def __getitem__(self, name: str) -> Segmenter:
        """The model of that name; raises UserError that lists the names."""
        self.check(name)
        if name not in self._segmenters:
            segmenter = Segmenter(self._paths[name], self.provider)
            # The first run is slow: it shall not be timed as a request.
            segmenter.warm_up()
            self._segmenters[name] = segmenter
        return self._segmenters[name]

    @property
    def names(self) -> list[str]:
        """File names without .onnx, source_only first, variants last."""
        return list(self._paths)

    @property
    def full(self) -> list[str]:
        """The names without variants; all where there is nothing else."""
        return [name for name in self.names if not is_variant(name)] or self.names

    @property
    def pair(self) -> tuple[str, str]:
        """What the page compares at first: source_only against mic, else the first against the last model."""
        if len(self.full) == 1:
            return PHOTO, self.full[0]
        before = "source_only" if "source_only" in self.full else self.full[0]
        rest = [name for name in self.full if name != before]
        return before, "mic" if "mic" in rest else rest[-1]

    def title(self, name: str) -> str:
        """The model's name in words."""
        if not is_variant(name):
            return _TITLES.get(name, name)
        method, _, variant = name.rpartition(".")
        return f"{_TITLES.get(method, method)}, {_VARIANTS[variant]}"

    def megabytes(self, name: str) -> float:
        """Size of the model file in 10^6 bytes."""
        return self._paths[name].stat().st_size / 1e6
