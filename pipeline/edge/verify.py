"""`mic-edge verify`: is a model file what was exported, and does it still answer the same here?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.edge.checksum import embedded_manifest, graph_sha256, manifest_sha256
from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import METADATA_KEY, Manifest
from pipeline.edge.runtime import Prepared, Segmenter
from pipeline.edge.sample import compare, sample_image

_HASHES = {"onnx", "manifest", "params", "data_index", "git_commit"}


@dataclass(frozen=True)
class Check:
    """One check: `holds` is None where it could not be made."""

    name: str
    holds: bool | None
    detail: str

    def __str__(self) -> str:
        word = {True: "ok", False: "failed", None: "not made"}[self.holds]
        return f"{word:<9} {self.name:<16} {self.detail}"


def verify(path: Path) -> Iterator[Check]:
    """All checks in order; what cannot be asked after a failure is left out. Raises BadModel for no such file."""
    if not path.is_file():
        raise BadModel(f"No such model: {path}; check the path.")
    yield from file_checks(path)
    yield from answer_checks(path)


def file_checks(path: Path) -> Iterator[Check]:
    """Of the bytes alone: the manifest and the hashes in it. Quick, and needs no onnxruntime."""
    try:
        text = embedded_manifest(path)
        if not text:
            raise BadModel(f"{path} holds no manifest (metadata key {METADATA_KEY}); export it again.")
        manifest = Manifest.from_json(text, str(path))
    except BadModel as error:
        yield Check("manifest schema", False, str(error))
        return
    yield Check(
        "manifest schema", True, f"version {manifest.raw['schema_version']}, every key as it should be"
    )
    yield _graph_hash(path, manifest)
    yield _manifest_hash(manifest, text)
    beside = path.with_suffix(".json")
    if beside.exists():
        same = beside.read_bytes().replace(b"\r\n", b"\n") == text.encode()
        yield Check(
            "manifest beside", same, f"{beside} is {'the same' if same else 'another; copy both again'}"
        )
    else:
        yield Check("manifest beside", None, f"{beside} does not exist")


def answer_checks(path: Path) -> Iterator[Check]:
    """Of the graph in onnxruntime on the CPU: its inputs and outputs, and its answer to the stored sample."""
    try:
        segmenter = Segmenter(path)
    except BadModel as error:
        yield Check("graph contract", False, str(error))
        return
    yield Check("graph contract", True, "image in, classes and confidence out")
    sample = segmenter.manifest.sample
    if sample is None:
        yield Check("parity sample", None, "the manifest holds none; export the model again to have one")
        return
    try:
        pixels = sample_image(sample)
        raw = segmenter.run(Prepared(pixels[None], pixels.shape[:2], pixels.shape[:2], 0.0))
        replay = compare(sample, raw.classes, raw.confidence)
    except (ValueError, OSError, BadModel) as error:
        yield Check("parity sample", False, f"it cannot be run again ({error})")
        return
    yield Check("parity sample", replay.holds, str(replay))


def _graph_hash(path: Path, manifest: Manifest) -> Check:
    stored, found = manifest.hashes["onnx"], graph_sha256(path)
    if stored is None:
        return Check("graph hash", False, "hashes.onnx is null; export the model again")
    if stored != found:
        return Check("graph hash", False, f"{found} is not hashes.onnx {stored}; copy or export it again")
    return Check("graph hash", True, found)


def _manifest_hash(manifest: Manifest, text: str) -> Check:
    name = "manifest hash"
    unknown = sorted(set(manifest.hashes) - _HASHES)
    if unknown:  # one letter changed in the key itself must not pass for a manifest without it
        return Check(name, False, f"hashes.{unknown[0]} is no known key; copy or export the model again")
    if text != manifest.to_json():  # 1e-05 made 1E-05, or a space a tab: the same values in other bytes
        return Check(name, False, "the manifest is not written as it was exported; copy the model again")
    stored, found = manifest.hashes.get("manifest"), manifest_sha256(manifest.raw)
    if stored is None:
        return Check(name, None, "the manifest holds no hashes.manifest; export the model again to have it")
    if stored != found:
        return Check(name, False, f"{found} is not hashes.manifest {stored}: the manifest was edited")
    return Check(name, True, found)
