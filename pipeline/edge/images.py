"""Reading, fitting and padding pictures: the one place that opens them, for training, edge and page alike."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError, features

from pipeline.edge.depth import eight_bit, raw_mode
from pipeline.edge.errors import ImageError
from pipeline.edge.files import require_file
from pipeline.edge.unread import is_raw, known_as

MAX_PIXELS = 178_000_000
MEAN_COLOUR = (124, 116, 104)
SUFFIXES = frozenset(
    {
        ".apng",
        ".avif",
        ".bmp",
        ".gif",
        ".j2c",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpf",
        ".jpg",
        ".jpx",
    }
    | {".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

# Only plain raster decoders: Pillow's EPS reader, for one, would start another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_FORMATS += tuple(
    name for name, library in (("AVIF", "avif"), ("JPEG2000", "jpg_2000")) if features.check(library)
)
_KINDS = "JPEG, PNG, WebP, TIFF, BMP, GIF or PPM"
# Decoders that hold a pixel in up to 24 bytes, or stop the whole process meanwhile: read_reduced takes less of these.
_COSTLY = {"JPEG2000": 4, "AVIF": 2}
_BEHIND_ALPHA = (128, 128, 128)

_EXIF_ORIENTATION = 0x0112
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: str | Path | bytes, name: str | None = None, notes: list[str] | None = None
) -> np.ndarray:
    """Decode a picture to uint8 (H, W, 3) RGB, turned upright by its EXIF orientation.

    Alpha is laid over mid-grey, deeper pictures are scaled to 8 bits, of several pages or frames the first is taken;
    what in this may surprise is added to `notes`.
    `name` is what errors call it: by default its path, or "The picture" for bytes.
    Raises ImageError (one sentence) for no picture, a broken one, one below 2 x 2 or above MAX_PIXELS.
    """
    return _decode(source, name, MAX_PIXELS, None, [] if notes is None else notes)[0]


def read_reduced(
    source: str | Path | bytes, enough: int, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """`read_image` in less memory, for whoever needs `enough` pixels on the longest side.

    A picture 4 times as long or longer is reduced, to no less than twice `enough`; a JPEG while it is decoded.
    Returns it and the (height, width) that it had. Raises ImageError as read_image, above `max_pixels` undecoded, of
    AVIF above a half and of JPEG 2000 above a quarter of them.
    """
    return _decode(source, name, max_pixels, enough, [])


def fit_size(
    height: int, width: int, training_size: tuple[int, int], fixed_size: tuple[int, int] | None = None
) -> tuple[int, int]:
    """(height, width) after fitting into the training size, aspect kept (the paper's resize; may enlarge).

    An upright picture fits into the training size turned; for a network of fixed size it is made small enough for that.
    """
    long, short = max(training_size), min(training_size)
    scale = min(long / max(height, width), short / min(height, width))
    if fixed_size is not None:
        scale = min(scale, fixed_size[0] / height, fixed_size[1] / width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) to uint8 (*size, 3), bilinear with Pillow's anti-aliasing."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def pad_to_multiple(image: np.ndarray, stride: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Pad (H, W, 3) at the bottom and right with the mean colour until H and W divide by `stride`.

    Returns the padded picture and the (height, width) that it had, by which outputs are cut again.
    """
    return pad_to_size(image, up_to_multiple((image.shape[0], image.shape[1]), stride))


def pad_to_size(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """`pad_to_multiple` to exactly `size`, (height, width), which is no smaller than the picture."""
    height, width = image.shape[:2]
    if size == (height, width):
        return image, size
    padded = np.empty((*size, 3), np.uint8)
    padded[:height, :width] = image
    padded[:height, width:] = padded[height:] = MEAN_COLOUR  # the border alone: a colour is filled in slowly
    return padded, (height, width)


def up_to_multiple(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """The nearest (height, width) from `size` upwards that divides by `stride`."""
    return -(-size[0] // stride) * stride, -(-size[1] // stride) * stride


def enlarge_nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, ...) to (*size, ...) by nearest: source index = floor(i * source / target)."""
    rows = np.arange(size[0]) * array.shape[0] // size[0]
    columns = np.arange(size[1]) * array.shape[1] // size[1]
    return array[:, columns][rows]  # columns first: then whole rows are copied


def _decode(
    source: str | Path | bytes, name: str | None, max_pixels: int, enough: int | None, notes: list[str]
) -> tuple[np.ndarray, tuple[int, int]]:
    """The picture, whole or reduced to twice `enough`, and its (height, width) in the file, upright."""
    name = name or ("The picture" if isinstance(source, bytes) else str(source))
    path = None if isinstance(source, bytes) else Path(source)
    if path and is_raw(path):
        raise ImageError(f"{name} is a camera's raw file: develop it to JPEG or PNG first.")
    stream = _open(source, name)
    head = stream.read(24)
    stream.seek(0)
    # Pillow would warn of large pictures (our own limit is checked below, before decoding) and of bad EXIF.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with stream, Image.open(stream, formats=_FORMATS) as image:
            costly = _COSTLY.get(image.format or "", 1) if enough is not None else 1
            _check_size(image.width, image.height, name, max_pixels // costly)
            short, long = sorted(image.size)
            if enough is not None:
                times = _times(image, enough)
                image.draft(
                    None, (image.width // times, image.height // times)
                )  # decoders of JPEG alone heed it
            raw = raw_mode(image)
            image.load()
            if image.format != "MPO" and getattr(image, "is_animated", False):
                notes.append("it has several pages or frames: the first is taken")
            plain = eight_bit(image, raw, stream, notes)
            picture = np.array(_to_rgb(_upright(plain if enough is None else _reduce(plain, enough))))
            return picture, ((long, short) if picture.shape[0] > picture.shape[1] else (short, long))
    except ImageError:
        raise
    except UnidentifiedImageError:
        known = known_as(path, head)
        do = f", but {known}: convert it to" if known else ": use"
        raise ImageError(f"{name} is not a picture that can be read{do} {_KINDS}.") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} has more than {_megapixels(max_pixels)}: make it smaller first.") from None
    except MemoryError:
        raise ImageError(f"{name} is too large for this machine's memory: make it smaller first.") from None
    except Exception as error:  # decoders raise a dozen types for broken data
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise ImageError(f"{name} is damaged or cut short ({reason}): copy or save it again.") from None


def _open(source: str | Path | bytes, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        if not source:
            raise ImageError(f"{name} is empty (0 bytes): save it again.")
        return io.BytesIO(source)
    path = Path(source)
    require_file(path, name, "picture")
    try:
        return path.open("rb")
    except OSError as error:
        raise ImageError(f"{name} cannot be opened ({error.strerror}): check its permissions.") from None


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if min(width, height) < 2:
        raise ImageError(f"{name} is {width} x {height} pixels: give a picture of at least 2 x 2.")
    if width * height > max_pixels:
        limit = _megapixels(max_pixels)
        raise ImageError(f"{name} has {width} x {height} pixels, above {limit}: make it smaller first.")


def _megapixels(pixels: int) -> str:
    return f"{pixels // 10**6} megapixels"


def _times(image: Image.Image, enough: int) -> int:
    """By what whole number the picture can be divided and keep twice `enough` pixels on its longest side."""
    return max(1, min(max(image.size) // (2 * enough), min(image.size) // 2))


def _reduce(image: Image.Image, enough: int) -> Image.Image:
    """`image`, or smaller: each pixel the mean of those that it stands for."""
    times = _times(image, enough)
    if times == 1:
        return image
    if image.mode in ("1", "P"):  # entries of a palette have no mean
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(times)


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURN.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # a broken EXIF block is no reason to refuse sound pixels
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, rgb, "LAB", "RGB"))  # type: ignore[return-value]
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        behind = Image.new("RGB", image.size, _BEHIND_ALPHA)
        behind.paste(coloured, mask=coloured.getchannel("A"))
        return behind
    return image.convert("RGB")
