"""The optimiser of params.yaml and the learning rate of every step (method page, section 1.7)."""

from __future__ import annotations

from typing import Any

from segmentation_models_pytorch.encoders import TimmViTEncoder
from timm.models import group_parameters
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from pipeline.edge.errors import UserError
from pipeline.params.train import Optimiser


def build_optimiser(network: nn.Module, settings: Optimiser) -> Optimizer:
    """AdamW or SGD: `network.encoder` at `lr`, everything else at `lr * head_factor`.

    Encoder parameters with "norm" in their name are not decayed; all others are, biases included. With `layer_decay`
    each block of a ViT has that share of the rate of the block above it, and the last one has `lr`. Each group
    remembers its own rate as `base_lr`, for `set_learning_rate`; the first group is the encoder at `lr`.

    Raises:
        UserError: `layer_decay` for an encoder that is no ViT.
    """
    shares = _block_shares(network.get_submodule("encoder"), settings.layer_decay)
    groups: dict[tuple[str, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        kind, lr, weight_decay = "head", settings.lr * settings.head_factor, settings.weight_decay
        if name.startswith("encoder."):
            kind, lr = "encoder", settings.lr * shares.get(name, 1.0)
            if "norm" in name:
                kind, weight_decay = "encoder_norms", 0.0
        group = {"name": kind, "lr": lr, "base_lr": lr, "weight_decay": weight_decay, "params": []}
        groups.setdefault((kind, lr), group)["params"].append(parameter)
    ordered = sorted(groups.values(), key=lambda group: (group["name"] == "head", -group["lr"]))
    if settings.name == "sgd":
        return SGD(ordered, lr=settings.lr, momentum=0.9)  # paper
    return AdamW(ordered, lr=settings.lr, betas=(0.9, 0.999), fused=True)


def _block_shares(encoder: nn.Module, layer_decay: float | None) -> dict[str, float]:
    """Name of a ViT's parameter -> share of the encoder's rate; 1 for the last block, least for the embedding."""
    if layer_decay is None:
        return {}
    if not isinstance(encoder, TimmViTEncoder):
        raise UserError(
            f"train.optimiser.layer_decay {layer_decay} needs a ViT encoder (network.architecture: dpt), and this one "
            "has no blocks: set it to null"
        )
    vit: Any = encoder.model
    layers: Any = group_parameters(vit, vit.group_matcher(coarse=False), reverse=True)
    last = max(layers.values())
    return {f"encoder.model.{name}": layer_decay ** (last - layer) for name, layer in layers.items()}


def learning_rate(
    step: int,
    base: float,
    steps: int,
    warmup_steps: int,
    power: float = 1.0,
    warmup_ratio: float = 1e-6,
    minimum: float = 0.0,
) -> float:
    """The rate in force for `step` (from 0) of `steps`.

    Polynomial decay to `minimum`; during the warm-up it is scaled up from `warmup_ratio` besides.
    """
    rate = (base - minimum) * (1 - step / steps) ** power + minimum
    if step < warmup_steps:
        rate *= 1 - (1 - step / warmup_steps) * (1 - warmup_ratio)
    return rate


def set_learning_rate(
    optimiser: Optimizer, step: int, steps: int, settings: Optimiser, start_step: int = 0
) -> None:
    """Give every group of `build_optimiser` its rate for `step`; a clock that restarts does so at `start_step`."""
    if settings.restart:
        step, steps = (step, start_step) if step < start_step else (step - start_step, steps - start_step)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, group["base_lr"], steps, settings.warmup_steps, settings.power)
