"""The detector of params.yaml over any smp or timm encoder, with its weights."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from segmentation_models_pytorch.encoders import encoders, get_encoder
from torch import nn

from pipeline.edge.errors import UserError
from pipeline.networks.hub import hub_weights
from pipeline.networks.weights import load_encoder_weights
from pipeline.params.detection import DetectorNetwork
from pipeline.tasks.detection.detector import Detector


def build_detector(network: DetectorNetwork, classes: int, pretrained: bool = True) -> Detector:
    """Build the network for `classes` classes; what has no weights starts from torch's generator.

    Raises:
        UserError: an unknown encoder, one without four stages, or weights that do not match or cannot be had.
    """
    encoder = _encoder(network.encoder)
    if pretrained and network.weights is not None:
        path = network.weights if network.hub_name is None else hub_weights(network.encoder, network.hub_name)
        load_encoder_weights(encoder, path, network.sha256)
    freeze_stages(encoder, network.frozen_stages)
    return Detector(encoder, encoder.out_channels[-4:], network, classes)


def freeze_stages(encoder: Any, stages: int) -> None:
    """Take the parameters up to the `stages`-th halving of the picture from training.

    They are those that this stage's output depends on, so no encoder needs to say how it names its stages.
    """
    if not stages:
        return
    was_training = encoder.training
    encoder.eval()(torch.zeros(1, 3, 64, 64))[stages].sum().backward()
    encoder.train(was_training)
    for parameter in encoder.parameters():
        if parameter.grad is not None:
            parameter.requires_grad_(False)
        parameter.grad = None


def _encoder(name: str) -> Any:
    known = timm.is_model(name[3:]) if name.startswith("tu-") else name in encoders
    if not known:
        names = [*encoders, *(f"tu-{model}" for model in timm.list_models())]
        near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or ["resnet50", "mobilenet_v2"]
        raise UserError(
            f"network.encoder {name!r} is unknown to smp and timm: did you mean {', '.join(near)}?"
        )
    try:
        encoder: Any = get_encoder(name, weights=None)
        if _strides(encoder)[-4:] == [4, 8, 16, 32]:
            return encoder
    except (AssertionError, RuntimeError, TypeError, ValueError):  # smp on encoders without stages
        pass
    raise UserError(
        f"network.encoder {name} has no stages of stride 4, 8, 16 and 32, which the pyramid needs: choose one that "
        "has, such as resnet50 or mobilenet_v2"
    )


@torch.no_grad()
def _strides(encoder: nn.Module) -> list[int]:
    """Pixels per cell of every stage, measured on a blank picture."""
    was_training = encoder.training
    stages = encoder.eval()(torch.zeros(1, 3, 64, 64))
    encoder.train(was_training)
    return [64 // stage.shape[-1] for stage in stages if isinstance(stage, torch.Tensor) and stage.shape[1]]
