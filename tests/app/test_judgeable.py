"""What is no street picture gets a sentence; every street picture at hand gets none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from app.gain import EXAMPLES
from app.judgeable import doubt
from app.limits import shown_picture
from pipeline.edge.images import SUFFIXES, read_image

H, W = 360, 640
Y, X = np.mgrid[:H, :W].astype(np.float32)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def waves(exponent: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the power of `exponent`."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(W), np.fft.fftfreq(H)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(chance().normal(size=(H, W))) / frequency**exponent
    noise = np.fft.ifft2(spectrum).real
    return grey(127 + 50 * (noise - noise.mean()) / noise.std())


def specks(share: float, ground: int) -> np.ndarray:
    picture = np.full((H, W), ground, np.float32)
    hit = chance().random((H, W)) < share
    picture[hit] = 255 * (chance(1).random((H, W)) < 0.5)[hit]
    return grey(picture)


def screen() -> np.ndarray:
    image = Image.new("RGB", (W, H), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, W, 40), fill=(30, 60, 120))
    draw.rectangle((0, 40, 150, H), fill=(230, 230, 235))
    for line in range(12):
        draw.text((170, 60 + 22 * line), "The quick brown fox jumps over the lazy dog " * 2, fill="black")
    return np.asarray(image)


def blurred(values: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(values).filter(ImageFilter.GaussianBlur(radius)))


NO_STREET: dict[str, Callable[[], np.ndarray]] = {
    "black": lambda: grey(np.zeros((H, W))),
    "white": lambda: grey(np.full((H, W), 255)),
    "one colour": lambda: np.full((H, W, 3), (10, 130, 60), np.uint8),
    "nearly black": lambda: grey(chance().integers(0, 4, (H, W))),
    "black, ten bright pixels": lambda: specks(10 / (H * W), 0),
    "black, one bright patch": lambda: grey(255.0 * ((X < 20) & (Y < 20))),
    "two halves": lambda: grey(255.0 * (X < W / 2)),
    "2 x 2": lambda: chance().integers(0, 256, (2, 2, 3), dtype=np.uint8),
    "one pixel wide": lambda: chance().integers(0, 256, (500, 1, 3), dtype=np.uint8),
    "a strip": lambda: chance().integers(0, 256, (40, 1200, 3), dtype=np.uint8),
    "noise": lambda: chance().integers(0, 256, (H, W, 3), dtype=np.uint8),
    "grey noise": lambda: grey(chance().normal(127, 40, (H, W))),
    "black and white noise": lambda: grey(255.0 * (chance().random((H, W)) < 0.5)),
    "coarse noise": lambda: np.asarray(
        Image.fromarray(chance().integers(0, 256, (36, 64, 3), dtype=np.uint8)).resize((W, H), Image.Resampling.BICUBIC)
    ),
    "blurred noise": lambda: blurred(chance().integers(0, 256, (H, W, 3), dtype=np.uint8), 3),
    "pink noise": lambda: waves(1.0),
    "brown noise": lambda: waves(2.0),
    "salt and pepper on grey": lambda: specks(0.05, 127),
    "much salt and pepper": lambda: specks(0.6, 127),
    "salt and pepper on a ramp": lambda: np.where(specks(0.3, 127) == 127, grey(X / W * 255), specks(0.3, 127)),
    "ramp": lambda: grey(X / W * 255),
    "ramp downwards": lambda: grey(Y / H * 255),
    "ramp across": lambda: grey((X + Y) / (W + H) * 255),
    "ramp of colours": lambda: np.stack([X / W * 255, Y / H * 255, 255 - X / W * 255], 2).astype(np.uint8),
    "ramp with noise": lambda: grey(X / W * 255 + chance().normal(0, 3, (H, W))),
    "round ramp": lambda: grey(255 - np.hypot(X - W / 2, Y - H / 2) / 400 * 255),
    "stripes": lambda: grey(255.0 * (X // 20 % 2)),
    "stripes across": lambda: grey(255.0 * ((X + Y) // 20 % 2)),
    "soft stripes": lambda: grey(127 + 100 * np.sin(X / 15)),
    "soft stripes across": lambda: grey(127 + 100 * np.sin((X + 0.5 * Y) / 25)),
    "checks": lambda: grey(255.0 * ((X // 32 + Y // 32) % 2)),
    "fine checks": lambda: grey(255.0 * ((X + Y) % 2)),
    "screen": screen,
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_STREET)
def test_no_street_gets_a_sentence(kind: str) -> None:
    sentence = doubt(NO_STREET[kind]())
    assert sentence.startswith("This is no street picture that the model can judge: ")
    assert sentence.endswith("; choose a photo of a street.")


def pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def test_examples_get_none() -> None:
    assert {p.name: doubt(shown_picture(read_image(p))) for p in pictures(EXAMPLES)} == {
        p.name: "" for p in pictures(EXAMPLES)
    }


@pytest.mark.parametrize("light", [1.0, 0.5])
def test_a_darker_picture_is_still_a_street(light: float) -> None:
    for path in pictures(EXAMPLES):
        assert doubt((shown_picture(read_image(path)) * np.float32(light)).astype(np.uint8)) == "", path.name


@pytest.mark.parametrize(
    "place", ["adverse-demo", "bdd100k-night/images", "camvid/images", "idd-lite/images"]
)
def test_street_pictures_get_none(shared: Path, place: str) -> None:
    for path in pictures(shared / "data" / place)[:: 25 if place != "adverse-demo" else 1]:
        assert doubt(shown_picture(read_image(path))) == "", path.name


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_all_transparent_gets_a_sentence(tmp_path: Path, mode: str) -> None:
    """Whatever colours lie below."""
    picture = Image.fromarray(NO_STREET["screen"]()).convert(mode)
    picture.putalpha(0)
    picture.save(tmp_path / "clear.png")
    assert "all but one colour" in doubt(shown_picture(read_image(tmp_path / "clear.png")))


def test_the_reported_black_picture_gets_a_sentence(shared: Path) -> None:
    assert "all but one colour" in doubt(shown_picture(read_image(shared / "cases" / "page" / "black.png")))
