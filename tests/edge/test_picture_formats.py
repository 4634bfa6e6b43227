"""Formats beside the common ones: read where Pillow can, else called by their name with what to do."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline.edge.errors import ImageError
from pipeline.edge.images import read_image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "MPO"])
def test_newer_formats_are_read(kind: str) -> None:
    read = read_image(encoded(Image.new("RGB", (32, 24), (200, 20, 20)), kind))
    assert np.abs(read - np.array([200, 20, 20])).max() <= 8


def test_lab_becomes_rgb() -> None:
    grey = read_image(encoded(Image.new("LAB", (8, 8), (137, 128, 128)), "TIFF"))
    assert np.ptp(grey[0, 0].astype(int)) <= 4
    assert abs(int(grey[0, 0, 0]) - 128) <= 8


def test_of_several_pages_the_first_is_taken_and_it_is_said() -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    for kind in ("TIFF", "GIF", "PNG", "WEBP"):
        notes: list[str] = []
        read = read_image(encoded(first, kind, save_all=True, append_images=[second]), notes=notes)
        assert read[0, 0, 0] > 240
        assert notes == ["it has several pages or frames: the first is taken"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(40), "but HEIC: convert it to JPEG"),
        ("a.jpg", b"\0\0\0\x18ftypmif1" + bytes(40), "but HEIC"),
        ("a.jxl", b"\xff\x0a" + bytes(40), "but JPEG XL"),
        ("a.jpg", b"\0\0\0\x18ftypisom" + bytes(40), "but a video"),
        ("a.png", b"<!DOCTYPE html><html></html>", "but text, perhaps a web page"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
        ("a.psd", b"8BPS" + bytes(40), "but a Photoshop file"),
        ("a.tga", bytes(40), "but TGA"),
        ("a.dng", encoded(Image.new("RGB", (8, 8)), "TIFF"), "is a camera's raw file"),
        ("a.CR2", b"II*\0" + bytes(40), "is a camera's raw file"),
    ],
)
def test_what_is_known_and_not_read_is_called_by_its_name(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=says):
        read_image(tmp_path / name)
