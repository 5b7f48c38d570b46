"""The book as a site: its address, what a search or a shared link shows of a page, and the map.

The address follows from the repository's, `repository.url` in `_config.yml`; a site elsewhere sets
`html_baseurl`. We write these few tags ourselves: the usual extension draws a picture of each
page's title, which takes its time and a font of 1.7 MB, where a page has a figure of its own.
The usual one for the map lists what this run wrote, so a second build would forget most pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from textwrap import shorten
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

from book_edits import edit
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

CARD = ("_static/card.png", "Two curves of how weights are spread: wide, and drawn in to zero.")
FIGURE = re.compile(r'<img\b[^>]*?\balt="([^"]+)"[^>]*?\bsrc="([^":]+\.png)"')
HOME = "index"
OWN_TITLES = {"search": "Search", "genindex": "Index"}  # which have them in their templates


def pages_address(repository: str) -> str:
    """Where GitHub Pages puts the site of a repository."""
    owner, name = repository.rstrip("/").split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}/"


def find_address(app: Sphinx, config: Config) -> None:
    """Give the site its address, unless it has one."""
    if not config.html_baseurl:
        config.html_baseurl = pages_address(config.html_theme_options["repository_url"])
    # A missing page shows at any depth, so its own links start from the root.
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path


def add_home(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """The page at the bare address, which is the one that people share: it leads on."""
    yield HOME, {"title": app.config.html_title, "first": app.config.root_doc}, "home.html"


def add_tags(
    app: Sphinx, page: str, template: str, context: dict, document: nodes.document | None
) -> None:
    """The description for search engines, and the card that a shared link shows."""
    title = re.sub("<[^>]*>", "", context.get("title") or OWN_TITLES[page])
    base = app.config.html_baseurl
    address = context["pageurl"] = urljoin(base, "" if page == HOME else context["pageurl"])
    figure = FIGURE.search(context.get("body", ""))
    picture, alternative = (urljoin(address, figure[2]), figure[1]) if figure else CARD
    description = escape(_description(document) or f"{title}. {app.config.book_about}")
    shared = {
        "site_name": escape(app.config.html_title),
        "type": "website",
        "title": title,
        "description": description,
        "url": address,
        "image": urljoin(base, picture),
        "image:alt": alternative,
    }
    tags = {f'property="og:{name}"': content for name, content in shared.items()}
    tags |= {'name="twitter:card"': "summary_large_image", 'name="description"': description}
    lines = (f'<meta {name} content="{content}">' for name, content in tags.items())
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])


def _description(document: nodes.document | None) -> str:
    """The start of the page's first paragraph."""
    text = document.next_node(nodes.paragraph) if document else None
    return shorten(text.astext(), 160, placeholder=" …") if text else ""


def write_map(app: Sphinx, problem: Exception | None) -> None:
    """The list of all pages for search engines, with the day of each page's last edit."""
    if problem or app.builder.format != "html":
        return
    root = ElementTree.Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
    for page in sorted(app.env.found_docs):
        entry = ElementTree.SubElement(root, "url")
        address = urljoin(app.config.html_baseurl, app.builder.get_target_uri(page))
        ElementTree.SubElement(entry, "loc").text = address
        if day := edit(app.env, page):
            ElementTree.SubElement(entry, "lastmod").text = day.isoformat()
    ElementTree.ElementTree(root).write(
        Path(app.outdir, "sitemap.xml"), encoding="utf-8", xml_declaration=True
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.setup_extension("notfound.extension")
    app.setup_extension("book_edits")
    app.add_config_value("book_about", "", "html")
    app.connect("config-inited", find_address)
    app.connect("html-collect-pages", add_home)
    app.connect("html-page-context", add_tags, priority=900)
    app.connect("build-finished", write_map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
