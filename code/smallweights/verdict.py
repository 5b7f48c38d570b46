"""Verdicts: what a measurement says about a claim, computed and never written by hand.

The rule. Each piece of evidence is a condition and what was measured under it, signed so that a
positive number speaks for the claim. It *supports* the claim when its whole interval lies above
the smallest effect that matters, *opposes* it when the whole interval lies below, and is
*undecided* when the interval contains it. An identity supports the claim when its largest
deviation stays within its tolerance, and opposes it otherwise. A claim *holds* when all its
evidence supports it, *holds if* … when some does (naming where), *does not hold* when none does
and some opposes it, and is *undecided* when all of it is. The intervals of one verdict are widened
so that all of them cover at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy.typing as npt
import pandas as pd

from smallweights.statistics import interval

MIME = "application/vnd.smallweights.verdict+json"


@dataclass(frozen=True)
class Effect:
    """An effect, a value a seed; positive speaks for the claim.

    ``values`` is (n,), usually from ``statistics.differences``, in ``unit``; ``smallest`` is the
    smallest effect that matters, in the same unit. Book section: how verdicts are reached.

    >>> Effect([0.1, 0.3, 0.2, 0.4], unit="nats").read("digits", comparisons=1).says
    'supports'
    """

    values: npt.ArrayLike
    unit: str = ""
    smallest: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smallest < math.inf:
            raise ValueError(f"smallest must be a finite number >= 0; got {self.smallest}.")

    def read(self, condition: str, comparisons: int) -> Reading:
        """The effect's interval, widened for the other evidence, and what it says."""
        found = interval(self.values, comparisons=comparisons)
        says = "opposes" if found.high < self.smallest else "undecided"
        says = "supports" if found.low > self.smallest else says
        least = f" (matters from {self.smallest:g})" if self.smallest else ""
        return Reading(condition, f"{found} {self.unit}{least}".strip(), found.n, says)


@dataclass(frozen=True)
class Identity:
    """The largest deviation from an exact identity over ``n`` cases, with its tolerance.

    Book section: how verdicts are reached.

    >>> Identity(deviation=1e-9, tolerance=1e-6, n=100).read("float64", comparisons=1).measured
    'deviation ≤ 1e-06'
    """

    deviation: float
    tolerance: float
    n: int = 1

    def __post_init__(self) -> None:
        if not self.deviation >= 0 or not 0 < self.tolerance < math.inf or self.n < 1:
            raise ValueError(
                "An identity needs a deviation >= 0, a finite tolerance > 0 and n >= 1; got"
                f" {self.deviation}, {self.tolerance} and {self.n}."
            )

    def read(self, condition: str, comparisons: int) -> Reading:
        """Whether the deviation stays within the tolerance; it needs no widening."""
        within = self.deviation <= self.tolerance
        short = f"{self.tolerance:.0e}"
        exact = short if float(short) == self.tolerance else f"{self.tolerance:g}"
        bound = f"deviation {'≤' if within else '>'} {exact}"
        return Reading(condition, bound, self.n, "supports" if within else "opposes")


@dataclass(frozen=True)
class Reading:
    """What one piece of evidence says: ``says`` is supports, opposes or undecided.

    Book section: how verdicts are reached.

    >>> Effect([-2, 1, 2]).read("digits", comparisons=1)
    Reading(condition='digits', measured='+0.3 [-4.8, +5.5]', n=3, says='undecided')
    """

    condition: str
    measured: str
    n: int
    says: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim; show it as a cell's last expression.

    ``claim`` is the claim's id, ``statement`` what it says, ``evidence`` maps each condition to
    its effect or identity, ``designs`` counts the experimental designs tried, this one included.
    Book section: how verdicts are reached.

    >>> effects = {"digits": Effect([0.1, 0.3, 0.2, 0.4]), "wine": Effect([-0.1, 0.2, 0.1, -0.2])}
    >>> print(Verdict("X1", "L2 lowers the loss.", effects))
    X1 undecided (designs tried: 1)
      L2 lowers the loss.
      undecided digits: +0.25 [-0.02, +0.52] (n = 4)
      undecided wine: +0.00 [-0.38, +0.38] (n = 4)
    """

    claim: str
    statement: str
    evidence: Mapping[str, Effect | Identity]
    designs: int = 1
    readings: tuple[Reading, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.evidence or self.designs < 1:
            raise ValueError(
                f"Verdict {self.claim} needs evidence and designs >= 1; got"
                f" {len(self.evidence)} pieces and designs={self.designs}."
            )
        comparisons = sum(isinstance(piece, Effect) for piece in self.evidence.values())
        readings = tuple(
            piece.read(condition, max(1, comparisons)) for condition, piece in self.evidence.items()
        )
        object.__setattr__(self, "readings", readings)

    @property
    def ruling(self) -> str:
        """Holds, holds if (with the supporting conditions), does not hold, or undecided."""
        supporting = [r.condition for r in self.readings if r.says == "supports"]
        if len(supporting) == len(self.readings):
            return "holds"
        if supporting:
            return f"holds if: {'; '.join(supporting)}"
        opposed = any(r.says == "opposes" for r in self.readings)
        return "does not hold" if opposed else "undecided"

    @property
    def table(self) -> pd.DataFrame:
        """One row a piece of evidence: condition, what was measured, n, what it says."""
        return pd.DataFrame(
            [(r.condition, r.measured, r.n, r.says) for r in self.readings],
            columns=["condition", "effect [together 95 %]", "n", "the evidence"],
        )

    def __str__(self) -> str:
        rows = [f"  {r.says:9} {r.condition}: {r.measured} (n = {r.n})" for r in self.readings]
        head = f"{self.claim} {self.ruling} (designs tried: {self.designs})"
        return "\n".join([head, f"  {self.statement}", *rows])

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, object]:
        return {"text/plain": str(self), "text/html": self._html(), MIME: self.record()}

    def record(self) -> dict[str, object]:
        """The verdict as plain data, from which the book's index of claims is made."""
        return {
            "claim": self.claim,
            "statement": self.statement,
            "ruling": self.ruling,
            "designs": self.designs,
            "evidence": [
                {"condition": r.condition, "measured": r.measured, "n": r.n, "says": r.says}
                for r in self.readings
            ],
        }

    def _heading(self) -> str:
        """The ruling as HTML, with its condition if there is but one."""
        ruling, _, conditions = self.ruling.partition(": ")
        met = sum(r.says == "supports" for r in self.readings)
        if not conditions or met == 1:
            return f"<strong>{escape(self.claim)} {escape(self.ruling)}</strong>"
        return (
            f"<strong>{escape(self.claim)} {ruling} …</strong> it held under {met} of these"
            f" {len(self.readings)} conditions, those marked <em>supports</em>"
        )

    def _html(self) -> str:
        cells = "".join(
            f'<tr class="{r.says}"><td>{escape(r.condition)}</td><td>{escape(r.measured)}</td>'
            f"<td>{r.n}</td><td>{r.says}</td></tr>\n"
            for r in self.readings
        )
        kind = self.ruling.split(":")[0].replace(" ", "-")
        return (
            f'<div class="verdict {kind}" id="verdict-{escape(self.claim.lower())}">\n'
            f"<p>{self._heading()}</p>\n"
            f"<p>{escape(self.statement)}</p>\n"
            "<table>\n<thead><tr><th>condition</th><th>effect [together 95 %]</th>"
            f"<th>n</th><th>the evidence</th></tr></thead>\n<tbody>\n{cells}</tbody>\n</table>\n"
            f"<p>The intervals cover all rows at once. Designs tried: {self.designs}.</p>\n</div>"
        )
