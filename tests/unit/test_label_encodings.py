"""Labels through every encoding: read exactly as drawn, refused, or known to be stored otherwise."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pipeline.data.encodings import is_smoothed
from pipeline.data.labels import decode_label
from pipeline.edge.errors import UserError

IDS = arrays(np.uint8, (6, 8), elements=st.integers(0, 255))
EXACT = {
    "grey": ("L", "PNG", {}),
    "tiff": ("L", "TIFF", {}),
    "lzw": ("L", "TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("L", "BMP", {}),
    "palette": ("P", "PNG", {}),
    "palette tiff": ("P", "TIFF", {}),
    "deep": ("I;16", "PNG", {}),
}
REFUSED = {
    "jpeg": ("L", "JPEG", {"quality": 75}),
    "best jpeg": ("L", "JPEG", {"quality": 100}),
    "webp": ("L", "WEBP", {}),
    "lossless webp": ("L", "WEBP", {"lossless": True}),
    "jpeg in tiff": ("L", "TIFF", {"compression": "jpeg"}),
    "colour": ("RGB", "PNG", {}),
    "alpha": ("LA", "PNG", {}),
    "rgba": ("RGBA", "PNG", {}),
    "decimals": ("F", "TIFF", {}),
    "gif": ("L", "GIF", {}),
    "pgm": ("L", "PPM", {}),
}


def stored(ids: np.ndarray, mode: str, kind: str, options: dict[str, object]) -> bytes:
    picture = Image.fromarray(ids)
    if mode == "P":
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    elif mode == "I;16":
        picture = Image.fromarray(ids.astype(np.uint16))
    else:
        picture = picture.convert(mode)
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def read(content: bytes) -> np.ndarray:
    """By content: every file is called .png."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.png")
        path.write_bytes(content)
        return decode_label(path)[0]


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=25, deadline=None)
@given(ids=IDS)
def test_exact(name: str, ids: np.ndarray) -> None:
    assert read(stored(ids, *EXACT[name])).tolist() == ids.tolist()


@pytest.mark.parametrize("name", REFUSED)
@settings(max_examples=5, deadline=None)
@given(ids=IDS)
def test_refused(name: str, ids: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"label .*a\.png"):
        read(stored(ids, *REFUSED[name]))


@pytest.mark.parametrize(("bits", "step"), [(1, 255), (2, 85), (4, 17)])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_greys_of_few_bits(bits: int, step: int, data: st.DataObject) -> None:
    """As an optimiser of PNGs stores 8-bit labels that have no other values: read as before, and known."""
    raw = data.draw(arrays(np.uint8, (3, 8), elements=st.integers(0, 2**bits - 1)))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = b"".join(
        b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
        for row in raw
    )
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 3, bits, 0, 0, 0, 0))
    content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.png")
        path.write_bytes(content)
        ids, encoding = decode_label(path)
    assert ids.tolist() == (raw * step).tolist()
    assert encoding.bits == bits


def test_smoothed_labels_are_told_from_true_ones() -> None:
    true = np.kron(np.random.default_rng(0).integers(0, 19, (12, 12)), np.ones((20, 20))).astype(np.uint8)
    assert not is_smoothed(true)
    smaller = Image.fromarray(true).resize((170, 170), Image.Resampling.BILINEAR)
    assert is_smoothed(np.array(smaller))
    stream = io.BytesIO()
    Image.fromarray(true).save(stream, "JPEG", quality=75)
    assert is_smoothed(np.array(Image.open(stream)))
