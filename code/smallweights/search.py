"""From data, a network and a family of penalties to a chosen alpha, with its uncertainty.

All networks of a grid are trained at once by ``fit_many``; what is held out only scores them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from torch import nn

from smallweights.data import Dataset, Part, Split, split
from smallweights.ensemble import Fits, check_model, check_several, fit_many, whole_numbers
from smallweights.penalties import L2
from smallweights.stacked import AnyPenalty
from smallweights.train import DivergedError, Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
STEPS_A_DECADE = 4  # of the finer grid
BLUE, VERMILLION = "#0072B2", "#D55E00"  # Okabe and Ito's, told apart by all readers

_MEASURES = {
    ("loss", "classification"): "cross-entropy (nats)",
    ("loss", "regression"): "mean squared error (target units²)",
    ("error", "classification"): "error (share of wrong classes)",
}


@dataclass(frozen=True, eq=False)
class Search:
    """What a search over alpha found: the scores, the choice and how sure it is.

    ``table`` has a row an alpha: ``mean`` held-out score, its ``standard_error`` over ``n`` folds
    (or hold-out splits, as ``over`` says), and how many replicas ``diverged``. ``scores`` has a row
    a replica. ``interval`` holds 95 % of the alphas that would have the lowest mean, had the folds
    and the seeds been drawn again. ``measure`` names the score with its unit.

    Replicas that diverged are in no mean, and an alpha that lost any is never chosen: those that
    survive are no fair sample. Book section: alpha.

    >>> linear = lambda seed: MLP((13, 3), seed=seed)
    >>> grid = {"alphas": [0.001, 0.1, 10], "finer": False}
    >>> found = search(linear, load("wine"), seeds=[0], training=Training(lr=0.01), **grid)
    >>> list(found.table)
    ['alpha', 'mean', 'standard_error', 'n', 'diverged', 'replicas']
    >>> found.best, found.simplest, found.edge
    (0.001, 0.001, 'lower')
    """

    table: pd.DataFrame
    scores: pd.DataFrame
    interval: tuple[float, float]
    measure: str
    over: Literal["fold", "seed"]

    @property
    def candidates(self) -> pd.DataFrame:
        """The rows of ``table`` that may be chosen: nothing diverged there."""
        return self.table[self.table.diverged == 0]

    @property
    def best(self) -> float:
        """The alpha with the lowest mean held-out score, the largest of those that tie."""
        return float(self._lowest.alpha)

    @property
    def simplest(self) -> float:
        """The largest alpha whose mean lies within one standard error of the minimum.

        Source: Breiman et al. (1984), section 3.4.3; Hastie et al. (2009), section 7.10.
        """
        bound = self._lowest["mean"] + self._lowest.standard_error
        return float(self.candidates.alpha[self.candidates["mean"] <= bound].max())

    @property
    def edge(self) -> Literal["lower", "upper"] | None:
        """The edge of the grid at which the minimum lies, where the true one may lie beyond."""
        if self.best == self.table.alpha.max():
            return "upper"
        return "lower" if self.best == self.table.alpha.min() else None

    @property
    def _lowest(self) -> pd.Series:
        lowest = self.candidates[self.candidates["mean"] == self.candidates["mean"].min()]
        row: pd.Series = lowest.loc[lowest.alpha.idxmax()]
        return row

    def explain(self) -> str:
        """The choice and its uncertainty in words."""
        low = self._lowest
        digits = _digits(low.standard_error)
        start, end = self.interval
        units = {"fold": "folds", "seed": "hold-out splits"}[self.over]
        drawn = {"fold": "folds and seeds", "seed": "splits"}[self.over]
        sentences = [
            f"Alpha {self.best:g} has the lowest held-out {self.measure.split(' (')[0]},"
            f" {low['mean']:,.{digits}f} ± {low.standard_error:,.{digits}f} (standard error over"
            f" {low.n:.0f} {units}); other {drawn} would put the minimum between"
            f" {start:g} and {end:g} (95 %).",
            self._explain_edge(),
            self._explain_simplest(digits),
            self._explain_diverged(),
        ]
        return " ".join(filter(None, sentences))

    def _explain_simplest(self, digits: int) -> str:
        if self.simplest == self.best:
            return "No larger alpha comes within one standard error."
        mean = self.table["mean"][self.table.alpha == self.simplest].item()
        return (
            f"The simplest choice within one standard error is alpha {self.simplest:g}"
            f" ({mean:,.{digits}f})."
        )

    def _explain_edge(self) -> str:
        if self.edge is None:
            return ""
        return f"It is the {self.edge} edge of the grid: a better alpha may lie beyond."

    def _explain_diverged(self) -> str:
        lost = _name_diverged(self.table)
        return f"Left out because replicas diverged: alpha {lost}." if lost else ""

    def __str__(self) -> str:
        return self.explain()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the mean score against alpha, its band of ± one standard error and both choices.

        Needs the extra ``smallweights[full]``.
        """
        ax = _new_axes() if ax is None else ax
        rows = self.candidates
        alpha, mean, error = rows.alpha, rows["mean"], rows.standard_error
        label = f"mean ± one standard error (n = {rows.n.min()} {self.over}s)"
        ax.plot(alpha, mean, ".-", color=BLUE, label=label)
        ax.fill_between(alpha, mean - error, mean + error, color=BLUE, alpha=0.2, lw=0)
        ax.axvspan(*self.interval, color="0.5", alpha=0.15, lw=0, label="95 % of the minima")
        for name, chosen, marker in (("best", self.best, "o"), ("simplest", self.simplest, "D")):
            at = mean[alpha == chosen].item()
            (drawn,) = ax.plot(chosen, at, marker, color=VERMILLION, markerfacecolor="white")
            drawn.set(label=f"{name}: alpha = {chosen:g}", zorder=3)
        ax.set_xscale("log")
        ax.set_xlabel("alpha (strength of the penalty)")
        ax.set_ylabel(f"held-out {self.measure}")
        ax.legend()
        return ax


