"""A small network that trains in the page itself: no kernel, no framework, no other host.

The page's part is one JavaScript module, ``static/playground.js``, whose arithmetic is tested
against ``smallweights.fit``. The same HTML runs in the published book and as a notebook's output.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.resources import files

WITHOUT_SCRIPT = (
    "The playground trains a small network in this page, and that takes JavaScript, which is off."
    " The figure below shows what such a network learns."
)


@dataclass(frozen=True)
class Playground:
    """A network to train by hand, with its penalty; show it as a cell's last expression.

    ``state`` sets the knobs, in the form of the address of a page with a playground, for example
    ``"data=xor&penalty=l2&alpha=0.01"``; a knob or value that there is not is reported in the
    playground, with those that there are. Book section: playground.

    >>> print(Playground("data=xor&penalty=l2&alpha=0.01"))
    Playground: a small network that trains in the page.
    """

    state: str = ""

    def __str__(self) -> str:
        return "Playground: a small network that trains in the page."

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, object]:
        return {"text/plain": str(self), "text/html": self._html()}

    def _html(self) -> str:
        folder = files("smallweights") / "static"
        style, script = (
            (folder / name).read_text(encoding="utf-8")
            for name in ("playground.css", "playground.js")
        )
        return (
            f"<style>\n{style}</style>\n"
            '<section class="sw-playground" aria-label="Playground"'
            f' data-state="{escape(self.state)}">\n<p>{WITHOUT_SCRIPT}</p>\n</section>\n'
            f'<script type="module">\n{script}</script>'
        )
