"""Weights from local .safetensors files, checked: never a silent random start."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.edge.errors import UserError


def file_sha256(path: Path) -> str:
    """Checksum of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def load_encoder_weights(encoder: nn.Module, path: Path, sha256: str | None) -> None:
    """Load pretrained encoder weights; keys beyond the encoder's own (a classifier) are left out.

    smp's own encoders take the file's keys as they are, its timm encoders (`tu-`) below `model.`.

    Raises:
        UserError: the file is missing, has another checksum, or does not fill every tensor of the encoder.
    """
    tensors = _read(path)
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        raise UserError(
            f"{path}: its sha256 is {found}, network.sha256 asks for {sha256}: fetch the right file"
        )
    wanted = {k: v for k, v in encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    layouts = [tensors, {f"model.{k}": v for k, v in tensors.items()}]
    matched = max((_matching(wanted, layout) for layout in layouts), key=len)
    if len(matched) < len(wanted):
        share = 100 * len(matched) / len(wanted)
        raise UserError(
            f"{path}: only {len(matched)} of {len(wanted)} encoder tensors match ({share:.0f} %): "
            "these are the weights of another encoder; set network.weights to a file for network.encoder"
        )
    # torch's own loader: smp overrides load_state_dict for some encoders and drops `strict`.
    nn.Module.load_state_dict(encoder, matched, strict=False)


def _matching(wanted: dict[str, torch.Tensor], offered: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: offered[k] for k, v in wanted.items() if k in offered and offered[k].shape == v.shape}


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a network's tensors, beside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, beside)
    os.replace(beside, path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load what `save_weights` wrote; every tensor must fit.

    Raises:
        UserError: the file is missing or belongs to another network.
    """
    tensors = _read(path)
    wanted = model.state_dict()
    matched = _matching(wanted, tensors)
    if len(matched) < len(wanted):
        raise UserError(
            f"{path}: only {len(matched)} of {len(wanted)} tensors match network.* of the params: train again"
        )
    nn.Module.load_state_dict(model, matched)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: set the path of the weights or train first") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a readable .safetensors file: {error}") from None
