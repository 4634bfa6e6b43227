"""A contact sheet per domain: twelve pictures and labels, so that a person sees what is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.data.formats import read_record_label
from pipeline.data.index import Record
from pipeline.data.pictures import read_picture
from pipeline.edge.classes import CLASSES, IGNORE
from pipeline.edge.images import enlarge_nearest, resize_image
from pipeline.edge.render import colour
from pipeline.params.data import Data

COLUMNS, PICTURES = 4, 12
TILE = (240, 320)  # (height, width) that a picture and its label are each fitted into, in pixels
GAP = 8
LINE = 20
INK, PAPER = (30, 30, 30), (255, 255, 255)


def contact_sheet(records: list[Record], data: Data) -> Image.Image:
    """Twelve pictures spread evenly over the index, with split, condition and, below, the label in colour."""
    count = min(PICTURES, len(records))
    chosen = [records[i * len(records) // count] for i in range(count)]
    sizes = [_fitted(r) for r in chosen]
    heights = [LINE + GAP + h * (2 if r.label else 1) for r, (h, _) in zip(chosen, sizes, strict=True)]
    rows = [max(heights[i : i + COLUMNS]) for i in range(0, count, COLUMNS)]
    legend_top = GAP + sum(rows)
    sheet = Image.new("RGB", (GAP + COLUMNS * (TILE[1] + GAP), legend_top + 2 * (LINE + GAP)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    seen: set[int] = set()
    for i, (record, size) in enumerate(zip(chosen, sizes, strict=True)):
        x, y = GAP + i % COLUMNS * (TILE[1] + GAP), GAP + sum(rows[: i // COLUMNS])
        draw.text(
            (x, y), f"{record.split}, {record.condition}: {Path(record.image).stem}"[:46], fill=INK, font=font
        )
        sheet.paste(Image.fromarray(resize_image(read_picture(record.image), size)), (x, y + LINE))
        if record.label:
            label = enlarge_nearest(read_record_label(record, data), size)
            seen.update(np.unique(label).tolist())
            sheet.paste(Image.fromarray(colour(label)), (x, y + LINE + size[0]))
    entries = [(c.name, c.rgb) for c in CLASSES if c.id in seen] + [("ignored", (0, 0, 0))] * (IGNORE in seen)
    x, y = GAP, legend_top
    for name, rgb in entries:
        width = LINE + GAP + int(draw.textlength(name, font=font)) + GAP
        if x + width > sheet.width:
            x, y = GAP, y + LINE + GAP
        draw.rectangle((x, y, x + LINE, y + LINE - 4), fill=rgb)
        draw.text((x + LINE + GAP // 2, y), name, fill=INK, font=font)
        x += width
    return sheet.crop((0, 0, sheet.width, y + LINE + GAP if seen else legend_top))


def _fitted(record: Record) -> tuple[int, int]:
    scale = min(TILE[0] / record.height, TILE[1] / record.width)
    return max(1, round(record.height * scale)), max(1, round(record.width * scale))
