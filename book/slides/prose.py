"""The text of a page as HTML without Sphinx: what its slides and their speaker notes say.

Formulas become MathML by the book's own converter, citations an author and a year. Links lose
their address: a slide stands alone.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from html import escape
from pathlib import Path

import nbformat
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import BibliographyData, parse_file
from pybtex.richtext import Text

BOOK = Path(__file__).resolve().parents[1]
sys.path.append(str(BOOK / "_theme"))
from book_theme import mathml  # noqa: E402

ANSWER = re.compile(r"<details>\s*<summary>.*?</summary>\s*(.*?)\s*</details>", re.DOTALL)
NAMELESS = re.compile(r"\[\]\(([\w/.]+)\)")


@lru_cache
def _literature() -> BibliographyData:
    return parse_file(str(BOOK / "references.bib"))


def cited(key: str) -> str:
    """A work as author and year, such as Reed and Marks, 1999."""
    entry = _literature().entries[key.strip()]
    names = [
        str(Text.from_latex(" ".join(person.prelast_names + person.last_names)))
        for person in entry.persons["author"]
    ]
    names = [names[0], "et al."] if len(names) > 2 else [" and ".join(names)]
    return f"{' '.join(names)}, {entry.fields['year']}"


def _role(renderer: RendererHTML, tokens: list[Token], at: int, *_: object) -> str:
    name, content = tokens[at].meta["name"], tokens[at].content
    if name.startswith("cite"):
        works = "; ".join(cited(key) for key in content.split(","))
        return escape(works if name == "cite:t" else f"[{works}]")
    return escape(content.split("<")[0].strip())


def _formula(display: str) -> object:
    return lambda renderer, tokens, at, *_: mathml(tokens[at].content, display)


def _tag(html: str) -> object:
    return lambda renderer, tokens, at, *_: html


@lru_cache
def _parser() -> object:
    syntax = MdParserConfig(enable_extensions={"dollarmath", "colon_fence"})
    parser = create_md_parser(syntax, RendererHTML)
    rules = {
        "myst_role": _role,
        "math_inline": _formula("inline"),
        "math_block": _formula("block"),
        "link_open": _tag("<em>"),
        "link_close": _tag("</em>"),
    }
    for token, rule in rules.items():
        parser.add_render_rule(token, rule)
    return parser


def to_html(text: str) -> str:
    """A piece of a page as HTML; what the page folds away as an answer is open."""
    text = ANSWER.sub(r"**The answer.** \1", text)
    return _parser().render(NAMELESS.sub(lambda link: f"[{title(link[1])}]({link[1]})", text))


@lru_cache
def title(link: str) -> str:
    """The first heading of the page that a link leads to, from wherever the link stands."""
    name = link.rsplit("/", 1)[-1]
    path = next(p for p in BOOK.glob(f"*/{name}") if p.parent.name in link or "/" not in link)
    text = path.read_text()
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = next(
            cell.source
            for cell in cells
            if cell.source.startswith("# ") and cell.cell_type == "markdown"
        )
    return re.match("# (.*)", text)[1]
