"""One step of training: every pass of the method, then the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor

from pipeline.adaptation.method import Method
from pipeline.adaptation.norms import Norms
from pipeline.data.loaders import Batch, TrainingBatches
from pipeline.edge.errors import UserError
from pipeline.params import Params
from pipeline.run.randomness import Stream, step_seed
from pipeline.training.optimiser import set_learning_rate


@dataclass(frozen=True)
class Setup:
    """What a run of one method is made of, before its first step."""

    fabric: Fabric
    student: _FabricModule
    optimiser: torch.optim.Optimizer
    algorithm: Method
    batches: TrainingBatches
    frozen_norms: Norms | None = None


def tensors_on_device(fabric: Fabric, batch: Batch) -> dict[str, Tensor]:
    """Of a batch, what a method sees."""
    return {k: fabric.to_device(v) for k, v in batch.items() if isinstance(v, Tensor)}


def train_step(setup: Setup, batch: Batch, step: int, params: Params) -> dict[str, float]:
    """All passes of one step at its learning rate, then the optimiser; returns the losses by name.

    Raises:
        UserError: a loss is not finite.
    """
    fabric, student, optimiser, algorithm = setup.fabric, setup.student, setup.optimiser, setup.algorithm
    config = params.train
    set_learning_rate(optimiser, step, config.steps, config.optimiser, config.uda.start_step)
    tensors = tensors_on_device(fabric, batch)
    # Dropout draws from torch's own generator, masks and mixing from the step's.
    method_seed = step_seed(params.seed, Stream.METHOD, step, fabric.global_rank)
    torch.manual_seed(method_seed)
    generator = torch.Generator(device=fabric.device).manual_seed(method_seed)
    student.train()
    if setup.frozen_norms is not None:
        setup.frozen_norms.freeze()
    optimiser.zero_grad(set_to_none=True)
    passes = algorithm.passes(tensors, step, generator)
    values: dict[str, float] = {}
    for number, (name, loss_of) in enumerate(passes, start=1):
        # Under DDP only the last backward of a step synchronises.
        with fabric.no_backward_sync(student, enabled=number < len(passes)), fabric.autocast():
            loss = loss_of()
            values[name] = loss.item()
            if not math.isfinite(values[name]):
                files = ", ".join(batch["source_files"] + batch["target_files"])
                raise UserError(
                    f"step {step}: the loss {name!r} is {values[name]}: lower train.optimiser.lr, "
                    f"or look at the pictures of this batch: {files}"
                )
            fabric.backward(loss)
    algorithm.after_passes(step)
    optimiser.step()
    return values
