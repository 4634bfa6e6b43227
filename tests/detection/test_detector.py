"""The detector: its parts, what is frozen, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from tiny_detector import HEIGHT, WIDTH, network_params, tiny_detector
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from pipeline.edge.errors import UserError
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.build import build_detector

IMAGES = torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
ONE = Boxes.true(torch.tensor([[10.0, 10, 60, 70]]), torch.tensor([1]))
NONE = Boxes.true(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


def test_training_gives_five_levels_and_evaluation_sorted_boxes_within_the_picture() -> None:
    network = tiny_detector(score_threshold=0.0).train()
    pyramid = network(IMAGES)
    assert [tuple(level.shape[2:]) for level in pyramid.levels.values()] == [
        (24, 32),
        (12, 16),
        (6, 8),
        (3, 4),
        (2, 2),
    ]
    found = network.eval()(IMAGES)
    assert len(found) == 2
    for boxes in found:
        assert len(boxes)
        assert boxes.scores.tolist() == sorted(boxes.scores.tolist(), reverse=True)
        assert boxes.corners.min() >= 0
        assert boxes.corners[:, 2].max() <= WIDTH
        assert boxes.corners[:, 3].max() <= HEIGHT
        assert set(boxes.labels.tolist()) <= {0, 1}


def test_losses_reach_every_parameter_that_learns_and_a_picture_may_have_no_box() -> None:
    network = tiny_detector(frozen_norms=False).train()
    losses = network.losses(network(IMAGES), [ONE, NONE])
    assert torch.isfinite(losses.total)
    losses.total.backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
    alone = network.losses(network(IMAGES), [NONE, NONE])
    assert alone.proposal_box == 0
    assert alone.box == 0


def test_the_loss_without_places_teaches_no_corner() -> None:
    network = tiny_detector().train()
    network.losses(network(IMAGES), [ONE, ONE]).unlocated.backward()
    for name, parameter in network.named_parameters():
        if "bbox_pred" in name:
            assert parameter.grad is None or parameter.grad.abs().max() == 0, name
    assert network.roi_heads.box_predictor.cls_score.weight.grad.abs().max() > 0


def test_proposals_come_without_gradient_and_leave_the_mode() -> None:
    network = tiny_detector().train()
    pyramid = network(IMAGES)
    proposals = network.proposals(pyramid)
    assert [len(p) <= 60 and not p.requires_grad for p in proposals] == [True, True]
    assert network.rpn.training
    features = network.instances(pyramid, proposals)
    assert features.shape == (sum(map(len, proposals)), 32)
    assert set(network.levels_of(proposals).tolist()) <= {0, 1, 2, 3}


def test_frozen_norms_stay_in_every_mode_and_pass() -> None:
    network = tiny_detector().train()
    before = {n: v.clone() for n, v in network.encoder.state_dict().items() if "running" in n}
    assert before
    network.losses(network(IMAGES), [ONE, ONE]).total.backward()
    after = network.encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert network.frozen_norms is not None
    assert not any(p.requires_grad for norm in network.frozen_norms.modules for p in norm.parameters())


def test_frozen_stages_are_those_before_their_output() -> None:
    network = tiny_detector(frozen_norms=False, frozen_stages=2)
    learns = {n: p.requires_grad for n, p in network.encoder.named_parameters()}
    # smp's MobileNetV2 reaches stride 4 with its block 3.
    assert not any(learns[n] for n in learns if int(n.split(".")[1]) < 4)
    assert all(learns[n] for n in learns if int(n.split(".")[1]) >= 4)


def test_resnet50_is_torchvisions_own() -> None:
    torch.manual_seed(0)
    ours = build_detector(
        network_params(encoder="resnet50", weights=None, frozen_norms=False, channels=256), 2
    )
    theirs = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=torch.nn.BatchNorm2d, trainable_layers=5
    )
    theirs.body.load_state_dict(ours.encoder.state_dict())
    theirs.fpn.load_state_dict(ours.pyramid.state_dict())
    expected = theirs.train()(IMAGES)
    for name, level in ours.train()(IMAGES).levels.items():
        torch.testing.assert_close(level, expected[name])


def test_a_timm_encoder_goes_as_well() -> None:
    network = build_detector(
        network_params(encoder="tu-mobilenetv2_100", weights=None, frozen_norms=False), 3
    )
    assert len(network.train()(IMAGES).levels) == 5


@pytest.mark.parametrize(
    ("encoder", "says"),
    [
        ("resnet5", "did you mean resnet"),
        ("tu-vit_tiny_patch16_224", "4, 8, 16 and 32"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(encoder: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        build_detector(network_params(encoder=encoder, weights=None, frozen_norms=False), 2)


def test_weights_of_another_encoder_are_refused() -> None:
    with pytest.raises(UserError, match="encoder tensors match"):
        build_detector(network_params(encoder="resnet18"), 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shrink": 2}, "belongs to segmentation"),
        ({"weights": None}, "frozen_norms"),
        ({"anchors": (1, 2, 3)}, "anchors"),
        ({"frozen_norm": True}, "frozen_norm"),
    ],
)
def test_params_that_do_not_fit_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        network_params(**changes)
