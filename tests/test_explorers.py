"""An explorer in a browser, turned by every kind of hand."""

import contextlib
import io
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from browser import DESK, PHONE, opened, served, violations
from smallweights.explore import Explorer, Knob


def draw(alpha, norm):
    figure = Figure(figsize=(4, 2))
    figure.subplots().bar([norm], [4 + math.log10(alpha)], color="#0072B2")
    figure.axes[0].set(ylim=(0, 4), ylabel="height")
    return figure, pd.DataFrame({"step": [0, 1], "height": [alpha, 2 * alpha]})


NORM = Knob("norm", ["L1", "L2"], label="norm of the weights")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A page with two explorers that share their alpha, served."""
    folder = tmp_path_factory.mktemp("explorers")
    alphas = [float(alpha) for alpha in np.logspace(-4, 0, 5).round(4)]
    shared = Knob("alpha", alphas, unit="per squared weight", share="alpha")
    explorers = [
        Explorer("one", draw, [shared, NORM]),
        Explorer("two", lambda alpha: draw(alpha, "L2"), [shared]),
    ]
    body = "\n".join(explorer.html for explorer in explorers)
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en" data-theme="light"><head><title>Explorers</title>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,"></head><body><main><h1>Two</h1>{body}</main></body></html>'
    )
    with served(folder) as address:
        yield f"{address}/index.html"


@pytest.fixture
def tab(chromium, site):
    """Opens the page of explorers; what it complained of fails the test."""
    with contextlib.ExitStack() as stack:

        def open_at(state="", **options):
            tab = opened(chromium, site + state, **{**DESK, **options})
            stack.callback(tab.context.close)
            stack.callback(lambda: complain(tab))
            return tab

        yield open_at


def complain(tab):
    assert tab.seen.problems == []


def state(tab, name="one"):
    """What the explorer shows: its readout, words, first number, and the picture itself."""
    explorer = tab.locator(f"#explorer-{name}")
    return {
        "readout": explorer.locator(".explorer-value").text_content(),
        "spoken": explorer.locator("input").get_attribute("aria-valuetext"),
        "words": explorer.locator(".explorer-frame img:visible").get_attribute("alt"),
        "number": explorer.locator("tbody td").nth(1).text_content(),
        "picture": explorer.locator(".explorer-frame").screenshot(),
    }


def end_of(slider):
    box = slider.bounding_box()
    return box["x"] + box["width"] - 9, box["y"] + box["height"] / 2


def by_mouse(tab):
    tab.mouse.click(*end_of(tab.locator("#explorer-one-alpha")))


def by_keyboard(tab):
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "explorer-one-alpha"
    tab.keyboard.press("End")


def by_touch(tab):
    tab.touchscreen.tap(*end_of(tab.locator("#explorer-one-alpha")))


@pytest.mark.parametrize("turn", [by_mouse, by_keyboard, by_touch])
def test_turning_the_slider_changes_frame_label_numbers_and_address(tab, turn):
    tab = tab(has_touch=turn is by_touch)
    before = state(tab)
    assert before["readout"] == before["spoken"] == "0.01 per squared weight"
    turn(tab)
    after = state(tab)
    assert after["readout"] == after["spoken"] == "1 per squared weight"
    assert after["words"] == "alpha = 1, norm = L2. step 0 to 1; height 1 to 2"
    assert after["number"] == "1"
    assert after["picture"] != before["picture"]
    assert tab.url.endswith("#alpha=1")


def test_the_menu_changes_the_frame(tab):
    tab = tab()
    before = state(tab)
    tab.get_by_label("norm of the weights").select_option("L1")
    assert state(tab)["words"].startswith("alpha = 0.01, norm = L1.")
    assert state(tab)["picture"] != before["picture"]
    assert tab.url.endswith("#norm=L1")


def test_the_address_brings_the_state_back(tab):
    tab = tab("#alpha=0.1&norm=l1")
    assert state(tab)["words"].startswith("alpha = 0.1, norm = L1.")


def test_a_new_address_on_the_open_page_moves_the_explorer(tab):
    tab = tab()
    tab.evaluate("location.hash = 'alpha=0.001&norm=L1'")
    tab.wait_for_function("document.querySelector('tbody td:nth-child(2)').textContent == '0.001'")
    assert state(tab)["readout"].startswith("0.001 ")


@pytest.mark.parametrize("address", ["#alpha=7", "#alpha=", "#norm=<b>", "#a-heading"])
def test_an_address_of_something_else_changes_nothing(tab, address):
    assert state(tab(address))["readout"].startswith("0.01 ")


def test_explorers_that_share_a_knob_turn_together(tab):
    tab = tab()
    by_mouse(tab)
    assert state(tab, "two")["words"].startswith("alpha = 1.")
    assert tab.locator("#explorer-two-alpha").input_value() == "4"


def test_what_changed_is_said_to_a_screen_reader(tab):
    tab = tab()
    by_keyboard(tab)
    assert tab.locator("#explorer-one [role=status]").text_content().startswith("alpha = 1,")


def test_the_download_has_the_numbers_of_all_frames(tab):
    tab = tab()
    tab.locator("#explorer-one summary").click()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="CSV").first.click()
    assert download.value.suggested_filename == "one.csv"
    table = pd.read_csv(download.value.path())
    assert table.columns.tolist() == ["alpha", "norm", "step", "height"]
    assert len(table) == 5 * 2 * 2
    assert (table.height == table.alpha * (table.step + 1)).all()
    assert table.groupby(["alpha", "norm"]).size().tolist() == [2] * 10


def test_without_a_script_the_middle_frame_shows_and_no_dead_control(chromium, site):
    context = chromium.new_context(java_script_enabled=False, **DESK)
    tab = context.new_page()
    tab.goto(site)
    images = tab.locator("#explorer-one .explorer-frame img:visible")
    assert images.count() == 1
    assert images.get_attribute("alt").startswith("alpha = 0.01, norm = L2.")
    assert not tab.locator("#explorer-one input").is_visible()
    context.close()


def test_a_frame_has_two_pixels_for_one_of_the_layout(tab):
    image = tab().locator("#explorer-two .explorer-frame img:visible")
    assert image.evaluate("i => i.naturalWidth / i.getBoundingClientRect().width") == 2


def test_an_explorer_fits_a_phone(tab):
    tab = tab(**PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    for control in tab.locator("input, select").all():
        assert control.bounding_box()["height"] >= 44


def test_in_the_dark_a_frame_is_light_on_the_ground_of_the_page(tab):
    light, dark = (shade(tab(), theme) for theme in ("light", "dark"))
    assert light > 200
    assert dark < 100


def shade(tab, theme):
    """The mean brightness of the frame on the ground of the theme."""
    ground = {"light": "#ffffff", "dark": "#121212"}[theme]
    tab.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    tab.evaluate(f"document.body.style.background = '{ground}'")
    picture = tab.locator("#explorer-two .explorer-frame").screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L")).mean()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_in_an_explorer(tab, theme):
    tab = tab()
    ground, ink = ("#121212", "#ced6dd") if theme == "dark" else ("#ffffff", "#222222")
    tab.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    tab.evaluate(f"document.body.style.cssText = 'background: {ground}; color: {ink}'")
    tab.locator("summary").first.click()
    assert violations(tab) == []


def test_a_faint_text_among_others_is_a_violation(tab):
    tab = tab()
    paragraphs = '<p>clear</p><p style="color: #ccc; background: #fff">faint</p><p>clear</p>'
    tab.evaluate(f"document.querySelector('main').insertAdjacentHTML('beforeend', '{paragraphs}')")
    [violation] = violations(tab)
    assert violation.startswith("color-contrast")
    assert "faint" in violation
