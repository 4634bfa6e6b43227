"""What the inputs of `mic-edge predict` name: pictures, videos, streams and a camera, and where their results go."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pipeline.edge.addresses import file_name, is_address, masked, scheme
from pipeline.edge.errors import UserError
from pipeline.edge.files import require_file
from pipeline.edge.folders import EVERYTHING, Search
from pipeline.edge.images import SUFFIXES
from pipeline.edge.log import logged_results
from pipeline.edge.names import Names
from pipeline.edge.unread import UNREAD_SUFFIXES, VIDEO_SUFFIXES

_WILDCARD = re.compile(r"[*?\[]")
_SHOWN = 6


@dataclass(frozen=True)
class Source:
    """A picture, video, camera or stream, and the path, without suffix, that its results begin with."""

    kind: Literal["picture", "video", "camera", "stream"]
    path: Path
    """Of a stream only what to call it."""
    target: Path
    address: str | None = field(default=None, repr=False)
    """Of a stream, with what is secret in it."""
    fault: str | None = None
    """Why it fails without being tried."""

    @property
    def name(self) -> str:
        """What it is called wherever it is shown."""
        return masked(self.address) if self.address else str(self.path)


@dataclass(frozen=True)
class Plan:
    """What there is to do."""

    sources: list[Source]
    notes: list[str]
    """What was left out on purpose, a sentence each."""


def plan(inputs: list[str], out: Path, stdin: BinaryIO | None, null_separated: bool = False) -> Plan:
    """What to do for these inputs: results keep the path below the folder named, and never collide.

    An input is a file, a folder (searched recursively), a pattern such as "shots/**/*.jpg", the number of a
    camera, an address such as rtsp://host/live, or "-" for a list of files, folders and addresses on `stdin`, one a
    line or `null_separated`. A file named outright is kept whatever its suffix; one named twice, also through links
    to its folder, comes once. What is in `out`, in a results folder of an earlier run or noted in its log is not taken
    for input.

    An input that names nothing fails alone, as a source with a fault. Raises UserError where all do, for an empty
    input, no such camera, a closed `stdin`, and an `out` that is a file or a folder of inputs itself.
    """
    if os.path.exists(out) and not os.path.isdir(out):
        raise UserError(f"--out {out} is a file: name a folder.")
    planned = _Planned(out)
    for item in inputs:
        if not item:
            raise UserError(
                'An input is empty (""): name a file, a folder or a pattern; . is the current folder.'
            )
        if _is_camera(item):
            planned.add_camera(item)
        elif item == "-":
            planned.add_list(_items(stdin, null_separated))
        else:
            planned.add(item)
    return planned.finished()


def _items(stdin: BinaryIO | None, null_separated: bool) -> Iterator[str]:
    if stdin is None:
        raise UserError("Standard input is closed: give - a list of paths, or name the inputs.")
    try:
        lines = stdin.read().split(b"\0") if null_separated else (line.rstrip(b"\r\n") for line in stdin)
        yield from (os.fsdecode(line) for line in lines if line)
    except OSError as error:
        raise UserError(
            f"Standard input cannot be read ({error.strerror}): give - a list of paths."
        ) from None


class _Planned:
    def __init__(self, out: Path) -> None:
        self._out = out
        self._results = os.path.realpath(out)
        self._search = Search(out)
        self._names = Names(out)
        self._sources: list[Source] = []
        self._faults: list[tuple[Path, str]] = []
        """Inputs that name nothing, with the sentence that says so."""
        self._seen: set[tuple[str, str]] = set()
        self._real: dict[Path, str] = {}
        self._earlier: Counter[Path] = Counter()
        """Results of an earlier run, by folder."""
        self._others: dict[Path, Counter[str]] = {}
        """Files that are no pictures or videos by their suffix, by folder."""

    def add(self, item: str) -> None:
        """An address, file, folder or pattern."""
        path = Path(item)
        if is_address(item):
            self._add_stream(item)
        elif os.path.isdir(path):
            self._add_folder(path)
        elif os.path.lexists(path) or not _WILDCARD.search(item):
            self._add_file(path)
        else:
            parts = path.parts
            fixed = next(i for i, part in enumerate(parts) if _WILDCARD.search(part))
            folder = Path(*parts[:fixed])
            found = self._search.find(folder, parts[fixed:]) if os.path.isdir(folder) else ()
            self._add_found(folder, found, item, f"matches the pattern {item}")

    def add_list(self, items: Iterable[str]) -> None:
        """Paths of a list keep theirs where relative; one that is missing fails on its own."""
        results_inside = self._results.startswith(os.path.realpath(os.curdir) + os.sep)
        for item in items:
            path = Path(item)
            if is_address(item):
                self._add_stream(item)
            elif os.path.isdir(path):
                self._add_folder(path)
            elif path.is_absolute() or ".." in path.parts or "\0" in item:
                self._add_source(path, Path(path.name))
            elif not (results_inside and os.path.realpath(path).startswith(self._results + os.sep)):
                self._add_source(path, path)

    def add_camera(self, number: str) -> None:
        device = _camera_device(number)
        self._sources.append(Source("camera", device, self._names.unused(f"camera{number}")))

    def finished(self) -> Plan:
        """The plan: last of all, what could not be searched."""
        _refuse_two_without_end(self._sources)
        for folder, reason in self._search.unreadable.values():
            told = f"The folder {folder} cannot be searched ({reason}): check its permissions."
            self._faults.append((folder, told))
        if not self._sources:
            if self._faults:
                raise UserError(self._faults[0][1])
            raise UserError(
                f"Nothing to do: the inputs name no picture or video outside --out {self._out} and earlier results."
            )
        faults = [Source("picture", path, self._out / "none", fault=told) for path, told in self._faults]
        return Plan(self._sources + faults, list(self._notes()))

    def _notes(self) -> Iterator[str]:
        for folder in self._search.results.values():
            yield f"{folder} holds results of an earlier run: the folder is left out."
        for folder, count in self._earlier.items():
            yield f"{folder} holds {count} results of an earlier run: they are left out."
        for link in self._search.dangling.values():
            yield f"{link} is a link that cannot be followed: it is left out."
        for folder, kinds in self._others.items():
            shown = ", ".join(f"{suffix} {n}" for suffix, n in kinds.most_common(_SHOWN))
            more = ", ..." if len(kinds) > _SHOWN else ""
            yield f"{folder}: files of other kinds are left out ({shown}{more})."

    def _add_stream(self, address: str) -> None:
        name = file_name(address)
        self._sources.append(Source("stream", Path(name), self._names.unused(name), address))

    def _add_folder(self, folder: Path) -> None:
        self._add_found(folder, [folder], str(folder), f"in the folder {folder}")

    def _add_found(self, folder: Path, found: Iterable[Path], item: str, where: str) -> None:
        """The pictures and videos among `found`, and inside the folders among them, that are no results."""
        if os.path.realpath(folder) == self._results:
            raise UserError(f"--out {self._out} is also an input: name another folder for the results.")
        try:
            results = logged_results(folder)
        except UserError as error:
            self._faults.append((Path(item), str(error)))
            return
        unreadable = len(self._search.unreadable)
        empty = True
        for file in sorted(self._files(folder, found)):
            below = file.relative_to(folder)
            if any(part.startswith(".") for part in below.parts):
                continue
            is_result = results and os.path.realpath(file) in results
            if not _is_input_name(below):
                if not is_result and os.path.isfile(file) and self._is_new(file):
                    self._others.setdefault(folder, Counter())[_suffix(below) or "no suffix"] += 1
                continue
            empty = False
            if is_result:
                self._earlier[folder] += 1
            else:
                self._add_source(file, below)
        if (
            empty
            and len(self._search.unreadable) == unreadable
            and os.path.realpath(folder) not in self._search.results
        ):
            told = f"No picture or video {where}: name files with a suffix such as .jpg, .png or .mp4."
            self._faults.append((Path(item), told))

    def _files(self, folder: Path, found: Iterable[Path]) -> Iterator[Path]:
        for path in found:
            if not os.path.isdir(path):
                yield path
            elif path == folder or self._search.may_enter(path):
                yield from (p for p in self._search.find(path, EVERYTHING) if not os.path.isdir(p))

    def _add_file(self, path: Path) -> None:
        if not os.path.lexists(path):
            try:
                require_file(path, str(path), "file or folder")
            except UserError as error:
                self._faults.append((path, str(error)))
                return
        self._add_source(path, Path(path.name))

    def _add_source(self, file: Path, below: Path) -> None:
        if not self._is_new(file):
            return
        kind = "video" if _suffix(file) in VIDEO_SUFFIXES else "picture"
        self._sources.append(Source(kind, file, self._names.target(below, kind)))

    def _is_new(self, file: Path) -> bool:
        """Whether it did not come before, also through links to its folder; links to a file are files of their own."""
        folder = file.parent
        if folder not in self._real:
            self._real[folder] = str(folder) if "\0" in str(folder) else os.path.realpath(folder)
        key = self._real[folder], file.name
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new


def _suffix(path: Path) -> str:
    return path.suffix.strip().lower()


def _is_input_name(path: Path) -> bool:
    return _suffix(path) in SUFFIXES | VIDEO_SUFFIXES | UNREAD_SUFFIXES.keys()


def _is_camera(item: str) -> bool:
    return item.isdecimal() and not os.path.lexists(item)


def _camera_device(number: str) -> Path:
    if not sys.platform.startswith("linux"):
        raise UserError(f"Camera {number}: cameras are read on Linux alone; name a video file instead.")
    device = Path(f"/dev/video{number}")
    if not device.exists():
        raise UserError(f"No camera {number}: {device} does not exist; connect it or name a file.")
    return device


def _refuse_two_without_end(sources: list[Source]) -> None:
    """A web server's videos mostly have an end; which of them do is known once they are open."""
    endless = [
        s for s in sources if s.kind == "camera" or not scheme(s.address or "http://").startswith("http")
    ]
    if len(endless) > 1:
        raise UserError(
            f"{endless[1].name} is a second input without an end: name one, and run it on its own."
        )
