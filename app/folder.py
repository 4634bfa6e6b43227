"""The page's own temporary folder: private, bounded, gone when the page ends, however it ends."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be removed there, which tells the same
    fcntl = None

_NAME = re.compile(r"mic_adapt_page_\d+_\w+")
_LOCK = "in_use"


class Folder:
    """A fresh folder below `parent`, which nobody else may read; a context manager that removes it.

    A page that was killed cannot remove its own: each new page removes those whose lock nobody holds.
    """

    def __init__(self, parent: Path | None, max_bytes: int, max_age: float) -> None:
        parent = parent or Path(tempfile.gettempdir())
        parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(parent)
        self.path = Path(tempfile.mkdtemp(prefix=f"mic_adapt_page_{os.getpid()}_", dir=parent)).resolve()
        self._lock = _locked(self.path / _LOCK)
        self._max_bytes, self._max_age = max_bytes, max_age
        self._kept = {_LOCK}

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def keep(self) -> None:
        """What lies here now stays: the page's own pictures."""
        self._kept = {entry.name for entry in self.path.iterdir()}

    def new(self) -> Path:
        """A new folder with a name that nobody guesses, since everything here can be fetched by name."""
        self.make_room()
        folder = self.path / secrets.token_hex(16)
        folder.mkdir()
        return folder

    def make_room(self, size: int = 0) -> None:
        """Remove what is too old, then the oldest, until `size` further bytes fit."""
        found = [
            (path.stat().st_mtime, _bytes(path), path)
            for path in self.path.iterdir()
            if path.name not in self._kept
        ]
        total = size + sum(held for _, held, _ in found)
        for modified, held, path in sorted(found):
            if total <= self._max_bytes and time.time() - modified < self._max_age:
                break
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            total -= held

    def holds(self, path: str) -> Path | None:
        """The file's resolved path if it is a file inside this folder, else None, whatever the reason."""
        try:
            resolved = Path(path).resolve(strict=True)
            inside = resolved.is_relative_to(self.path) and stat.S_ISREG(resolved.stat().st_mode)
        except (OSError, ValueError, RuntimeError):  # no such file, a null byte, a loop of links
            return None
        return resolved if inside and resolved != self.path / _LOCK else None


def remove_leftovers(parent: Path) -> None:
    """Remove the folders of pages that were killed: ours by name and owner, and locked by nobody."""
    for path in parent.iterdir():
        if not _NAME.fullmatch(path.name) or path.is_symlink() or not (path / _LOCK).is_file():
            continue
        if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            continue
        lock = _locked(path / _LOCK)
        if lock is not None:
            lock.close()
            shutil.rmtree(path, ignore_errors=True)


def _locked(path: Path) -> IO[bytes] | None:
    """The file, locked until it is closed or the process ends; None where another process has it."""
    try:
        if fcntl is None:
            path.unlink(missing_ok=True)
        file = path.open("wb")
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    return file


def _bytes(path: Path) -> int:
    """Of a file or all in a folder; a folder counts as 64 KiB, so that there cannot be too many either."""
    if path.is_dir():
        return 2**16 + sum(_bytes(inner) for inner in path.iterdir())
    return path.lstat().st_size
