"""The page opens on the example that gains most."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import gain
from app.gain import EXAMPLES, GAINS, first, gains_of, measure
from app.models import Models
from app.page import examples
from pipeline.edge.images import read_image

ROOT = Path(__file__).resolve().parents[2]
NIGHT = ROOT / "models" / "night"


@pytest.fixture(scope="module")
def night() -> Models:
    return Models(NIGHT)


def test_what_is_kept_is_what_the_shipped_models_gain(night: Models) -> None:
    """To half a point: other processors round otherwise."""
    kept = json.loads(GAINS.read_text("utf-8"))
    assert kept["models"] == [night[name].manifest.hashes["onnx"] for name in night.pair]
    again = measure(night, examples(drawn_last=True))
    assert kept["gains"].keys() == again.keys() == {path.name for path in examples(drawn_last=True)}
    assert {name: pytest.approx(value, abs=0.005) for name, value in again.items()} == kept["gains"]


def test_the_shipped_pair_opens_on_the_photograph_that_gains_most(night: Models) -> None:
    shown = examples(drawn_last=True)
    kept = json.loads(GAINS.read_text("utf-8"))["gains"]
    photographs = {name: value for name, value in kept.items() if "_drawn" not in name}
    assert shown[first(night, shown)].name == max(photographs, key=lambda name: photographs[name])
    assert max(photographs.values()) > 0


def test_gains_of_other_models_are_measured_by_the_labels(model_folder: Path) -> None:
    """The two tiny models answer by brightness alone, so that the gain can be told without them."""
    models = Models(model_folder)
    path = EXAMPLES / "fog_drawn.png"
    truth = np.asarray(Image.open(EXAMPLES / "labels" / "fog_drawn.png"))
    shares = []
    for name in models.pair:
        classes = models[name].segment(read_image(path)).classes
        kinds = np.where(classes == 0, 0, np.where(classes >= 11, 2, 1))
        shares.append((kinds == truth)[truth != 255].mean())
    assert gains_of(models, [path]) == {path.name: pytest.approx(shares[1] - shares[0], abs=1e-4)}


def test_drawings_greet_for_models_that_learned_from_drawings(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models(model_folder)
    shown = examples(drawn_last=False)
    told = {path.name: 0.1 for path in shown} | {"night_drawn.png": 0.2, "day_hills.jpg": 0.9}
    monkeypatch.setattr(gain, "measure", lambda _, alike: {path.name: told[path.name] for path in alike})
    assert shown[first(models, shown)].name == "night_drawn.png"


def test_one_model_alone_opens_on_the_first_of_its_kind(model_folder: Path, tmp_path: Path) -> None:
    shutil.copy(model_folder / "mic.onnx", tmp_path)
    shown = examples(drawn_last=False)
    assert shown[first(Models(tmp_path), shown)].name == "night_drawn.png"
    assert first(Models(tmp_path), []) == 0


def test_every_example_has_labels_of_its_size() -> None:
    for path in examples(drawn_last=False):
        labels = Image.open(EXAMPLES / "labels" / f"{path.stem}.png")
        size = Image.open(path).size
        assert labels.width / labels.height == pytest.approx(size[0] / size[1], rel=0.02), path.name
        assert set(np.unique(np.asarray(labels))) <= {0, 1, 2, 255}, path.name
