"""How the page looks: a quiet theme with system fonts, its own style sheet, nothing from the network."""

from __future__ import annotations

from pathlib import Path

from gradio import themes

CSS = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")


def theme() -> themes.Base:
    """Slate and blue; every text colour has a contrast of at least 4.5:1 on its ground."""
    return themes.Base(
        primary_hue="blue", neutral_hue="slate", radius_size="md", font=_FONTS, font_mono=_MONO
    ).set(
        body_background_fill="*neutral_50",
        body_text_color="*neutral_900",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_background_fill="white",
        block_border_width="1px",
        block_shadow="none",
        link_text_color="*primary_700",
        slider_color="*primary_600",
    )
