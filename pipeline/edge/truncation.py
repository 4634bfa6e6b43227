"""Videos cut short, told by their outermost structure: what it says there is against the bytes that there are.

Each format is read as far as its boxes, chunks or packets need; nothing is decoded. Recordings whose sizes were never
filled in (0, or Matroska's "unknown") say nothing of themselves, and neither does a stream that ends between packets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_ASF = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
_ASF_FILE_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_ASF_LIVE = 1
_RIFF_SLACK = 8  # some writers count the chunk's own header
_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx")
_BOX_HEADER = 8
_EBML, _SEGMENT, _CLUSTER, _VOID = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xEC
_TS_SYNC = 0x47
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
"""Bytes of a packet and where in it the sync byte stands."""


def missing_bytes(path: Path) -> int:
    """How many bytes the file lacks at least, by its own account; 0 where it lacks none or does not tell."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2048)
        return max(0, _stated_end(head)(file, size) - size)


def _stated_end(head: bytes) -> Callable[[BinaryIO, int], int]:
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _riff
    if head[4:8] in _BOXES:
        return _boxes
    if head[:4] == _EBML.to_bytes(4):
        return _ebml
    if head[:16] == _ASF:
        return _asf
    if head[:4] == b"OggS":
        return _ogg
    for length, sync in _TS_PACKETS:
        if len(head) > 4 * length and all(head[sync + i * length] == _TS_SYNC for i in range(4)):
            return lambda file, size: _packets(file, size, length, sync)
    return lambda file, size: 0


def _riff(file: BinaryIO, size: int) -> int:
    """An AVI is one RIFF chunk or, above a gigabyte, several."""
    end = 0
    while (header := _at(file, end, 8))[:4] == b"RIFF" and len(header) == 8:
        length = int.from_bytes(header[4:], "little")
        if length in (0, 0xFFFFFFFF):
            return 0
        end += 8 + length + length % 2
        if end - _RIFF_SLACK > size:
            return end
    return 0


def _boxes(file: BinaryIO, size: int) -> int:
    """MP4, MOV and their kin: boxes of a length, a name and, above 4 GB, a longer length."""
    end = 0
    while (header := _at(file, end, 16))[4:8] in _BOXES:
        length = int.from_bytes(header[:4])
        if length == 1:
            length = int.from_bytes(header[8:16])
        if length < 8:  # 0: to the end of the file
            return 0
        end += length
    return end + _BOX_HEADER if len(header) < _BOX_HEADER and any(header) else end


def _ebml(file: BinaryIO, size: int) -> int:
    """Matroska and WebM; of elements of unknown size, those inside are read."""
    position, inside = 0, False
    while position < size:
        key, start = _number(file, position, keep_marker=True)
        length, start = _number(file, start)
        if not inside and key not in (_EBML, _SEGMENT, _VOID):
            return 0  # what was hung on behind is no part of the video
        if length is None:
            if key not in (_SEGMENT, _CLUSTER):
                return 0
            position, inside = start, True
        else:
            position = start + length
    return position


def _number(file: BinaryIO, position: int, keep_marker: bool = False) -> tuple[int | None, int]:
    """EBML's number of 1 to 8 bytes (None: unknown) and where it ends."""
    data = _at(file, position, 8)
    width = 9 - data[0].bit_length() if data and data[0] else 8
    value = int.from_bytes(data[:width])
    if keep_marker:
        return value, position + width
    ones = (1 << 7 * width) - 1
    return (None if value & ones == ones else value & ones), position + width


def _asf(file: BinaryIO, size: int) -> int:
    head = _at(file, 0, 1 << 16)
    start = head.find(_ASF_FILE_PROPERTIES)
    if start < 0 or len(head) < start + 92:
        return 0
    live = int.from_bytes(head[start + 88 : start + 92], "little") & _ASF_LIVE
    return 0 if live else int.from_bytes(head[start + 40 : start + 48], "little")


def _ogg(file: BinaryIO, size: int) -> int:
    """The last page; one is at most 65 307 bytes."""
    begin = max(0, size - 65307)
    tail = _at(file, begin, 65307)
    start = tail.rfind(b"OggS")
    header = tail[start : start + 27]
    if start < 0 or len(header) < 27:
        return size + 1 if start >= 0 else 0
    lacing = tail[start + 27 : start + 27 + header[26]]
    return begin + start + 27 + header[26] + sum(lacing)


def _packets(file: BinaryIO, size: int, length: int, sync: int) -> int:
    """A transport stream: whole packets, the last one too; what follows them without a sync byte is none."""
    rest = size % length
    partial = _at(file, size - rest, rest)
    return size - rest + length if len(partial) > sync and partial[sync] == _TS_SYNC else 0


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)
