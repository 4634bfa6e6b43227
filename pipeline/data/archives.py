"""Data sets as downloaded: folders and .zip archives read as one tree, archives in place.

A file inside an archive has a path like any other, `data/cityscapes/gtFine_trainvaltest.zip/gtFine/val/...png`.
"""

from __future__ import annotations

import glob
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.data.folder import Walked, is_hidden, walk
from pipeline.edge.errors import UserError

UNREAD = (".rar", ".7z", ".tar", ".gz", ".tgz")
"""Archives that data sets come in but that cannot be read in place."""


class Archive:
    """An open .zip file; one thread of a process reads from it at a time."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(f"{path} is no sound .zip archive ({error}): download it again") from None
        self._path = path
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """All files in it, in the archive's order."""
        return [n for n in self._file.namelist() if not n.endswith("/")]

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError where it holds no such file, UserError where that is damaged or locked."""
        try:
            with self._lock:
                return self._file.read(name)
        except KeyError:
            raise FileNotFoundError(f"{self._path / name}") from None
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise UserError(f"{self._path / name} is damaged ({error}): download the archive again") from None
        except (RuntimeError, NotImplementedError) as error:  # zipfile: encrypted, or a packing it lacks
            raise UserError(f"{self._path / name} cannot be read ({error}): unpack the archive") from None


_opened: dict[tuple[int, ...], Archive] = {}


def open_archive(path: Path) -> Archive:
    """The archive, opened once a process. Raises UserError for a damaged one."""
    stat = path.stat()
    # By process, because a forked child shares the position in a file that its parent has open.
    key = (os.getpid(), stat.st_dev, stat.st_ino, stat.st_mtime_ns)
    if key not in _opened:
        _opened.setdefault(key, Archive(path))
    return _opened[key]


def inside_archive(path: Path) -> tuple[Path, str] | None:
    """The archive that `path` leads into and the name in it; None for a path without one."""
    if ".zip" not in str(path).lower():
        return None
    for parent in path.parents:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def read_bytes(path: Path) -> bytes:
    """Content of a file, in an archive or not. Raises as `Archive.read` and `Path.read_bytes` do."""
    if inside := inside_archive(path):
        return open_archive(inside[0]).read(inside[1])
    return path.read_bytes()


class Tree:
    """The files below a root: those of its folders and of the .zip archives that lie in it, as one tree.

    A folder that is not there is looked for one and two levels down, because archives and the tools that unpack
    them like to wrap it in folders of their own. An unpacked file goes before the same one in an archive.
    """

    def __init__(self, root: Path) -> None:
        """`root`: a folder, or one .zip file. Raises UserError for a damaged archive."""
        self.root = root
        here = sorted(root.iterdir()) if root.is_dir() else [root]
        self.archives = {p: open_archive(p) for p in here if p.suffix.lower() == ".zip" and p.is_file()}
        self.unread = [p.name for p in here if p.suffix.lower() in UNREAD and p.is_file()]
        self._walked: dict[Path, Walked] = {}

    def files(self, folder: str) -> dict[str, Path]:
        """Path relative to `folder` -> file, sub-folders included, sorted; hidden files are left out."""
        found: dict[str, Path] = {}
        for place in self._unpacked(folder):
            if place not in self._walked:
                self._walked[place] = walk(place, repeat=True)
            for name, path in self._walked[place].files.items():
                found.setdefault(name, path)
        for name, path in self._archived(folder):
            found.setdefault(name, path)
        return {name: found[name] for name in sorted(found) if not _hidden(name)}

    @property
    def walked(self) -> list[Walked]:
        """The folders that were looked through so far."""
        return list(self._walked.values())

    def file(self, folder: str, name: str) -> Path | None:
        """One file directly in `folder`; None where there is none."""
        unpacked = next((p / name for p in self._unpacked(folder) if (p / name).is_file()), None)
        return unpacked or next((path for n, path in self._archived(folder) if n == name), None)

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in `folder`, "" for the root, sorted."""
        found = {p.name for place in self._unpacked(folder) for p in place.iterdir() if p.is_dir()}
        found |= {name.split("/")[0] for name, _ in self._archived(folder) if "/" in name}
        return sorted(name for name in found if not _hidden(name))

    def _unpacked(self, folder: str) -> list[Path]:
        if not folder:
            return [self.root] if self.root.is_dir() else []
        for wrappers in ("", "*/", "*/*/"):
            found = self.root.glob(wrappers + glob.escape(folder))
            if places := sorted(
                p for p in found if p.is_dir() and not _hidden(str(p.relative_to(self.root)))
            ):
                return places
        return []

    def _archived(self, folder: str) -> Iterator[tuple[str, Path]]:
        start = f"{folder}/" if folder else ""
        for path, archive in self.archives.items():
            for name in archive.names():
                rest = name
                for _ in range(3):
                    if rest.startswith(start):
                        yield rest[len(start) :], path / name
                        break
                    rest = rest.partition("/")[2]


def _hidden(name: str) -> bool:
    return any(is_hidden(part) for part in name.split("/"))
