"""What a stage finds of an earlier one, cut short or damaged, and a disk that fills while it writes."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.compare import _read_confusions
from pipeline.data.index import Record, read_index, write_index
from pipeline.edge.errors import UserError
from pipeline.networks.weights import load_weights, save_weights
from pipeline.run.files import read_json, write_json
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint

STATE = {"fingerprint": "a", "step": 4, "student": {"w": torch.ones(50)}}
KINDS = ("checkpoint", "weights", "metrics", "index", "confusion")


def write(kind: str, folder: Path) -> Path:
    if kind == "checkpoint":
        save_checkpoint(folder, STATE)
        return folder / "last.pt"
    path = folder / {"weights": "s.safetensors", "metrics": "m.json", "index": "i.jsonl"}.get(kind, "e.npz")
    if kind == "weights":
        save_weights(nn.Linear(4, 4), path)
    elif kind == "metrics":
        write_json(path, {"target": {"miou": 0.5}})
    elif kind == "index":
        write_index(path, [Record("ä.png", None, "target", "train", "night", 4, 4, None, "0")])
    else:
        np.savez_compressed(path, target=np.zeros((2, 19, 19)), target_images=np.array(["a", "b"]))
    return path


def read(kind: str, path: Path) -> Any:
    if kind == "checkpoint":
        return load_checkpoint(path.parent, "a")
    if kind == "weights":
        return load_weights(nn.Linear(4, 4), path)
    if kind == "metrics":
        return read_json(path, "python -m pipeline.evaluate --method mic")
    return read_index(path) if kind == "index" else _read_confusions(path, "mic")


@pytest.mark.parametrize("kind", KINDS)
@given(st.floats(0.01, 0.9), st.sampled_from([b"", b"\xff"]))
def test_cut_short_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, kind: str, share: float, tail: bytes
) -> None:
    path = write(kind, tmp_path_factory.mktemp(kind))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))] + tail)
    if path.stat().st_size == 0 and kind == "index":
        return
    with pytest.raises(UserError) as caught:
        read(kind, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["checkpoint", "weights"])
def test_a_full_disk_leaves_the_earlier_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(kind, tmp_path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write(kind, tmp_path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_another_kind_of_torch_file_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "last.pt")
    with pytest.raises(UserError, match="delete it to start afresh"):
        load_checkpoint(tmp_path, "a")


def test_empty_metrics(tmp_path: Path) -> None:
    (tmp_path / "m.json").touch()
    with pytest.raises(UserError, match="damaged or cut short"):
        read_json(tmp_path / "m.json", "x")
