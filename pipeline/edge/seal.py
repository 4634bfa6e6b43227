"""The hashes in a manifest against the file that holds it: is this what was exported?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.edge.checksum import ModelFile, manifest_sha256
from pipeline.edge.errors import BadModel
from pipeline.edge.manifest import METADATA_KEY, Manifest

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


def manifest_of(file: ModelFile) -> Manifest:
    """The manifest in a file, every key as it should be. Raises BadModel."""
    if not file.manifest:
        raise BadModel(
            f"{file.path} holds no manifest (metadata key {METADATA_KEY}); export it with mic-adapt."
        )
    return Manifest.from_json(file.manifest, str(file.path))


def hash_checks(file: ModelFile, manifest: Manifest) -> Iterator[Check]:
    """Of the graph, and of the manifest; together they cover every byte of the file."""
    yield _graph_hash(file, manifest)
    yield _manifest_hash(file, manifest)


def refuse_changed(file: ModelFile, manifest: Manifest) -> str | None:
    """Raises BadModel for a file that is not what was exported; a sentence for one that cannot tell."""
    unknown = None
    for check in hash_checks(file, manifest):
        if check.holds is False:
            raise BadModel(
                f"{file.path} is not what was exported: {check.detail}, or run it as it is with --no-verify."
            )
        if check.holds is None:
            unknown = f"{file.path}: a damaged or edited copy would go unnoticed, for {check.detail}."
    return unknown


def _graph_hash(file: ModelFile, manifest: Manifest) -> Check:
    name = "graph hash"
    stored, found = manifest.hashes["onnx"], file.graph_sha256
    if stored is None:
        return Check(name, False, "hashes.onnx is null; export the model again")
    if stored != found:
        return Check(name, False, f"{found} is not hashes.onnx {stored}; copy or export it again")
    return Check(name, True, found)


def _manifest_hash(file: ModelFile, manifest: Manifest) -> Check:
    name = "manifest hash"
    unknown = sorted(set(manifest.hashes) - _HASHES)
    if unknown:  # one letter changed in the key itself must not pass for a manifest without it
        return Check(name, False, f"hashes.{unknown[0]} is no known key; copy or export the model again")
    if (
        file.manifest != manifest.to_json()
    ):  # 1e-05 made 1E-05, or a space a tab: the same values in other bytes
        return Check(name, False, "the manifest is not written as it was exported; copy the model again")
    stored, found = manifest.hashes.get("manifest"), manifest_sha256(manifest.raw)
    if stored is None:
        return Check(name, None, "the manifest holds no hashes.manifest; export the model again to have it")
    if stored != found:
        return Check(
            name, False, f"{found} is not hashes.manifest {stored}: the manifest was edited; copy it again"
        )
    return Check(name, True, found)
