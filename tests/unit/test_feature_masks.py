"""Blocks and channels of an encoder's features that are hidden from the decoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.adaptation.feature_masks import hidden_blocks, hidden_channels
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Network

pytestmark = pytest.mark.floats


class Encoder(nn.Module):
    """Two levels of ones, a token that is no map, and a level without channels, as encoders give them."""

    def forward(self, images: Tensor) -> Any:
        batch, _, height, width = images.shape
        maps = [torch.ones(batch, 3, height, width), torch.ones(batch, 40, height // 2, width // 2)]
        return [*maps, torch.ones(batch, 0, height // 4, width // 4)], torch.ones(batch, 5)


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()

    def forward(self, images: Tensor) -> Any:
        return self.encoder(images)


def test_blocks_are_hidden_at_every_level_and_shown_again_afterwards() -> None:
    network, images = Whole(), torch.zeros(2, 3, 8, 12)
    keep = torch.zeros(2, 1, 8, 12)
    keep[0, :, :4] = 1
    keep[1, :, :, 6:] = 1
    with hidden_blocks(network, keep):
        (whole, half, none), token = network(images)
    assert torch.equal(whole, keep.expand(-1, 3, -1, -1))
    assert torch.equal(half, keep[..., ::2, ::2].expand(-1, 40, -1, -1))
    assert none.shape == (2, 0, 2, 3)
    assert torch.equal(token, torch.ones(2, 5))
    assert network(images)[0][0].min() == 1


@pytest.mark.parametrize("complementary", [False, True])
def test_channels_are_hidden_by_share_and_their_sum_stays(complementary: bool) -> None:
    network, images = Whole(), torch.zeros(4, 3, 8, 12)
    with hidden_channels(network, 0.3, complementary, torch.Generator().manual_seed(0)):
        (_, half, _), token = network(images)
    hidden = half[:, :, 0, 0] == 0
    assert torch.equal(half == 0, hidden[:, :, None, None].expand_as(half)), "a channel is hidden whole"
    assert half.sum(dim=1)[:, 0, 0].tolist() == pytest.approx([40] * 4, rel=1e-5)
    assert torch.equal(token, torch.ones(4, 5))
    if complementary:
        assert torch.equal(hidden[:2], ~hidden[2:])
        assert 0.1 < hidden[:2].float().mean() < 0.5
    else:
        assert 0.15 < hidden.float().mean() < 0.45
        assert not torch.equal(hidden[0], hidden[1])


def test_an_error_within_takes_the_mask_off() -> None:
    network = Whole()
    with pytest.raises(ZeroDivisionError), hidden_blocks(network, torch.zeros(1, 1, 8, 8)):
        _ = 1 / 0
    assert network(torch.zeros(1, 3, 8, 8))[0][0].min() == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "fpn", "encoder": "tu-test_resnet"},
        {"architecture": "segformer", "encoder": "mit_b0"},
        {"architecture": "fpn", "encoder": "tu-test_resnet", "shrink": 2},
    ],
)
def test_with_everything_hidden_no_network_tells_two_pictures_apart(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build_segmenter(Network.model_validate(settings)).eval()
    images = torch.randn(2, 3, 64, 128)
    answers = network(images)
    assert not torch.allclose(answers[0], answers[1])
    with hidden_blocks(network, torch.zeros(2, 1, 64, 128)):
        hidden = network(images)
    assert torch.allclose(hidden[0], hidden[1])
