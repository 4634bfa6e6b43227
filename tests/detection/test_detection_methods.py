"""The methods: their passes, what the teacher says, and what MIC adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from tiny_detector import HEIGHT, WIDTH, tiny_batch, tiny_detector

from pipeline.adaptation.method import Method
from pipeline.adaptation.mic import Mic
from pipeline.params.detection import DetectionUda
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.debug_picture import save_debug_picture
from pipeline.tasks.detection.detector import Detector
from pipeline.tasks.detection.sada import Sada
from pipeline.tasks.detection.self_training import SelfTraining
from pipeline.tasks.detection.source_only import SourceOnly

Build = Callable[[Any, DetectionUda], Method]
METHODS: dict[str, Build] = {
    "source_only": SourceOnly,
    "self_training": SelfTraining,
    "sada": lambda student, uda: Sada(student, uda, steps=10),
    "self_training_mic": lambda student, uda: Mic(SelfTraining(student, uda), 10),
    "sada_mic": lambda student, uda: Mic(Sada(student, uda, steps=10), 10),
}
PASSES = {
    "source_only": ["source"],
    "self_training": ["source", "target"],
    "sada": ["source", "alignment"],
    "self_training_mic": ["source", "target", "masked"],
    "sada_mic": ["source", "alignment", "masked"],
}


def take_step(method: Method, step: int, optimiser: torch.optim.Optimizer | None = None) -> dict[str, float]:
    """One step as the training loop takes it: losses by name."""
    torch.manual_seed(step)
    method.student.train()
    method.student.zero_grad(set_to_none=True)
    values = {}
    for name, loss_of in method.passes(tiny_batch(), step, torch.Generator().manual_seed(step)):
        loss = loss_of()
        loss.backward()
        values[name] = loss.item()
    method.after_passes(step)
    if optimiser is not None:
        optimiser.step()
    return values


@pytest.mark.parametrize("name", METHODS)
def test_passes_are_finite_and_a_checkpoint_continues_the_same(name: str) -> None:
    uda = DetectionUda(tau=0.0)

    def run(steps: range, state: tuple[Any, Any, Any] | None = None) -> tuple[dict[str, float], Any]:
        student = tiny_detector()
        method = METHODS[name](student, uda)
        optimiser = torch.optim.SGD([p for p in student.parameters() if p.requires_grad], lr=1e-3)
        if state is not None:
            student.load_state_dict(state[0])
            optimiser.load_state_dict(state[1])
            method.load_state_dict(state[2])
        values: dict[str, float] = {}
        for step in steps:
            values = take_step(method, step, optimiser)
        kept = (
            {k: v.clone() for k, v in student.state_dict().items()},
            optimiser.state_dict(),
            method.state_dict(),
        )
        return values, kept

    straight, _ = run(range(3))
    assert list(straight) == PASSES[name]
    assert all(torch.isfinite(torch.tensor(value)) for value in straight.values())
    _, kept = run(range(2))
    resumed, _ = run(range(2, 3), kept)
    assert resumed == pytest.approx(straight, rel=1e-5)


@pytest.mark.parametrize("name", ["self_training_mic", "sada_mic"])
def test_without_a_pseudo_box_there_is_no_masked_loss(name: str) -> None:
    method = METHODS[name](tiny_detector(), DetectionUda(tau=1.0))
    passes = dict(method.passes(tiny_batch(), 0, torch.Generator().manual_seed(0)))
    method.student.train()
    passes["source"]()
    method.student.zero_grad(set_to_none=True)
    loss = passes["masked"]()
    assert loss == 0
    loss.backward()
    gradients = [p.grad for p in method.student.parameters() if p.grad is not None]
    assert all(gradient.abs().max() == 0 for gradient in gradients)


def test_before_the_start_step_every_method_is_source_only() -> None:
    expected = take_step(SourceOnly(tiny_detector(), DetectionUda()), 0)
    for name in PASSES:
        assert take_step(METHODS[name](tiny_detector(), DetectionUda(start_step=5)), 0) == expected


class Saying(Detector):
    """In evaluation it finds what it is told to."""

    said: Any

    def forward(self, images: torch.Tensor) -> Any:
        return super().forward(images) if self.training else self.said


def test_pseudo_boxes_are_the_confident_ones_within_the_picture_and_its_padding_is_not() -> None:
    student: Any = tiny_detector()
    student.__class__ = Saying
    first = Boxes(
        torch.tensor([[1.0, 1, 20, 20], [2, 2, 30, 30]]), torch.tensor([1, 0]), torch.tensor([0.8, 0.79])
    )
    # The second target picture is 20 rows and 30 columns smaller than the batch.
    second = Boxes(
        torch.tensor([[80.0, 10, 120, 40], [100, 80, 120, 90]]),
        torch.tensor([0, 1]),
        torch.tensor([0.9, 0.9]),
    )
    student.said = [first, second]
    method = SelfTraining(student, DetectionUda())
    batch = tiny_batch()
    method.passes(batch, 0, torch.Generator())
    pseudo = method.pseudo_boxes(batch)
    assert pseudo[0].corners.tolist() == [[1, 1, 20, 20]]
    assert pseudo[1].corners.tolist() == [[80, 10, WIDTH - 30, 40]]
    wanted = method.to_mask(batch)
    assert wanted.weight is not None
    assert wanted.weight.tolist() == [1, 1]


def test_the_teacher_is_a_constant_average_of_the_whole_state_and_works_in_evaluation_mode() -> None:
    student = tiny_detector(frozen_norms=False)
    method = SelfTraining(student, DetectionUda())
    take_step(method, 0)
    before = {k: v.clone() for k, v in method.ema.network.state_dict().items()}
    with torch.no_grad():
        for tensor in [*student.parameters(), *(b for b in student.buffers() if b.is_floating_point())]:
            tensor.add_(1)
    method.ema.follow(student, 1, method.uda)
    after, now = method.ema.network.state_dict(), student.state_dict()
    for name, value in before.items():
        if value.is_floating_point():
            torch.testing.assert_close(after[name], 0.9 * value + 0.1 * now[name])
    assert not method.ema.network.training


def test_masked_pictures_hide_half_of_their_blocks() -> None:
    method = METHODS["sada_mic"](tiny_detector(), DetectionUda(tau=0.0, mask_mode="target", mask_block=8))
    take_step(method, 0)
    hidden = (method.view.masked == 0).all(dim=1).float().mean()
    assert 0.35 < hidden < 0.65
    assert torch.equal(
        method.view.masked[method.view.masked != 0], method.view.target[method.view.masked != 0]
    )


def test_the_discriminators_learn_and_their_reversed_gradient_reaches_the_encoder() -> None:
    student = tiny_detector()
    method = Sada(student, DetectionUda(), steps=10)
    before = [p.clone() for p in method.image.parameters()]
    passes = dict(method.passes(tiny_batch(), 0, torch.Generator().manual_seed(0)))
    student.train()
    passes["source"]()
    student.zero_grad(set_to_none=True)
    passes["alignment"]().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in student.encoder.parameters())
    method.after_passes(0)
    assert any(not torch.equal(a, b) for a, b in zip(before, method.image.parameters(), strict=True))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fabric_may_wrap_the_student(precision: Any) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    network = tiny_detector()
    student, _ = fabric.setup(
        network, torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    )
    method = METHODS["sada_mic"](student, DetectionUda(tau=0.0))
    student.train()
    for _, loss_of in method.passes(tiny_batch(), 0, torch.Generator().manual_seed(0)):
        with fabric.autocast():
            loss = loss_of()
        fabric.backward(loss)
        assert torch.isfinite(loss)


def test_the_debug_picture_has_a_panel_for_each_kind(tmp_path: Path) -> None:
    method = METHODS["self_training_mic"](tiny_detector(), DetectionUda(tau=0.0))
    take_step(method, 0)
    path = save_debug_picture(tmp_path, 1, method.view)
    with Image.open(path) as sheet:
        assert sheet.size == (4 * WIDTH, 14 + 2 * HEIGHT)


@pytest.mark.parametrize("key", ["class_prior", "margins", "mask_tau"])
def test_keys_of_segmentation_are_refused(key: str) -> None:
    value = {"class_prior": 0.5, "margins": (0, 0, 0, 0), "mask_tau": 0.5}[key]
    with pytest.raises(ValueError, match="belongs to segmentation"):
        DetectionUda(**{key: value})
