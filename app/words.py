"""What the page says, as HTML: captions, change, legend, timing and problems."""

from __future__ import annotations

from html import escape

import numpy as np

from app.answer import Answer, Style
from app.models import Models
from pipeline.edge.classes import CLASSES, Colour
from pipeline.edge.render import class_shares

_SHOWN_SWAPS = 3
_TRACE = 0.0005  # less than 0.05 % would be printed as 0.0 %


def header(models: Models) -> str:
    """Title, what the page is and how to use it; the conditions are those of the right-hand model."""
    after = models.pair[1]
    conditions = " and ".join(models[after].manifest.conditions) or "bad weather"
    return (
        "<header class='head'><h1>Before and after adaptation</h1>"
        "<p>The same street picture, coloured by two networks: one that learned from clear days only, "
        f"and one that also practised on {escape(conditions)} pictures that nobody had labelled. "
        "Choose a picture, then move the slider.</p></header>"
    )


def problem(sentence: str) -> str:
    """A mistake in one sentence, read out by screen readers."""
    return f"<p class='problem' role='alert'>{escape(sentence)}</p>" if sentence else ""


def captions(left: str, right: str) -> str:
    """The names of the slider's two sides."""
    return f"<div class='captions'><span>{escape(left)}</span><span>{escape(right)}</span></div>"


def change(answer: Answer) -> str:
    """How much differs between the two sides, and into what, in one or two sentences."""
    both = answer.comparison
    if both is None:
        return ""
    if both.changed < _TRACE:
        return "<p class='change'>Both sides agree on every part of the picture.</p>"
    swaps = [s for s in both.swaps[:_SHOWN_SWAPS] if s.share >= _TRACE]
    largest = ", ".join(f"{escape(s.before)}&nbsp;→&nbsp;{escape(s.after)} {percent(s.share)}" for s in swaps)
    sentence = f"<p class='change'><strong>{percent(both.changed)}</strong> of the picture changed."
    return sentence + (f" Most of it: {largest}.</p>" if largest else "</p>")


def legend(answer: Answer, style: Style) -> str:
    """The classes that occur, with their colour and their share on each side."""
    if answer.comparison is not None:
        heads = ("Before", "After", "Change")
        rows = [
            (s.id, (percent(s.before), percent(s.after), _points(s.change))) for s in answer.comparison.shares
        ]
    else:
        maps = [view.classes for view in answer.views if view.classes is not None]
        heads = ("Share",)
        rows = [(i, (percent(share),)) for i, share in class_shares(maps[0]).items()] if maps else []
    head = "".join(f"<th scope='col'>{h}</th>" for h in heads)
    body = "".join(
        f"<tr><th scope='row'><span class='chip' style='background:{_css(_colour(i, style))}'></span>"
        f"{CLASSES[i].name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for i, cells in rows
    )
    return (
        "<table class='legend'><caption>Share of the picture</caption>"
        f"<thead><tr><th scope='col'>Class</th>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{_descriptions(answer)}"
    )


def timing(answer: Answer, models: Models) -> str:
    """Milliseconds per model and step, where it ran, and how large the model file is."""
    lines = [
        f"{escape(view.title)}: {_milliseconds(view.milliseconds)}, "
        f"model of {models.megabytes(view.model):.1f}&nbsp;MB"
        for view in answer.views
        if view.classes is not None
    ]
    height, width = answer.size
    where = f"{escape(answer.upload.name)}, {width}&nbsp;×&nbsp;{height} pixels, on {models.provider.upper()}"
    return f"<p class='timing'>{'<br>'.join(lines)}<br>{where}</p>"


def percent(share: float) -> str:
    """0.0312 -> "3.1 %"; traces are said as such."""
    if 0 < share < _TRACE:
        return "&lt;&nbsp;0.1&nbsp;%"
    return f"{100 * share:.1f}&nbsp;%"


def _points(change: float) -> str:
    """Percentage points with a sign; what rounds to nothing is a dash."""
    return f"{'+' if change > 0 else '−'}{100 * abs(change):.1f}" if abs(change) >= _TRACE else "–"


def _milliseconds(parts: dict[str, float]) -> str:
    steps = ", ".join(f"{name} {value:.0f}" for name, value in parts.items())
    return f"<strong>{sum(parts.values()):.0f}&nbsp;ms</strong> ({steps})"


def _colour(class_id: int, style: Style) -> Colour:
    return CLASSES[class_id].safe_rgb if style.safe else CLASSES[class_id].rgb


def _css(colour: Colour) -> str:
    return "rgb({},{},{})".format(*colour)


def _descriptions(answer: Answer) -> str:
    """Texts that page.js gives to the slider's two pictures as their alternative text."""
    texts = [f"{view.title}: {_described(view.classes)}" for view in answer.views]
    return "".join(f"<span class='alt' hidden>{escape(text)}</span>" for text in texts)


def _described(classes: np.ndarray | None) -> str:
    if classes is None:
        return "the picture without colours"
    shares = list(class_shares(classes).items())[:4]
    return ", ".join(f"{CLASSES[i].name} {100 * share:.0f} %" for i, share in shares)
