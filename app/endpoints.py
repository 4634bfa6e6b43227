"""The endpoints /segment and /compare for gradio_client."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.answer import Answer, Style, answer
from app.faults import spoken
from app.files import jpegs
from app.folder import Folder
from app.limits import INFERENCE
from app.models import Models
from app.uploads import Upload
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import UserError
from pipeline.edge.render import class_shares


def add_endpoints(models: Models, folder: Folder) -> None:
    """Add both to the open gr.Blocks; their components are never drawn."""
    given = gr.Image(type="filepath", image_mode=None, label="image", visible=False)
    model = gr.Dropdown(models.names, value=models.pair[1], label="model", visible=False)
    overlays = [gr.File(label=label, visible=False) for label in ("overlay", "overlay after")]
    facts = gr.JSON(label="facts", visible=False)
    button = gr.Button(visible=False)

    def segment(image: Any, name: str) -> tuple[str, dict[str, Any]]:
        with spoken():
            models.check(name)
            result = answer(models, Upload.from_record(image, folder), [name])
            view = result.views[0]
            shares = {} if view.classes is None else class_shares(view.classes)
            classes = [{"id": i, "name": CLASSES[i].name, "share": share} for i, share in shares.items()]
            facts = {"model": name, "classes": classes, **_picture(result), "milliseconds": view.milliseconds}
            return jpegs(folder, result, Style())[0], facts

    def compare(image: Any) -> tuple[str, str, dict[str, Any]]:
        with spoken():
            if len(models.full) < 2:
                raise UserError("There is one model only: use /segment.")
            result = answer(models, Upload.from_record(image, folder), list(models.pair))
            assert result.comparison is not None
            before, after = result.views
            facts = {
                "models": {"before": before.model, "after": after.model},
                **result.comparison.as_json(),
                **_picture(result),
                "milliseconds": {"before": before.milliseconds, "after": after.milliseconds},
            }
            first, second = jpegs(folder, result, Style())
            return first, second, facts

    public: dict[str, Any] = {"preprocess": False, **INFERENCE}  # read_image is the one reader, not gradio
    button.click(
        segment,
        [given, model],
        [overlays[0], facts],
        api_name="segment",
        api_description="One model on one picture: overlay file; class shares (0..1), sizes, warnings, milliseconds.",
        **public,
    )
    button.click(
        compare,
        [given],
        [*overlays, facts],
        api_name="compare",
        api_description="Both models on one picture: overlay files before and after; class shares "
        "(0..1) of both, share of pixels that changed, largest swaps, sizes, warnings, milliseconds.",
        **public,
    )


def _picture(result: Answer) -> dict[str, Any]:
    """Sizes in pixels of the picture that came and of the overlay, which is at most limits.MAX_SIDE long; and what
    speaks against judging the picture at all.
    """
    height, width = result.picture.shape[:2]
    return {
        "warnings": [result.doubt] if result.doubt else [],
        "picture": {"height": result.size[0], "width": result.size[1]},
        "overlay": {"height": height, "width": width},
    }
