"""What a data set with boxes lists, before any check of its content."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data.archives import read_bytes


@dataclass(frozen=True)
class ListedBox:
    """A box as its file has it."""

    corners: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the picture, ends exclusive; as shares of it where the file says so (YOLO)."""
    name: str
    """Of its class, in the file's own words."""
    ignored: bool = False
    """Neither learned nor scored: COCO's crowds, VOC's difficult ones, Cityscapes' groups."""


@dataclass(frozen=True)
class ListedPicture:
    """A picture and its boxes as its data set lists them."""

    image: Path
    origin: Path
    """The file that lists it."""
    split: str
    condition: str
    boxes: tuple[ListedBox, ...] | None
    """None where nobody labelled it, and always for target training pictures: adaptation never sees those."""
    size: tuple[int, int] | None = None
    """(height, width) that the file states; None where it states none."""
    shares: bool = False
    """Whether corners are shares of the picture."""


@dataclass
class BoxListing:
    """All pictures of a data set that were found, and one sentence for each thing that was not."""

    domain: str
    """ "source" or "target"."""
    key: str
    """Where the data set stands in the params: data.source or data.target."""
    pictures: list[ListedPicture] = field(default_factory=list)
    categories: dict[int, str] = field(default_factory=dict)
    """Number -> name, where the files have numbers."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def unseen(self, split: str) -> bool:
        """Whether the boxes of this split stay unread: adaptation must not see those it trains on."""
        return (self.domain, split) == ("target", "train")

    def absent(self, split: str, missing: list[str], listed: int, origin: Path, folder: Path) -> None:
        """Say that pictures do not exist which `origin` lists."""
        if missing:
            self.problems.append(
                f"{self.key}.{split}: {len(missing)} of the {listed} pictures in {origin} do not exist, the first is "
                f"{folder / missing[0]}: put them there, or take them out of the file"
            )

    def read(self, path: Path, key: str) -> bytes | None:
        """Content of a file; None, and a sentence, where it cannot be read."""
        try:
            return read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            self.problems.append(f"{key}: {path} does not exist: correct the path or put the file there")
        except OSError as error:
            self.problems.append(
                f"{key}: {path} cannot be read ({error.strerror}): check it and its permissions"
            )
        return None
