"""Pictures of an evaluation: confusion matrix, what changed in it, and the before/after grid."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from pipeline.edge.classes import CLASSES, NUM_CLASSES, palette
from pipeline.edge.images import enlarge_nearest, resize_image
from pipeline.edge.render import colour

CELL_WIDTH = 440
GAP = 8
INK, PAPER = (28, 32, 38), (255, 255, 255)


@dataclass(frozen=True)
class GridRow:
    """One line of the grid: a picture (H, W, 3), class maps (h, w) of its aspect; None: no label."""

    title: str
    image: np.ndarray
    truth: np.ndarray | None
    predictions: Sequence[np.ndarray]


def confusion_shares(confusion: np.ndarray) -> tuple[np.ndarray, list[str], list[str]]:
    """Row shares of a confusion matrix (19, 19), only for labelled classes.

    Returns:
        shares (R, R) or (R, R + 1), row names, column names. The further column "other" collects
        predictions of classes that are nowhere labelled, so that every row sums to 1.
    """
    labelled = np.flatnonzero(confusion.sum(axis=1))
    rows = confusion[labelled]
    other = np.delete(rows, labelled, axis=1).sum(axis=1, keepdims=True)
    columns = np.concatenate([rows[:, labelled], other], axis=1) if other.any() else rows[:, labelled]
    names = [CLASSES[i].name for i in labelled]
    return (
        columns / rows.sum(axis=1, keepdims=True),
        names,
        names + ["other"] * (columns.shape[1] - len(names)),
    )


def confusion_picture(confusion: np.ndarray, title: str) -> bytes:
    """PNG of a confusion matrix (19, 19): each row sums to 100 %, labelled classes alone."""
    shares, rows, columns = confusion_shares(confusion)
    return _matrix_png(100 * shares, rows, columns, title, "Blues", (0, 100), "{:.0f}")


def confusion_change_picture(before: np.ndarray, after: np.ndarray, title: str) -> bytes:
    """PNG of the change between two confusion matrices (19, 19) of the same labels, in points of each row."""
    anywhere = before + after  # one set of columns for both
    labelled = np.flatnonzero(anywhere.sum(axis=1))
    _, rows, columns = confusion_shares(anywhere)

    def shares(confusion: np.ndarray) -> np.ndarray:
        share = confusion[labelled] / confusion[labelled].sum(axis=1, keepdims=True)
        other = 1 - share[:, labelled].sum(axis=1, keepdims=True)
        return np.concatenate([share[:, labelled], other], axis=1)[:, : len(columns)]

    change = 100 * (shares(after) - shares(before))
    limit = max(5.0, float(np.abs(change).max()))
    return _matrix_png(change, rows, columns, title, "PuOr", (-limit, limit), "{:+.0f}")


def _matrix_png(
    values: np.ndarray,
    rows: list[str],
    columns: list[str],
    title: str,
    colours: str,
    limits: tuple[float, float],
    number: str,
) -> bytes:
    """A matrix with its numbers written in; values that round to nothing stay empty."""
    side = 2.2 + 0.42 * len(columns)
    figure = Figure(figsize=(side + 0.6, 1.9 + 0.42 * len(rows)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled")
    reach = max(abs(limits[0]), abs(limits[1]))
    for (y, x), value in np.ndenumerate(values):
        if round(value):
            tint = "white" if abs(value) > 0.6 * reach else "black"
            axes.text(x, y, number.format(value), ha="center", va="center", fontsize=8, color=tint)
    for spine in axes.spines.values():
        spine.set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def grid_picture(rows: Sequence[GridRow], titles: Sequence[str]) -> Image.Image:
    """The before/after grid: picture, ground truth (where any row has one), then one column per method.

    `titles` name the methods, in the order of `GridRow.predictions`. A legend of the classes that
    occur stands below.
    """
    with_truth = any(r.truth is not None for r in rows)
    columns = ["picture", *(["ground truth"] if with_truth else []), *titles]
    font, small = ImageFont.load_default(20), ImageFont.load_default(15)
    heights = [round(CELL_WIDTH * r.image.shape[0] / r.image.shape[1]) for r in rows]
    width = GAP + len(columns) * (CELL_WIDTH + GAP)
    head, label = 40, 26
    occurring = _occurring(rows)
    per_line = max(1, (width - GAP) // 150)
    legend = 26 * -(-len(occurring) // per_line) + 2 * GAP
    canvas = Image.new("RGB", (width, head + sum(h + label + GAP for h in heights) + legend), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, title in enumerate(columns):
        draw.text((GAP + i * (CELL_WIDTH + GAP), 10), title, INK, font)
    top = head
    for row, height in zip(rows, heights, strict=True):
        draw.text((GAP, top + 3), row.title, (90, 96, 104), small)
        top += label
        size = (height, CELL_WIDTH)
        maps = ([row.truth] if with_truth else []) + list(row.predictions)
        cells = [resize_image(row.image, size)]
        cells += [
            np.full((*size, 3), 238, np.uint8) if m is None else colour(enlarge_nearest(m, size))
            for m in maps
        ]
        for i, cell in enumerate(cells):
            canvas.paste(Image.fromarray(cell), (GAP + i * (CELL_WIDTH + GAP), top))
        if with_truth and row.truth is None:
            draw.text((2 * GAP + CELL_WIDTH + 12, top + 12), "no label", (90, 96, 104), small)
        top += height + GAP
    for i, class_id in enumerate(occurring):
        x, y = GAP + (i % per_line) * 150, top + GAP + 26 * (i // per_line)
        draw.rectangle((x, y + 2, x + 18, y + 18), fill=tuple(palette()[class_id].tolist()), outline=INK)
        draw.text((x + 26, y), CLASSES[class_id].name, INK, small)
    return canvas


def _occurring(rows: Sequence[GridRow]) -> list[int]:
    """Classes that cover at least a thousandth of some map in the grid, by id."""
    maps = [m for r in rows for m in (r.truth, *r.predictions) if m is not None]
    shares = [np.bincount(m.ravel(), minlength=256)[:NUM_CLASSES] / m.size for m in maps]
    return np.flatnonzero(np.max(shares, axis=0) >= 1e-3).tolist() if shares else []


def png_bytes(picture: Image.Image | np.ndarray, level: int = 6) -> bytes:
    """A picture or uint8 array as PNG; `level` 1 is fast, 9 small."""
    stream = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, "PNG", compress_level=level)
    return stream.getvalue()


def jpeg_bytes(picture: np.ndarray, quality: int = 85) -> bytes:
    """A uint8 picture (H, W, 3) as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return stream.getvalue()
