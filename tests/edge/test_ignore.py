"""An ignore mask: what is white gets no class, in every result, at any size; and what is no mask is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.edge import IgnoreMask, Segmenter, read_ignore_mask
from pipeline.edge.classes import IGNORE
from pipeline.edge.cli import main
from pipeline.edge.errors import UserError

SIZE = (96, 64)  # as Pillow has it: width, height
ALL = "overlay,index,confidence,json,rle,polygons"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """The lower quarter."""
    image = Image.new("L", SIZE)
    image.paste(255, (0, 48, 96, 64))
    image.save(tmp_path / "bonnet.png")
    return tmp_path / "bonnet.png"


def predicted(model: Path, out: Path, picture: Path, *options: object) -> int:
    return main(["predict", *map(str, (picture, "--model", model, "--out", out, *options))])


def test_what_is_white_is_in_no_result(tiny_model: Path, tmp_path: Path, mask: Path) -> None:
    image = np.zeros((128, 192, 3), np.uint8)  # twice the mask's size
    image[..., 0] = np.arange(192)
    picture = tmp_path / "a.png"
    Image.fromarray(image).save(picture)
    plain, out = tmp_path / "plain", tmp_path / "out"
    assert predicted(tiny_model, plain, picture, "--save", ALL) == 0
    assert predicted(tiny_model, out, picture, "--save", ALL, "--ignore", mask) == 0
    before, after = (np.asarray(Image.open(folder / "a_index.png")) for folder in (plain, out))
    assert (after[96:] == IGNORE).all()
    assert np.array_equal(after[:96], before[:96])
    drawn = np.asarray(Image.open(out / "a_overlay.jpg")).astype(int)
    assert np.abs(drawn[100:] - image[100:]).max() < 30  # JPEG
    assert np.abs(drawn[:90] - image[:90]).max() > 60
    confidence = np.asarray(Image.open(out / "a_confidence.png"))
    rows = len(confidence) * 3 // 4
    assert not confidence[rows:].any()
    assert confidence[:rows].all()
    old, new = (json.loads((folder / "a.json").read_text()) for folder in (plain, out))
    assert "ignored" not in old
    assert new["ignored"] == 0.25
    assert sum(new["classes"].values()) == pytest.approx(0.75, abs=1e-4)
    assert new["mean_confidence"] == pytest.approx(confidence[:rows].mean() / 255, abs=1e-3)
    for run in json.loads((out / "a_rle.json").read_text())["masks"]:
        assert run["bbox"][1] + run["bbox"][3] <= 96


def test_of_a_video_every_frame(tiny_model: Path, tmp_path: Path, mask: Path) -> None:
    clip = write_clip(tmp_path / "drive.mp4", [0, 40, 80])
    out = tmp_path / "out"
    assert predicted(tiny_model, out, clip, "--save", "overlay,index,json", "--ignore", mask) == 0
    frames = sorted((out / "drive_index").iterdir())
    assert len(frames) == 3
    for frame in frames:
        classes = np.asarray(Image.open(frame))
        assert (classes[48:] == IGNORE).all()
        assert (classes[:48] != IGNORE).all()
    for line in (out / "drive.jsonl").read_text().splitlines():
        assert json.loads(line)["ignored"] == 0.25
    with av.open(str(clip)) as old, av.open(str(out / "drive_overlay.mp4")) as new:
        before, after = (
            next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int) for file in (old, new)
        )
    assert np.abs(before[52:] - after[52:]).mean() < 12  # the picture alone, coded once more
    assert np.abs(before[:44] - after[:44]).mean() > 30


def test_another_mask_is_another_run(
    tiny_model: Path, tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", SIZE, (250, 0, 0)).save(picture)

    def done(*options: object) -> int:
        assert predicted(tiny_model, tmp_path / "out", picture, *options) == 0
        return len(capsys.readouterr().out.splitlines())

    assert [done("--ignore", mask), done("--ignore", mask), done(), done()] == [1, 0, 1, 0]
    Image.fromarray(~np.asarray(Image.open(mask))).save(mask)
    assert [done("--ignore", mask), done("--ignore", mask)] == [1, 0]


@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 8), st.data())
def test_at_any_size_each_pixel_is_the_masks(height: int, width: int, times: int, data: Any) -> None:
    mask = np.zeros((height, width), np.bool_)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mask[y, x] = True
    hidden = IgnoreMask(mask).at((height * times, width * times))
    assert np.array_equal(hidden, np.kron(mask, np.ones((times, times), np.bool_)))


def _grey(value: int) -> np.ndarray:
    return np.full((64, 96), value, np.uint8)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (_grey(0), "hides nothing: paint white"),
        (_grey(1), "hides nothing: paint white"),  # a label file, whose 1 looks black
        (_grey(255), "hides all: paint white"),
        (_grey(128), "is no mask: paint white what is to be ignored and all else black"),
        (np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1)), "is no mask"),
    ],
)
def test_what_is_no_mask_is_refused(
    pixels: np.ndarray, said: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(pixels).save(path)
    assert predicted(tiny_model, tmp_path / "out", path, "--ignore", path) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert said in error
    assert not (tmp_path / "out").exists()


def test_a_picture_of_another_shape_fails_alone(
    tiny_model: Path, tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, size in (("wide.png", SIZE), ("square.png", (64, 64))):
        Image.new("RGB", size, (250, 0, 0)).save(folder / name)
    assert predicted(tiny_model, tmp_path / "out", folder, "--ignore", mask) == 5
    assert (
        f"{mask} is 96 x 64 and a picture 64 x 64: give a mask of the same shape" in capsys.readouterr().out
    )
    assert (tmp_path / "out" / "wide_index.png").exists()


def test_in_python(tiny_model: Path, mask: Path) -> None:
    segmenter = Segmenter(tiny_model, ignore=read_ignore_mask(mask))
    result = segmenter.segment(np.full((64, 96, 3), 200, np.uint8))
    assert (result.classes[48:] == IGNORE).all()
    assert result.ignored == 0.25
    with pytest.raises(UserError, match="the ignore mask hides nothing"):
        IgnoreMask(np.zeros((4, 4), np.bool_))
    with pytest.raises(ValueError, match=r"expected a bool \(H, W\) mask, got float64 \(4, 4\)"):
        IgnoreMask(np.ones((4, 4)))
