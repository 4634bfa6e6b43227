"""What every data set in its official layout shares: finding files by folder and ending, and saying what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.data.archives import Tree
from pipeline.data.folder import Walked
from pipeline.data.formats.left_out import report_left_out
from pipeline.data.formats.listing import Listing, inside, read_lines, some, without_suffix
from pipeline.params.data import Downloaded

SPLIT = "{split}"


class Files(NamedTuple):
    """Where files of one kind lie: the folder, with `{split}` for the split, their ending, and the download."""

    folder: str
    ending: str
    archive: str


class SplitData(Protocol):
    """The params of a data set with splits."""

    @property
    def train(self) -> tuple[str, ...] | None: ...
    @property
    def val(self) -> tuple[str, ...] | None: ...


class Official:
    """The pictures of one data set on disk; every finder reports to the listing what it cannot find.

    `role` is what a split is used for: "train" or "val".
    """

    def __init__(self, data: Downloaded, listing: Listing) -> None:
        self.root = data.root
        self.tree = Tree(data.root)
        self.listing = listing
        self._lists = {role: self._read_list(role, path) for role, path in _lists(data) if path}
        self._seen: set[tuple[str, str]] = set()

    def find(self, role: str, kind: Files, split: str = "") -> dict[str, Path]:
        """Name -> file; the name is the path below the folder, without the ending."""
        files = self.tree.files(kind.folder.replace(SPLIT, split))
        found = {n.removesuffix(kind.ending): path for n, path in files.items() if n.endswith(kind.ending)}
        if not found:
            self.report(self._absent(role, kind, split, list(files)))
        return found

    def has(self, kind: Files, split: str = "") -> bool:
        """Whether any such file is there."""
        return any(name.endswith(kind.ending) for name in self.tree.files(kind.folder.replace(SPLIT, split)))

    def add(
        self,
        role: str,
        images: dict[str, Path],
        condition: str | dict[str, str],
        labels: Files | None,
        split: str = "",
    ) -> None:
        """List the pictures, those of the role's list alone where the params name one.

        `condition` is one for all or one for each name; `labels` None is a split that has none for anybody.
        """
        chosen = [name for name in images if self.on_list(role, name, images[name])]
        found: dict[str, Path] = {}
        if labels is None and self.listing.domain == "source":
            self.report(
                f"{self.listing.key}.{role}: split {split!r} has no labels, which the source needs: name another"
            )
        elif labels is not None and images and not self.listing.unseen_labels(role):
            found = self.find(role, labels, split)
        conditions = {n: condition if isinstance(condition, str) else condition[n] for n in chosen}
        self.listing.add(role, images, found, conditions)

    def on_list(self, role: str, name: str, path: Path) -> bool:
        """Whether the role's list names this picture; True for all where there is no list."""
        if role not in self._lists:
            return True
        # A list may call a picture by its file name, or by the part that its label shares.
        for called in (without_suffix(path.name), name.rpartition("/")[2]):
            if called in self._lists[role]:
                self._seen.add((role, called))
                return True
        return False

    def report_rest(self) -> None:
        """Names of the lists that were no picture of any split, and files left out; call it when all are added."""
        rest = Walked()
        for walked in self.tree.walked:
            rest.hidden += walked.hidden
            rest.closed += walked.closed
            rest.broken += walked.broken
            rest.odd += walked.odd
        report_left_out(rest, f"{self.listing.key}.root", self.listing, pictures=False)
        for role, names in self._lists.items():
            unused = sorted(name for name in names if (role, name) not in self._seen)
            if unused:
                self.report(
                    f"{self.listing.key}.{role}_list: {len(unused)} of its {len(names)} names are no pictures of "
                    f"the {role} splits ({some(unused)}): correct the list or the splits"
                )

    def report(self, problem: str) -> None:
        """A problem, once."""
        if problem not in self.listing.problems:
            self.listing.problems.append(problem)

    def read(self, path: Path, key: str) -> list[str]:
        """Lines of a list; a relative path is from the root."""
        name = path.as_posix()
        folder, _, base = name.rpartition("/")
        inside_tree = None if path.is_absolute() else self.tree.file(folder, base)
        return read_lines(inside_tree or self.root / path, key, self.listing)

    def _read_list(self, role: str, path: Path) -> set[str]:
        lines = self.read(path, f"{self.listing.key}.{role}_list")
        return {line.rpartition("/")[2] for line in lines}

    def _absent(self, role: str, kind: Files, split: str, others: list[str]) -> str:
        """Which folder was expected, what is there instead, and which download brings it."""
        key, root = self.listing.key, self.root
        fix = f"put {kind.archive} there, packed or unpacked"
        if self.tree.unread:
            fix = f"unpack {some(self.tree.unread)} there (only .zip archives are read in place)"
        folder = kind.folder.replace(SPLIT, split)
        if others:
            return (
                f"{key}.{role}: {root}/{folder} has no file *{kind.ending} (it has {some(others, 3)}): {fix}"
            )
        before, placeholder, _ = kind.folder.partition(SPLIT)
        parent = before.rstrip("/")
        splits = self.tree.folders(parent) if placeholder else []
        if splits:
            where = f"{root}/{parent}" if parent else str(root)
            return (
                f"{key}.{role}: there is no {folder}/ for split {split!r} in {root} ({where} has "
                f"{some(splits)}): name one of these, or {fix}"
            )
        holds = inside(root) if root.is_dir() else "other folders"
        return f"{key}.root: there is no {parent}/ in {root}, which holds {holds}: {fix}"


def each_split(data: SplitData) -> Iterator[tuple[str, str]]:
    """("train" or "val", split) for every split that the params name."""
    for role, splits in (("train", data.train), ("val", data.val)):
        for split in splits or ():
            yield role, split


def _lists(data: Downloaded) -> tuple[tuple[str, Path | None], ...]:
    return ("train", data.train_list), ("val", data.val_list)
