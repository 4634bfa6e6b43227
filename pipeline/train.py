"""Stage `train`: one method, one seed, from pretrained (or random) weights to a student and its teacher.

`python -m pipeline.train --method mic` continues an interrupted run of the same params, data and code.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.run import caches as _caches  # noqa: F401  # isort: skip  before Fabric, which brings torch's compiler
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import nn

from pipeline.adaptation.method import Method
from pipeline.adaptation.mic import Mic
from pipeline.adaptation.norm_statistics import take_statistics
from pipeline.adaptation.norms import Norms
from pipeline.data.index import of_split, read_index
from pipeline.data.loaders import TrainingBatches, check_crop
from pipeline.data.read_ahead import training_loader
from pipeline.edge.errors import UserError
from pipeline.networks.normalise import normalise
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.weights import load_weights, save_weights
from pipeline.params import Params, fingerprint, load_params
from pipeline.params.uda import SOURCE_FIELDS, Uda
from pipeline.run.lock import alone
from pipeline.run.machine import keep_freed_memory
from pipeline.run.randomness import Stream, step_seed
from pipeline.run.stage import INTERRUPTED, main_guard, stage_arguments
from pipeline.run.workspace import Workspace
from pipeline.tasks.segmentation.adversarial import Adversarial
from pipeline.tasks.segmentation.debug_picture import save_debug_picture
from pipeline.tasks.segmentation.distillation import Distillation
from pipeline.tasks.segmentation.entropy_minimisation import EntropyMinimisation
from pipeline.tasks.segmentation.self_training import SelfTraining
from pipeline.tasks.segmentation.source_only import SourceOnly
from pipeline.training import preflight
from pipeline.training.checkpoint import code_version, files_version, load_checkpoint, save_checkpoint
from pipeline.training.dry_pass import check_batch
from pipeline.training.monitor import Monitor
from pipeline.training.optimiser import build_optimiser
from pipeline.training.step import Setup, train_step

STATISTICS_BATCHES = 50  # for norm_statistics `target`


def build_method(method: str, student: nn.Module, params: Params, adapted: nn.Module | None = None) -> Method:
    """What turns a batch into named losses; `adapted` is the teacher of `distil`.

    It copies the student as it is, so build it before a checkpoint loads.
    """
    uda = params.train.uda
    if adapted is not None:
        return Mic(Distillation(student, uda, adapted), params.train.steps)
    match uda.base if method == "mic" else method:
        case "source_only":
            return SourceOnly(student, uda)
        case "self_training":
            adapting = SelfTraining(student, uda)
        case "entropy_minimisation":
            adapting = EntropyMinimisation(student, uda)
        case "adversarial":
            adapting = Adversarial(student, uda, params.train.steps)
        case other:
            raise ValueError(f"{other!r} is no method")
    return Mic(adapting, params.train.steps) if method == "mic" else adapting


def run_fingerprint(params: Params, workspace: Workspace, method: str) -> str:
    """What a checkpoint must share with a run to be continued by it."""
    path = _adapted_weights(params, workspace, method)
    adapted = files_version([] if path is None else [path])
    start = params.distil.start if params.distil and method == "distil" else ""
    params = params.for_method(method)
    cosmetic = {"workers", "log_every", "checkpoint_every", "picture_every"}
    uda = set(SOURCE_FIELDS if method == "source_only" else Uda.model_fields)
    train = params.train.model_dump_json(exclude=cosmetic | {"uda"}) + params.train.uda.model_dump_json(
        include=uda
    )
    indexes = files_version([workspace.index("source"), workspace.index("target")])
    data = params.data.model_dump_json()
    return fingerprint(
        method, params.seed, data, params.network, train, indexes, adapted + start, code_version()
    )


def before_start(params: Params, method: str) -> Params:
    """The steps of `method` before `uda.start_step`, as a run of self_training.

    Of `uda` only the distance and the source's fields count, of these the rate of a moving average where it begins with
    the first step.
    """
    own = params.train.uda
    kept: dict[str, Any] = own.model_dump(include=set(SOURCE_FIELDS) - {"alpha"})
    if method != "source_only":
        kept["feature_distance"] = own.feature_distance
    if own.ema_from == "first_step":
        kept |= {"alpha": own.alpha, "teacher_statistics": "averaged"}
    uda = Uda(**kept)
    return params.model_copy(update={"train": params.train.model_copy(update={"uda": uda})})


def _adapted_weights(params: Params, workspace: Workspace, method: str) -> Path | None:
    """The file that `distil` learns from; None for other methods."""
    if method != "distil" or params.distil is None:
        return None
    path = workspace.shipped(params.distil.teacher, params.ship)
    if not path.exists():
        raise UserError(
            f"{path} does not exist: run `python -m pipeline.train --method {params.distil.teacher}` first"
        )
    return path


def set_up(params: Params, workspace: Workspace, method: str) -> Setup:
    """Network, optimiser, method and batches of a run from its start."""
    adapted, adapted_weights = None, _adapted_weights(params, workspace, method)
    if adapted_weights is not None:
        adapted = build_segmenter(params.network, pretrained=False).to(memory_format=torch.channels_last)
        load_weights(adapted, adapted_weights)
    begins_adapted = params.distil is not None and params.distil.start == "teacher"
    params = params.for_method(method)
    config = params.train
    source = of_split(read_index(workspace.index("source")), "train")
    target = of_split(read_index(workspace.index("target")), "train")
    check_crop(config.crop, config.source_size or params.data.size, "source", source)
    check_crop(config.crop, params.data.size, "target", target)

    keep_freed_memory()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    fabric = Fabric(accelerator="auto", devices=1, precision=config.precision)
    fabric.launch()
    torch.manual_seed(step_seed(params.seed, Stream.WEIGHTS))
    # Channels last: measured 1.2 times faster than the default on a CPU.
    student = build_segmenter(params.network).to(memory_format=torch.channels_last)
    check_batch(student, params.network, config)
    if begins_adapted and adapted_weights is not None:
        load_weights(student, adapted_weights)
    optimiser = build_optimiser(student, config.optimiser)
    student, optimiser = fabric.setup(student, optimiser)
    algorithm = build_method(method, student, params, adapted and adapted.to(fabric.device))
    batches = TrainingBatches(source, target, params, fabric.global_rank, fabric.world_size)
    if batches.rare is not None and batches.rare.left_out:
        fabric.print(
            f"rare class sampling leaves out {', '.join(batches.rare.left_out)}: no source picture shows more than "
            f"train.rare_class_sampling.min_share of them"
        )
    frozen = Norms(student.module.get_submodule("encoder")) if config.encoder_norms == "frozen" else None
    return Setup(fabric, student, optimiser, algorithm, batches, frozen)


def run(
    params: Params,
    workspace: Workspace,
    method: str,
    shared: Workspace | None = None,
    until: int | None = None,
) -> int:
    """Train `method` and write its weights; returns 0, or 130 when Ctrl-C stopped it after a checkpoint.

    `until`: end with a checkpoint after this many of the steps, without weights. `shared`: where such a run, as
    `before_start` has it, may have left one to go on from.
    """
    setup = set_up(params, workspace, method)
    run_id = run_fingerprint(params, workspace, method)
    params = params.for_method(method)
    config = params.train
    fabric, student, optimiser, algorithm = setup.fabric, setup.student, setup.optimiser, setup.algorithm
    state, why = load_checkpoint(workspace.checkpoints(method), run_id)
    if state is not None:
        algorithm.load_state_dict(state["method"])
    elif shared is not None:
        same = run_fingerprint(before_start(params, method), workspace, "self_training")
        state, why = load_checkpoint(shared.checkpoints("self_training"), same)
        if state is not None:
            algorithm.ema.load_state_dict(state["method"]["ema"])
    first_step = 0
    if state is not None:
        student.module.load_state_dict(state["student"])
        optimiser.load_state_dict(state["optimiser"])
        first_step = state["step"]
    fabric.print(f"train {method}, seed {params.seed}: {why}")
    if first_step == until:
        return 0

    def checkpoint(step: int) -> None:
        save_checkpoint(
            workspace.checkpoints(method),
            {
                "fingerprint": run_id,
                "step": step,
                "student": student.module.state_dict(),
                "optimiser": optimiser.state_dict(),
                "method": algorithm.state_dict(),
            },
        )

    loader = training_loader(setup.batches, config, first_step)
    images_per_step = 2 * config.batch_size * fabric.world_size
    monitor = Monitor(
        workspace.dvclive(method), method, first_step, config.steps, images_per_step, config.log_every
    )
    pictures = workspace.dvclive(method) / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)  # DVC misses an output that short runs never draw into
    with monitor, StopRequest() as stop:
        for step, batch in enumerate(loader, start=first_step):
            losses = train_step(setup, batch, step, params)
            scalars = losses | {k: v.item() for k, v in algorithm.scalars.items()}
            monitor.after_step(step, scalars | {"lr": optimiser.param_groups[0]["lr"]})
            if config.picture_every and (step + 1) % config.picture_every == 0:
                save_debug_picture(pictures, step + 1, algorithm.view)
            finished = step + 1
            if stop.requested or finished in (until, config.steps) or finished % config.checkpoint_every == 0:
                checkpoint(finished)
            if stop.requested and finished < config.steps:
                fabric.print(
                    f"stopped at step {finished} of {config.steps}: the same command continues from here"
                )
                return INTERRUPTED
            if finished == until:
                return 0

    algorithm.ema.finish(student)
    if method != "source_only" and config.uda.norm_statistics == "target":
        for network in (student.module, algorithm.ema.network):
            take_target_statistics(fabric, network, setup.batches, config.steps)
    save_weights(student.module, workspace.weights(method))
    save_weights(algorithm.ema.network, workspace.teacher_weights(method))
    return 0


def take_target_statistics(fabric: Fabric, network: nn.Module, batches: TrainingBatches, steps: int) -> None:
    """Batch-norm statistics of a network from the target crops of the steps that would come after `steps`."""
    crops = (batches.target_crops(step) for step in range(steps, steps + STATISTICS_BATCHES))
    with fabric.autocast():
        take_statistics(network, (normalise(fabric.to_device(images)) for images in crops))


@dataclass
class StopRequest:
    """Ctrl-C and SIGTERM ask for a stop after the step; a second one stops at once."""

    requested: bool = False

    def __enter__(self) -> StopRequest:
        self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(INTERRUPTED)
        self.requested = True


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.train --method M [--preflight] [--params FILE]`."""
    parser = stage_arguments("Train one method on the indexed data.", with_method=True)
    parser.add_argument("--preflight", action="store_true", help="one step, to see what the run will take")
    args = parser.parse_args(argv)
    params, workspace = load_params(args.params), Workspace()
    if args.preflight:
        return preflight.run(params, workspace, args.method, set_up)
    if rank_zero_only.rank:  # of several processes of one run the first holds the lock
        return run(params, workspace, args.method)
    with alone(workspace, f"train {args.method}"):
        return run(params, workspace, args.method)


if __name__ == "__main__":
    main_guard(main)
