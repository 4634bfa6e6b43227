"""The page in a real browser: upload, both overlays, legend, slider, refusal; at desktop and phone width."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDTHS = {"desktop": 1440, "phone": 390}
PATIENCE = 120_000  # milliseconds; machines that run tests may be busy

CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=sorted(WIDTHS))
def page(request: pytest.FixtureRequest, browser: Browser, page_url: str) -> Iterator[Page]:
    """The page with the first example's result on it; no request may leave this machine."""
    narrow = request.param == "phone"
    size = ViewportSize(width=WIDTHS[request.param], height=844 if narrow else 900)
    context = browser.new_context(viewport=size, has_touch=narrow, is_mobile=narrow)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.goto(page_url)
    expect(page.locator("#slider img")).to_have_count(2, timeout=PATIENCE)
    yield page
    context.close()
    away = [
        u for u in asked if urlsplit(u).scheme not in ("data", "blob") and urlsplit(u).hostname != "127.0.0.1"
    ]
    assert away == []
    assert errors == []


def upload(page: Page, path: Path) -> None:
    page.locator("#picture input[type=file]").first.set_input_files(path)


def pixels(place: Locator) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("RGB")).astype(int)


def loaded(page: Page) -> None:
    page.wait_for_function("[...document.querySelectorAll('#slider img')].every((i) => i.naturalWidth > 0)")


def no_sideways_scroll(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_upload_shows_both_overlays_and_the_slider_moves_between_them(
    page: Page, photo: Path, tmp_path: Path
) -> None:
    upload(page, photo)
    expect(page.locator("#timing")).to_contain_text("ramp.png, 320 × 200", timeout=PATIENCE)
    loaded(page)
    overlays = page.locator("#slider img")
    assert overlays.nth(0).get_attribute("src") != overlays.nth(1).get_attribute("src")
    expect(overlays.nth(0)).to_have_attribute("alt", re.compile(r"^Before adaptation.*: .*sky \d+ %"))
    expect(overlays.nth(1)).to_have_attribute("alt", re.compile(r"^After adaptation.*: .*road \d+ %"))
    expect(page.locator("#captions")).to_contain_text("Before adaptation (day only)")
    expect(page.locator("#captions")).to_contain_text("After adaptation (MIC)")
    expect(page.locator("#change")).to_contain_text("of the picture changed")
    expect(page.locator("#change")).to_contain_text("building → road")

    rows = page.locator(".legend tbody tr")
    shown = {row.split("\t")[0].strip(): row.split("\t")[1:] for row in rows.all_inner_texts()}
    assert set(shown) == {"road", "building", "vegetation", "car", "sky", "person"}
    assert shown["car"][0].startswith("12.")
    assert shown["car"][1].startswith("0.0")
    assert page.locator(".legend .chip").count() == len(shown)

    handle = page.get_by_role("slider", name="Border between")
    expect(handle).to_have_attribute("aria-valuenow", "50")
    page.screenshot(path=tmp_path / "uploaded.png", full_page=True)
    page.locator("#slider").scroll_into_view_if_needed()
    at_rest = pixels(page.locator("#slider"))
    box, frame = handle.bounding_box(), overlays.nth(0).bounding_box()
    assert box is not None
    assert frame is not None
    assert box["width"] >= 44
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.8
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.9, middle[1], steps=8)
    page.mouse.up()
    expect(handle).to_have_attribute("aria-valuenow", re.compile("^(89|90|91)$"))
    moved = pixels(page.locator("#slider"))
    between = slice(int(moved.shape[1] * 0.56), int(moved.shape[1] * 0.64))  # where car turned vegetation
    assert np.abs(moved - at_rest)[:, between].mean() > 10
    page.screenshot(path=tmp_path / "moved.png", full_page=True)

    handle.focus()
    page.keyboard.press("Home")
    expect(handle).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "5")
    assert no_sideways_scroll(page)


def test_refused_upload_is_a_sentence_above_the_last_answer(page: Page, photo: Path, tmp_path: Path) -> None:
    upload(page, photo)
    expect(page.locator("#timing")).to_contain_text("ramp.png", timeout=PATIENCE)
    shown = page.locator("#slider img").nth(1).get_attribute("src")
    text = tmp_path / "notes.png"
    text.write_text("This is text.\n")
    upload(page, text)
    alert = page.get_by_role("alert").filter(has_text="notes.png")
    expect(alert).to_have_text(
        re.compile(r"^notes\.png is not a picture that can be read: use .*\.$"), timeout=PATIENCE
    )
    expect(alert).to_be_in_viewport()
    expect(page.locator("#picture img")).to_have_count(0)
    expect(page.locator("#timing")).to_contain_text("ramp.png")
    assert page.locator("#slider img").nth(1).get_attribute("src") == shown
    assert alert.bounding_box()["y"] < page.locator("#slider").bounding_box()["y"]  # type: ignore[index]
    assert "Traceback" not in page.content()
    page.screenshot(path=tmp_path / "refused.png", full_page=True)
    assert no_sideways_scroll(page)
    page.get_by_label("Colour-blind safe").check()  # the answer that stands can still be drawn anew
    expect(page.locator("#slider img").nth(1)).not_to_have_attribute("src", shown or "", timeout=PATIENCE)
    upload(page, photo)
    expect(alert).to_have_count(0, timeout=PATIENCE)


