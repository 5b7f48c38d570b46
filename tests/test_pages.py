"""The built book in a browser: every page, wide and on a phone, in light and in dark."""

import contextlib
import functools
import re
from html import unescape

import pytest
from fontTools.ttLib import TTFont

import browser
from browser import (
    DESK,
    HTML,
    PHONE,
    colour_violations,
    opened,
    other_violations,
    pages,
    served,
)

FIRST, CHAPTER = 500_000, 1_500_000  # bytes that a page transfers, compressed as hosts do
FORMULA, TAG = re.compile(r"<math.*?</math>", re.DOTALL), re.compile(r"<[^>]+>")
every_page = pytest.mark.parametrize("page", pages())


@pytest.fixture(scope="module")
def visit(chromium):
    """What was seen on the visit to a page of the book: at the desk, in the dark, on a phone."""
    assert HTML.exists(), "There is no built book to check; run make book first."
    with served() as site:

        @functools.cache
        def seen(page):
            tab = opened(chromium, f"{site}/{page}", **DESK)
            with contextlib.closing(tab.context):
                found = at_the_desk(tab) | in_the_dark(tab) | on_a_phone(tab)
                foreign = [u for u in tab.seen.requests if not u.startswith((site, "data:"))]
                return found | {"problems": tab.seen.problems, "foreign": foreign}

        yield seen


def at_the_desk(tab):
    return {
        "bytes": sum(tab.seen.sizes.values()),
        "mute": tab.evaluate("[...document.images].filter(i => !i.alt).map(i => i.src)"),
        "bare": tab.evaluate(
            "[...document.querySelectorAll('.cell_output img')]"
            ".filter(i => !i.closest('figure')?.querySelector('figcaption .caption-number'))"
            ".map(i => i.alt)"
        ),
        "tex": tab.evaluate(
            "[...document.querySelectorAll('math')].map(m => m.textContent)"
            ".filter(text => text.includes('\\\\') || !text)"
        ),
        "light": colour_violations(tab),
    }


def in_the_dark(tab):
    """The reader's system turns dark, and the page with it: nothing changes but colours."""
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_selector("html[data-theme=dark]")
    # Other animations belong to what scrolls, and end when somebody scrolls to the end.
    fading = (
        "Promise.all(document.getAnimations().filter(a => a.timeline === document.timeline)"
        ".map(a => a.finished))"
    )
    tab.evaluate(f"{fading}.then(() => null)")
    return {"dark": colour_violations(tab), "desk": other_violations(tab)}


def on_a_phone(tab):
    tab.set_viewport_size(PHONE["viewport"])
    tab.wait_for_timeout(500)  # the theme lets the keyboard reach what scrolls, 0.3 s after a turn
    root = "document.documentElement"
    wider = tab.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    return {"wider": wider, "phone": other_violations(tab)}


@every_page
def test_the_page_raises_no_error_in_the_console(visit, page):
    assert visit(page)["problems"] == []


@every_page
def test_the_page_asks_no_other_host(visit, page):
    assert visit(page)["foreign"] == []


@every_page
@pytest.mark.parametrize("look", ["light", "dark", "desk", "phone"])
def test_axe_finds_no_violation(visit, page, look):
    assert visit(page)[look] == []


@every_page
def test_a_phone_need_not_scroll_sideways(visit, page):
    assert visit(page)["wider"] == 0


@every_page
def test_every_picture_has_a_text_alternative(visit, page):
    assert visit(page)["mute"] == []


@every_page
def test_every_figure_of_a_notebook_has_a_number_and_a_caption(visit, page):
    assert visit(page)["bare"] == []


@every_page
def test_no_formula_is_left_as_tex(visit, page):
    assert visit(page)["tex"] == []


@every_page
def test_the_page_is_light(visit, page):
    assert 20_000 < visit(page)["bytes"] <= (FIRST if page == pages()[0] else CHAPTER)


@pytest.fixture
def book(chromium):
    """Opens a page of the book."""
    with served() as site, contextlib.ExitStack() as stack:

        def open_page(page):
            tab = opened(chromium, f"{site}/{page}", **DESK)
            stack.callback(tab.context.close)
            return tab

        yield open_page


def test_a_page_opened_in_the_dark_is_dark_from_the_start(chromium):
    with served() as site:
        tab = opened(chromium, f"{site}/{pages()[0]}", "dark", **DESK)
        assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
        assert tab.seen.problems == []
        tab.context.close()


def test_the_search_finds_pages(book):
    tab = book("search.html?q=weights")
    tab.wait_for_selector("ul.search li")
    assert tab.seen.problems == []


def test_formulas_are_drawn_by_the_browser_itself(book):
    tab = book("book/reference/notation.html")
    root = tab.locator("math msqrt").first
    assert (
        root.bounding_box()["height"] > tab.locator("math msqrt mi").first.bounding_box()["height"]
    )


def test_the_font_of_formulas_has_every_sign_of_every_formula():
    with TTFont(HTML / "_static" / "stix-two-math.woff") as font:
        signs, tables = set(font.getBestCmap()), set(font.keys())
    formulas = [math for page in pages() for math in FORMULA.findall((HTML / page).read_text())]
    used = {ord(sign) for formula in formulas for sign in unescape(TAG.sub("", formula))}
    assert len(formulas) > 100
    assert "MATH" in tables
    assert sorted(map(chr, used - signs)) == []


def test_a_displayed_formula_stands_in_the_middle_of_its_line(book):
    block = book("book/reference/notation.html").locator("div.math").first
    line, formula = block.bounding_box(), block.locator("math").bounding_box()
    left = formula["x"] - line["x"]
    right = line["x"] + line["width"] - formula["x"] - formula["width"]
    assert left == pytest.approx(right, abs=2)


def test_the_first_page_is_readable_within_a_second(book):
    """The browser's own clock, in the best of ten visits: what else the machine does hits some."""
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    visits = (book(pages()[0]).evaluate(paint) for _ in range(10))
    assert any(milliseconds < 1000 for milliseconds in visits)


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_page_to_keep_prints_on_one_sheet(book, paper):
    printed = book("book/tips/one_page.html").pdf(format=paper)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1


# The browser


def test_no_browser_at_all_fails_with_a_sentence(monkeypatch):
    for source in ("installed", "_from_debian", "_from_playwright"):
        monkeypatch.setattr(browser, source, lambda: None)
    with pytest.raises(RuntimeError, match="need a browser, and none was found or could be inst"):
        browser.executable()
