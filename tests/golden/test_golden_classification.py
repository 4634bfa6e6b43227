"""The losses of classification against the published implementation's outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.tasks.classification.conditional_adversarial import domain_loss, reversal_factor
from pipeline.tasks.classification.minimum_class_confusion import class_confusion
from pipeline.tasks.classification.pseudo_label import pseudo_label, weighted_cross_entropy
from pipeline.tasks.classification.sharpness_aware import SharpnessAware

pytestmark = pytest.mark.floats

Golden = Callable[[str], dict[str, np.ndarray]]
assert_close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)


def test_conditional_adversarial_loss_and_its_reversed_gradient(golden: Golden) -> None:
    data = golden("classification")
    weight = torch.from_numpy(data["discriminator_weight"])
    discriminator = nn.Linear(weight.shape[1], 1, bias=False)
    discriminator.load_state_dict({"weight": weight})
    source, target = (torch.from_numpy(data[f"f_{d}"]).requires_grad_() for d in ("source", "target"))
    answers = [torch.from_numpy(data[f"logits_{d}"]) for d in ("source", "target")]
    step = int(data["grl_iter"])
    loss = domain_loss(discriminator, (answers[0], source), (answers[1], target), step)
    loss.backward()
    assert_close(loss.item(), data["cdan_loss"])
    for features, domain in ((source, "source"), (target, "target")):
        assert features.grad is not None
        assert_close(features.grad.numpy(), data[f"grad_f_{domain}"])


def test_the_reversal_rises(golden: Golden) -> None:
    data = golden("classification")
    assert_close([reversal_factor(step) for step in data["grl_coeff_iters"].tolist()], data["grl_coeff"])


def test_minimum_class_confusion(golden: Golden) -> None:
    data = golden("classification")
    logits = torch.from_numpy(data["mcc_logits"])
    losses = [class_confusion(logits, t).item() for t in data["mcc_temperature"].tolist()]
    assert_close(losses, data["mcc_loss"])


def test_sharpness_aware_steps(golden: Golden) -> None:
    data = golden("classification")
    inputs, labels = torch.from_numpy(data["sam_x"]), torch.from_numpy(data["sam_y"])
    start = torch.from_numpy(data["sam_w0"])
    layer = nn.Linear(inputs.shape[1], len(start) // (inputs.shape[1] + 1))
    nn.utils.vector_to_parameters(start, layer.parameters())
    # The settings that the file's page names.
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)
    sharpness = SharpnessAware(layer.parameters(), rho=0.02)

    def loss() -> Tensor:
        return F.cross_entropy(layer(inputs), labels)

    def weights() -> np.ndarray:
        return nn.utils.parameters_to_vector(layer.parameters()).detach().numpy()

    for first, second, losses in zip(
        data["sam_after_first"], data["sam_after_second"], data["sam_losses"], strict=True
    ):
        optimiser.zero_grad()
        here = loss()
        here.backward()
        sharpness.climb()
        assert_close(weights(), first)
        there = loss()
        there.backward()
        sharpness.descend()
        optimiser.step()
        assert_close(weights(), second)
        assert_close([here.item(), there.item()], losses)


def test_pseudo_labels_and_the_masked_loss(golden: Golden) -> None:
    data = golden("classification")
    pseudo = pseudo_label(torch.from_numpy(data["mic_teacher_logits"]))
    np.testing.assert_array_equal(pseudo.label.numpy(), data["mic_pseudo_label"])
    assert_close(pseudo.weight.numpy(), data["mic_weight"])
    student = torch.from_numpy(data["mic_student_logits"])
    assert_close(
        weighted_cross_entropy(student, pseudo.label, pseudo.weight).item(), data["mic_loss_first_pass"]
    )
    assert_close(weighted_cross_entropy(student, pseudo.label).item(), data["mic_loss_second_pass"])
