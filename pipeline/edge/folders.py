"""Folders searched for inputs: each once however it is reached, and what is left out is remembered."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.edge.log import LOG

_WILDCARD = re.compile(r"[*?\[]")
EVERYTHING = ("**", "*")


class Search:
    """One search, which leaves out hidden folders, `out` and the results of earlier runs."""

    def __init__(self, out: Path) -> None:
        self._out = os.path.realpath(out)
        self.unreadable: dict[str, tuple[Path, str]] = {}
        """Folders that could not be listed, by their real path: how they were reached, and why not."""
        self.results: dict[str, Path] = {}
        """Results folders of earlier runs that were left out, by their real path."""
        self.dangling: dict[str, Path] = {}
        """Links, perhaps to folders, that cannot be followed, by their real path."""

    def find(self, folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        """What below `folder` the parts of a pattern match, files and folders; "**" is any number of folders.

        Linked folders are followed, but none is listed twice, so that loops end.
        """
        first, rest = parts[0], parts[1:]
        if first == "**":
            while rest[:1] == ("**",):
                rest = rest[1:]
            for below in self._all_folders(folder):
                yield from self.find(below, rest or ("*",))
            return
        if not _WILDCARD.search(first):
            path = folder / first
            if not rest:
                yield from (path,) if os.path.lexists(path) else ()
            elif os.path.isdir(path) and self.may_enter(path):
                yield from self.find(path, rest)
            return
        for entry in self._listed(folder):
            if not fnmatch.fnmatchcase(entry.name, first):
                continue
            path = folder / entry.name
            if not rest:
                yield path
            elif _is_folder(entry) and self.may_enter(path):
                yield from self.find(path, rest)

    def _all_folders(self, folder: Path) -> Iterator[Path]:
        """`folder` and those below, real ones before those that are links to one elsewhere."""
        seen: set[str] = set()
        links = [folder]
        while links:
            waiting = [links.pop(0)]
            while waiting:
                here = waiting.pop()
                real = os.path.realpath(here)
                if real in seen or (here != folder and not self.may_enter(here)):
                    continue
                seen.add(real)
                yield here
                for entry in reversed(self._listed(here)):
                    if _is_folder(entry) and not entry.name.startswith("."):
                        (links if entry.is_symlink() else waiting).append(here / entry.name)

    def may_enter(self, folder: Path) -> bool:
        """Whether a folder that was come upon is no results folder; those of earlier runs are remembered."""
        real = os.path.realpath(folder)
        if real != self._out and os.path.exists(folder / LOG):
            self.results.setdefault(real, folder)
        return real != self._out and real not in self.results

    def _listed(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            why = error.strerror or type(error).__name__
            self.unreadable.setdefault(os.path.realpath(folder), (folder, why))
            return []
        real = os.path.realpath(folder)
        for entry in found:
            path = folder / entry.name
            if entry.is_symlink() and not path.suffix and not os.path.exists(path):
                self.dangling.setdefault(os.path.join(real, entry.name), path)
        return [entry for entry in found if os.path.join(real, entry.name) not in self.dangling]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a folder that is closed to us, or round to itself
        return False
