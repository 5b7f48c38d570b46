"""Print the book into one PDF: Sphinx's single page of all pages, by the browser of the tests.

    python book/print/make_pdf.py     from _build/singlehtml into _build/small-weights.pdf

No LaTeX. The browser prints twice: the first print tells on which page each heading came to stand,
and the second has these numbers in its table of contents.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pypdfium2
import yaml
from playwright.sync_api import Page

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "tests"))
from browser import browser, served  # noqa: E402

SINGLE = ROOT / "_build" / "singlehtml"
TARGET = ROOT / "_build" / "small-weights.pdf"
PAPER = {"width": 658, "height": 970}  # pixels of an A4 sheet within its margins


def prepared(tab: Page, address: str) -> Page:
    """The tab with the book laid out for paper: title page, contents, no controls."""
    tab.set_viewport_size(PAPER)
    tab.emulate_media(media="print", color_scheme="light")
    tab.goto(address, wait_until="load")
    tab.wait_for_load_state("networkidle")
    tab.add_style_tag(path=HERE / "print.css")
    tab.add_script_tag(path=HERE / "prepare.js")
    tab.evaluate("about => window.prepare(about)", about())
    return tab


def about() -> dict[str, str]:
    """What the title page says."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    return {
        "title": config["title"],
        "subtitle": citation["title"].partition(": ")[2],
        "author": config["author"],
        "version": f"Version {citation['version']}, {config['copyright']}",
        "license": config["html"]["extra_footer"],
    }


def printed(tab: Page) -> bytes:
    """The tab as a PDF, whose outline has all headings."""
    return tab.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)


def places(pdf: bytes) -> list[int]:
    """The page of each heading, counted from 1, in the order of the outline."""
    with pypdfium2.PdfDocument(pdf) as document:
        found = (entry.get_dest() for entry in document.get_toc())
        return [place.get_index() + 1 for place in found if place]


def numbered(tab: Page) -> bytes:
    """The tab as a PDF whose contents name the pages, which a first print has told."""
    tab.evaluate("places => window.number(places)", places(printed(tab)))
    return printed(tab)


def main() -> None:
    """Print the book."""
    # Sphinx writes the page into a folder, and into it addresses as seen from above the folder.
    shutil.copy(SINGLE / "book" / "index.html", SINGLE / "book.html")
    with browser() as chromium, served(SINGLE) as site:
        tab = prepared(chromium.new_page(bypass_csp=True), f"{site}/book.html")
        TARGET.write_bytes(numbered(tab))
    print(f"The book is printed: {TARGET}")


if __name__ == "__main__":
    main()
