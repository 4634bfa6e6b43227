"""The methods on a tiny network: which losses a step has, and what each switch changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.adaptation.method import Method
from pipeline.adaptation.mic import Mic
from pipeline.adaptation.teacher import ema_decay
from pipeline.edge.classes import NUM_CLASSES
from pipeline.params.uda import Uda
from pipeline.tasks.segmentation.adversarial import Adversarial
from pipeline.tasks.segmentation.entropy_minimisation import EntropyMinimisation
from pipeline.tasks.segmentation.self_training import SelfTraining
from pipeline.tasks.segmentation.source_only import SourceOnly
from pipeline.tasks.segmentation.uda import UdaMethod

pytestmark = pytest.mark.floats

HEIGHT, WIDTH = 64, 96
LOSS = {"self_training": "mixed", "entropy_minimisation": "entropy", "adversarial": "fooling"}


class Tiny(nn.Module):
    """A segmenter of two layers, everything at stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, NUM_CLASSES, 1)

    def forward(self, images: Tensor, with_features: bool = False) -> Any:
        features = self.encoder(images)
        return (self.head(features), features) if with_features else self.head(features)

    def encoder_features(self, images: Tensor) -> Tensor:
        return self.encoder(images)


def student() -> Tiny:
    torch.manual_seed(0)
    return Tiny().train()


