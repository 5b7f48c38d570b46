"""Uncertainty over seeds: the one place where the book turns numbers into intervals.

Configurations are compared seed by seed: the same split, the same start weights, another penalty.
The differences have a mean and a Student t interval. With some twenty seeds the t interval keeps
its promise where the percentile bootstrap is too short, and it needs no random numbers of its own.
An interval covers what another draw of seeds could change; it knows nothing of other data sets.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student_t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over ``n`` seeds with its confidence interval from ``low`` to ``high``.

    Book section: how verdicts are reached.

    >>> print(Interval(mean=0.25, low=0.04, high=0.46, n=4))
    +0.25 [+0.04, +0.46]
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        digits = self.digits()
        # A half must round alike on every machine, whatever the last bits of its sums.
        exact = (round(number, digits + 6) for number in (self.mean, self.low, self.high))
        mean, low, high = (f"{number:+.{digits}f}" for number in exact)
        return f"{mean} [{low}, {high}]"

    def digits(self) -> int:
        """The decimals worth printing: two digits of the interval's half width."""
        half = (self.high - self.low) / 2
        size = half if half > 0 else abs(self.mean)
        return max(0, 1 - math.floor(math.log10(size))) if size > 0 else 0


def interval(
    values: npt.ArrayLike, *, confidence: float = CONFIDENCE, comparisons: int = 1
) -> Interval:
    """The mean of one value a seed, with its t interval ``mean ± t · s/√n``.

    ``values`` is (n,), n >= 2, usually paired differences. ``comparisons`` is the number of
    intervals that are read together: each is widened (Bonferroni) so that all of them cover at
    once with the stated ``confidence``. Raises ``ValueError`` for fewer than two values or values
    that are not finite. Source: Student (1908); Dunn (1961).
    Book section: how verdicts are reached.

    >>> print(interval([0.1, 0.3, 0.2, 0.4]))
    +0.25 [+0.04, +0.46]
    >>> print(interval([0.1, 0.3, 0.2, 0.4], comparisons=3))
    +0.25 [-0.06, +0.56]
    """
    numbers = np.asarray(values, dtype=float).ravel()
    if len(numbers) < 2:
        raise ValueError(f"An interval needs at least 2 seeds; got {len(numbers)}.")
    if not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).sum())
        raise ValueError(f"{bad} of {len(numbers)} values are not finite; did a run diverge?")
    if not 0 < confidence < 1 or comparisons < 1:
        raise ValueError(
            f"confidence must lie in (0, 1) and comparisons be >= 1; got {confidence},"
            f" {comparisons}."
        )
    tail = (1 - confidence) / comparisons / 2
    mean, spread = numbers.mean(), numbers.std(ddof=1) / math.sqrt(len(numbers))
    half = student_t.ppf(1 - tail, len(numbers) - 1) * spread
    return Interval(float(mean), float(mean - half), float(mean + half), len(numbers))


def differences(
    frame: pd.DataFrame,
    column: str,
    first: Mapping[str, Hashable],
    second: Mapping[str, Hashable],
    *,
    by: str = "seed",
) -> pd.Series:
    """``column`` in the rows of ``first`` minus that in the rows of ``second``, seed by seed.

    ``first`` and ``second`` name rows by column values, such as ``{"penalty": 0.0}``. Raises
    ``ValueError`` unless both name exactly one row for each of the same seeds.
    Book section: how verdicts are reached.

    >>> runs = pd.DataFrame({"seed": [0, 1, 0, 1], "alpha": [0, 0, 1, 1], "loss": [5, 6, 3, 2]})
    >>> differences(runs, "loss", {"alpha": 0}, {"alpha": 1}).to_dict()
    {0: 2, 1: 4}
    """
    one, other = (_pick(frame, column, where, by) for where in (first, second))
    if not one.index.equals(other.index):
        odd = sorted(one.index.symmetric_difference(other.index))
        raise ValueError(f"{dict(first)} and {dict(second)} do not share {by} {odd}: unpaired.")
    return one - other


def _pick(frame: pd.DataFrame, column: str, where: Mapping[str, Hashable], by: str) -> pd.Series:
    rows = frame
    for name, value in where.items():
        rows = rows[rows[name] == value]
    if rows.empty or rows[by].duplicated().any():
        raise ValueError(f"{dict(where)} names {len(rows)} rows, not one for each {by}.")
    return rows.set_index(by)[column].sort_index()


def summarize(frame: pd.DataFrame, column: str, by: str | list[str]) -> pd.DataFrame:
    """Mean and 95 % t interval of ``column`` for each value of ``by``: mean, low, high, n.

    Book section: how verdicts are reached.

    >>> runs = pd.DataFrame({"alpha": [0, 0, 1, 1], "loss": [5, 6, 3, 2]})
    >>> summarize(runs, "loss", by="alpha")["mean"].to_dict()
    {0: 5.5, 1: 2.5}
    """
    groups = frame.groupby(by)[column]
    return pd.DataFrame({key: vars(interval(values)) for key, values in groups}).T.rename_axis(by)
