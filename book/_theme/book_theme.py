"""What the book adds to its theme: lean pages, whose markup a screen reader can follow.

As they come, the style sheet (400 kB), the script and the fonts of all icons there are (1.8 MB)
and MathJax (1.2 MB) load on every page. The templates beside this file leave the script out, and
formulas are written as MathML, which browsers draw themselves.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from docutils import nodes
from fontTools import subset
from fontTools.ttLib import TTFont
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

HERE = Path(__file__).parent
LOOK = (HERE, HERE.parent / "_assets")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
RULE = re.compile(r"([^{}@;]+)(\{[^{}]*\})")
SEPARATOR = re.compile(r",(?![^(]*\))")
NEGATED = re.compile(r":not\([^)]*\)")
CLASS = re.compile(r"\.(-?[a-zA-Z_][\w-]*)")
ICON = re.compile(r'\.fa-[^{}]*:before\{content:"\\([0-9a-f]+)"')
BAR = re.compile(r"<mo((?: [^>]*)?)>(&#x0(?:007C|2016);)")
FORMULA = r"<math(?:(?!</math>).)*</math>"
JOINED = re.compile(rf"\({FORMULA}[.,;:?!)]*|{FORMULA}[.,;:?!)]+")
OVERLINE, WIDE = re.compile(r"<mo[^>]*>&#x0(?:00AF|2015);"), '<mo stretchy="true">&#x0203E;'
HEADER = re.compile(
    r'<tr style="text-align: right;">((?:\s*<th></th>)+)((?:\s*<th\b[^>]*>[^<]+</th>)+)\s*</tr>'
    r"\s*<tr>((?:\s*<th>[^<]*</th>)+)\s*</tr>\s*</thead>"
)
# A page's words, outside of tags and of elements whose words are data.
WORDS = re.compile(r"(<(script|style|pre|select)\b.*?</\2>|<[^>]*>)|[^<]+", re.DOTALL)
SPACE = re.compile(r"(?<=\d) (?=%|pp\b|s\b|MB\b|minutes\b)|(?<=\[[+-])([\d.]+,) ")
FONT = re.compile(r'url\((\S+?)\.woff2\) format\("woff2"\),url\(\S+?\.ttf\) \S+?\)')


def mathml(formula: str, display: str = "inline") -> str:
    """The formula for the browser, with the bars of |w| and of norms close to what they enclose.

    Bars that the formula does not ask to stretch are of one height, also where one has an index;
    a line above a term is as long as the term.
    """

    def bar(found: re.Match) -> str:
        size = found[1] if "stretchy" in found[1] else found[1] + ' stretchy="false"'
        return f'<mo lspace="0" rspace="0"{size}>{found[2]}'

    return OVERLINE.sub(WIDE, BAR.sub(bar, convert(formula, display=display)))


def write_formula(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def write_displayed_formula(writer: HTML5Translator, node: nodes.math_block) -> None:
    """The formula in a block of its own, with its number where it has one.

    On a phone a long one scrolls, so the keyboard must be able to reach it.
    """
    writer.body.append(writer.starttag(node, "div", CLASS="math", tabindex="0"))
    if node["number"]:
        number = get_node_equation_number(writer, node)
        writer.body.append(f'<span class="eqno">({number})')
        writer.add_permalink_ref(node, _("Link to this equation"))
        writer.body.append("</span>")
    writer.body.append(mathml(node.astext(), "block") + "</div>")
    raise nodes.SkipNode


def finish_page(
    app: Sphinx, page: str, template: str, context: dict, document: nodes.document | None
) -> None:
    """Tables and lists as screen readers want them; what belongs together stays in one line."""
    body = HEADER.sub(one_row, context.get("body", ""))
    body = re.sub(r"<th\b[^>]*></th>", "<td></td>", body)
    body = JOINED.sub(r'<span class="joined">\g<0></span>', body)
    body = WORDS.sub(lambda part: part[1] or SPACE.sub("\\1\u00a0", part[0]), body)
    context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')


def one_row(header: re.Match) -> str:
    """The names of a pandas table's index beside those of its columns, not in a row below them."""
    corner, columns, names = (re.findall(r"<th\b.*?</th>", header[n]) for n in (1, 2, 3))
    named, blank = names[: len(corner)], names[len(corner) :]
    if len(blank) != len(columns) or set(blank) != {"<th></th>"}:
        return header[0]
    return f"<tr>{''.join(named + columns)}</tr></thead>"


def keep_what_is_used(app: Sphinx, problem: Exception | None) -> None:
    """Cut the theme's style sheets and icon fonts down to what the built pages can use."""
    static = Path(app.outdir, "_static")
    if problem or app.builder.format != "html":
        return
    scripts = [p for p in static.rglob("*.js") if p.name != "fontawesome.js"]
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
    app.add_html_math_renderer("mathml", (write_formula, None), (write_displayed_formula, None))
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", keep_what_is_used, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
