"""Weights from local files, checked: never a silent random start.

Encoders read the layouts in which their weights are published: SegFormer's MiT files, timm's, torchvision's and
open-mmlab's, bare or inside a whole segmenter.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from segmentation_models_pytorch.encoders import TimmViTEncoder
from torch import Tensor, nn

from pipeline.edge.errors import UserError
from pipeline.run.files import write_bytes

Tensors = dict[str, Tensor]
PREFIXES = ("", "module.", "backbone.", "encoder.")  # plain, DDP, mmseg, this project
# The deep stem of open-mmlab's "v1c" ResNets -> the names timm gives it.
V1C_STEM = re.compile(r"^stem\.(?:7|([01346]))\.")


def file_sha256(path: Path) -> str:
    """Checksum of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def load_encoder_weights(encoder: nn.Module, path: Path, sha256: str | None) -> None:
    """Load pretrained encoder weights, .safetensors or a torch file of tensors alone (.pth, .pt).

    Keys beyond the encoder's own (a classifier, a decoder) are left out. Position embeddings and patches of another
    size are resampled as timm does it.

    Raises:
        UserError: the file is missing, has another checksum, holds more than tensors, or does not fill every tensor
            of the encoder.
    """
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: set network.weights to the file, to `timm` or a name of smp's for those on the "
            "hub, or to null for a random start"
        )
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        raise UserError(
            f"{path}: its sha256 is {found}, network.sha256 asks for {sha256}: fetch the right file"
        )
    wanted = {k: v for k, v in encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    matched = max((_matching(wanted, layout) for layout in _layouts(encoder, _read(path))), key=len)
    if len(matched) < len(wanted):
        share = 100 * len(matched) / len(wanted)
        raise UserError(
            f"{path}: only {len(matched)} of {len(wanted)} encoder tensors match ({share:.0f} %): "
            "these are the weights of another encoder; set network.weights to a file for network.encoder"
        )
    # torch's own loader: smp overrides load_state_dict for some encoders and drops `strict`.
    nn.Module.load_state_dict(encoder, matched, strict=False)


def _layouts(encoder: nn.Module, tensors: Tensors) -> Iterator[Tensors]:
    """The tensors under every naming that the encoder may use for them."""
    for prefix in PREFIXES:
        inner = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        yield inner  # smp's own encoders
        # smp keeps a timm network below `model.`
        if isinstance(encoder, TimmViTEncoder):
            # timm's loader of this family: it resamples positions and patches.
            family = importlib.import_module(type(encoder.model).__module__)
            inner = getattr(family, "checkpoint_filter_fn", lambda tensors, _: tensors)(inner, encoder.model)
        yield {f"model.{k}": v for k, v in inner.items()}
        # timm flattens stages of some: stages.0.x -> stages_0.x
        yield {"model." + re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", k): v for k, v in inner.items()}
        yield {"model." + V1C_STEM.sub(_timm_stem, k): v for k, v in inner.items()}


def _timm_stem(name: re.Match[str]) -> str:
    return f"conv1.{name[1]}." if name[1] else "bn1."


def _matching(wanted: Tensors, offered: Tensors) -> Tensors:
    return {k: offered[k] for k, v in wanted.items() if k in offered and offered[k].shape == v.shape}


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a network's tensors, beside and renamed."""
    # Written by Python, whose error of a full disk has a number.
    content = save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()})
    write_bytes(path, content)


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


def _read(path: Path) -> Tensors:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: set the path of the weights or train first") from None
    except Exception:  # on a broken file the unpickler raises anything
        raise UserError(
            f"{path} is broken or holds more than tensors: fetch it again, or save its state_dict as .safetensors"
        ) from None
    return _unwrapped(content)


def _unwrapped(content: Any) -> Tensors:
    """The tensors of a torch file, which training frameworks keep below `state_dict` or `model`."""
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        return {}
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
