"""Reading, fitting and padding pictures: the one place that opens them, for training, edge and page alike."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.edge.errors import ImageError, UserError

MAX_PIXELS = 178_000_000
_LIMIT = f"{MAX_PIXELS // 10**6} megapixels"
MEAN_COLOUR = (124, 116, 104)
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

# Only plain raster decoders: Pillow's EPS reader, for one, would start another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_KINDS = "JPEG, PNG, WebP, TIFF, BMP, GIF or PPM"
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


def image_files(inputs: list[Path]) -> list[Path]:
    """The pictures named by `inputs`: files as given, folders searched recursively and sorted.

    A file named outright is kept whatever its suffix; hidden files in folders are left out; a picture
    named twice comes once. Raises UserError for a missing path or a folder without a picture.
    """
    found: dict[Path, None] = {}
    for item in inputs:
        if item.is_dir():
            names = (p for p in item.rglob("*") if _is_picture_name(p.relative_to(item)))
            inside = sorted(p for p in names if p.is_file())
            if not inside:
                raise UserError(f"No picture in the folder {item}: put {_KINDS} files there.")
            found.update(dict.fromkeys(inside))
        elif item.exists():
            found[item] = None
        else:
            raise UserError(f"No such file or folder: {item}; check the path.")
    return list(found)


def read_image(source: str | Path | bytes, name: str | None = None) -> np.ndarray:
    """Decode a picture to uint8 (H, W, 3) RGB, turned upright by its EXIF orientation.

    Alpha is laid over mid-grey, 16-bit grey is scaled to 8 bit, of an animation the first frame is taken.
    `name` is what errors call it: by default its path, or "The picture" for bytes.
    Raises ImageError (one sentence) for no picture, a broken one, one below 2 x 2 or above MAX_PIXELS.
    """
    name = name or ("The picture" if isinstance(source, bytes) else str(source))
    stream = _open(source, name)
    # Pillow would warn of large pictures (our own limit is checked below, before decoding) and of bad EXIF.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with stream, Image.open(stream, formats=_FORMATS) as image:
            _check_size(image.width, image.height, name)
            image.load()
            return np.array(_to_rgb(_upright(image)))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not a picture that can be read: use {_KINDS}.") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} has more than {_LIMIT}: make it smaller first.") from None
    except MemoryError:
        raise ImageError(f"{name} is too large for this machine's memory: make it smaller first.") from None
    except Exception as error:  # decoders raise a dozen types for broken data
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise ImageError(f"{name} is damaged or cut short ({reason}): copy or save it again.") from None


def fit_size(height: int, width: int, training_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) after fitting into the training size, aspect kept (the paper's resize; may enlarge)."""
    long, short = max(training_size), min(training_size)
    scale = min(long / max(height, width), short / min(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def fit_inside(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """`fit_size` where the result must lie inside `size` as it is, upright pictures in a lying one too."""
    scale = min(size[0] / height, size[1] / width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) to uint8 (*size, 3), bilinear with Pillow's anti-aliasing."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def pad_to_multiple(image: np.ndarray, stride: int) -> tuple[np.ndarray, tuple[int, int]]:
    """`pad_to_size` of the next H and W that divide by `stride`."""
    height, width = image.shape[:2]
    return pad_to_size(image, (-(-height // stride) * stride, -(-width // stride) * stride))


def pad_to_size(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Pad (H, W, 3) at the bottom and right with the mean colour to `size`.

    Returns the padded picture and the (height, width) that it had, by which outputs are cut again.
    """
    height, width = image.shape[:2]
    if size == (height, width):
        return image, size
    padded = np.empty((*size, 3), np.uint8)
    padded[:] = MEAN_COLOUR
    padded[:height, :width] = image
    return padded, (height, width)


def enlarge_nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, ...) to (*size, ...) by nearest: source index = floor(i * source / target)."""
    rows = np.arange(size[0]) * array.shape[0] // size[0]
    columns = np.arange(size[1]) * array.shape[1] // size[1]
    return array[:, columns][rows]  # columns first: then whole rows are copied


def _is_picture_name(relative: Path) -> bool:
    return relative.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in relative.parts)


def _open(source: str | Path | bytes, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        if not source:
            raise ImageError(f"{name} is empty (0 bytes): save it again.")
        return io.BytesIO(source)
    path = Path(source)
    if path.is_dir():
        raise ImageError(f"{name} is a folder: give a picture file.")
    if not path.is_file():
        raise ImageError(f"No such picture: {name}; check the path.")
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{name} is empty (0 bytes): copy or save it again.")
        return path.open("rb")
    except OSError as error:
        raise ImageError(f"{name} cannot be opened ({error.strerror}): check its permissions.") from None


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < 2:
        raise ImageError(f"{name} is {width} x {height} pixels: give a picture of at least 2 x 2.")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name} has {width} x {height} pixels, above {_LIMIT}: make it smaller first.")


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURN.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # a broken EXIF block is no reason to refuse sound pixels
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return _eight_bit(image).convert("RGB")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        behind = Image.new("RGB", image.size, _BEHIND_ALPHA)
        behind.paste(coloured, mask=coloured.getchannel("A"))
        return behind
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Deep grey to mode L; full scale is 65535, or for modes I and F 1 or 255 where nothing exceeds that."""
    values = np.nan_to_num(np.asarray(image, np.float32))
    peak, full = float(values.max()), 65535.0
    if image.mode == "F" and peak <= 1:
        full = 1.0
    elif image.mode in ("I", "F") and peak <= 255:
        full = 255.0
    return Image.fromarray(np.clip(values * (255.0 / full) + 0.5, 0, 255).astype(np.uint8))
