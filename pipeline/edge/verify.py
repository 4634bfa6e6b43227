"""`mic-edge verify`: is a model file what was exported, and does it still answer the same here?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.edge.checksum import read_model
from pipeline.edge.errors import BadModel
from pipeline.edge.runtime import Segmenter
from pipeline.edge.seal import Check, hash_checks, manifest_of


def verify(path: Path, provider: str = "cpu", precision: str = "f32") -> Iterator[Check]:
    """All checks in order; what cannot be asked after a failure is left out.

    Raises BadModel for no such file, and what Segmenter raises for a provider or precision that does not run here.
    """
    if not os.path.isfile(path):
        raise BadModel(f"No such model: {path}; check the path.")
    yield from file_checks(path)
    yield from answer_checks(path, provider, precision)


def file_checks(path: Path) -> Iterator[Check]:
    """Of the bytes alone: the manifest and the hashes in it. Quick, and needs no onnxruntime."""
    try:
        file = read_model(path)
        manifest = manifest_of(file)
    except BadModel as error:
        yield Check("manifest schema", False, str(error))
        return
    yield Check(
        "manifest schema", True, f"version {manifest.raw['schema_version']}, every key as it should be"
    )
    yield from hash_checks(file, manifest)
    beside = path.with_suffix(".json")
    if beside.exists():
        same = beside.read_bytes().replace(b"\r\n", b"\n") == (file.manifest or "").encode()
        yield Check(
            "manifest beside", same, f"{beside} is {'the same' if same else 'another; copy both again'}"
        )
    else:
        yield Check("manifest beside", None, f"{beside} does not exist")


def answer_checks(path: Path, provider: str = "cpu", precision: str = "f32") -> Iterator[Check]:
    """Of the graph as it runs here: its inputs and outputs, and its answer to the stored sample."""
    try:
        segmenter = Segmenter(path, provider, precision=precision, verify=False)
    except BadModel as error:
        yield Check("graph contract", False, str(error))
        return
    yield Check("graph contract", True, "image in, classes and confidence out")
    name = "parity sample"
    try:
        replay = segmenter.replay()
    except (ValueError, OSError, BadModel) as error:
        yield Check(name, False, f"it cannot be run again ({error})")
        return
    if replay is None:
        yield Check(name, None, "the manifest holds none; export the model again to have one")
    else:
        yield Check(name, replay.holds, f"{replay}, by {segmenter.provider} in {segmenter.precision}")
