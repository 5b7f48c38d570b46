"""The Content Security Policy of every page: what a browser may load and run there.

Files come from the site alone. Of the scripts that stand in a page, the theme's and the
explorers', only these very ones run: the policy carries their digests, so a page is read once it
is built. Nobody can slip in another. Styles in attributes, which figures and tables have, cannot
run anything and are allowed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from pathlib import Path

from sphinx.application import Sphinx

SCRIPT = re.compile(r"<script\b(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
HANDLER = re.compile(r'<[a-z][^<>]*?\son[a-z]+="([^"]*)"')
POLICY = re.compile(r'\n<meta http-equiv="Content-Security-Policy"[^>]*>')
FIRST = re.compile(r'(<meta charset="utf-8"\s*/?>)')
RULES = {
    "default-src": "'none'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
}


def handlers(html: str) -> set[str]:
    """The scripts in attributes such as ``onclick``."""
    return {unescape(found) for found in HANDLER.findall(html)}


def policy(html: str, handlers: set[str]) -> str:
    """The rules for this page, whose handlers run by their digests, too."""
    digests = sorted({_digest(text) for text in {*SCRIPT.findall(html), *handlers}})
    scripts = ["'self'", *(["'unsafe-hashes'"] if handlers else []), *digests]
    return "; ".join(f"{k} {v}" for k, v in {**RULES, "script-src": " ".join(scripts)}.items())


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def with_policy(html: str, handlers: set[str]) -> str:
    """The page with its policy in front of all that it governs."""
    html = POLICY.sub("", html)
    tag = f'\n<meta http-equiv="Content-Security-Policy" content="{policy(html, handlers)}">'
    return FIRST.sub(lambda first: first[1] + tag, html, count=1)


def write_policies(app: Sphinx, problem: Exception | None) -> None:
    """Give each page of the built site its policy.

    The handlers are those of all pages: the search reads any of them, and a browser then checks
    its handlers by the policy of the search.
    """
    if problem or app.builder.format != "html":
        return
    paths = (path.relative_to(app.outdir) for path in Path(app.outdir).rglob("*.html"))
    files = [Path(app.outdir, path) for path in paths if "_static" not in path.parts]
    pages = {path: path.read_text("utf-8") for path in files}
    found = set().union(*map(handlers, pages.values()))
    for path, html in pages.items():
        path.write_text(with_policy(html, found), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("build-finished", write_policies, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
