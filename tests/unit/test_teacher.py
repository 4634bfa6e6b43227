"""The teacher beyond the golden vectors: what it must leave alone, and its noise-free passes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from torch import Tensor, nn

from pipeline.adaptation.teacher import Teacher, ema_decay

pytestmark = pytest.mark.floats


class Noisy(nn.Module):
    """Every kind of training noise: dropout, stochastic depth as a module and as a plain function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.5)
        self.channel_dropout = nn.Dropout2d(0.5)
        self.drop_path = DropPath(0.5)

    def forward(self, images: Tensor) -> Tensor:
        features = self.channel_dropout(self.dropout(self.norm(self.conv(images))))
        return self.drop_path(F.dropout(features, 0.5, self.training))


def student_and_teacher() -> tuple[Noisy, Teacher]:
    torch.manual_seed(0)
    student = Noisy().train()
    return student, Teacher(student, 0.9)


def test_decay_starts_with_a_copy_and_ends_at_alpha() -> None:
    assert [ema_decay(t, 0.999) for t in (0, 1, 2)] == [0, 0.5, 1 - 1 / 3]
    assert ema_decay(998, 0.999) < 0.999 == ema_decay(1000, 0.999)
    assert ema_decay(5, 0.0) == 0  # the ablation "without EMA teacher"


def test_copy_is_apart_from_the_student_and_takes_no_gradient() -> None:
    student, _ = student_and_teacher()
    student(torch.randn(2, 3, 8, 8)).sum().backward()
    teacher = Teacher(student, 0.9)
    for mine, theirs in zip(teacher.network.parameters(), student.parameters(), strict=True):
        assert mine.data_ptr() != theirs.data_ptr()
        assert torch.equal(mine, theirs)
        assert not mine.requires_grad
        assert mine.grad is None
        assert theirs.requires_grad
        assert theirs.grad is not None


def test_step_zero_overwrites_and_later_steps_average() -> None:
    student, teacher = student_and_teacher()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.fill_(1)
        for parameter in teacher.network.parameters():
            parameter.fill_(-7)
    teacher.update(student, 0)
    assert all(torch.equal(p, torch.ones_like(p)) for p in teacher.network.parameters())
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.fill_(3)
    teacher.update(student, 1)  # halfway
    assert all(torch.equal(p, torch.full_like(p, 2)) for p in teacher.network.parameters())


def test_update_leaves_both_networks_batch_norm_statistics() -> None:
    student, teacher = student_and_teacher()
    student(torch.randn(4, 3, 8, 8) + 5)
    before = [b.clone() for b in teacher.network.buffers()]
    theirs = [b.clone() for b in student.buffers()]
    for step in range(3):
        teacher.update(student, step)
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.network.buffers(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(theirs, student.buffers(), strict=True))
    assert not torch.equal(before[0], theirs[0])


def test_predict_uses_batch_statistics_and_feeds_its_own() -> None:
    student, teacher = student_and_teacher()
    assert isinstance(teacher.network, Noisy)
    images = torch.randn(4, 3, 8, 8) * 3 + 5
    logits = teacher.predict(images)
    # Normalised by this very batch: mean 0 and variance 1 per channel, whatever the running statistics.
    assert torch.allclose(logits.mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-5)
    assert torch.allclose(logits.var(dim=(0, 2, 3), unbiased=False), torch.ones(8), atol=1e-3)
    assert teacher.network.norm.num_batches_tracked == 1
    assert student.norm.num_batches_tracked == 0


def test_averaged_statistics_are_the_students_and_used_as_at_inference() -> None:
    student, _ = student_and_teacher()
    teacher = Teacher(student, 0.9, averaged_statistics=True)
    student(torch.randn(4, 3, 8, 8) + 5)
    teacher.update(student, 0)
    student.eval()
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(teacher.predict(images), student(images))
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    teacher.predict(images + 3)
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
    student.train()(torch.randn(4, 3, 8, 8) - 5)
    teacher.update(student, 1)  # halfway
    assert torch.allclose(
        teacher.state_dict()["norm.running_mean"],
        (before["norm.running_mean"] + student.state_dict()["norm.running_mean"]) / 2,
    )


def test_predict_is_free_of_noise_and_of_gradient() -> None:
    student, teacher = student_and_teacher()
    images = torch.randn(4, 3, 8, 8)
    first, second = teacher.predict(images), teacher.predict(images)
    assert torch.equal(first, second)
    assert (first != 0).float().mean() > 0.99
    assert not first.requires_grad
    assert student.training  # the student's mode is none of the teacher's business
    assert not torch.equal(student(images), student(images))


def test_state_survives_saving() -> None:
    _student, teacher = student_and_teacher()
    teacher.predict(torch.randn(2, 3, 8, 8) + 2)
    torch.manual_seed(1)
    other = Teacher(Noisy(), 0.9)
    images = torch.randn(2, 3, 8, 8)
    assert not torch.equal(other.predict(images), teacher.predict(images))
    other.load_state_dict(teacher.state_dict())
    state, restored = teacher.state_dict(), other.state_dict()
    assert state.keys() == restored.keys()
    assert all(torch.equal(state[key], restored[key]) for key in state)
