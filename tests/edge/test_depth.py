"""Pictures of more than 8 bits: none comes out black or white for its depth, and what was guessed is said."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.edge.images import read_image

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def deep_png(values: np.ndarray) -> bytes:
    """uint16 (H, W) or (H, W, 2 to 4), as a PNG of 16 bits, which Pillow writes of grey alone."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    kind = 0 if values.ndim == 2 else {2: 4, 3: 2, 4: 6}[values.shape[2]]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def deep_tiff(values: np.ndarray, order: str, compression: int = 1, white: int = 0) -> bytes:
    """uint16 (H, W, C) as a TIFF of 16 bits in "<" or ">" order; compression 8 is deflate."""
    height, width, channels = values.shape
    data = values.astype(order + "u2").tobytes()
    data = zlib.compress(data) if compression == 8 else data
    tags = [
        (256, width),
        (257, height),
        (258, 16),
        (259, compression),
        (262, 2 if channels > 1 else 1),
        (273, 0),
    ]
    tags += [(277, channels), (278, height), (279, len(data))] + [(281, white)] * bool(white)
    bits_at = 8 + 2 + 12 * len(tags) + 4
    directory = struct.pack(order + "H", len(tags))
    for tag, stated in tags:
        long = tag in (273, 279) or (tag == 258 and channels > 1)
        value = {273: bits_at + 2 * channels, 258: bits_at if long else 16}.get(tag, stated)
        count = channels if tag == 258 else 1
        kind = 4 if tag in (273, 279) else 3
        directory += struct.pack(order + "HHI", tag, kind, count)
        directory += struct.pack(order + "I", value) if long else struct.pack(order + "HH", value, 0)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return start + directory + bytes(4) + struct.pack(order + "H", 16) * channels + data


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_fewer_bits_in_sixteen_are_not_black_and_it_is_said(bits: int, colour: bool) -> None:
    values = (RAMP * (2**bits - 1)).round().astype(np.uint16)
    expected = (RAMP * 255).round()
    deep = np.dstack([values] * 3) if colour else values
    files = {"png": deep_png(deep)}
    for order in "<>":
        for compression in (1, 8):
            cube = deep if colour else values[..., None]
            files[f"tiff {order}{compression}"] = deep_tiff(cube, order, compression)
    alpha = np.full((8, 8), 65535, np.uint16)
    files["png with alpha"] = deep_png(np.dstack([deep, alpha]))
    if colour:
        files["ppm"] = b"P6 8 8 65535\n" + deep.astype(">u2").tobytes()
        files["tiff with a fourth channel"] = deep_tiff(np.dstack([deep, alpha]), "<")
    else:
        files["pgm"] = b"P5 8 8 65535\n" + deep.astype(">u2").tobytes()
    for kind, data in files.items():
        notes: list[str] = []
        read = read_image(data, notes=notes)
        assert np.abs(read - expected[..., None]).max() <= 1, kind
        said = [f"no value in it exceeds {2**bits - 1}: read with {2**bits - 1} as white"]
        assert notes == ([] if bits == 16 else said), kind


def test_a_file_that_states_its_white_is_taken_at_its_word() -> None:
    values = (RAMP * 1000).astype(np.uint16)[..., None]
    notes: list[str] = []
    assert read_image(deep_tiff(values, "<", white=4095), notes=notes).max() == round(1000 / 4095 * 255)
    assert notes == []


def test_alpha_of_a_dark_picture_keeps_its_own_scale() -> None:
    values = np.dstack([np.full((8, 8), 4095, np.uint16)] * 3 + [np.full((8, 8), 32768, np.uint16)])
    half = (255 + 128) / 2
    for deep in (values, values[..., 2:]):
        assert np.abs(read_image(deep_png(deep)) - half).max() <= 1


@pytest.mark.parametrize("magic", [b"P5", b"P6"])
def test_a_ppm_that_states_its_white_is_taken_at_its_word(magic: bytes) -> None:
    values = (RAMP * 1000).astype(">u2")
    deep = values if magic == b"P5" else np.dstack([values] * 3)
    notes: list[str] = []
    read = read_image(magic + b" 8 8 4095\n" + deep.astype(">u2").tobytes(), notes=notes)
    assert abs(int(read.max()) - 1000 / 4095 * 255) <= 1
    assert notes == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5], [1, 0.2]], np.float32), [0, 128, 255, 51]),
        (np.array([[0, 128], [255, 51]], np.float32), [0, 128, 255, 51]),
        (np.array([[0, 2048], [4095, 819]], np.float32), [0, 128, 255, 51]),
        (np.array([[-1, np.nan], [1, np.inf]], np.float32), [0, 0, 255, 255]),
        (np.array([[0, 32768], [65535, 13107]], np.int32), [0, 128, 255, 51]),
        (np.array([[0, 2**30], [2**31 - 1, -5]], np.int32), [0, 128, 255, 0]),
        (np.array([[0, 0], [0, 0]], np.int32), [0, 0, 0, 0]),
    ],
)
def test_floats_and_integers_of_any_range(values: np.ndarray, expected: list[int]) -> None:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    read = read_image(stream.getvalue())[..., 0].ravel().tolist()
    assert read == pytest.approx(expected, abs=1)
