"""The book on paper: two pages of the built book go through the print that `make pdf` makes."""

import re

import pypdfium2
import pytest
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

import make_pdf
from browser import HTML, served

TURNING, LONG = "book/large_weights/nudge.html", "book/large_weights/growing.html"


@pytest.fixture(scope="module")
def tabs(chromium):
    """The two pages, laid out for paper."""
    assert HTML.exists(), "There is no built book to print; run make book first."
    with served(HTML) as site:
        yield {
            page: make_pdf.prepared(chromium.new_page(bypass_csp=True), f"{site}/{page}")
            for page in (TURNING, LONG)
        }


@pytest.fixture(scope="module")
def pdf(tabs):
    """The longer page as a PDF with its contents numbered."""
    return make_pdf.numbered(tabs[LONG])


@pytest.fixture(scope="module")
def sheets(pdf):
    with pypdfium2.PdfDocument(pdf) as document:
        yield [" ".join(page.get_textpage().get_text_range().split()) for page in document]


def test_the_title_page_says_what_it_is_and_how_it_may_be_used(sheets):
    assert re.search("Small Weights weight regularization .* CC BY 4.0", sheets[0])


def test_the_contents_name_the_page_of_each_heading(sheets):
    listed = re.findall(r"(\d+\.\d+\.\d+\. \D+?) (\d+)(?= |$)", sheets[1])
    assert len(listed) > 5
    assert [name for name, at in listed if name not in sheets[int(at) - 1]] == []


def test_figures_keep_their_pictures_numbers_and_captions(pdf, sheets):
    with pypdfium2.PdfDocument(pdf) as document:
        pictures = sum(1 for page in document for _ in page.get_objects([FPDF_PAGEOBJ_IMAGE]))
    assert pictures >= 3
    assert {"Fig. 1.2", "Fig. 1.3", "Fig. 1.4"} <= set(
        re.findall(r"Fig\. \d\.\d", " ".join(sheets))
    )


def test_works_are_cited_and_verdicts_kept_in_one_piece(sheets):
    assert "[Reed and Marks, 1999]" in " ".join(sheets)
    (box,) = [sheet for sheet in sheets if "W1 holds" in sheet]
    assert "The intervals cover all rows at once" in box.split("W1 holds")[1]


def test_a_figure_that_turns_stands_still_and_says_where(tabs):
    still = tabs[TURNING].locator("figure.still")
    width, height = still.locator("img").evaluate(
        "image => [image.naturalWidth, image.naturalHeight]"
    )
    assert width / height == pytest.approx(2.5, abs=0.6)  # one frame, not the strip of all
    assert re.search(r"One frame of .*alpha: 0\.03; .*", still.inner_text())


TOO_WIDE = """() => [...document.querySelectorAll("main *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .map((element) => element.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize("page", [TURNING, LONG])
def test_nothing_is_wider_than_the_paper(tabs, page):
    assert tabs[page].evaluate(TOO_WIDE) == []


def test_the_answers_that_the_screen_folds_are_open(tabs):
    assert tabs[LONG].locator("details").count() > 0
    assert tabs[LONG].locator("details:not([open])").count() == 0
