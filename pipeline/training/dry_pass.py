"""A training pass before a run, of shapes alone where possible: whether a network can do with its batches."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn
from torch.func import functional_call

from pipeline.edge.errors import UserError
from pipeline.params import Network
from pipeline.params.train import Train


def check_batch(network: nn.Module, settings: Network, config: Train) -> None:
    """Raises UserError where the network cannot train on such batches.

    A norm layer that sees one value per channel cannot tell it from the mean; pooling leaves nothing of a small crop.
    """
    height, width = config.crop
    why = failure(network, config.batch_size, (height, width))
    if why is None:
        return
    if failure(network, 2, (height, width)) is None:
        fix = "set train.batch_size to 2 or more"
    elif failure(network, config.batch_size, (2 * height, 2 * width)) is None:
        fix = "raise train.crop"
    else:
        fix = "choose another network.architecture or network.decoder"
    raise UserError(
        f"network {settings.architecture} over {settings.encoder} cannot train with train.batch_size "
        f"{config.batch_size} and train.crop {list(config.crop)} ({why}): {fix}"
    )


def failure(network: nn.Module, batch: int, crop: tuple[int, int]) -> str | None:
    """What fails in a training pass of a batch of crops (height, width), in the library's words; None where it works.

    Neither weights nor running statistics change.
    """
    # On the meta device tensors have shapes and no values, so that the pass costs nothing. Not every operation is
    # known there: where it fails, a pass of blank pictures judges.
    return _failure(network, batch, crop, "meta") and _failure(network, batch, crop, "cpu")


def _failure(network: nn.Module, batch: int, crop: tuple[int, int], device: str) -> str | None:
    tensors = chain(network.named_parameters(), network.named_buffers())
    copies = {name: tensor.detach().to(device, copy=True) for name, tensor in tensors}
    images = torch.zeros(batch, 3, *crop, device=device)
    was_training = network.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            functional_call(network.train(), copies, (images,))
    except (NotImplementedError, RuntimeError, ValueError) as error:
        return " ".join(str(error).split())
    finally:
        network.train(was_training)
    return None
