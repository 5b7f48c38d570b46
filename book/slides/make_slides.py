"""Make the slides of each chapter from its notebooks, by nbconvert: reveal.js without another host.

    python book/slides/make_slides.py [CHAPTER ...]     write _build/slides/CHAPTER.html

``slides.yml`` says which figures, explorers, verdicts and predictions are shown. A slide's headline
is the heading above them on their page, its speaker notes are the text of the page around them.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path

import nbformat
import yaml
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from prose import BOOK, to_html
from smallweights.verdict import MIME

HERE = Path(__file__).resolve().parent
FOLDER = BOOK.parent / "_build" / "slides"
CHOSEN = yaml.safe_load((HERE / "slides.yml").read_text())
# reveal.js comes with this package; nothing else of it is used.
REVEAL = Path(find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs"
REVEAL_FILES = (
    "dist/reset.css",
    "dist/reveal.css",
    "dist/reveal.js",
    "plugin/notes/notes.js",
    "LICENSE",
)
SHEETS = (BOOK / "_assets" / "book.css", HERE / "slides.css", HERE / "slides.js")

HEADING = re.compile(r"^#+ (.*)\n?", re.MULTILINE)
PREDICTION = re.compile(
    r"^\*\*Predict first\.\*\*.*?(?=\n\n(?!\(a\)|[-*] |\d)|<details|\Z)", re.M | re.S
)
EXPLORER = re.compile(r'<div class="explorer"[^>]* data-name="([^"]*)"')
FRAME = re.compile(r"width:\d+px;aspect-ratio:(\d+)/(\d+)")
WIDEST = 1140  # pixels of a slide that is 1280 × 720
HIGH, LOWER = 500, 415  # the lower frame leaves room for a verdict


@dataclass(frozen=True)
class Piece:
    """A piece of a page: a text between two headings or cells, or a code cell's output."""

    heading: str
    text: str = ""
    cell: NotebookNode | None = None

    @property
    def data(self) -> dict:
        """What the cell shows, by media type."""
        outputs = self.cell.outputs if self.cell else []
        return next((o.data for o in outputs if "data" in o and len(o.data) > 1), {})

    @property
    def names(self) -> set[str]:
        """The names by which slides.yml may call this piece."""
        if self.cell is None:
            return {f"predict {self.heading}"} if PREDICTION.search(self.text) else set()
        explorer = EXPLORER.search(self.data.get("text/html", ""))
        figure = self.cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        heading = self.heading if "image/png" in self.data else None
        claim = self.data.get(MIME, {}).get("claim")
        return {explorer and explorer[1], figure, heading, claim} - {None}


def pieces(notebook: NotebookNode) -> Iterator[Piece]:
    """A page cut at its headings and cells."""
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield Piece(heading, cell=cell)
            continue
        start, *sections = HEADING.split(cell.source)
        yield Piece(heading, start.strip())
        for heading, text in zip(sections[::2], sections[1::2], strict=True):
            yield Piece(heading, text.strip())


class Page:
    """A notebook as a source of slides."""

    def __init__(self, chapter: str, name: str) -> None:
        self.name = f"{chapter}/{name}"
        found = pieces(nbformat.read(BOOK / chapter / f"{name}.ipynb", as_version=4))
        self.pieces = [piece for piece in found if piece.heading or piece.cell or piece.text]
        self.title = next(piece.heading for piece in self.pieces if piece.heading)

    def find(self, name: str) -> int:
        """The place of the piece of this name. Raises ``KeyError`` with the names there are."""
        for at, piece in enumerate(self.pieces):
            if name in piece.names:
                return at
        there = sorted({name for piece in self.pieces for name in piece.names})
        raise KeyError(f"slides.yml: {self.name} has no {name!r}; it has {', '.join(there)}.")

    def around(self, at: int) -> Iterator[str]:
        """The text before a piece, and what comes right after it."""
        before = (piece.text for piece in reversed(self.pieces[:at]) if piece.text)
        yield next(before, "")
        yield next((piece.text for piece in self.pieces[at + 1 :] if piece.text or piece.data), "")

    def slide(self, names: str) -> list[NotebookNode]:
        """The cells of a slide: headline, what it shows, notes."""
        places = [self.find(name) for name in names.split(" + ")]
        first = self.pieces[places[0]]
        if first.text:
            return self._prediction(first)
        whole_box = MIME in first.data
        headline = [self.title] if whole_box else [first.heading, self.title]
        rulings = [_line(self.pieces[at].data[MIME]) for at in places[1:]]
        shown = [_shown(first.cell, LOWER if rulings else HIGH)]
        caption = first.cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        evidence = [_evidence(self.pieces[at].data[MIME]) for at in places[1:]]
        notes = [caption and f"**What is drawn.** {caption}", *self.around(places[0]), *evidence]
        return _slide(headline, shown, notes, rulings)

    def _prediction(self, piece: Piece) -> list[NotebookNode]:
        question = PREDICTION.search(piece.text)[0]
        rest = piece.text.replace(question, "")
        return _slide([piece.heading, self.title], [question], [rest or question])


