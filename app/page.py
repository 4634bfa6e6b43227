"""The page: choose a picture, see two models' answers on either side of a slider, and what they differ in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app import files, words
from app.answer import Answer, Style, answer
from app.endpoints import add_endpoints
from app.faults import spoken
from app.files import Kept
from app.folder import Folder
from app.gain import EXAMPLES, first
from app.limits import INFERENCE
from app.model_card import card
from app.models import PHOTO, Models
from app.uploads import Upload
from pipeline.edge.errors import UserError
from pipeline.edge.images import SUFFIXES
from pipeline.edge.render import OPACITY

_FIRST = ("night", "fog", "dusk", "rain", "snow")
_PALETTES = ["Cityscapes", "Colour-blind safe"]
_HIDDEN: dict[str, Any] = {"api_visibility": "private"}
_REFUSED = gr.skip()


def examples(drawn_last: bool) -> list[Path]:
    """Every picture in app/examples, hard conditions first; drawings last for a model that learned from photographs."""
    found = [p for p in EXAMPLES.iterdir() if p.suffix.lower() in SUFFIXES]
    rank = {word: i for i, word in enumerate(_FIRST)}

    def place(path: Path) -> tuple[bool, int, str]:
        condition, drawn = path.stem.split("_")[0], path.stem.endswith("_drawn")
        return drawn and drawn_last, rank.get(condition, len(rank)), path.name

    return sorted(found, key=place)


def build(models: Models, folder: Folder) -> gr.Blocks:
    """The page over these models, with its endpoints; server.serve starts it."""
    with gr.Blocks(title="mic-adapt: before and after adaptation", analytics_enabled=False) as blocks:
        page = Page(models, folder)
        page.connect(blocks)
        add_endpoints(models, folder)
    return blocks


class Page:
    """The components, laid out when constructed inside gr.Blocks, and what happens on their events."""

    def __init__(self, models: Models, folder: Folder) -> None:
        self.models, self.folder = models, folder
        self.examples = examples(drawn_last=models[models.pair[1]].manifest.source_format != "scenes")
        self.first = first(models, self.examples)
        self.last = gr.State(None)
        """The visitor's last answer (Kept), so that colours change without a second run."""
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
            selected_index=self.first if self.examples else None,
        )  # fmt: skip
        choices = [(models.title(name), name) for name in [PHOTO, *models.names]]
        with gr.Group(visible=len(models.names) > 2):
            self.left = gr.Dropdown(choices, value=left, label="Left side")
            self.right = gr.Dropdown(choices[1:], value=right, label="Right side")

    def _lay_out_result(self) -> None:
        titles = (self.models.title(name) for name in self.models.pair)
        self.note = gr.HTML(elem_id="note")
        with gr.Row(elem_id="pictures"):
            with gr.Column(min_width=300, elem_id="original"):
                gr.HTML("<div class='captions'><span>The picture</span></div>")
                self.photo = gr.Image(
                    show_label=False, interactive=False, elem_id="photo", buttons=["fullscreen"], type="filepath",
                    alt_text="The picture as it came",
                )  # fmt: skip
            with gr.Column(min_width=300, elem_id="answers"):
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
            self.last, self.note, self.captions, self.photo, self.slider, self.change, self.legend, self.timing,
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
        record: Any,
        *given: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Sequence[Any]:
        """An upload or a paste. A refused one is taken away, and the last answer stays below the sentence."""
        if record is None:
            return [gr.skip()] * 11
        shown = self._respond(lambda: Upload.from_record(record, self.folder), given, progress)
        return *shown, None if shown[0] is _REFUSED else gr.skip(), gr.Gallery(selected_index=None)

    def on_example(
        self,
        event: gr.SelectData,
        *given: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Sequence[Any]:
        """A picture of the gallery."""

        def chosen() -> Upload:
            if event.index >= len(self.examples):
                raise UserError("There is no such example: load the page again.")
            return Upload.from_path(self.examples[event.index])

        return *self._respond(chosen, given, progress), None, gr.skip()

    def on_load(self, *given: Any, progress: gr.Progress = gr.Progress()) -> Sequence[Any]:  # noqa: B008
        """A visitor arrives: show what the page does on the example that gained most."""
        first = Upload.from_path(self.examples[self.first])
        return *self._respond(lambda: first, given, progress), gr.skip(), gr.skip()

    def on_sides(
        self,
        last: Kept | None,
        *given: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Sequence[Any]:
        """Another model was picked for one side."""
        if last is None:
            return [gr.skip()] * 11
        upload = last.answer.upload
        return *self._respond(lambda: upload, given, progress), gr.skip(), gr.skip()

    def on_style(self, last: Kept | None, *style: Any) -> Sequence[Any]:
        """Other colours for the same classes: no network runs."""
        if last is None:
            return [gr.skip()] * 2
        with spoken():
            result = last.read()
            return self._overlays(result, _style(*style)), words.legend(result, _style(*style))

    def on_downloads(self, last: Kept | None, *style: Any) -> list[str]:
        """Files are written only for those who ask."""
        with spoken():
            return [] if last is None else files.downloads(self.folder, last.read(), _style(*style))

    def _respond(
        self, choose: Callable[[], Upload], given: Sequence[Any], progress: gr.Progress
    ) -> Sequence[Any]:
        """New values of all that shows results; with a refused picture, of the sentence alone."""
        left, right, *style = given
        with spoken():
            try:
                result = answer(self.models, choose(), [left, right], progress)
            except UserError as error:
                return [_REFUSED, words.problem(str(error)), *[gr.skip()] * 7]
            drawn = _style(*style)
            return (
                Kept.write(self.folder, result),
                words.problem(result.doubt),
                words.captions(self.models.title(left), self.models.title(right)),
                files.photo(self.folder, result),
                self._overlays(result, drawn),
                words.change(result),
                words.legend(result, drawn),
                words.timing(result, self.models),
                gr.Accordion(open=False, visible=True),
            )

    def _overlays(self, result: Answer, style: Style) -> tuple[str, str]:
        left, right = files.jpegs(self.folder, result, style)
        return left, right


def _style(opacity: float, palette: str, outlines: bool) -> Style:
    return Style(opacity / 100, palette == _PALETTES[1], outlines)
