"""AdamW with a faster head, and the learning rate of every step (method page, section 1.7)."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW, Optimizer


def build_optimiser(network: nn.Module, lr: float, head_factor: float, weight_decay: float) -> AdamW:
    """AdamW for an smp network: `network.encoder` at `lr`, everything else at `lr * head_factor`.

    Encoder parameters with "norm" in their name are not decayed; all others are, biases included. Each group
    remembers its own rate as `base_lr`, for `set_learning_rate`.
    """
    encoder, norms, head = [], [], []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if not name.startswith("encoder."):
            head.append(parameter)
        elif "norm" in name:
            norms.append(parameter)
        else:
            encoder.append(parameter)
    head_lr = lr * head_factor
    groups = [
        {"params": encoder, "name": "encoder", "lr": lr, "base_lr": lr},
        {"params": norms, "name": "encoder_norms", "lr": lr, "base_lr": lr, "weight_decay": 0.0},
        {"params": head, "name": "head", "lr": head_lr, "base_lr": head_lr},
    ]
    groups = [group for group in groups if group["params"]]
    return AdamW(groups, lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay, fused=True)


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
    optimiser: Optimizer, step: int, steps: int, warmup_steps: int, power: float = 1.0
) -> None:
    """Give every group of `build_optimiser` its rate for `step`."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, group["base_lr"], steps, warmup_steps, power)
