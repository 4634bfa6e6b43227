"""The network of params.yaml: any smp architecture, DAFormer or DeepLabV2, over any smp or timm encoder."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.encoders import TimmViTEncoder, encoders, get_encoder
from torch import Tensor, nn

from pipeline.edge.classes import NUM_CLASSES
from pipeline.edge.errors import UserError
from pipeline.networks.daformer import STAGES, DaformerDecoder, ScaleAttention, classifier
from pipeline.networks.deeplabv2 import Deeplabv2Decoder
from pipeline.networks.encoder_decoder import STRIDE, SegmentationNetwork
from pipeline.networks.hrda import Hrda
from pipeline.networks.hub import hub_weights
from pipeline.networks.shrunk import Shrunk
from pipeline.networks.weights import load_encoder_weights
from pipeline.params import Network

SMP_ARCHITECTURES = smp.MODEL_ARCHITECTURES_MAPPING
# Arguments that the other keys of `network` and the 19 classes settle, or that act behind the logits.
SETTLED = {"encoder_name", "encoder_weights", "encoder_channels", "in_channels", "classes"}
SETTLED |= {"activation", "upsampling", "aux_params", "kwargs", "self"}


def build_segmenter(network: Network, pretrained: bool = True) -> SegmentationNetwork:
    """Build the network; the decoder (and the encoder without weights) starts from torch's generator.

    What the decoder or smp architecture does not know of `network.decoder` goes to a timm (`tu-`) encoder.

    Raises:
        UserError: an unknown architecture, encoder or argument, a pair that does not fit, or weights that do not
            match or cannot be had.
    """
    _check_names(network)
    try:
        segmenter = _build(network)
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"network: {network.architecture} over {network.encoder} with decoder {network.decoder} cannot be built "
            f"({' '.join(str(error).split())}): dpt goes with ViTs, all others with encoders that have stages"
        ) from None
    if pretrained and network.weights is not None:
        path = network.weights if network.hub_name is None else hub_weights(network.encoder, network.hub_name)
        load_encoder_weights(segmenter.encoder, path, network.sha256)
    if network.shrink > 1:
        return Shrunk(segmenter, network.shrink)
    return segmenter if network.hrda is None else _hrda(segmenter, network)


def _build(network: Network) -> SegmentationNetwork:
    if network.architecture == "daformer":
        encoder = _encoder(network, DaformerDecoder, output_stride=32)
        decoder = DaformerDecoder(encoder.out_channels, **_arguments(network, DaformerDecoder))
        return SegmentationNetwork(encoder, decoder, classifier(decoder.out_channels))
    if network.architecture == "deeplabv2":
        encoder = _encoder(network, Deeplabv2Decoder, output_stride=8)  # paper
        decoder = Deeplabv2Decoder(encoder.out_channels, **_arguments(network, Deeplabv2Decoder))
        return SegmentationNetwork(encoder, decoder, nn.Identity())
    if network.architecture == "dpt":
        return _dpt(network)
    model: Any = smp.create_model(
        network.architecture, network.encoder, None, classes=NUM_CLASSES, **network.decoder
    )
    if getattr(getattr(model.decoder, "merge", None), "policy", None) == "add":
        model.decoder.merge = _Sum()
    # smp enlarges inside the head with aligned corners; the head's own resolution is what we want.
    return SegmentationNetwork(model.encoder, model.decoder, nn.Sequential(model.segmentation_head[0]))


class _Sum(nn.Module):
    """smp's FPN stacks its levels to add them: the same sum without the copy, 4 % of the exported network's time."""

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Levels of one shape -> their sum."""
        return sum(levels[1:], start=levels[0])


def _encoder(network: Network, decoder: type[nn.Module], output_stride: int) -> Any:
    """The encoder alone. timm dilates the first block of a stage by the smaller factor, as the paper does."""
    taken = _arguments(network, decoder)
    arguments = {k: v for k, v in network.decoder.items() if k not in taken}
    stride = arguments.pop("encoder_output_stride", output_stride)
    if stride != 32 and network.encoder.startswith("mit_"):
        raise UserError(
            f"network.encoder {network.encoder} cannot be dilated to stride {stride} for {network.architecture}: "
            "choose a ResNet such as tu-resnet101c"
        )
    return get_encoder(network.encoder, output_stride=stride, **arguments)


def _dpt(network: Network) -> SegmentationNetwork:
    # Pictures of any size, and no classifier; a null in the params takes an argument from ViTs that lack it.
    arguments = {"dynamic_img_size": True, "num_classes": 0} | network.decoder
    model: Any = smp.DPT(network.encoder, encoder_weights=None, classes=NUM_CLASSES, **arguments)
    encoder = model.encoder
    if STRIDE % encoder.output_stride:
        raise UserError(
            f"network.encoder {network.encoder} has patches of {encoder.output_stride} pixels, which do not divide "
            f"{STRIDE}: set network.decoder.patch_size: 16, and the weights are resampled"
        )
    # What comes behind the last stage would train on nothing.
    encoder.model.prune_intermediate_layers(encoder._output_indices, prune_norm=True, prune_head=True)
    return SegmentationNetwork(encoder, model.decoder, model.segmentation_head.head)


def _hrda(segmenter: SegmentationNetwork, network: Network) -> Hrda:
    assert network.hrda is not None
    encoder: Any = segmenter.encoder
    if isinstance(encoder, TimmViTEncoder) or len(encoder.out_channels) <= STAGES:
        raise UserError(
            f"network.hrda cannot wrap {network.architecture} over {network.encoder}, which has not four stages of "
            "stride 4 to 32: set network.hrda: null"
        )
    decoder = Deeplabv2Decoder if network.architecture == "deeplabv2" else ScaleAttention
    attention = decoder(encoder.out_channels, **_arguments(network, decoder))
    return Hrda(segmenter, attention, network.hrda)


def _arguments(network: Network, of: Callable[..., Any]) -> dict[str, Any]:
    """The part of `network.decoder` that `of` takes."""
    known = inspect.signature(of).parameters.keys() - SETTLED
    return {k: v for k, v in network.decoder.items() if k in known}


def _check_names(network: Network) -> None:
    """Refuse unknown names with the nearest right ones, before a library refuses them with all it knows."""
    own = {"daformer": DaformerDecoder, "deeplabv2": Deeplabv2Decoder}
    architectures = own | SMP_ARCHITECTURES
    if network.architecture not in architectures:
        near = _near(network.architecture, architectures)
        raise UserError(f"network.architecture {network.architecture!r} is unknown: {near}")
    is_timm = network.encoder.startswith("tu-")
    if not (timm.is_model(network.encoder[3:]) if is_timm else network.encoder in encoders):
        near = _near(network.encoder, [*encoders, *(f"tu-{name}" for name in timm.list_models())])
        raise UserError(f"network.encoder {network.encoder!r} is unknown to smp and timm: {near}")
    known = inspect.signature(architectures[network.architecture]).parameters.keys() - SETTLED
    known |= {"encoder_output_stride"} if network.architecture in own else set()
    unknown = SETTLED if is_timm else network.decoder.keys() - known
    for key in sorted(network.decoder.keys() & unknown):
        raise UserError(
            f"network.decoder.{key} is no argument of {network.architecture} over {network.encoder}: "
            f"{_near(key, known)}"
        )


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5)
    return "did you mean " + ", ".join(near) + "?" if near else "there are " + ", ".join(names[:20])