def test_a_picture_that_is_no_street_says_so(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (640, 400)).save(tmp_path / "black.png")
    upload(page, tmp_path / "black.png")
    alert = page.get_by_role("alert").filter(has_text="no street picture")
    expect(alert).to_have_text(
        "This is no street picture that the model can judge: it is all but one colour; choose a photo of a street.",
        timeout=PATIENCE,
    )
    page.screenshot(path=tmp_path / "black_page.png", full_page=True)


@pytest.mark.parametrize("size", [None, (320, 200), (1000, 2400), (2000, 500)], ids=str)
def test_the_picture_is_as_large_as_its_answers(
    page: Page, tmp_path: Path, size: tuple[int, int] | None
) -> None:
    """At the start, and for small, upright and wide pictures."""
    if size is not None:
        Image.linear_gradient("L").resize(size).convert("RGB").save(tmp_path / "picture.png")
        upload(page, tmp_path / "picture.png")
        expect(page.locator("#timing")).to_contain_text("picture.png", timeout=PATIENCE)
    loaded(page)
    page.wait_for_function("document.querySelector('#photo img').naturalWidth > 0")
    photo, answer = (page.locator(f"{place} img").first.bounding_box() for place in ("#photo", "#slider"))
    page.screenshot(path=tmp_path / "sizes.png", full_page=True)
    assert photo is not None
    assert answer is not None
    assert photo["width"] == pytest.approx(answer["width"], rel=0.03)
    assert photo["height"] == pytest.approx(answer["height"], rel=0.03)
    assert no_sideways_scroll(page)


def test_ctrl_v_pastes_anywhere(page: Page, photo: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async (bytes) => navigator.clipboard.write([
            new ClipboardItem({ "image/png": new Blob([new Uint8Array(bytes)], { type: "image/png" }) })])""",
        list(photo.read_bytes()),
    )
    page.keyboard.press("ControlOrMeta+V")
    expect(page.locator("#timing")).to_contain_text("image.png, 320 × 200", timeout=PATIENCE)


def test_a_choice_on_a_phone_scrolls_to_its_answer(page: Page) -> None:
    narrow = (page.viewport_size or {"width": 0})["width"] < 700
    assert page.evaluate("window.scrollY") == 0
    page.locator("#examples button").nth(3).click()
    if not narrow:
        expect(page.locator("#slider")).to_be_in_viewport()
        assert page.evaluate("window.scrollY") == 0
        return
    page.wait_for_function("Math.abs(document.querySelector('#stage').getBoundingClientRect().top) < 40")
    expect(page.locator("#photo")).to_be_in_viewport()


def test_examples_style_downloads_and_limits(page: Page, tmp_path: Path) -> None:
    loaded(page)
    page.locator("#examples button").nth(1).click()
    expect(page.locator("#timing")).to_contain_text("night_highway.jpg", timeout=PATIENCE)
    loaded(page)
    road = page.locator(".legend tr", has_text="road").locator(".chip")
    expect(road).to_have_attribute("style", "background:rgb(128,64,128)")
    before = page.locator("#slider img").nth(1).get_attribute("src") or ""
    page.get_by_label("Colour-blind safe").check()
    expect(road).not_to_have_attribute("style", "background:rgb(128,64,128)", timeout=PATIENCE)
    expect(page.locator("#slider img").nth(1)).not_to_have_attribute("src", before, timeout=PATIENCE)

    page.locator("button.label-wrap", has_text="Download").click()
    names = page.locator("#files a[download]")
    expect(names).to_have_count(4, timeout=PATIENCE)
    with page.expect_download() as download:
        names.nth(3).click()
    assert download.value.suggested_filename == "index_mic_night_highway.png"
    index = np.asarray(Image.open(download.value.path()))
    assert index.shape == (874, 1164)
    assert set(np.unique(index)) <= {0, 2, 8, 10, 11}

    page.get_by_role("button", name="Honest limits").click()
    cards = page.locator(".cards")
    expect(cards).to_contain_text("Sees brightness and nothing else.")
    expect(cards).to_contain_text("no labels: not measured")
    expect(cards).to_contain_text("41.0 %")
    page.screenshot(path=tmp_path / "all_open.png", full_page=True)
    assert no_sideways_scroll(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast(
    browser: Browser, page_url: str, scheme: Literal["light", "dark"], tmp_path: Path
) -> None:
    page = browser.new_page(viewport=ViewportSize(width=1280, height=900), color_scheme=scheme)
    page.goto(page_url)
    expect(page.locator("#slider img")).to_have_count(2, timeout=PATIENCE)
    page.get_by_role("button", name="Honest limits").click()
    expect(page.locator(".cards")).to_be_visible()
    ratio, text = page.evaluate(CONTRAST)
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    page.close()
    assert ratio >= 4.5, text