def batch() -> dict[str, Tensor]:
    """Two pictures of each domain; the label has a thing (car), road and some ignored pixels."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    label = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.int64)
    label[:, 16:40, 16:40] = 13
    label[:, :4] = 255
    return {
        "source_image": images[:2],
        "source_label": label,
        "target_image": images[2:],
        "target_valid": torch.ones(2, 1, HEIGHT, WIDTH),
    }


def build(name: str, **fields: Any) -> UdaMethod:
    uda = Uda.model_validate({"tau": 0.1, "mask_block": 16, **fields})
    if name == "adversarial":
        return Adversarial(student(), uda, steps=10)
    return {"self_training": SelfTraining, "entropy_minimisation": EntropyMinimisation}[name](student(), uda)


def masked(base: UdaMethod) -> Mic:
    return Mic(base, steps=10)


def one_step(method: Method, step: int = 0) -> dict[str, float]:
    """Losses of one step, with the backward pass of each before the next."""
    method.student.zero_grad()
    torch.manual_seed(step)
    values = {}
    for name, loss_of in method.passes(batch(), step, torch.Generator().manual_seed(step)):
        loss = loss_of()
        values[name] = loss.item()
        loss.backward()
    method.after_passes(step)
    return values


def passes(method: Method, step: int) -> list[str]:
    """Names of the passes of a step."""
    return [name for name, _ in method.passes(batch(), step, torch.Generator())]


def gradients(method: Method) -> list[Tensor]:
    return [p.grad.clone() for p in method.student.parameters() if p.grad is not None]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("base", LOSS)
def test_losses_of_every_method_with_and_without_masking(base: str) -> None:
    plain, mic = build(base), masked(build(base))
    losses, more = one_step(plain), one_step(mic)
    assert list(losses) == ["source", LOSS[base]]
    assert list(more) == ["source", LOSS[base], "masked"]
    assert {k: more[k] for k in losses} == losses
    assert plain.ema is not None
    assert mic.ema is mic.base.ema
    shown = {name: value for name, value in vars(mic.view).items() if isinstance(value, Tensor)}
    assert {"source", "prediction", "target", "masked"} <= shown.keys()
    assert mic.view.pseudo.label.shape == mic.view.pseudo.confidence.shape
    assert not any(value.requires_grad for value in shown.values())
    assert 0 < mic.scalars["confident"] < 1


@pytest.mark.parametrize("masking", [False, True])
@pytest.mark.parametrize("base", LOSS)
def test_before_the_start_step_a_method_is_source_only(base: str, masking: bool) -> None:
    late = build(base, start_step=2, alpha=0.5)
    method = masked(late) if masking else late
    baseline = SourceOnly(student(), Uda())
    for network in (method.student, baseline.student):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(0.01)
    state = copy.deepcopy(late.state_dict())
    assert one_step(method, 0) == one_step(baseline, 0)
    assert equal(gradients(method), gradients(baseline))
    assert list(one_step(method, 1)) == ["source"]
    assert list(one_step(method, 2)) == ["source", LOSS[base]] + ["masked"] * masking
    assert equal(list(method.ema.network.parameters()), list(method.student.parameters()))  # begun as a copy
    if base == "adversarial":
        assert str(state["optimiser"]["state"]) == "{}"
        assert len(late.state_dict()["optimiser"]["state"]) == 10  # learnt in step 2


@pytest.mark.parametrize(("field", "value"), [("entropy_weight", 0.5), ("adversarial_weight", 0.5)])
def test_weights_scale_their_loss_alone(field: str, value: float) -> None:
    base = "entropy_minimisation" if field == "entropy_weight" else "adversarial"
    once, twice = one_step(build(base, **{field: value})), one_step(build(base, **{field: 2 * value}))
    assert twice[LOSS[base]] == pytest.approx(2 * once[LOSS[base]])
    assert once["source"] == twice["source"]


def test_entropy_falls_when_it_is_minimised() -> None:
    method = build("entropy_minimisation", entropy_weight=1.0)
    optimiser = torch.optim.SGD(method.student.parameters(), lr=0.5)
    values = []
    for step in range(8):
        values.append(one_step(method, step)["entropy"])
        optimiser.step()
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("kind", ["imagenet", "foundation"])
def test_feature_distance_joins_the_source_loss(kind: str) -> None:
    plain = build("self_training")
    far = build("self_training", feature_distance={"kind": kind, "weight": 2.0})
    for method in (plain, far):
        with torch.no_grad():
            method.student.get_parameter("encoder.0.weight").add_(0.05)
    a, b = one_step(plain), one_step(far)
    distance = far.scalars["feature_distance"].item()
    assert distance > 0
    assert b["source"] == pytest.approx(a["source"] + distance, rel=1e-5)
    assert b["mixed"] == a["mixed"]
    assert ("target_distance" in b) == (kind == "foundation")
    assert not equal(gradients(plain), gradients(far))
    assert far.distance is not None
    frozen = far.distance.frozen
    assert not any(p.requires_grad for p in frozen.parameters())
    assert frozen.get_buffer("encoder.1.num_batches_tracked") == 0  # evaluation mode


def test_without_a_thing_the_feature_distance_is_zero() -> None:
    method = build("self_training", feature_distance={})
    things_gone = batch()
    things_gone["source_label"][things_gone["source_label"] == 13] = 0
    [(_, source_loss), *_] = method.passes(things_gone, 0, torch.Generator().manual_seed(0))
    loss = source_loss()
    assert method.scalars["feature_distance"] == 0
    loss.backward()
    assert all(torch.isfinite(g).all() for g in gradients(method))


def test_masked_loss_with_a_teacher_of_its_own() -> None:
    shared, strict = masked(build("self_training")), masked(build("self_training", mask_tau=1.0))
    unweighted = masked(build("self_training", mask_tau="none"))
    same_alpha = masked(build("self_training", mask_alpha=0.999))
    assert isinstance(shared.base, UdaMethod)
    assert shared.base.mask_labeller is None
    values = [one_step(m) for m in (shared, strict, unweighted, same_alpha)]
    assert len({v["mixed"] for v in values}) == 1  # the base keeps its own
    assert values[1]["masked"] == 0
    assert values[2]["masked"] > values[0]["masked"] == values[3]["masked"]

    no_ema = masked(build("self_training", mask_alpha=0.0))
    optimiser = torch.optim.SGD(no_ema.student.parameters(), lr=0.5)
    for step in range(4):
        before = [p.clone() for p in no_ema.student.parameters()]
        one_step(no_ema, step)
        optimiser.step()
    assert isinstance(no_ema.base, UdaMethod)
    assert no_ema.base.mask_labeller is not None
    teacher = no_ema.base.mask_labeller.teacher
    assert no_ema.ema is not teacher
    assert equal(list(teacher.network.parameters()), before)
    assert ema_decay(3, 0.0) == 0


@pytest.mark.parametrize("mode", ["target", "target_aug", "source", "source_aug", "both", "both_aug"])
@pytest.mark.parametrize("base", ["self_training", "entropy_minimisation"])
def test_mask_modes(base: str, mode: str) -> None:
    mic = masked(build(base, mask_mode=mode))
    assert one_step(mic)["masked"] > 0
    hidden = mic.view.masked.abs().amax(dim=1) == 0
    assert 0.2 < hidden.float().mean() < 1
    if mode == "target":
        assert torch.equal(
            mic.view.masked[~hidden[:, None].expand(-1, 3, -1, -1)],
            mic.view.target[~hidden[:, None].expand(-1, 3, -1, -1)],
        )


def test_complementary_copies_of_half_of_the_crops_share_a_label() -> None:
    mic = masked(build("self_training", mask_mode="complementary", mask_fill="own"))
    assert one_step(mic)["masked"] > 0
    target, (first, second) = mic.view.target[0], mic.view.masked
    shown = [(copy == target).all(dim=0) for copy in (first, second)]
    assert torch.equal(shown[0], ~shown[1])
    assert mic.view.masked_prediction.shape[0] == 2


def test_mixed_mode_hides_blocks_of_the_mixed_pictures_in_the_pass_they_have() -> None:
    plain, mic = build("self_training"), masked(build("self_training", mask_mode="mixed"))
    whole, hidden = one_step(plain), one_step(mic)
    assert list(hidden) == ["source", "mixed"]
    assert hidden["source"] == whole["source"]
    gone = mic.view.mixed.abs().amax(dim=1) == 0
    assert 0.4 < gone.float().mean() < 0.95
    assert torch.equal(mic.view.mixed_label, plain.view.mixed_label)
    late = masked(build("self_training", mask_mode="mixed", start_step=2))
    assert [len(passes(late, step)) for step in (1, 2)] == [1, 2]
    unmasked = masked(build("self_training", mask_mode="mixed", mask_start_step=2))
    assert one_step(unmasked, 1) == one_step(build("self_training"), 1)


@pytest.mark.parametrize("base", LOSS)
def test_masks_may_begin_after_the_losses_on_the_target(base: str) -> None:
    late, soon = (masked(build(base, start_step=1, mask_start_step=start)) for start in (3, None))
    assert [len(passes(late, step)) for step in range(4)] == [1, 2, 2, 3]
    assert list(one_step(late, 0)) == ["source"]
    assert one_step(late, 1) == {k: v for k, v in one_step(soon, 1).items() if k != "masked"}
    assert list(one_step(late, 3)) == ["source", LOSS[base], "masked"]


@pytest.mark.parametrize("level", ["features", "channels"])
@pytest.mark.parametrize("mode", ["target", "complementary_aug", "mixed"])
def test_levels_hide_features_and_leave_the_picture(level: str, mode: str) -> None:
    mic = masked(build("self_training", mask_mode=mode, mask_level=level))
    losses = one_step(mic)
    pixels = one_step(masked(build("self_training", mask_mode=mode)))
    name = "mixed" if mode == "mixed" else "masked"
    assert losses[name] != pixels[name]
    assert (getattr(mic.view, name).abs().amax(dim=1) == 0).float().mean() < 0.01
    assert not mic.network.get_submodule("encoder")._forward_hooks


def test_a_ramp_reaches_the_masked_pass() -> None:
    mic = masked(build("self_training", mask_mode="target", mask_ratio=1.0, mask_ratio_start=0.0))
    hidden = []
    for step in (0, 9):
        one_step(mic, step)
        hidden.append((mic.view.masked.abs().amax(dim=1) == 0).float().mean().item())
    assert hidden[0] < 0.01
    assert hidden[1] == 1


@pytest.mark.parametrize("base", ["source_only", *LOSS])
def test_the_source_pass_of_every_method_can_get_the_strong_augmentation(base: str) -> None:
    settings = {"source_aug": True, "jitter_threshold": 0.0}
    plain, changed = (
        SourceOnly(student(), Uda.model_validate(s)) if base == "source_only" else build(base, **s)
        for s in ({}, settings)
    )
    assert one_step(plain)["source"] != one_step(changed)["source"]
    assert torch.equal(plain.view.source, changed.view.source), "mixing starts from the picture as it is"
    assert one_step(changed)["source"] != pytest.approx(one_step(changed, 1)["source"], rel=1e-6)


@pytest.mark.parametrize("base", LOSS)
def test_state_survives_saving(base: str) -> None:
    first = masked(build(base, mask_alpha=0.9))
    optimiser = torch.optim.SGD(first.student.parameters(), lr=0.5)
    for step in range(2):
        one_step(first, step)
        optimiser.step()
    second = masked(build(base, mask_alpha=0.9))
    second.student.load_state_dict(first.student.state_dict())
    second.load_state_dict(first.state_dict())
    assert one_step(second, 2) == one_step(first, 2)
    assert equal(gradients(first), gradients(second))
    assert equal(list(first.ema.network.parameters()), list(second.ema.network.parameters()))


def adversarial() -> Adversarial:
    method = build("adversarial", adversarial_weight=1.0)
    assert isinstance(method, Adversarial)
    return method


def test_fooling_leaves_the_discriminator_alone_and_the_discriminator_the_student() -> None:
    method = adversarial()
    images = batch()["target_image"].float() / 255
    method.fooling_loss(method.student(images)).backward()
    assert all(p.grad is None for p in method.discriminator.parameters())
    assert any(g.abs().sum() > 0 for g in gradients(method))
    method.student.zero_grad()
    method.discriminator_loss(method.student(images), method.student(images)).backward()
    assert gradients(method) == []
    assert all(p.grad is not None for p in method.discriminator.parameters())


def test_the_discriminator_learns_to_tell_the_domains_apart_and_its_rate_decays() -> None:
    method = adversarial()
    for step in range(8):
        one_step(method, step)
        assert method.optimiser.param_groups[0]["lr"] == pytest.approx(1e-4 * (1 - step / 10) ** 0.9)
    first = adversarial()
    source, target = method.view.prediction, method.view.target_prediction
    assert method.discriminator_loss(source, target) < first.discriminator_loss(source, target)


def test_the_discriminator_takes_small_maps() -> None:
    small = torch.zeros(2, NUM_CLASSES, 6, 12)
    assert torch.isfinite(adversarial().fooling_loss(small))


@pytest.mark.parametrize("base", ["source_only", *LOSS])
@pytest.mark.parametrize("ema_from", ["start_step", "first_step"])
def test_every_method_has_a_moving_average_from_where_the_params_say(base: str, ema_from: str) -> None:
    uda = {"start_step": 2, "ema_from": ema_from, "alpha": 0.9}
    plain = SourceOnly(student(), Uda.model_validate(uda)) if base == "source_only" else build(base, **uda)
    optimiser = torch.optim.SGD(plain.student.parameters(), lr=0.5)
    seen = []
    for step in range(3):
        seen.append([p.detach().clone() for p in plain.student.parameters()])
        one_step(plain, step)
        optimiser.step()
    # At 2, either a copy, or a third of what each of the three steps saw.
    mean = [torch.stack(values).mean(dim=0) for values in zip(*seen, strict=True)]
    expected = seen[2] if ema_from == "start_step" else mean
    for mine, right in zip(plain.ema.network.parameters(), expected, strict=True):
        assert torch.allclose(mine, right, atol=1e-6)


def test_the_average_of_a_method_without_labels_has_the_students_statistics() -> None:
    method = SourceOnly(student(), Uda())
    one_step(method)
    one_step(method, 1)  # halfway: what step 0 began with is the initial statistics
    mine, theirs = (n.get_buffer("encoder.1.running_mean") for n in (method.ema.network, method.student))
    assert mine.abs().sum() > 0
    assert not torch.equal(mine, theirs)


def norm(method: Method) -> nn.BatchNorm2d:
    module = method.student.get_submodule("encoder.1")
    assert isinstance(module, nn.BatchNorm2d)
    return module


@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ({}, 3),
        ({"mask_norms": "running"}, 2),
        ({"mix_norms": "running"}, 2),
        ({"mask_norms": "running", "mix_norms": "running"}, 1),
    ],
)
def test_norms_of_the_mixed_and_the_masked_pass(settings: dict[str, Any], counted: int) -> None:
    mic = masked(build("self_training", **settings))
    one_step(mic)
    assert norm(mic).num_batches_tracked == counted  # passes that fed the running statistics
    assert norm(mic).training
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in norm(mic).parameters())


def test_a_pass_by_running_statistics_answers_as_at_inference() -> None:
    mic = masked(build("self_training", mask_norms="running", mask_mode="target"))
    answers = {}
    for name, loss_of in mic.passes(batch(), 0, torch.Generator().manual_seed(0)):
        loss = loss_of()
        if name == "masked":
            mic.student.eval()
            answers["inference"] = mic.student(mic.view.masked).detach()
            mic.student.train()
            answers["batch"] = mic.student(mic.view.masked).detach()
        loss.backward()
    assert torch.equal(mic.view.masked_prediction, answers["inference"])
    assert not torch.allclose(mic.view.masked_prediction, answers["batch"])