def _slide(
    headline: list[str], shown: list, notes: list[str], later: list[str] | None = None
) -> list[NotebookNode]:
    """Cells with the metadata that nbconvert makes a slide of; what comes later waits for a key."""
    over, *under = reversed(headline) if len(headline) > 1 else ["", *headline]
    head = f'<p class="over">{to_html(over)[3:-5]}</p>\n' if over else ""
    head += f"<h2>{to_html(under[0])[3:-5]}</h2>"
    cells = [_cell(head, "slide")]
    cells += [_cell(to_html(part), "-") if isinstance(part, str) else part for part in shown]
    cells.append(_cell("\n".join(to_html(note) for note in notes if note), "notes"))
    return cells + [_cell(part, "fragment") for part in later or ()]


def _cell(html: str, kind: str) -> NotebookNode:
    return new_markdown_cell(html, metadata={"slideshow": {"slide_type": kind}})


def _shown(cell: NotebookNode, height: int) -> NotebookNode:
    """The cell's output, with its text alternative; an explorer's frames at most so high."""
    output = next(o for o in cell.outputs if "data" in o).copy()
    if "text/html" in output.data:
        output.data = {"text/html": _enlarged(output.data["text/html"], height)}
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    return new_code_cell(
        outputs=[new_output("display_data", output.data, metadata={"image/png": {"alt": alt}})]
    )


def _enlarged(html: str, highest: int) -> str:
    found = FRAME.search(html)
    if not found:
        return html
    width, height = int(found[1]), int(found[2])
    size = f"width:{min(WIDEST, highest * width // height)}px;aspect-ratio:{width}/{height}"
    return html.replace(found[0], size, 1)


def _ruling(record: dict) -> tuple[str, str]:
    """The ruling in a word or two, and how much of the evidence supports the claim."""
    word, colon, _ = record["ruling"].partition(":")
    says = [piece["says"] for piece in record["evidence"]]
    return word + colon.replace(":", " …"), f"{says.count('supports')} of {len(says)} rows"


def _line(record: dict) -> str:
    """A verdict in a line."""
    kind = record["ruling"].split(":")[0].replace(" ", "-")
    word, rows = _ruling(record)
    return (
        f'<p class="ruling {kind}"><strong>{record["claim"]} {word}</strong>'
        f" {escape(record['statement'])} <small>{rows} support it.</small></p>"
    )


def _evidence(record: dict) -> str:
    rows = (f"- *{p['says']}*: {p['condition']}: {p['measured']}" for p in record["evidence"])
    return f"**The evidence for {record['claim']}.**\n\n" + "\n".join(rows)


def frame_slides(chapter: str, records: list[dict]) -> tuple[list, list]:
    """The first slide of a chapter and the last: what it asks, and what it came to."""
    text = (BOOK / chapter / "index.md").read_text()
    heading, opening = re.match(r"# ([^\n]*)\n\n(.*?)\n\n", text, re.DOTALL).groups()
    after = text.partition("**After this chapter you can**")
    able, _, way = "".join(after[1:]).partition("**The way through.**")
    first = _slide([heading, "Small Weights"], [opening], [able])
    rows = "".join(
        f"<tr><td>{r['claim']}</td><td>{escape(r['statement'])}</td>"
        f"<td>{'</td><td>'.join(_ruling(r))}</td></tr>"
        for r in records
    )
    table = f'<table class="claims"><tbody>{rows}</tbody></table>'
    way = way.partition("\n\n|")[0]
    return first, _slide(["What the chapter came to", heading], [table], [f"**The way.** {way}"])


def deck(chapter: str) -> NotebookNode:
    """The chapter's slides as a notebook, ready for nbconvert."""
    found = {name: Page(chapter, name) for name in CHOSEN[chapter]}
    slides = [
        found[name].slide(names) for name, shown in CHOSEN[chapter].items() for names in shown
    ]
    records = [p.data[MIME] for page in found.values() for p in page.pieces if MIME in p.data]
    first, last = frame_slides(chapter, records)
    cells = [cell for slide in (first, *slides, last) for cell in slide]
    title = re.search("# (.*)", (BOOK / chapter / "index.md").read_text())[1]
    return new_notebook(cells=cells, metadata={"title": title})


def exporter() -> SlidesExporter:
    """nbconvert's, with the book's template beside this file."""
    made = SlidesExporter(extra_template_basedirs=[str(HERE)], template_name="template")
    made.exclude_input = True
    made.register_filter("markdown2html", lambda html: html)  # it is HTML already
    return made


def write(folder: Path, *chapters: str) -> None:
    """Write the decks of the chapters into a folder, and what they load."""
    for name in REVEAL_FILES:
        target = folder / "reveal.js" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REVEAL / name, target)
    for sheet in SHEETS:
        shutil.copy(sheet, folder)
    export = exporter()
    for chapter in chapters:
        html, _ = export.from_notebook_node(deck(chapter))
        (folder / f"{chapter}.html").write_text(html)


if __name__ == "__main__":
    write(FOLDER, *(sys.argv[1:] or CHOSEN))
    print(f"The slides are in {FOLDER}")
