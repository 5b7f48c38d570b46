"""What the book adds to its theme: lean pages, whose markup a screen reader can follow.

As they come, the style sheet (400 kB), the script and the fonts of all icons there are (1.8 MB)
and MathJax (1.2 MB) load on every page. The templates beside this file leave the script out.
"""

from __future__ import annotations

import re
from hashlib import sha256
from html import escape
from pathlib import Path
from textwrap import shorten

from docutils import nodes
from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.config import Config

HERE = Path(__file__).parent
LOOK = (HERE, HERE.parent / "_assets")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
RULE = re.compile(r"([^{}@;]+)(\{[^{}]*\})")
SEPARATOR = re.compile(r",(?![^(]*\))")
NEGATED = re.compile(r":not\([^)]*\)")
CLASS = re.compile(r"\.(-?[a-zA-Z_][\w-]*)")
ICON = re.compile(r'\.fa-[^{}]*:before\{content:"\\([0-9a-f]+)"')
FONT = re.compile(r'url\((\S+?)\.woff2\) format\("woff2"\),url\(\S+?\.ttf\) \S+?\)')


def choose_mathjax(app: Sphinx, config: Config) -> None:
    """Load MathJax in parts, without its menu of 430 kB; ``_config.yml`` names the parts."""
    config.mathjax_path = "mathjax/startup.js"


def finish_page(
    app: Sphinx, page: str, template: str, context: dict, document: nodes.document | None
) -> None:
    """MathJax only for formulas; tables and lists as screen readers want them; a description."""
    formulas = (nodes.math, nodes.math_block)
    if document is None or not any(isinstance(node, formulas) for node in document.findall()):
        context["script_files"][:] = [
            script for script in context["script_files"] if "mathjax/" not in str(script.filename)
        ]
    body = re.sub(r"<th\b[^>]*></th>", "<td></td>", context.get("body", ""))
    context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')
    text = document.next_node(nodes.paragraph) if document else None
    if text:
        start = shorten(text.astext(), 160, placeholder=" …")
        context["metatags"] += f'\n<meta name="description" content="{escape(start)}">'


def keep_what_is_used(app: Sphinx, problem: Exception | None) -> None:
    """Cut the theme's style sheets and icon fonts down to what the built pages can use."""
    static = Path(app.outdir, "_static")
    if problem or app.builder.format != "html":
        return
    scripts = [p for p in static.rglob("*.js") if p.name != "fontawesome.js"]
    scripts = [p for p in scripts if "mathjax" not in p.parts]
    texts = (p.read_text("utf-8") for p in [*Path(app.outdir).rglob("*.html"), *scripts])
    words = {word for text in texts for word in re.findall(r"[\w-]+", text)}
    icons = []
    for sheet in (static / "styles").glob("*.css"):
        css = used_rules(sheet.read_text("utf-8"), words)
        icons += [int(code, 16) for code in ICON.findall(css)]
        sheet.write_text(FONT.sub(r'url(\1.woff) format("woff")', css), "utf-8")
    for font in (static / "vendor").rglob("*.ttf"):
        _cut(font, icons)


def used_rules(css: str, words: set[str]) -> str:
    """The style sheet without the selectors that need a class which is not among the words."""

    def keep(rule: re.Match) -> str:
        selectors = [
            selector
            for selector in SEPARATOR.split(rule[1])
            if words.issuperset(CLASS.findall(NEGATED.sub("", selector)))
        ]
        return ",".join(selectors) + rule[2] if selectors else ""

    return RULE.sub(keep, COMMENT.sub("", css))


def _cut(path: Path, icons: list[int]) -> None:
    font = TTFont(path, recalcTimestamp=False)
    cutter = subset.Subsetter()
    cutter.populate(unicodes=icons)
    cutter.subset(font)
    font.flavor = "woff"
    font.save(path.with_suffix(".woff"))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls. A change of look has all pages written anew."""
    look = sorted(p for folder in LOOK for p in folder.rglob("*") if "__pycache__" not in p.parts)
    digest = sha256(b"".join(p.read_bytes() for p in look if p.is_file())).hexdigest()
    app.add_config_value("book_theme", digest, "html")
    app.connect("config-inited", choose_mathjax, priority=900)
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", keep_what_is_used, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
