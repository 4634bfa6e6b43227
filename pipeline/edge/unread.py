"""Files that are known and no picture to read: they are told apart from damaged ones, with what to do."""

from __future__ import annotations

from pathlib import Path

_RAW = "a camera's raw file"
UNREAD_SUFFIXES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
    **dict.fromkeys((".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".nef", ".nrw"), _RAW),
    **dict.fromkeys((".orf", ".pef", ".raf", ".rw2", ".rwl", ".srw", ".x3f"), _RAW),
    **dict.fromkeys((".hdp", ".jxr", ".wdp"), "JPEG XR"),
    ".dds": "a texture",
    ".dib": "a bitmap without header",
    ".exr": "OpenEXR",
    ".hdr": "Radiance HDR",
    ".ico": "an icon",
    ".jxl": "JPEG XL",
    ".pam": "PAM",
    ".pcx": "PCX",
    ".psd": "a Photoshop file",
    ".qoi": "QOI",
    ".sgi": "SGI",
    ".tga": "TGA",
}
"""What they are."""

_VIDEO = "a video"
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".lrv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
_BEGINNINGS = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"8BPS", "a Photoshop file"),
    (b"v/1\x01", "OpenEXR"),
    (b"%PDF", "a PDF"),
    (b"<", "text, perhaps a web page"),
    (b"version https://git-lfs", "a pointer of Git LFS (git lfs pull fetches the file)"),
    (b"\x1a\x45\xdf\xa3", _VIDEO),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_raw(path: Path) -> bool:
    """Many raw files begin as a TIFF does, whose first picture is a thumbnail."""
    return UNREAD_SUFFIXES.get(path.suffix.lower()) == _RAW


def known_as(path: Path | None, head: bytes) -> str | None:
    """What a file is by its first 16 bytes or else its suffix; None where neither tells."""
    if head[4:8] == b"ftyp":
        return "HEIC" if head[8:12] in _HEIC_BRANDS else "AVIF" if head[8:12] == b"avif" else _VIDEO
    by_content = next((what for beginning, what in _BEGINNINGS if head.startswith(beginning)), None)
    return by_content or (UNREAD_SUFFIXES.get(path.suffix.lower()) if path else None)
