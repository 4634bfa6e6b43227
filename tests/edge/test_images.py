"""Every kind of picture that people have: read upright in 8-bit RGB, or refused in one sentence."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline.edge import images
from pipeline.edge.errors import ImageError
from pipeline.edge.images import (
    enlarge_nearest,
    fit_size,
    pad_to_multiple,
    read_image,
    read_reduced,
    resize_image,
)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def header_only_png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size; decoding it would fail, so a refusal must come before."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_rgb_png_is_read_exactly_from_bytes_str_and_path(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(encoded(Image.fromarray(pixels)))
    for source in (path, str(path), path.read_bytes()):
        read = read_image(source)
        assert read.dtype == np.uint8
        assert read.flags.writeable
        np.testing.assert_array_equal(read, pixels)


def test_grey_palette_and_bilevel_become_rgb(pixels: np.ndarray) -> None:
    grey = Image.fromarray(pixels[..., 0])
    np.testing.assert_array_equal(read_image(encoded(grey)), np.repeat(pixels[..., :1], 3, axis=2))
    coloured = Image.fromarray(pixels).quantize(16)
    np.testing.assert_array_equal(read_image(encoded(coloured)), np.array(coloured.convert("RGB")))
    assert set(np.unique(read_image(encoded(grey.convert("1"))))) == {0, 255}


def test_alpha_is_laid_over_mid_grey(pixels: np.ndarray) -> None:
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:10] = 0
    read = read_image(encoded(Image.fromarray(np.dstack([pixels, alpha]))))
    assert (read[:10] == 128).all()
    np.testing.assert_array_equal(read[10:], pixels[10:])
    grey_alpha = read_image(encoded(Image.fromarray(np.dstack([pixels[..., 0], alpha]), "LA")))
    assert (grey_alpha[:10] == 128).all()
    assert (grey_alpha[10:, :, 1] == pixels[10:, :, 0]).all()


def test_palette_transparency_is_laid_over_mid_grey() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((0, 0), 0)
    read = read_image(encoded(image, transparency=0))
    assert read[0, 0].tolist() == [128, 128, 128]
    assert read[1, 1].tolist() == [0, 255, 0]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    deep = np.array([[0, 257, 32896], [65535, 25700, 65278]], np.uint16)
    expected = [[0, 1, 128], [255, 100, 254]]
    for kind in ("PNG", "TIFF"):
        assert read_image(encoded(Image.fromarray(deep), kind))[..., 0].tolist() == expected


def test_float_and_32_bit_grey_find_their_scale() -> None:
    unit = Image.fromarray(np.array([[0, 0.5], [1, 0.2]], np.float32))
    assert read_image(encoded(unit, "TIFF"))[..., 0].tolist() == [[0, 128], [255, 51]]
    bytes_in_ints = Image.fromarray(np.array([[0, 7], [200, 255]], np.int32))
    assert read_image(encoded(bytes_in_ints, "TIFF"))[..., 0].tolist() == [[0, 7], [200, 255]]


def test_cmyk_becomes_rgb() -> None:
    read = read_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert read.shape == (8, 8, 3)
    assert read[0, 0, 0] > 200
    assert read[0, 0, 1:].max() < 60


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = (255, 0, 0)
    upright[8:, :16] = (0, 255, 0)
    upright[8:, 16:] = (0, 0, 255)
    stored = Image.fromarray(upright)
    # how a camera held that way would have stored it: the inverse of each turn
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    if orientation in inverse:
        stored = stored.transpose(inverse[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    read = read_image(encoded(stored, kind, exif=exif.tobytes(), **options))
    assert read.shape == upright.shape
    corners = read[4:16:8, 8:32:16].astype(int) - upright[4:16:8, 8:32:16]
    assert np.abs(corners).max() < 12


def test_broken_exif_does_not_refuse_sound_pixels(pixels: np.ndarray) -> None:
    data = encoded(Image.fromarray(pixels), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert read_image(data).shape == pixels.shape


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda png, jpeg: b"", "empty"),
        (lambda png, jpeg: b"<html>not found</html>", "not a picture"),
        (lambda png, jpeg: b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
        (lambda png, jpeg: png[: len(png) // 2], "damaged or cut short"),
        (lambda png, jpeg: jpeg[: len(jpeg) // 2], "damaged or cut short"),
        (lambda png, jpeg: png[:60] + b"\0" * 40 + png[100:], "damaged or cut short"),
    ],
)
def test_broken_files_are_refused_in_a_sentence(
    tmp_path: Path, pixels: np.ndarray, make: Callable[[bytes, bytes], bytes], says: str
) -> None:
    image = Image.fromarray(pixels)
    path = tmp_path / "broken.png"
    path.write_bytes(make(encoded(image), encoded(image, "JPEG")))
    with pytest.raises(ImageError, match=says) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(".")
    assert "\n" not in message


def test_too_small_and_too_large_are_refused_before_decoding() -> None:
    with pytest.raises(ImageError, match=r"1 x 1 pixels.*at least 2 x 2"):
        read_image(encoded(Image.new("RGB", (1, 1))))
    with pytest.raises(ImageError, match=r"17801 x 10000 pixels, above 178 megapixels"):
        read_image(header_only_png(17801, 10000))
    with pytest.raises(ImageError, match=r"(above|more than) 178 megapixels"):
        read_image(header_only_png(100_000, 100_000))


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"No such picture: .*nothing\.jpg"):
        read_image(tmp_path / "nothing.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_large_pictures_come_without_pillows_warning(
    pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # stands for its 89 megapixels; this picture has 600
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert read_image(encoded(Image.fromarray(pixels))).shape == pixels.shape
    assert not seen


def test_sixty_megapixels_are_handled() -> None:
    read = read_image(encoded(Image.new("L", (10_000, 6_000), 90), compress_level=1))
    assert read.shape == (6_000, 10_000, 3)
    assert (read[-1, -1] == 90).all()
    assert resize_image(read, fit_size(6_000, 10_000, (128, 256))).shape == (128, 213, 3)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data)[0, 0].tolist() == [255, 0, 0]


def test_fit_size_is_the_papers(shared: Path) -> None:
    golden = np.load(shared / "golden" / "resize_and_crop.npz")
    for (width, height, long, short), (new_width, new_height) in zip(
        golden["w_h_scaleL_scaleS"].tolist(), golden["new_w_h"].tolist(), strict=True
    ):
        assert fit_size(height, width, (short, long)) == (new_height, new_width)
        assert fit_size(height, width, (long, short)) == (new_height, new_width)


def test_fit_size_never_vanishes() -> None:
    assert fit_size(2, 10_000, (128, 256)) == (1, 256)


def test_resize_keeps_a_picture_of_that_size_and_averages_when_shrinking(pixels: np.ndarray) -> None:
    assert resize_image(pixels, (20, 30)) is pixels
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize_image(stripes, (8, 8)).astype(int)[2:-2, 2:-2] - 100).max() <= 3


def test_pad_is_bottom_right_in_the_mean_colour(pixels: np.ndarray) -> None:
    padded, size = pad_to_multiple(pixels, 32)
    assert padded.shape == (32, 32, 3)
    assert size == (20, 30)
    np.testing.assert_array_equal(padded[:20, :30], pixels)
    assert (padded[20:] == images.MEAN_COLOUR).all()
    assert (padded[:, 30:] == images.MEAN_COLOUR).all()
    unpadded, size = pad_to_multiple(pixels, 10)
    assert unpadded is pixels
    assert size == (20, 30)


@pytest.mark.parametrize("size", [(7, 11), (3, 4), (2, 2), (6, 8)])
def test_enlarge_takes_the_floor_index(size: tuple[int, int]) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = [[array[i * 3 // size[0], j * 4 // size[1]] for j in range(size[1])] for i in range(size[0])]
    assert enlarge_nearest(array, size).tolist() == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("longest", [30, 79, 80, 81, 163])
def test_reduced_pictures_keep_twice_what_is_enough(mode: str, longest: int) -> None:
    image = Image.linear_gradient("L").resize((longest, 20)).convert("RGB")
    deep = mode in ("I", "I;16", "F")
    image = image.convert("I").convert(mode) if deep else image.convert(mode)
    kind = {"CMYK": "TIFF", "F": "TIFF", "I": "TIFF"}.get(mode, "PNG")
    data = encoded(image, kind)
    whole = read_image(data)
    reduced, size = read_reduced(data, enough=20)
    assert size == (20, longest)
    assert (reduced.shape[1] == longest) == (longest < 80)
    assert reduced.shape[1] >= min(40, longest)
    again = resize_image(whole, (reduced.shape[0], reduced.shape[1]))
    assert np.abs(again.astype(int) - reduced).mean() < (24 if mode == "1" else 6)  # mode 1 is dithered


def test_jpegs_are_decoded_small_and_turned() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], (400, 800, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(np.ascontiguousarray(ramp)), "JPEG", exif=exif, quality=95)
    reduced, size = read_reduced(data, enough=100)
    assert size == (800, 400)
    assert reduced.shape == (200, 100, 3)
    again = resize_image(read_image(data), (200, 100))
    assert np.abs(again.astype(int) - reduced).mean() < 2


def test_a_limit_of_pixels_holds_before_decoding() -> None:
    with pytest.raises(ImageError, match="9000 x 8000 pixels, above 64 megapixels: make it smaller first"):
        read_reduced(header_only_png(9000, 8000), 1280, max_pixels=64_000_000)


@pytest.mark.parametrize(("kind", "library", "share"), [("AVIF", "avif", 2), ("JPEG2000", "jpg_2000", 4)])
def test_kinds_that_take_most_memory_have_a_lower_limit(kind: str, library: str, share: int) -> None:
    if not features.check(library):
        pytest.skip(f"this Pillow reads no {kind}")
    data = encoded(Image.new("RGB", (64, 32)), kind)
    pixels = 64 * 32
    assert read_reduced(data, 1280, max_pixels=pixels * share)[1] == (32, 64)
    with pytest.raises(ImageError, match="64 x 32 pixels, above"):
        read_reduced(data, 1280, max_pixels=pixels * share - share)
    assert read_image(data).shape == (32, 64, 3)
