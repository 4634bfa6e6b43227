"""Training: a MIC step against the passes that it cannot avoid, and the loader against the step."""

from __future__ import annotations

import torch

from pipeline import train
from pipeline.bench.row import Row, medians_in_turn, seconds
from pipeline.data.loaders import Batch
from pipeline.networks.normalise import normalise
from pipeline.params import Params
from pipeline.run.workspace import Workspace
from pipeline.tasks.segmentation.cross_entropy import segmentation_loss
from pipeline.training import preflight
from pipeline.training.step import Setup, tensors_on_device, train_step

ROUNDS = 10


def rows(params: Params, workspace: Workspace) -> list[Row]:
    """Step and loader."""
    setup = train.set_up(params, workspace, "mic")
    step = params.train.first_full_step
    batch = setup.batches[step]
    count = number_of_passes(setup, batch, step)
    mic, bare = medians_in_turn(
        lambda: seconds(lambda: train_step(setup, batch, step, params)),
        lambda: seconds(lambda: unavoidable_passes(setup, batch, count)),
        ROUNDS,
    )
    _, _, loading = preflight.time_loader(setup, params, step)
    images = 2 * params.train.batch_size
    passes = f"{count} student passes forward and backward, 1 teacher forward, optimiser"
    return [
        Row("mic_step", mic / bare, 1.10, f"MIC step {1000 * mic:.0f} ms, {passes} {1000 * bare:.0f} ms"),
        Row(
            "loader",
            mic / loading,
            preflight.LOADER_BUDGET,
            f"loader {images / loading:.1f} images/s with {params.train.workers} workers and nothing else running, "
            f"step {images / mic:.1f} images/s",
            at_least=True,
        ),
    ]


def number_of_passes(setup: Setup, batch: Batch, step: int) -> int:
    """How many the student has in `step`; none of them is run."""
    tensors = tensors_on_device(setup.fabric, batch)
    return len(setup.algorithm.passes(tensors, step, torch.Generator(device=setup.fabric.device)))


def unavoidable_passes(setup: Setup, batch: Batch, count: int) -> None:
    """`count` student passes, one teacher forward, the optimiser: no mixing, masks or augmentation."""
    fabric, student = setup.fabric, setup.student
    tensors = tensors_on_device(fabric, batch)
    images, label = normalise(tensors["source_image"]), tensors["source_label"]
    student.train()
    setup.optimiser.zero_grad(set_to_none=True)
    with fabric.autocast(), torch.no_grad():
        setup.algorithm.ema.network(images)
    for _ in range(count):
        with fabric.autocast():
            loss = segmentation_loss(student(images), label)
        fabric.backward(loss)
    setup.optimiser.step()
