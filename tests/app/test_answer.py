"""One request without the server: which pictures are taken, and what the models' answers look like."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.answer import Style, answer
from app.models import PHOTO, Models
from app.uploads import Upload
from pipeline.edge.errors import ImageError, UserError
from pipeline.edge.images import read_image
from pipeline.edge.runtime import Segmenter


@pytest.fixture(scope="module")
def models(model_folder: Path) -> Models:
    return Models(model_folder)


def saved(folder: Path, name: str, image: Image.Image, **options: Any) -> Upload:
    path = folder / "a1b2c3" / name
    path.parent.mkdir()
    image.save(path, **options)
    return Upload(path, name)


def test_classes_are_those_of_the_runtime(models: Models, photo: Path, model_folder: Path) -> None:
    result = answer(models, Upload.from_path(photo), ["source_only", "mic"])
    for view in result.views:
        alone = Segmenter(model_folder / f"{view.model}.onnx").segment(read_image(photo))
        assert view.classes is not None
        assert np.array_equal(view.classes, alone.classes)
        assert set(view.milliseconds) == {"prepare", "network", "finish"}
    assert result.comparison is not None
    assert 0 < result.comparison.changed < 1


def test_large_pictures_are_shown_small_with_the_same_classes(models: Models, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    large = Image.fromarray(noise).resize((2560, 1600), Image.Resampling.BICUBIC)
    upload = saved(tmp_path, "large.png", large)
    result = answer(models, upload, ["mic"])
    assert result.size == (1600, 2560)
    assert result.picture.shape == (800, 1280, 3)
    full = models["mic"].segment(np.asarray(large)).classes
    assert result.views[0].classes is not None
    assert np.array_equal(result.views[0].classes, full[::2, ::2])  # nearest, from the network's own output


def test_opacity_palette_and_outlines_change_the_drawing_alone(models: Models, photo: Path) -> None:
    result = answer(models, Upload.from_path(photo), ["source_only", "mic"])
    view = result.views[1]
    assert np.array_equal(result.drawn(view, Style(opacity=0)), result.picture)
    styles = [Style(), Style(safe=True), Style(outlines=True), Style(opacity=1)]
    drawings = [result.drawn(view, style).tobytes() for style in styles]
    assert len(set(drawings)) == len(styles)


def test_the_picture_itself_can_be_one_side(models: Models, photo: Path) -> None:
    result = answer(models, Upload.from_path(photo), [PHOTO, "mic"])
    assert result.comparison is None
    left, right = (result.drawn(view, Style()) for view in result.views)
    assert np.array_equal(left, result.picture)
    assert not np.array_equal(right, result.picture)


@pytest.mark.parametrize(
    ("name", "mode", "value"),
    [("grey.png", "L", 90), ("alpha.png", "RGBA", (90, 90, 90, 255)), ("deep.png", "I;16", 90 * 257)],
)
def test_unusual_pictures_are_read_as_their_colours(
    models: Models, tmp_path: Path, name: str, mode: str, value: int
) -> None:
    result = answer(models, saved(tmp_path, name, Image.new(mode, (40, 30), value)), ["mic"])
    assert np.array_equal(result.picture, np.full((30, 40, 3), 90, np.uint8))


def test_exif_rotation_is_applied(models: Models, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    upload = saved(tmp_path, "phone.jpg", Image.new("RGB", (40, 30)), exif=exif)
    assert answer(models, upload, ["mic"]).picture.shape == (40, 30, 3)


def test_sixty_megapixels_are_taken(models: Models, tmp_path: Path) -> None:
    upload = saved(tmp_path, "huge.png", Image.new("RGB", (10000, 6000), (250, 250, 250)), compress_level=1)
    result = answer(models, upload, ["source_only", "mic"])
    assert result.size == (6000, 10000)
    assert result.picture.shape == (768, 1280, 3)
    assert set(np.unique(result.picture)) == {250}


def broken() -> dict[str, bytes]:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        stream, "PNG"
    )
    dot = io.BytesIO()
    Image.new("RGB", (1, 1)).save(dot, "PNG")
    return {
        "text.png": b"not a picture",
        "cut.png": stream.getvalue()[:3000],
        "empty.jpg": b"",
        "dot.png": dot.getvalue(),
    }


@pytest.mark.parametrize("name", sorted(broken()))
def test_refusals_are_sentences_that_name_the_visitors_file(
    models: Models, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "a1b2c3"
    folder.mkdir()
    (folder / "stored").write_bytes(broken()[name])
    with pytest.raises(ImageError) as caught:
        answer(models, Upload(folder / "stored", name), ["mic"])
    sentence = str(caught.value)
    assert sentence.startswith(name)
    assert "a1b2c3" not in sentence
    assert sentence.endswith(".")


def test_unknown_model_is_refused_with_the_names(models: Models, photo: Path) -> None:
    with pytest.raises(UserError, match="source_only, mic"):
        answer(models, Upload.from_path(photo), ["resnet"])
