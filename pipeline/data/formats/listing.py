"""What a data set lists, and the sentences for what is missing or amiss on disk."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data.archives import read_bytes
from pipeline.data.masks import shared_name
from pipeline.edge.images import SUFFIXES


@dataclass(frozen=True)
class Listed:
    """A picture as its data set lists it, before any check of its content."""

    image: Path
    label: Path | None
    split: str
    condition: str


@dataclass
class Listing:
    """All pictures of a data set that were found, and one sentence for each thing that was not."""

    domain: str
    """ "source" or "target"."""
    key: str
    """Where the data set stands in the params, for the sentences: data.source, data.target, data.target.1."""
    pictures: list[Listed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(
        self,
        split: str,
        images: Mapping[str, Path],
        labels: Mapping[str, Path],
        conditions: dict[str, str],
        common_labels: bool = False,
    ) -> None:
        """Append the pictures called by the names in `conditions`, or say which of their files are missing.

        Labels of target training pictures are never listed, even where files exist. `common_labels`: the label folder
        is not this split's own, so that a target split may have none in it.
        """
        key = f"{self.key}.{split}"
        absent = [name for name in conditions if name not in images]
        if absent and images:
            folder = next(iter(images.values())).parent
            self.problems.append(
                f"{key}: {len(absent)} of {len(conditions)} listed pictures do not exist ({some(absent)}): put "
                f"them beside those in {folder} or take them off the list"
            )
        if self.unseen_labels(split):
            labels = {}
        bare = [name for name in conditions if name in images and name not in labels]
        unlabelled = common_labels and self.domain == "target" and len(bare) == len(conditions)
        if bare and labels and not unlabelled:
            self.problems.append(
                f"{key}: {len(bare)} of {len(conditions)} pictures have no label of the same name "
                f"({some(bare)}): {_label_fix(bare[0], labels)} or take the pictures off the list"
            )
        self.pictures += [
            Listed(images[name], labels.get(name), split, condition)
            for name, condition in conditions.items()
            if name in images
        ]

    def unseen_labels(self, split: str) -> bool:
        """Whether the labels of this split stay unread: adaptation must not see those it trains on."""
        return (self.domain, split) == ("target", "train")


def _label_fix(name: str, labels: Mapping[str, Path]) -> str:
    """What to do for a picture without label: where one seems to be meant for it, name that."""
    for called, path in labels.items():
        if called.startswith((f"{name}.", f"{name}_", f"{name}-")) or shared_name(called) == shared_name(
            name
        ):
            return f"call labels such as {path} by the names of their pictures"
    return "add the labels"


def read_lines(path: Path, key: str, listing: Listing) -> list[str]:
    """The lines of a list file without picture suffixes; what is wrong with it goes to the listing."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except IsADirectoryError:
        listing.problems.append(f"{key}: {path} is a folder: name a text file with one picture name a line")
        return []
    except OSError:
        listing.problems.append(
            f"{key}: there is no list {path}; {nearest(path)}: correct the path or add the list"
        )
        return []
    except UnicodeDecodeError:
        listing.problems.append(f"{key}: {path} is no text file: write one picture name a line, in UTF-8")
        return []
    lines = (unicodedata.normalize("NFC", line.strip()) for line in text.splitlines())
    names = [without_suffix(line) for line in lines if line]
    unique = list(dict.fromkeys(names))
    if not unique:
        listing.problems.append(f"{key}: {path} is empty: write one picture name a line")
    if len(unique) < len(names):
        twice = [name for name in unique if names.count(name) > 1]
        listing.problems.append(f"{key}: {path} lists {some(twice)} more than once: keep one line each")
    return unique


def without_suffix(name: str) -> str:
    """The name of a picture file without .png, .jpg ...; any other name as it is."""
    return str(Path(name).with_suffix("")) if Path(name).suffix.lower() in SUFFIXES else name


def no_folder(folder: Path, key: str) -> str:
    """The sentence for a folder that does not exist, or is none."""
    if folder.exists():
        return f"{key}: {folder} is a file: name the folder that holds the pictures"
    return (
        f"{key}: folder {folder} does not exist; {nearest(folder)}: correct the path or put the files there"
    )


def nearest(path: Path) -> str:
    """What the closest folder that does exist holds."""
    parent = next(p for p in path.absolute().parents if p.is_dir())
    return f"{parent} holds {inside(parent)}"


def inside(folder: Path) -> str:
    """The names in a folder, shortened."""
    entries = sorted(
        p.name + ("/" if p.is_dir() else "") for p in folder.iterdir() if not p.name.startswith(".")
    )
    return some(entries) or "nothing"


def some(names: list[str], most: int = 6) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
