"""The built book in a browser: every page, wide and on a phone, in light and in dark."""

import contextlib
import functools
import re

import pytest

import browser
from browser import DESK, HTML, PHONE, opened, pages, served, violations

FIRST, CHAPTER = 500_000, 1_500_000  # bytes that a page transfers, compressed as hosts do
every_page = pytest.mark.parametrize("page", pages())
both_themes = pytest.mark.parametrize("theme", ["light", "dark"])


@pytest.fixture(scope="module")
def visit(chromium):
    """What was seen on a visit to a page of the book; each is made once."""
    assert HTML.exists(), "There is no built book to check; run make book first."
    with served() as site:

        @functools.cache
        def seen(page, theme, phone):
            tab = opened(chromium, f"{site}/{page}", theme, **(PHONE if phone else DESK))
            found = {
                "problems": list(tab.seen.problems),
                "foreign": [u for u in tab.seen.requests if not u.startswith((site, "data:"))],
                "bytes": sum(tab.seen.sizes.values()),
                "theme": tab.evaluate("document.documentElement.dataset.theme"),
                "wider": tab.evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                ),
                "mute": tab.evaluate("[...document.images].filter(i => !i.alt).map(i => i.src)"),
                "tex": tab.evaluate(
                    "[...document.querySelectorAll('math')].map(m => m.textContent)"
                    ".filter(text => text.includes('\\\\') || !text)"
                ),
                # A phone has the colours of the desk, and the dark changes nothing but colours.
                "violations": violations(tab, colours=not phone, others=theme == "light"),
            }
            tab.context.close()
            return found

        # The cache would take an argument that is left out for another visit.
        yield lambda page, theme="light", phone=False: seen(page, theme, phone)


@both_themes
@every_page
def test_the_page_raises_no_error_in_the_console(visit, page, theme):
    assert visit(page, theme)["problems"] == []


@both_themes
@every_page
def test_the_page_asks_no_other_host(visit, page, theme):
    assert visit(page, theme)["foreign"] == []


@both_themes
@every_page
def test_axe_finds_no_violation(visit, page, theme):
    assert visit(page, theme)["theme"] == theme
    assert visit(page, theme)["violations"] == []


@every_page
def test_axe_finds_no_violation_on_a_phone(visit, page):
    assert visit(page, phone=True)["violations"] == []


@every_page
def test_a_phone_need_not_scroll_sideways(visit, page):
    assert visit(page, phone=True)["wider"] == 0


@every_page
def test_every_picture_has_a_text_alternative(visit, page):
    assert visit(page)["mute"] == []


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
