"""A form that converts an alpha in the page itself, into the settings of all libraries at once.

The page's part is one JavaScript module, ``static/calculator.js``; the tests compare its answers
with those of ``smallweights.convert``, whose table it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from numbers import Integral

from smallweights.convert import DECOUPLED, SETTINGS, convert

LIBRARIES = [*SETTINGS, *DECOUPLED]


@dataclass(frozen=True)
class Calculator:
    """A converter of strengths for readers; show it as a cell's last expression.

    It starts with the strengths of the library ``source``, ``n`` training examples, all of them in
    each step, and losses that are means. A reader changes all of that in the page, without a
    kernel; without JavaScript the table for the start remains. Raises ``ValueError`` where
    ``convert`` would. Book section: alpha.

    >>> answers = Calculator("torch.optim.SGD", {"weight_decay": 0.01}, n=1000).answers()
    >>> answers["keras.regularizers.L2"], answers["sklearn.linear_model.Ridge"]
    ('l2 = 0.005', 'alpha = 5')
    """

    source: str = "torch.optim.SGD"
    strengths: Mapping[str, float] = field(default_factory=lambda: {"weight_decay": 0.01})
    n: int = 1000

    def __post_init__(self) -> None:
        convert(self.source, self.strengths, self.source, n=self.n)
        if not isinstance(self.n, Integral) or self.n < 1:
            raise ValueError(f"n must be a number of training examples >= 1; got {self.n!r}.")

    def answers(self) -> dict[str, str]:
        """For each library the setting that minimizes the same function, or why there is none."""
        return {target: self._answer(target) for target in LIBRARIES}

    def _answer(self, target: str) -> str:
        try:
            found = convert(self.source, self.strengths, target, n=self.n)
        except ValueError as error:
            return _in_short(str(error))
        return ", ".join(f"{name} = {value:.6g}" for name, value in found.items())

    def __str__(self) -> str:
        lines = [f"{target:42}{answer}" for target, answer in self.answers().items()]
        return "\n".join([f"Calculator: the same as {self._given()}", *lines])

    def _given(self) -> str:
        stated = ", ".join(f"{name} = {value:g}" for name, value in self.strengths.items())
        return f"{self.source} with {stated}, for {self.n} examples"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, object]:
        return {"text/plain": str(self), "text/html": self._html()}

    def _html(self) -> str:
        style, script = (_static(f"calculator.{kind}") for kind in ("css", "js"))
        start = {"source": self.source, "strengths": dict(self.strengths), "n": self.n}
        data = json.dumps({"libraries": _libraries(), "start": start}, ensure_ascii=False)
        return (
            f"<style>\n{style}</style>\n"
            '<section class="sw-calculator" aria-label="Calculator">\n<form></form>\n'
            f'<p role="status">The same as {escape(self._given())}:</p>\n{self._table()}\n'
            f'<script type="application/json">{data}</script>\n</section>\n'
            f'<script type="module">\n{script}</script>'
        )

    def _table(self) -> str:
        rows = "".join(
            f'<tr><th scope="row">{_breakable(target)}</th><td>{escape(answer)}</td></tr>'
            for target, answer in self.answers().items()
        )
        return (
            '<div class="answers"><table><thead><tr><th scope="col">library</th>'
            f'<th scope="col">type this</th></tr></thead><tbody>{rows}</tbody></table></div>'
        )


def _breakable(name: str) -> str:
    """The name as HTML that a narrow screen breaks after a dot or an underscore."""
    return re.sub(r"([._])(?=\w)", r"\1<wbr>", escape(name))


def _static(name: str) -> str:
    return (files("smallweights") / "static" / name).read_text(encoding="utf-8")


def _in_short(error: str) -> str:
    """The reason in a table's cell; the keys are words of the errors of ``convert``."""
    reasons = {
        "decoupled": "none: a decay is no penalty",
        "one function": "none: another loss",
        "cannot state": "none: it has no such term",
    }
    return next(reason for word, reason in reasons.items() if word in error)


def _libraries() -> dict[str, dict[str, object]]:
    """What the page's script has to know of each library."""
    coupled: dict[str, dict[str, object]] = {
        name: {"names": s.form.names, "kind": s.form.kind, "loss": s.loss, "scale": s.scale}
        for name, s in SETTINGS.items()
    }
    decoupled = {
        name: {"names": [argument], "kind": "decay", "factor": factor}
        for name, (argument, factor) in DECOUPLED.items()
    }
    return coupled | decoupled
