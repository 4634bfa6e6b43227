"""Checksums of a model file and its manifest, read from the file's bytes: a byte that changes anywhere is noticed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import METADATA_KEY

# Field numbers of ModelProto and of its metadata entries (onnx.proto).
_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2

_LARGEST = 2**31  # a protobuf holds no more


@dataclass(frozen=True)
class ModelFile:
    """An .onnx file, read once: the bytes that are hashed are the bytes that are loaded."""

    path: Path
    content: bytes = field(repr=False)
    graph_sha256: str
    """Of all top-level fields as they lie in the file, without the manifest, which holds this hash."""
    manifest: str | None
    """The manifest's text as it lies in the file; None where there is none."""


def read_model(path: Path) -> ModelFile:
    """Raises BadModel for a file that is no protobuf of an ONNX model, or that holds two manifests."""
    try:
        if not path.exists():
            raise BadModel(f"No such model: {path}; check the path.")
        if not path.is_file():
            raise BadModel(f"{path} is no file: name the .onnx file.")
        if path.stat().st_size >= _LARGEST:
            raise ValueError("it is larger than 2 GiB")
        content = path.read_bytes()
        return ModelFile(path, content, *_read(content))
    except OSError as error:
        raise BadModel(f"{path} cannot be read ({error.strerror}): check the path.") from None
    except ValueError as error:
        raise BadModel(f"{path} is no sound ONNX file ({error}); copy or export it again.") from None


def graph_sha256(path: Path) -> str:
    """See ModelFile. Raises BadModel as read_model does."""
    return read_model(path).graph_sha256


def embedded_manifest(path: Path) -> str | None:
    """See ModelFile. Raises BadModel as read_model does."""
    return read_model(path).manifest


def manifest_sha256(raw: dict[str, Any]) -> str:
    """sha256 of the manifest as canonical JSON in which hashes.manifest, the place of this hash, is null."""
    bare = {**raw, "hashes": {**raw["hashes"], "manifest": None}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """The manifest with the hash of the graph in the file at `path` and its own."""
    new = {**raw, "hashes": {**raw["hashes"], "onnx": graph_sha256(path), "manifest": None}}
    new["hashes"]["manifest"] = manifest_sha256(new)
    return new


def _read(content: bytes) -> tuple[str, str | None]:
    digest = hashlib.sha256()
    manifest: bytes | None = None
    numbers: set[int] = set()
    file = io.BytesIO(content)
    for number, head, length in _fields(file, len(content)):
        numbers.add(number)
        begin = file.tell()
        field = memoryview(content)[begin : begin + length]
        file.seek(begin + length)
        entry = _entry(bytes(field)) if number == _METADATA else {}
        if entry.get(_KEY) != METADATA_KEY.encode():
            digest.update(head)
            digest.update(field)
        elif manifest is None:
            manifest = entry.get(_VALUE, b"")
        else:
            raise ValueError("it holds two manifests")
    if _GRAPH not in numbers:
        raise ValueError("it holds no graph")
    return digest.hexdigest(), None if manifest is None else manifest.decode()


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
