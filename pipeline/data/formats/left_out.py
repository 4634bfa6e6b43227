"""What a folder holds beside the pictures that are listed, one sentence for each kind."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from pipeline.data.folder import Walked
from pipeline.data.formats.listing import Listing, some
from pipeline.edge.images import SUFFIXES
from pipeline.edge.unread import UNREAD_SUFFIXES, VIDEO_SUFFIXES

# Pictures, films, arrays and archives that nothing here decodes.
_UNREAD = VIDEO_SUFFIXES | frozenset(
    {*UNREAD_SUFFIXES, ".eps", ".pdf", ".raw", ".svg"}
    | {".npy", ".npz", ".mat", ".h5", ".hdf5", ".lmdb", ".tfrecord", ".7z", ".bz2", ".gz", ".rar"}
    | {".tar", ".tgz", ".xz", ".zip", ".zst"}
)
_NO_PICTURES = frozenset(
    {".cfg", ".csv", ".db", ".geojson", ".html", ".ini", ".ipynb", ".json", ".jsonl", ".log", ".md"}
    | {".pickle", ".pkl", ".py", ".sh", ".toml", ".tsv", ".txt", ".xml", ".xmp", ".yaml", ".yml"}
)
_LONGEST_PATH = 4096
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"BM")
"""First bytes of JPEG, PNG, GIF, TIFF and BMP; WebP, HEIC and AVIF have theirs further on."""


def report_left_out(walked: Walked, key: str, listing: Listing, pictures: bool = True) -> None:
    """Problems: what cannot be reached. Warnings: hidden files and, of `pictures`, all that are not listed."""
    if walked.closed:
        listing.problems.append(
            f"{key}: {_count(walked.closed, 'folder')} cannot be opened ({_some(walked.closed)}): check the "
            "permissions"
        )
    if walked.broken:
        listing.problems.append(
            f"{key}: {_count(walked.broken, 'link')} to nowhere ({_some(walked.broken)}): mount the disk that "
            "it leads to, or remove it"
        )
    if walked.odd:
        listing.problems.append(
            f"{key}: {_count(walked.odd, 'entry', 'entries')} named like a picture but no file "
            f"({_some(walked.odd)}): remove it"
        )
    if walked.hidden:
        places = ", ".join(f"{name} {n}" for name, n in walked.hidden.most_common(6))
        listing.warnings.append(
            f"{key}: {walked.hidden.total()} hidden pictures and thumbnails are left out ({places})"
        )
    if pictures:
        _report_pictures(walked, key, listing)


def _report_pictures(walked: Walked, key: str, listing: Listing) -> None:
    if walked.repeated:
        listing.warnings.append(
            f"{key}: {_count(walked.repeated, 'link')} to a folder that is listed under another name "
            f"({_some(walked.repeated)}), so its pictures count once"
        )
    unread: Counter[str] = Counter()
    unnamed: list[str] = []
    links: list[str] = []
    for name, path in walked.files.items():
        suffix = path.suffix.lower()
        if suffix in SUFFIXES or suffix in _NO_PICTURES:
            continue
        if suffix in _UNREAD:
            unread[suffix] += 1
        else:
            start = _start(path)
            if _is_picture(start):
                unnamed.append(name)
            elif _is_link(start, path):
                links.append(name)
    if unread:
        kinds = ", ".join(f"{suffix} {n}" for suffix, n in unread.most_common(6))
        listing.warnings.append(
            f"{key}: {unread.total()} files of kinds that are not read are left out ({kinds}): save pictures as "
            "PNG or JPEG, films as pictures, and unpack archives"
        )
    if unnamed:
        listing.warnings.append(
            f"{key}: {len(unnamed)} pictures are left out because their names do not end like a picture's "
            f"({some(unnamed)}): name them .jpg or .png"
        )
    if links:
        listing.warnings.append(
            f"{key}: {len(links)} links were copied as text and are not followed ({some(links)}): copy what they "
            "lead to"
        )


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_PATH)
    except OSError:
        return b""


def _is_picture(start: bytes) -> bool:
    return (
        start.startswith(_STARTS) or start[4:8] == b"ftyp" or (start[:4], start[8:12]) == (b"RIFF", b"WEBP")
    )


def _is_link(start: bytes, path: Path) -> bool:
    """Whether a file's content is the path of another file or folder, which is how git and others store links."""
    if b"\0" in start or not 0 < len(start) < _LONGEST_PATH:
        return False
    return start.strip() != b"" and os.path.exists(path.parent / os.fsdecode(start.strip()))


def _count(paths: list[Path], one: str, more: str | None = None) -> str:
    return f"{len(paths)} {one if len(paths) == 1 else more or one + 's'}"


def _some(paths: list[Path]) -> str:
    return some([str(path) for path in paths], 3)