def search(
    model: Callable[[int], nn.Module],
    data: Dataset | Mapping[Any, Split],
    penalty: Callable[[float], AnyPenalty] = L2,
    *,
    seeds: Sequence[int],
    alphas: Sequence[float] | None = None,
    finer: bool = True,
    training: Training | None = None,
    folds: int = 5,
    hold_out: float | None = None,
    score: Literal["loss", "error"] = "loss",
    folder: str | PathLike[str] | None = None,
    device: str = "auto",
    chunk: int | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Search:
    """Find the alpha with the lowest held-out score: a coarse log grid, then a finer one.

    ``model`` makes the start network of a seed, ``penalty`` the penalty of an alpha: ``L2``, or
    ``lambda a: ElasticNet(a / 2, a / 2)``. ``alphas`` defaults to the decades from 1e-6 to 10;
    ``finer`` adds quarter decades as far as one decade around the best of them.

    The ``folds`` are drawn once, by the first seed, stratified by class; every seed trains on all
    of them. ``hold_out`` instead sets a share of the examples aside, another draw for each seed.
    Features are standardized by each training part alone. A network's score is its loss, or with
    ``score="error"`` its share of wrong classes, on the held-out examples after the last step.
    They choose no step: a best one would be picked by the very examples that judge it, and
    stopping early is itself a regularizer, which would hide what a small alpha does.

    ``data`` may also be folds of your own, ``{name: Split}``: the networks train on each one's
    ``train`` and are scored on its ``test``, which are taken as they stand.

    ``folder``, ``device``, ``chunk``, ``jobs`` and ``progress`` are ``fit_many``'s; chunks go
    through joblib, so ``with joblib.parallel_config("dask"):`` takes a search to a cluster. Raises
    ``DivergedError`` when replicas diverged at every alpha, ``TypeError`` for an argument of
    another kind, ``ValueError`` for a bad setting.
    Source: Hastie et al. (2009), section 7.10. Book section: alpha.

    >>> linear = lambda seed: MLP((10, 1), seed=seed)
    >>> quick = Training(steps=100, lr=0.1)
    >>> found = search(linear, load("diabetes"), seeds=[0, 1], training=quick, folds=3)
    >>> found.over, len(found.table)
    ('fold', 15)
    """
    check_model(model)
    check_several(seeds=seeds, alphas=DECADES if alphas is None else alphas)
    seeds = whole_numbers(seeds)
    _check(data, penalty, seeds, hold_out)
    grid, measure = _grid(alphas), _measure(score, data)
    sources = _sources(data, seeds, folds, hold_out, next(model(seeds[0]).parameters()).dtype)
    training = training or Training()
    training = replace(training, record=[training.steps])
    options: dict[str, Any] = {"device": device, "chunk": chunk, "jobs": jobs, "progress": progress}

    def run(alphas: Sequence[float], stage: str) -> pd.DataFrame:
        penalties = {alpha: penalty(alpha) for alpha in alphas}
        kept = None if folder is None else Path(folder) / stage
        fits = fit_many(model, sources, penalties, training, seeds=seeds, folder=kept, **options)
        return _scores(fits, f"test_{score}")

    over: Literal["fold", "seed"] = "fold" if hold_out is None else "seed"
    found = _summarize(run(grid, "coarse"), measure, over)
    if finer and (new := _around(found.best, grid)):
        scores = pd.concat([found.scores, run(new, "fine")], ignore_index=True)
        found = _summarize(scores, measure, over)
    return found


def _check(
    data: Dataset | Mapping[Any, Split],
    penalty: Callable[[float], AnyPenalty],
    seeds: Sequence[int],
    share: float | None,
) -> None:
    _check_data(data, share)
    if not callable(penalty):
        raise TypeError(
            "penalty must be a function of alpha, such as L2 or"
            f" lambda a: ElasticNet(a / 2, a / 2); got {penalty!r}."
        )
    if len(set(seeds)) < max(len(seeds), 1 if share is None else 2):
        raise ValueError(
            "seeds must differ, and be at least 1 for folds, 2 for hold-out, whose splits they"
            f" draw; got {list(seeds)}."
        )


def _check_data(data: Dataset | Mapping[Any, Split], share: float | None) -> None:
    if not isinstance(data, Dataset | Mapping):
        raise TypeError(
            f"search splits the data itself and needs a Dataset; got {type(data).__name__}."
            " Folds of your own go in as {name: Split}."
        )
    if isinstance(data, Mapping) and (len(data) < 2 or share is not None):
        raise ValueError(
            f"Folds of your own must be two or more, without hold_out; got {len(data)} and"
            f" hold_out={share}."
        )
    n = 0 if share is None or isinstance(data, Mapping) else len(data.x)
    if share is not None and not 1 <= round(share * n) < n:
        raise ValueError(
            f"hold_out must be a share of the {n} examples, between 0 and 1, that leaves some on"
            f" either side; got {share}."
        )


def _grid(alphas: Sequence[float] | None) -> list[float]:
    grid = sorted({float(alpha) for alpha in (DECADES if alphas is None else alphas)})
    if len(grid) < 2 or not all(0 < alpha < math.inf for alpha in grid):
        raise ValueError(
            "alphas must be two or more different finite numbers > 0 (the grid is logarithmic);"
            f" got {alphas}."
        )
    return grid


def _measure(score: str, data: Dataset | Mapping[Any, Split]) -> str:
    task = next(iter(data.values())).task if isinstance(data, Mapping) else data.task
    if (score, task) not in _MEASURES:
        raise ValueError(
            f"score must be 'loss', or for classification 'error'; got score={score!r} for {task}."
        )
    return _MEASURES[score, task]


def _around(best: float, grid: Sequence[float]) -> list[float]:
    """Quarter decades within one decade of the best alpha, to four digits, that are new."""
    steps = np.arange(-STEPS_A_DECADE, STEPS_A_DECADE + 1) / STEPS_A_DECADE
    finer = [float(f"{best * 10**step:.4g}") for step in steps]
    return [a for a in finer if not any(math.isclose(a, b, rel_tol=1e-3) for b in grid)]


def _sources(
    data: Dataset | Mapping[Any, Split],
    seeds: Sequence[int],
    folds: int,
    share: float | None,
    dtype: torch.dtype,
) -> Mapping[Any, Split | Callable[[int], Split]]:
    """The data as ``fit_many`` takes them: a split for each fold, or for each seed."""
    if isinstance(data, Mapping):
        return data
    if share is not None:
        train = len(data.x) - round(share * len(data.x))
        return {"hold-out": lambda seed: split(data, train, seed=seed, dtype=dtype)}
    kind = StratifiedKFold if data.task == "classification" else KFold
    drawn = kind(folds, shuffle=True, random_state=int(seeds[0])).split(data.x, data.y)
    return {i: _fold(data, rows, held_out, dtype) for i, (rows, held_out) in enumerate(drawn)}


def _fold(data: Dataset, train: np.ndarray, held_out: np.ndarray, dtype: torch.dtype) -> Split:
    x = torch.as_tensor(StandardScaler().fit(data.x[train]).transform(data.x), dtype=dtype)
    y = torch.tensor(data.y, dtype=torch.int64 if data.classes else dtype)
    parts = [Part(x[rows], y[rows]) for rows in (train, held_out[:0], held_out)]
    classes = len(data.classes) if data.classes else None
    return Split(parts[0], parts[1], parts[2], data.task, classes)


def _scores(fits: Fits, column: str) -> pd.DataFrame:
    """A row a replica: fold, seed, alpha, its held-out score, and whether it diverged."""
    last = fits.final
    diverged = (fits.replicas.diverged_at >= 0).to_numpy() | ~np.isfinite(last[column].to_numpy())
    return pd.DataFrame(
        {
            "fold": last.data,
            "seed": last.seed,
            "alpha": last.penalty.astype(float),
            "score": last[column].where(~diverged),
            "diverged": diverged,
        }
    )


def _summarize(scores: pd.DataFrame, measure: str, over: Literal["fold", "seed"]) -> Search:
    """The table, the interval and the choice that follow from the replicas' scores."""
    units = scores.groupby(["alpha", over]).score.mean().groupby("alpha")
    table = pd.DataFrame(
        {
            "mean": units.mean(),
            "standard_error": units.sem(),
            "n": units.count(),
            "diverged": scores.groupby("alpha").diverged.sum(),
            "replicas": scores.groupby("alpha").size(),
        }
    ).reset_index()
    whole = table.alpha[table.diverged == 0]
    if whole.empty:
        raise DivergedError(
            f"Replicas diverged at every alpha: {_name_diverged(table)}. The usual reason is a"
            " learning rate that is too large; try a tenth of it."
        )
    return Search(table, scores, _interval(scores[scores.alpha.isin(whole)]), measure, over)


def _name_diverged(table: pd.DataFrame) -> str:
    lost = table[table.diverged > 0]
    return ", ".join(
        f"{row.alpha:g} ({row.diverged} of {row.replicas})" for row in lost.itertuples()
    )


def _interval(scores: pd.DataFrame, draws: int = 2000) -> tuple[float, float]:
    """The middle 95 % of the alphas with the lowest mean when folds and seeds are redrawn.

    Folds and seeds are drawn with replacement, each by themselves (Owen 2007, the pigeonhole
    bootstrap); all alphas share a draw, so the comparison stays paired.
    """
    cells = scores.set_index(["alpha", "fold", "seed"]).score.sort_index()
    alphas, folds, seeds = cast(pd.MultiIndex, cells.index).levels
    cube = cells.to_numpy().reshape(len(alphas), len(folds), len(seeds))
    rng = np.random.default_rng(0)
    fold_weights, seed_weights = (
        rng.multinomial(size, np.full(size, 1 / size), draws) for size in cube.shape[1:]
    )
    means = np.einsum("bf,afs,bs->ba", fold_weights, cube, seed_weights)
    lowest = alphas.to_numpy()[::-1][means[:, ::-1].argmin(1)]  # of a tie, the largest
    low, high = np.quantile(lowest, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _digits(error: float) -> int:
    """The decimals worth printing: two digits of the standard error."""
    return max(0, 1 - math.floor(math.log10(error))) if 0 < error < math.inf else 4


def _new_axes() -> Axes:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Search.plot needs matplotlib; install it with: pip install 'smallweights[full]'."
        ) from error
    return plt.subplots(layout="constrained")[1]
