"""Checksums of a model file and its manifest, read from the file's bytes: a byte that changes anywhere is noticed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import METADATA_KEY

# Field numbers of ModelProto and of its metadata entries (onnx.proto).
_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2

_CHUNK = 1 << 20


def graph_sha256(path: Path) -> str:
    """sha256 of all top-level fields as they lie in the file, without the manifest, which holds this hash.

    Raises BadModel for a file that is no protobuf of an ONNX model.
    """
    return _read(path)[0]


def embedded_manifest(path: Path) -> str | None:
    """The manifest's text as it lies in the file, None where there is none. Raises BadModel as above."""
    return _read(path)[1]


def manifest_sha256(raw: dict[str, Any]) -> str:
    """sha256 of the manifest as canonical JSON in which hashes.manifest, the place of this hash, is null."""
    bare = {**raw, "hashes": {**raw["hashes"], "manifest": None}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> tuple[str, str | None]:
    digest = hashlib.sha256()
    manifest: bytes | None = None
    numbers: set[int] = set()
    try:
        with path.open("rb") as file:
            for number, head, length in _fields(file, path.stat().st_size):
                numbers.add(number)
                if number != _METADATA:
                    digest.update(head)
                    for at in range(0, length, _CHUNK):
                        digest.update(file.read(min(_CHUNK, length - at)))
                    continue
                content = file.read(length)
                entry = _entry(content)
                if entry.get(_KEY) != METADATA_KEY.encode():
                    digest.update(head + content)
                elif manifest is None:
                    manifest = entry.get(_VALUE, b"")
                else:
                    raise ValueError("it holds two manifests")
        if _GRAPH not in numbers:
            raise ValueError("it holds no graph")
        return digest.hexdigest(), None if manifest is None else manifest.decode()
    except FileNotFoundError:
        raise BadModel(f"No such model: {path}; check the path.") from None
    except OSError as error:
        raise BadModel(f"{path} cannot be read ({error.strerror}): check the path.") from None
    except ValueError as error:
        raise BadModel(f"{path} is no sound ONNX file ({error}); copy or export it again.") from None


def _entry(content: bytes) -> dict[int, bytes]:
    """Key and value of a metadata entry."""
    file = io.BytesIO(content)
    return {number: file.read(length) for number, _, length in _fields(file, len(content))}


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes, int]]:
    """(number, bytes of tag and length, bytes that follow) of each field; the caller reads what follows."""
    while first := file.read(1):
        tag, head = _varint(file, first)
        wire_type = tag & 7
        if wire_type == 0:
            head += _varint(file, file.read(1))[1]
            length = 0
        elif wire_type == 2:
            length, more = _varint(file, file.read(1))
            head += more
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type} at byte {file.tell()}")
        if file.tell() + length > size:
            raise ValueError("it is cut short")
        yield tag >> 3, head, length


def _varint(file: BinaryIO, first: bytes) -> tuple[int, bytes]:
    value, raw = 0, b""
    byte = first
    while byte:
        value |= (byte[0] & 0x7F) << 7 * len(raw)
        raw += byte
        if byte[0] < 0x80:
            return value, raw
        if len(raw) == 10:
            raise ValueError(f"a number of more than 64 bits at byte {file.tell()}")
        byte = file.read(1)
    raise ValueError("it is cut short")
