"""Submit: predictions of the hidden test splits of ACDC and Dark Zurich, packed as their servers take them.

`python -m pipeline.submit --method mic` writes submission/mic_acdc.zip or mic_dark_zurich.zip, whichever of the two
is a target in the params, and prints its checksum. The paper reports these splits (method page, section 4).

What the archives hold, and how sure that is: the servers' own pages were not read, only what others say of them.

* ACDC, acdc.vision.ee.ethz.ch/submit: a PNG of train ids for each of the 2000 test pictures, 1920 x 1080; the README of
  DTBS (Huang et al., ECAI 2023) quotes that. The folder labelTrainIds/ and the picture's own name, *_rgb_anon.png, are
  what the command in the README of MIC writes; Refign (brdav/refign) names its files alike. Not seen: whether the
  server would take other folders or names as well.
* Dark Zurich, codalab.lisn.upsaclay.fr/competitions/3783: 151 pictures in each of labelTrainIds/, confidence/ (16-bit,
  65535 is sure) and labelTrainIds_invalid/ (could mark invalid pixels by 255; none is), found there by
  {sequence}_frame_{frame}*.png; from the README of BIT-DA/SePiCo and issues of W-zx-Y/DANNet and ygjwd12345/BiMix.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import nn

from pipeline.data.archives import open_archive, read_bytes
from pipeline.data.formats import list_pictures
from pipeline.data.labels import read_label_ids
from pipeline.data.pictures import read_picture
from pipeline.edge.classes import NUM_CLASSES
from pipeline.edge.errors import UserError
from pipeline.edge.images import enlarge_nearest
from pipeline.evaluate import trained_network
from pipeline.evaluation.inference import Prediction, predict_as
from pipeline.params import Params, load_params
from pipeline.params.data import AcdcData, DarkZurichData
from pipeline.run.files import replacing
from pipeline.run.lock import alone
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace

LABELS, LABELS_INVALID, CONFIDENCE = "labelTrainIds", "labelTrainIds_invalid", "confidence"
SURE = 65535


@dataclass(frozen=True)
class Benchmark:
    """What a server expects: so many pictures of that (height, width), each in all these folders."""

    pictures: int
    size: tuple[int, int]
    folders: tuple[str, ...]


BENCHMARKS = {
    "acdc": Benchmark(2000, (1080, 1920), (LABELS,)),
    "dark_zurich": Benchmark(151, (1080, 1920), (LABELS, LABELS_INVALID, CONFIDENCE)),
}


def run(
    params: Params, workspace: Workspace, method: str, device: torch.device | str | None = None
) -> list[Path]:
    """Predict the test pictures of every benchmark among the targets; returns the archives.

    Raises:
        UserError: no such target, no weights, or a test split that is not the whole official one.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    targets = {d.format: d for d in params.data.targets if isinstance(d, AcdcData | DarkZurichData)}
    if not targets:
        raise UserError(
            "data.target has neither format acdc nor dark_zurich, whose test splits are submitted: add the one "
            "you have to data.target"
        )
    pictures = {name: benchmark_pictures(data) for name, data in targets.items()}
    network = trained_network(params, workspace.shipped(method, params.ship), method, device)
    archives = []
    for name, images in pictures.items():
        path = workspace.submission(method, name)
        with replacing(path) as beside:
            write_archive(beside, BENCHMARKS[name], images, network, params, device)
            check_archive(beside, BENCHMARKS[name], [image.name for image in images])
        checksum = hashlib.sha256(read_bytes(path)).hexdigest()
        Console().print(f"{path}: {len(images)} pictures, sha256 {checksum}", highlight=False, soft_wrap=True)
        archives.append(path)
    return archives


def benchmark_pictures(data: AcdcData | DarkZurichData) -> list[Path]:
    """The test pictures, all conditions, by name. Raises UserError where they are not the whole split."""
    changes = {"train": None, "val": ("test",), "train_list": None, "val_list": None}
    if isinstance(data, AcdcData):
        changes["conditions"] = AcdcData.model_fields["conditions"].default
    listing = list_pictures(data.model_copy(update=changes), "target", "data.target")
    if listing.problems:
        raise UserError("; ".join(listing.problems))
    images = sorted((p.image for p in listing.pictures), key=lambda image: image.name)
    expected = BENCHMARKS[data.format].pictures
    if len({image.name for image in images}) != expected:
        raise UserError(
            f"{data.root} has {len(images)} pictures of the test split, but the server expects {expected}: unpack "
            "the download again"
        )
    return images


def write_archive(
    path: Path,
    benchmark: Benchmark,
    images: Sequence[Path],
    network: nn.Module,
    params: Params,
    device: torch.device,
) -> None:
    """Predict the pictures one by one into a .zip; equal predictions give an equal file."""
    progress = track(images, "predicting", console=Console(stderr=True), disable=not sys.stderr.isatty())
    with zipfile.ZipFile(path, "w") as archive:  # PNG is compressed already
        for picture in progress:
            image = read_picture(picture)
            if image.shape[:2] != benchmark.size:
                raise UserError(
                    f"{picture} is {image.shape[1]}x{image.shape[0]} pixels, but the server expects "
                    f"{benchmark.size[1]}x{benchmark.size[0]}: unpack the download again"
                )
            prediction = predict_as(params, network, image, device)
            for folder in benchmark.folders:
                # ZipInfo's own date, the same on every day.
                archive.writestr(
                    zipfile.ZipInfo(f"{folder}/{picture.name}"), _png(_content(folder, prediction))
                )


def check_archive(path: Path, benchmark: Benchmark, names: Sequence[str]) -> None:
    """Open the archive as the server does: these names in every folder and nothing else, right sizes and ids.

    Raises UserError for anything else.
    """
    expected = sorted(f"{folder}/{name}" for folder in benchmark.folders for name in names)
    found = sorted(open_archive(path).names())
    if found != expected or len(names) != benchmark.pictures:
        other = sorted(set(found) ^ set(expected))[:3]
        raise UserError(f"{path} does not hold {benchmark.pictures} pictures a folder as expected ({other})")
    for name in found:
        ids = read_label_ids(path / name)
        if ids.shape != benchmark.size:
            raise UserError(f"{path / name} is {ids.shape[1]}x{ids.shape[0]} pixels, not the picture's size")
        if name.startswith(CONFIDENCE):
            if ids.dtype != np.uint16:
                raise UserError(f"{path / name} is no 16-bit PNG")
        elif ids.dtype != np.uint8 or ids.max() >= NUM_CLASSES:
            raise UserError(f"{path / name} has ids beyond the {NUM_CLASSES} train ids")


def _content(folder: str, prediction: Prediction) -> np.ndarray:
    if folder != CONFIDENCE:
        return prediction.classes
    height, width = prediction.classes.shape
    return (enlarge_nearest(prediction.confidence, (height, width)) * SURE + 0.5).astype(np.uint16)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.submit --method M [--params FILE]`."""
    args = stage_arguments("Pack predictions for the test servers.", with_method=True).parse_args(argv)
    with alone(Workspace(), f"submit {args.method}"):
        run(load_params(args.params), Workspace(), args.method)
    return 0


if __name__ == "__main__":
    main_guard(main)
