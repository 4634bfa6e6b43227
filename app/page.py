"""The page: choose a picture, see two models' answers on either side of a slider, and what they differ in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app import files, words
from app.answer import Answer, Style, Upload, answer
from app.endpoints import add_endpoints
from app.limits import DELETE_CACHE, INFERENCE
from app.model_card import card
from app.models import PHOTO, Models
from pipeline.edge.errors import UserError
from pipeline.edge.images import SUFFIXES
from pipeline.edge.render import OPACITY

EXAMPLES = Path(__file__).parent / "examples"
_FIRST = ("night", "fog", "dusk", "rain", "snow")
_PALETTES = ["Cityscapes", "Colour-blind safe"]
_HIDDEN: dict[str, Any] = {"api_visibility": "private"}


def examples(drawn_last: bool) -> list[Path]:
    """Every picture in app/examples, hard conditions first; drawings last for a model that learned from photographs."""
    found = [p for p in EXAMPLES.iterdir() if p.suffix.lower() in SUFFIXES]
    rank = {word: i for i, word in enumerate(_FIRST)}

    def place(path: Path) -> tuple[bool, int, str]:
        condition, drawn = path.stem.split("_")[0], path.stem.endswith("_drawn")
        return drawn and drawn_last, rank.get(condition, len(rank)), path.name

    return sorted(found, key=place)


def build(models: Models) -> gr.Blocks:
    """The page over these models, with its endpoints; start it with `launch`."""
    with gr.Blocks(
        title="mic-adapt: before and after adaptation", analytics_enabled=False, delete_cache=DELETE_CACHE
    ) as blocks:
        page = Page(models)
        page.connect(blocks)
        add_endpoints(models)
    return blocks


class Page:
    """The components, laid out when constructed inside gr.Blocks, and what happens on their events."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.examples = examples(drawn_last=models[models.pair[1]].manifest.source_format != "scenes")
        self.last = gr.State(None)
        """The visitor's last Answer, so that colours change without a second run."""
        gr.HTML(words.header(models))
        with gr.Row(elem_id="desk"):
            with gr.Column(scale=3, min_width=260, elem_id="side"):
                self._lay_out_choice()
            with gr.Column(scale=8, min_width=320, elem_id="stage"):
                self._lay_out_result()
        with gr.Accordion("Honest limits: what these models are for, and where they fail", open=False):
            cards = (card(models.title(n), models[n].manifest, models.megabytes(n)) for n in models.full)
            gr.HTML(f"<div class='cards'>{''.join(cards)}</div>")

    def _lay_out_choice(self) -> None:
        models, (left, right) = self.models, self.models.pair
        self.picture = gr.Image(
            label="Your picture", sources=["upload", "clipboard"], type="filepath", image_mode=None,
            height=230, elem_id="picture", buttons=[], alt_text="The picture that you chose",
            placeholder="# Drop a picture here\nor click to choose, or paste",
        )  # fmt: skip
        gr.HTML("<h2 class='label'>Or try one of these</h2>", visible=bool(self.examples))
        self.gallery = gr.Gallery(
            [(str(p), p.stem.replace("_", " ")) for p in self.examples],
            show_label=False, columns=3, height="auto", object_fit="cover", allow_preview=False,
            interactive=False, buttons=[], elem_id="examples", visible=bool(self.examples),
            selected_index=0 if self.examples else None,
        )  # fmt: skip
        choices = [(models.title(name), name) for name in [PHOTO, *models.names]]
        with gr.Group(visible=len(models.names) > 2):
            self.left = gr.Dropdown(choices, value=left, label="Left side")
            self.right = gr.Dropdown(choices[1:], value=right, label="Right side")

    def _lay_out_result(self) -> None:
        titles = (self.models.title(name) for name in self.models.pair)
        self.note = gr.HTML(elem_id="note")
        self.captions = gr.HTML(words.captions(*titles), elem_id="captions")
        self.slider = gr.ImageSlider(
            label="Before and after", show_label=False, interactive=False, elem_id="slider",
            max_height=660, buttons=["fullscreen"],
        )  # fmt: skip
        self.change = gr.HTML(elem_id="change")
        with gr.Row(elem_id="style"):
            self.opacity = gr.Slider(
                0, 100, round(100 * OPACITY), step=5, label="Colour strength, %", buttons=[]
            )
            self.palette = gr.Radio(_PALETTES, value=_PALETTES[0], label="Colours")
            self.outlines = gr.Checkbox(False, label="Outlines", info="White lines between classes")
        self.legend = gr.HTML(elem_id="legend")
        self.timing = gr.HTML(elem_id="timing")
        with gr.Accordion("Download", open=False, visible=False) as self.downloads:
            self.files = gr.Files(show_label=False, interactive=False, elem_id="files")

    def connect(self, blocks: gr.Blocks) -> None:
        """Bind the events; everything that runs a network shares one lane of the queue."""
        style = [self.opacity, self.palette, self.outlines]
        given = [self.left, self.right, *style]
        shown = [
            self.last, self.note, self.captions, self.slider, self.change, self.legend, self.timing,
            self.downloads, self.picture, self.gallery,
        ]  # fmt: skip
        run = {"show_progress_on": self.slider, "trigger_mode": "always_last", **INFERENCE, **_HIDDEN}
        # Without preprocess=False gradio would decode the upload by its own rules, not by read_image.
        self.picture.change(self.on_picture, [self.picture, *given], shown, preprocess=False, **run)
        self.gallery.select(self.on_example, given, shown, **run)
        gr.on([self.left.change, self.right.change], self.on_sides, [self.last, *given], shown, **run)
        if self.examples:
            blocks.load(self.on_load, given, shown, **run)
        quick = {"trigger_mode": "always_last", "show_progress": "hidden", **_HIDDEN}
        for control in style:
            control.input(self.on_style, [self.last, *style], [self.slider, self.legend], **quick)
        self.downloads.expand(self.on_downloads, [self.last, *style], self.files, **_HIDDEN)

    def on_picture(
        self,
        record: dict[str, Any] | None,
        *given: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Sequence[Any]:
        """An upload or a paste. A refused one is taken away; its sentence stays until the next picture."""
        if record is None:
            return [gr.skip()] * 10
        shown = self._respond(Upload.from_record(record), given, progress)
        return *shown, None if shown[0] is None else gr.skip(), gr.Gallery(selected_index=None)

    def on_example(
        self,
        event: gr.SelectData,
        *given: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Sequence[Any]:
        """A picture of the gallery."""
        return *self._respond(Upload.from_path(self.examples[event.index]), given, progress), None, gr.skip()

    def on_load(self, *given: Any, progress: gr.Progress = gr.Progress()) -> Sequence[Any]:  # noqa: B008
        """A visitor arrives: show what the page does on the first example."""
        return *self._respond(Upload.from_path(self.examples[0]), given, progress), gr.skip(), gr.skip()

    def on_sides(
        self,
        last: Answer | None,
        *given: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Sequence[Any]:
        """Another model was picked for one side."""
        if last is None:
            return [gr.skip()] * 10
        return *self._respond(last.upload, given, progress), gr.skip(), gr.skip()

    def on_style(self, last: Answer | None, *style: Any) -> Sequence[Any]:
        """Other colours for the same classes: no network runs."""
        if last is None:
            return [gr.skip()] * 2
        return self._pictures(last, _style(*style)), words.legend(last, _style(*style))

    def on_downloads(self, last: Answer | None, *style: Any) -> list[str]:
        """Files are written only for those who ask."""
        return [] if last is None else files.downloads(self.files.GRADIO_CACHE, last, _style(*style))

    def _respond(self, upload: Upload, given: Sequence[Any], progress: gr.Progress) -> Sequence[Any]:
        """New values of all that shows results; with a refused picture, of the sentence alone."""
        left, right, *style = given
        try:
            result = answer(self.models, upload, [left, right], progress)
        except UserError as error:
            return None, words.problem(str(error)), "", None, "", "", "", gr.Accordion(visible=False)
        drawn = _style(*style)
        return (
            result,
            "",
            words.captions(self.models.title(left), self.models.title(right)),
            self._pictures(result, drawn),
            words.change(result),
            words.legend(result, drawn),
            words.timing(result, self.models),
            gr.Accordion(open=False, visible=True),
        )

    def _pictures(self, result: Answer, style: Style) -> tuple[str, str]:
        left, right = files.jpegs(self.slider.GRADIO_CACHE, result, style)
        return left, right


def _style(opacity: float, palette: str, outlines: bool) -> Style:
    return Style(min(100.0, max(0.0, float(opacity))) / 100, palette == _PALETTES[1], bool(outlines))
