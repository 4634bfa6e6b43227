"""The files of a data set in miniature: 64 x 48 pictures of noise and labels of every kind, each in its archive."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64


class Miniature:
    """The files of a data set, each with the archive that it is downloaded in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: list[tuple[str, str, bytes]] = []

    def picture(self, archive: str, path: str) -> None:
        """Noise of its own for every name; night is dark."""
        brightest = 60 if "night" in path else 255
        pixels = self._rng(path).integers(0, brightest, (HEIGHT, WIDTH, 3), np.uint8)
        kind = "JPEG" if path.endswith(".jpg") else "PNG"
        self.files.append((archive, path, encoded(Image.fromarray(pixels), kind)))

    def label(self, archive: str, path: str, ids: Sequence[int] = (0, 1, 10, 13, 255)) -> None:
        """A single-channel PNG of some of the ids."""
        self.files.append((archive, path, encoded(Image.fromarray(self.ids(path, ids)))))

    def palette_label(self, archive: str, path: str, ids: Sequence[int]) -> None:
        """A palette PNG: ids as indices, some colour each."""
        picture = Image.fromarray(self.ids(path, ids))
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        self.files.append((archive, path, encoded(picture)))

    def red_label(self, archive: str, path: str, ids: Sequence[int]) -> None:
        """A 16-bit colour PNG: the id in red, an instance number in green."""
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint16)  # blue, green, red for OpenCV
        pixels[..., 2] = self.ids(path, ids)
        pixels[..., 1] = self._rng(path).integers(0, 3000, (HEIGHT, WIDTH))
        self.files.append((archive, path, cv2.imencode(".png", pixels)[1].tobytes()))

    def colour_label(self, archive: str, path: str, colours: Sequence[tuple[int, int, int]]) -> None:
        """A colour PNG."""
        pixels = np.array(colours, np.uint8)[self.ids(path, range(len(colours)))]
        self.files.append((archive, path, encoded(Image.fromarray(pixels))))

    def text(self, archive: str, path: str, content: str) -> None:
        self.files.append((archive, path, content.encode()))

    def ids(self, path: str, ids: Sequence[int]) -> np.ndarray:
        return self._rng(path + "label").choice(np.array(ids, np.uint8), (HEIGHT, WIDTH))

    def write(self, root: Path, zipped: bool) -> None:
        """Unpacked, or each archive as downloaded: `folder/name.zip` wraps its files in `folder`."""
        root.mkdir(parents=True, exist_ok=True)
        for archive, path, content in self.files:
            if zipped:
                wrapper, _, name = archive.rpartition("/")
                with zipfile.ZipFile(root / name, "a") as file:
                    file.writestr(f"{wrapper}/{path}" if wrapper else path, content)
            else:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)

    def _rng(self, path: str) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(f"{self.name}/{path}".encode()))


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()
