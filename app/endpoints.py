"""The endpoints /segment and /compare for gradio_client."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.answer import Answer, Style, Upload, answer
from app.files import jpegs
from app.limits import INFERENCE
from app.models import Models
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import UserError
from pipeline.edge.render import class_shares


def add_endpoints(models: Models) -> None:
    """Add both to the open gr.Blocks; their components are never drawn."""
    given = gr.Image(type="filepath", image_mode=None, label="image", visible=False)
    model = gr.Dropdown(models.names, value=models.pair[1], label="model", visible=False)
    overlays = [gr.File(label=label, visible=False) for label in ("overlay", "overlay after")]
    facts = gr.JSON(label="facts", visible=False)
    button = gr.Button(visible=False)
    cache = overlays[0].GRADIO_CACHE

    def segment(image: dict[str, Any] | None, name: str) -> tuple[str, dict[str, Any]]:
        result = _answer(models, image, [name])
        view = result.views[0]
        shares = {} if view.classes is None else class_shares(view.classes)
        classes = [{"id": i, "name": CLASSES[i].name, "share": share} for i, share in shares.items()]
        facts = {"model": name, "classes": classes, **_sizes(result), "milliseconds": view.milliseconds}
        return jpegs(cache, result, Style())[0], facts

    def compare(image: dict[str, Any] | None) -> tuple[str, str, dict[str, Any]]:
        if len(models.full) < 2:
            raise gr.Error("There is one model only: use /segment.", print_exception=False)
        result = _answer(models, image, list(models.pair))
        assert result.comparison is not None
        before, after = result.views
        facts = {
            "models": {"before": before.model, "after": after.model},
            **result.comparison.as_json(),
            **_sizes(result),
            "milliseconds": {"before": before.milliseconds, "after": after.milliseconds},
        }
        first, second = jpegs(cache, result, Style())
        return first, second, facts

    public: dict[str, Any] = {"preprocess": False, **INFERENCE}  # read_image is the one reader, not gradio
    button.click(
        segment,
        [given, model],
        [overlays[0], facts],
        api_name="segment",
        api_description="One model on one picture: overlay file; class shares (0..1), sizes, milliseconds.",
        **public,
    )
    button.click(
        compare,
        [given],
        [*overlays, facts],
        api_name="compare",
        api_description="Both models on one picture: overlay files before and after; class shares "
        "(0..1) of both, share of pixels that changed, largest swaps, sizes, milliseconds.",
        **public,
    )


def _answer(models: Models, image: dict[str, Any] | None, names: list[str]) -> Answer:
    """The answer; a UserError becomes the client's error, as its one sentence."""
    try:
        if image is None:
            raise UserError("No picture came with the request: send an image file.")
        for name in names:
            models[name]  # PHOTO is no model here
        return answer(models, Upload.from_record(image), names)
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _sizes(result: Answer) -> dict[str, dict[str, int]]:
    """Sizes in pixels of the picture that came and of the overlay, which is at most limits.MAX_SIDE long."""
    height, width = result.picture.shape[:2]
    return {
        "picture": {"height": result.size[0], "width": result.size[1]},
        "overlay": {"height": height, "width": width},
    }
