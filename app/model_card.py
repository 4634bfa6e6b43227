"""What a model is for, where it fails, what was measured and under which licences: read from its manifest."""

from __future__ import annotations

from html import escape
from typing import Any

from pipeline.edge.manifest import Manifest


def card(title: str, manifest: Manifest, megabytes: float) -> str:
    """One model's honest limits as HTML."""
    failures = "".join(f"<li>{escape(text)}</li>" for text in manifest.known_failures)
    data = ", ".join(escape(text) for text in manifest.licences["data"]) or "not stated"
    network = manifest.network
    return (
        f"<section class='card'><h3>{escape(title)}</h3>"
        f"<p>{escape(manifest.intended_use)}</p>"
        + (f"<h4>Known to fail</h4><ul>{failures}</ul>" if failures else "")
        + f"<h4>Measured</h4>{_measured(manifest)}"
        + "<h4>Licences</h4>"
        f"<p>Code {escape(manifest.licences['code'])}; weights {escape(manifest.licences['weights'])}; "
        f"training data {data}.</p>"
        f"<p class='technical'>{escape(manifest.method)}, seed {manifest.seed}, "
        f"{escape(network['architecture'])} "
        f"with {escape(network['encoder'])}, {network['parameters'] / 1e6:.1f} million weights, "
        f"{megabytes:.1f} MB, made {escape(manifest.created[:10])}.</p></section>"
    )


def _measured(manifest: Manifest) -> str:
    """Overlap with labels on source and target pictures, and for each target condition."""
    source, target = manifest.metrics["source"], manifest.metrics["target"]
    rows = [("Pictures like those it learned from", _miou(source)), ("Target pictures", _miou(target))]
    conditions = (target or {}).get("conditions") or {}
    rows += [(f"… {name}", _miou(scores)) for name, scores in conditions.items()]
    body = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    return (
        "<table class='scores'><caption>Overlap with labels drawn by hand, mean over classes "
        f"(mIoU; 100&nbsp;% is perfect)</caption><tbody>{body}</tbody></table>"
    )


def _miou(scores: dict[str, Any] | None) -> str:
    value = (scores or {}).get("miou")
    return "no labels: not measured" if value is None else f"{100 * value:.1f}&nbsp;%"
