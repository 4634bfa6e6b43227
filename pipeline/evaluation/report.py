"""The report a stakeholder reads: one HTML file with its pictures inside, asking nothing of the network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from pipeline.edge.classes import CLASSES
from pipeline.edge.images import enlarge_nearest, resize_image
from pipeline.edge.render import overlay
from pipeline.evaluation.pictures import jpeg_bytes
from pipeline.evaluation.report_tables import class_shares, gains, scores
from pipeline.evaluation.verdict import (
    LABELS,
    Verdict,
    interval,
    judge,
    listed,
    points,
    price_on_source,
    signed,
)

CASE_WIDTH = 800  # pixels of a before/after picture
BADGES = {"gain": "gain", "loss": "loss", "unclear": "no clear difference", "unknown": "no labels, no score"}


@dataclass(frozen=True)
class Case:
    """A picture (H, W, 3), the class maps (H, W) of baseline and method, and the truth or None."""

    title: str
    note: str
    image: np.ndarray
    before: np.ndarray
    after: np.ndarray
    truth: np.ndarray | None


@dataclass(frozen=True)
class Figure:
    """A picture of the report with its title and a sentence for those who cannot see it."""

    title: str
    alt: str
    png: bytes


@dataclass(frozen=True)
class Report:
    """All that the report shows."""

    compare: dict[str, Any]
    metrics: dict[str, dict[str, Any]]  # metrics/<method>.json by method, baseline first
    cases: Sequence[Case]
    figures: Sequence[Figure]
    facts: Sequence[tuple[str, str]]
    limits: Sequence[str]

    @property
    def before(self) -> dict[str, Any]:
        return self.metrics[self.compare["baseline"]]

    @property
    def after(self) -> dict[str, Any]:
        return self.metrics[self.compare["method"]]


def render(report: Report) -> str:
    """The whole page as HTML."""
    compare, before, after = report.compare, report.before, report.after
    verdict = judge(compare, before, after)
    facts = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in report.facts)
    limits = "".join(f"<li>{escape(text)}</li>" for text in report.limits)
    body = [
        _header(report, verdict),
        _cases(report),
        class_shares(compare, before, after) if verdict.tone == "unknown" else gains(compare, before, after),
        scores(compare, report.metrics),
        _figures(report.figures),
        f"<h2>How this was measured</h2><div class='card'><dl>{facts}</dl></div>",
        f"<h2>What this does not show</h2><ul class='plain'>{limits}</ul>",
        "<footer>Made by mic-adapt. Everything on this page is inside this one file.</footer>",
    ]
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(f"mic-adapt: {verdict.headline}"), body="\n".join(body))


def _header(report: Report, verdict: Verdict) -> str:
    compare, before, after = report.compare, report.before, report.after
    method = LABELS[compare["method"]]
    origin = ", ".join(before["source"]["conditions"]) or "source"
    target = listed(list(compare["target"]["conditions"])) or "target"
    parts = [
        "<header><p class='kicker'>"
        f"From {escape(origin)} to {escape(target)}, trained without target labels</p>",
        f"<span class='badge {verdict.tone}'>{BADGES[verdict.tone]}</span>",
        f"<h1>{escape(verdict.headline)}</h1><p class='lead'>{escape(verdict.detail)}</p></header>",
    ]
    gain = compare["target"]["miou_gain"]
    if gain is not None:
        below = f"points of 100, {target} pictures"
        change = f"points; 95 % interval {interval(compare['target']['miou_gain_ci95'])}"
        tiles = [
            _tile("Before: source-only", points(before["target"]["miou"]), below),
            _tile(f"After: {method}", points(after["target"]["miou"]), below),
            _tile("Difference", signed(gain), change, verdict.tone),
            _recovered(before, gain) if verdict.tone == "gain" else "",
        ]
        parts.append(f"<div class='tiles'>{''.join(tiles)}</div>")
    parts.append(f"<p>{escape(price_on_source(compare, before, after))}</p>")
    if gain is not None:
        parts.append(
            "<p class='note'>Points: mean intersection over union (mIoU) times 100. For each class, the "
            "pixels both labelled and predicted as it, divided by those that are either; then the mean over "
            "the classes. 100 is perfect.</p>"
        )
    return "".join(parts)


def _recovered(before: dict[str, Any], gain: float) -> str:
    """The tile that sets a gain against what source-only loses from source to target."""
    source, target = before["source"]["miou"], before["target"]["miou"]
    if source is None or source - target < 0.01:
        return ""
    share = f"{100 * gain / (source - target):.0f}\N{NO-BREAK SPACE}%"
    return _tile("Gap to the source closed", share, f"source-only has {points(source)} there")


def _tile(title: str, number: str, below: str, tone: str = "") -> str:
    return (
        f"<div class='card tile'><span>{escape(title)}</span><b class='{tone}'>{number}</b>"
        f"<span>{escape(below)}</span></div>"
    )


def _cases(report: Report) -> str:
    baseline, method = LABELS[report.compare["baseline"]], LABELS[report.compare["method"]]
    shown = {int(i) for c in report.cases for m in (c.before, c.after) for i in np.unique(m)}
    legend = "".join(
        f"<li><i style='background:rgb{c.rgb}'></i>{c.name}</li>" for c in CLASSES if c.id in shown
    )
    cards = "".join(_case(c, baseline, method) for c in report.cases)
    return (
        f"<h2>Before and after</h2><p>Drag the line: left of it stands what {baseline} sees, right of it "
        f"what {method} sees.</p><ul class='legend'>{legend}</ul><div class='cases'>{cards}</div>"
    )


def _case(case: Case, baseline: str, method: str) -> str:
    title = escape(case.title)
    size = (round(CASE_WIDTH * case.image.shape[0] / case.image.shape[1]), CASE_WIDTH)
    image = resize_image(case.image, size)
    before, after = (_inline(overlay(image, enlarge_nearest(m, size))) for m in (case.before, case.after))
    half = (size[0] // 2, size[1] // 2)
    thumbs = {"the picture": resize_image(case.image, half)}
    if case.truth is not None:
        thumbs["ground truth"] = overlay(thumbs["the picture"], enlarge_nearest(case.truth, half))
    strip = "".join(
        f"<figure><img src='{_inline(picture)}' alt='{title}: {name}'>{name}</figure>"
        for name, picture in thumbs.items()
    )
    return (
        f"<div class='card'><h3>{title}</h3><div class='slider'>"
        f"<img src='{before}' alt='{title}: classes of {baseline}'>"
        f"<img class='after' src='{after}' alt='{title}: classes of {method}'>"
        f"<span class='tag l'>before: {baseline}</span><span class='tag r'>after: {method}</span>"
        "<span class='knob' aria-hidden='true'>\N{LEFT RIGHT ARROW}</span>"
        f"<input type='range' value='50' aria-label='{title}: line between before and after'></div>"
        f"<div class='thumbs'>{strip}</div><p class='note'>{escape(case.note)}</p></div>"
    )


def _figures(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    shown = "".join(
        f"<div class='card scroll'><h3>{escape(f.title)}</h3><img alt='{escape(f.alt)}' "
        f"src='data:image/png;base64,{base64.b64encode(f.png).decode()}'></div>"
        for f in figures
    )
    summary = "Which classes are taken for which"
    return f"<details><summary>{summary}</summary><div class='figures'>{shown}</div></details>"


def _inline(picture: np.ndarray) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(picture)).decode()}"
