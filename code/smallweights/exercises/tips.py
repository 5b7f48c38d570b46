"""The exercises of the chapter on the tips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from smallweights.exercises import Array, Exercise, Result, Test, gives, judge, like


def check(name: str, answer: object) -> Result:
    """Whether the answer to an exercise of this chapter is right, and if not, what went wrong.

    Book section: tips.

    >>> print(check("lstm", ...))
    lstm: not answered yet.
    """
    return judge(EXERCISES, name, answer)


# lstm: the penalty of PyTorch's LSTM, with one strength for what comes in and one for the state


def _lstm(seed: int, inputs: int, hidden: int, layers: int) -> nn.LSTM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.LSTM(inputs, hidden, layers, dtype=torch.float64)


_LSTMS = [(_lstm(1, 3, 2, 2), 0.03, 0.5), (_lstm(2, 2, 4, 1), 0.2, 0.01)]


def _total(lstm: nn.LSTM, part: str, size: Callable[[Array], float] | None = None) -> float:
    """The sizes of all parameters with this part in their names, added up; else their squares."""
    size = size or (lambda w: float(np.square(w).sum()))
    return sum(size(w.detach().numpy()) for name, w in lstm.named_parameters() if part in name)


def _paid(lstm: nn.LSTM, of_input: float, of_recurrent: float) -> float:
    return of_input * _total(lstm, "weight_ih") + of_recurrent * _total(lstm, "weight_hh")


def _paid_by(size: Callable[[Array], float]) -> Callable[[nn.LSTM, float, float], float]:
    return lambda lstm, of_input, of_recurrent: (
        of_input * _total(lstm, "weight_ih", size) + of_recurrent * _total(lstm, "weight_hh", size)
    )


_TWO_STRENGTHS = Exercise(
    cases=_LSTMS,
    right=like(_LSTMS, _paid),
    misconceptions={
        "your penalty includes the biases: look again at what your names fit.": like(
            _LSTMS,
            lambda lstm, a, b: a * _total(lstm, "_ih") + b * _total(lstm, "_hh"),
            lambda lstm, a, b: _paid(lstm, a, b) + (a + b) * _total(lstm, "bias"),
        ),
        "the two strengths have changed places: which matrix meets what comes in?": like(
            _LSTMS, lambda lstm, a, b: _paid(lstm, b, a)
        ),
        "this is the first layer alone: there may be more of them.": like(
            _LSTMS,
            lambda lstm, a, b: a * _total(lstm, "weight_ih_l0") + b * _total(lstm, "weight_hh_l0"),
        ),
        "this has the unit of a weight, as an L1 penalty has; read what L2 adds up.": like(
            _LSTMS,
            _paid_by(lambda w: float(np.linalg.norm(w))),
            _paid_by(lambda w: float(np.abs(w).sum())),
            lambda lstm, a, b: (
                a * _total(lstm, "weight_ih") ** 0.5 + b * _total(lstm, "weight_hh") ** 0.5
            ),
        ),
        "you took means: so a matrix with many entries costs no more than one with few.": like(
            _LSTMS, _paid_by(lambda w: float(np.square(w).mean()))
        ),
        "off by a factor of two: the book's penalty has no half.": like(
            _LSTMS, lambda *case: _paid(*case) / 2, lambda *case: 2 * _paid(*case)
        ),
        "all matrices pay the same in yours.": like(
            _LSTMS,
            lambda lstm, a, b: a * _total(lstm, "weight"),
            lambda lstm, a, b: b * _total(lstm, "weight"),
            lambda lstm, a, b: (a + b) * _total(lstm, "weight"),
        ),
    },
)


# scale: three parts of the data, standardized without a leak


def _tables(seed: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    train, validation, test = (
        rng.normal(shift, spread, (5, 2)) * [1.0, 40.0]
        for shift, spread in ((3.0, 1.0), (4.0, 2.0), (2.0, 0.5))
    )
    return train, validation, test


_TABLES = [_tables(1), _tables(2)]


def _scaled(parts: tuple[Array, ...], by: Array, ddof: int = 0, axis: int | None = 0) -> Array:
    """All parts, with the mean and the standard deviation of other rows."""
    return np.array([(x - by.mean(axis)) / by.std(axis, ddof=ddof) for x in parts])


_SCALE = Exercise(
    cases=_TABLES,
    shape=(3, 5, 2),
    right=like(_TABLES, lambda *parts: _scaled(parts, parts[0])),
    misconceptions={
        "each part is scaled by itself, so that the same patient is another one in each.": like(
            _TABLES,
            lambda *parts: np.array([_scaled((part,), part)[0] for part in parts]),
            lambda *parts: np.array([_scaled((part,), part, ddof=1)[0] for part in parts]),
        ),
        "rows that are held out have a say in your mean and deviation: a leak.": like(
            _TABLES,
            lambda *parts: _scaled(parts, np.concatenate(parts)),
            lambda *parts: _scaled(parts, np.concatenate(parts), ddof=1),
            lambda *parts: _scaled(parts, np.concatenate(parts[:2])),
            lambda *parts: _scaled(parts, parts[1]),
            lambda *parts: _scaled(parts, parts[2]),
        ),
        "you divided by a variance: the unit does not go away.": like(
            _TABLES, lambda *parts: (np.array(parts) - parts[0].mean(0)) / parts[0].var(0)
        ),
        "the mean is still there.": like(_TABLES, lambda *parts: np.array(parts) / parts[0].std(0)),
        "the columns are centred, and still as large as their units make them.": like(
            _TABLES, lambda *parts: np.array(parts) - parts[0].mean(0)
        ),
        "you squeezed the columns between two ends: that is another scaler.": like(
            _TABLES,
            lambda *parts: (np.array(parts) - parts[0].min(0)) / np.ptp(parts[0], 0),
        ),
        "all columns share one mean and one deviation, and they have different units.": like(
            _TABLES, lambda *parts: _scaled(parts, parts[0], axis=None)
        ),
        "nearly: what is the deviation divided by, in NumPy and in pandas?": like(
            _TABLES, lambda *parts: _scaled(parts, parts[0], ddof=1)
        ),
    },
)


# regret: of a search that tried some of the alphas, and the part of it that was not tried


def _dense(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    alphas = [float(f"{10 ** (k / 3 - 4):.3g}") for k in range(13)]
    valley = 1 + 0.03 * np.square(np.arange(13) - 6.3)
    seen, held = valley * rng.uniform(0.7, 1.3, (2, 13))
    columns = {"train_loss": 0.1 * np.arange(1, 14), "validation_loss": seen, "test_loss": held}
    return pd.DataFrame({"alpha": alphas, **columns}).sample(frac=1, random_state=seed)


_DENSE = [(_dense(seed), sorted(_dense(seed).alpha)[::3]) for seed in (22, 104)]


def _worse(loss: float, best: float) -> float:
    return 100 * (loss / best - 1)


def _two_losses(
    runs: pd.DataFrame, tried: list[float], by: str = "validation_loss", column: str = "test_loss"
) -> tuple[float, float]:
    """The loss of the pick, and the lowest loss of all."""
    table = runs.set_index("alpha")
    pick = tried[int(table[by][tried].argmin())]
    return float(table[column][pick]), float(table[column].min())


def _regret(runs: pd.DataFrame, tried: list[float]) -> float:
    return _worse(*_two_losses(runs, tried))


def _not_tried(runs: pd.DataFrame, tried: list[float]) -> float:
    return _worse(*_two_losses(runs, tried, by="test_loss"))


def _against(best: Callable[[pd.DataFrame, list[float]], float]) -> Test:
    """The test that the regret is measured against another loss than the lowest of all."""
    return like(_DENSE, lambda *case: _worse(_two_losses(*case)[0], best(*case)), part=0)


_REGRET = Exercise(
    cases=_DENSE,
    shape=(2,),
    right=like(_DENSE, lambda *case: (_regret(*case), _not_tried(*case))),
    misconceptions={
        "your search chooses by the loss that it is judged by.": like(_DENSE, _not_tried, part=0),
        "your search chooses by a loss that likes the weakest penalty best.": like(
            _DENSE, lambda runs, tried: _worse(*_two_losses(runs, tried, by="train_loss")), part=0
        ),
        "your search picks among networks that it did not pay for.": like(
            _DENSE, lambda runs, tried: _regret(runs, list(runs.alpha)), part=0
        ),
        "you compare with the best that was tried; there may be a better one.": _against(
            lambda runs, tried: runs.set_index("alpha").test_loss[tried].min()
        ),
        "you compare with what a search of all alphas would pick, and it may be wrong, too.": (
            _against(lambda runs, tried: _two_losses(runs, list(runs.alpha))[0])
        ),
        "you compare with a mean, and not with the best.": _against(
            lambda runs, tried: runs.test_loss.mean()
        ),
        "you compare losses that have done the choosing, and these flatter the pick.": like(
            _DENSE,
            lambda runs, tried: _worse(*_two_losses(runs, tried, column="validation_loss")),
            part=0,
        ),
        "this is a loss, or a share of one; asked is per cent.": like(
            _DENSE,
            lambda *case: _two_losses(*case)[0] - _two_losses(*case)[1],
            lambda *case: _regret(*case) / 100,
            part=0,
        ),
        "per cent of what? The pick's loss is not the whole.": like(
            _DENSE,
            lambda *case: 100 * (1 - _two_losses(*case)[1] / _two_losses(*case)[0]),
            part=0,
        ),
        "the sign: a regret is never negative.": like(
            _DENSE, lambda *case: -_regret(*case), part=0
        ),
        "the second is the other part: what was tried, and not picked.": like(
            _DENSE, lambda *case: _regret(*case) - _not_tried(*case), part=1
        ),
        "the second is the whole regret once more; would a perfect choice have had it?": like(
            _DENSE, _regret, part=1
        ),
    },
)


# back: weights and bias learned on standardized data, in the units of the file

_UNITS = [  # weights, bias, means and deviations of the inputs, mean and deviation of the targets
    (np.array([0.5, -1.0, 2.0]), 0.3, np.array([1.0, -3.0, 20.0]), np.array([2.0, 0.1, 5.0]), 7, 3),
    (np.array([-0.2, 0.7, 0.4]), -0.5, np.array([4.0, 0.5, -2.0]), np.array([0.3, 4, 9]), -40, 0.2),
]


def _shift(w: Array, mean: Array, s: Array) -> float:
    return float(w @ (mean / s))


def _weights_as(*functions: Callable[..., Any]) -> Test:
    """The test that the weights, whatever the bias, are those that one of the functions gives."""
    expected = [[function(*case) for case in _UNITS] for function in functions]
    return lambda found: any(gives(rows)(found[:, :3]) for rows in expected)


def _bias_as(*functions: Callable[..., Any]) -> Test:
    return like(_UNITS, *functions, part=3)


_BACK = Exercise(
    cases=_UNITS,
    shape=(4,),
    right=like(
        _UNITS, lambda w, b, mean, s, m, t: [*(t * w / s), m + t * (b - _shift(w, mean, s))]
    ),
    misconceptions={
        "the weights: which needs the larger one, a length in metres or in millimetres?": (
            _weights_as(
                lambda w, b, mean, s, m, t: w * s,
                lambda w, b, mean, s, m, t: t * w * s,
                lambda w, b, mean, s, m, t: w * s / t,
            )
        ),
        "the weights: yours count the answer in standard deviations.": _weights_as(
            lambda w, b, mean, s, m, t: w / s
        ),
        "the weights: the unit of the inputs has no say in yours.": _weights_as(
            lambda w, b, mean, s, m, t: w,
            lambda w, b, mean, s, m, t: t * w,
            lambda w, b, mean, s, m, t: w / t,
        ),
        "the weights: with the targets' unit you went the wrong way.": _weights_as(
            lambda w, b, mean, s, m, t: w / s / t
        ),
        "the bias: it answered for a mean patient. For which input does it answer now?": _bias_as(
            lambda w, b, mean, s, m, t: b,
            lambda w, b, mean, s, m, t: t * b,
            lambda w, b, mean, s, m, t: m + b,
            lambda w, b, mean, s, m, t: m + t * b,
            lambda w, b, mean, s, m, t: m,
        ),
        "the bias: you went the right distance to the wrong side.": _bias_as(
            lambda w, b, mean, s, m, t: m + t * (b + _shift(w, mean, s))
        ),
        "the bias: the means are in one unit, your weights in another.": _bias_as(
            lambda w, b, mean, s, m, t: m + t * (b - w @ mean),
            lambda w, b, mean, s, m, t: m + t * (b - w @ (mean * s)),
            lambda w, b, mean, s, m, t: m + t * b - w @ (mean / s),
            lambda w, b, mean, s, m, t: m + t * b - w @ mean,
        ),
        "the bias: the targets had a mean, too.": _bias_as(
            lambda w, b, mean, s, m, t: t * (b - _shift(w, mean, s))
        ),
        "the bias: some of it is still in standard deviations of the target.": _bias_as(
            lambda w, b, mean, s, m, t: m + b - _shift(w, mean, s),
            lambda w, b, mean, s, m, t: m + b - t * _shift(w, mean, s),
            lambda w, b, mean, s, m, t: b - _shift(w, mean, s),
        ),
    },
)


# start: the weights of a linear model that is penalized toward where it comes from


def _move(seed: int, n: int, alpha: float) -> tuple[Array, Array, Array, float]:
    rng = np.random.default_rng(seed)
    start = np.array([1.0, -2.0, 0.5])
    return rng.normal(size=(n, 3)) * [1.0, 2.0, 0.5], rng.normal(size=n), start, alpha


_MOVES = [_move(1, 8, 0.3), _move(2, 2, 0.05)]  # the second has fewer examples than weights


def _pulled(x: Array, y: Array, center: Array, strength: float) -> Array:
    """The weights that minimize the summed squared errors plus strength · Σ(w − center)²."""
    gram, right = x.T @ x + strength * np.eye(x.shape[1]), x.T @ y + strength * center
    return np.asarray(np.linalg.solve(gram, right), dtype=np.float64)


def _ridge(x: Array, y: Array, alpha: float) -> Array:
    return _pulled(x, y, np.zeros(x.shape[1]), len(x) * alpha)


def _free(x: Array, y: Array) -> Array:
    return np.linalg.pinv(x) @ y


_START = Exercise(
    cases=_MOVES,
    shape=(3,),
    right=like(_MOVES, lambda x, y, start, alpha: _pulled(x, y, start, len(x) * alpha)),
    misconceptions={
        "this pulls to zero, and forgets where the model comes from.": like(
            _MOVES, lambda x, y, start, alpha: _ridge(x, y, alpha)
        ),
        "this is how far the weights move; asked is where they end.": like(
            _MOVES, lambda x, y, start, alpha: _ridge(x, y - x @ start, alpha)
        ),
        "you put the start on top of weights that fit the targets already without it.": like(
            _MOVES, lambda x, y, start, alpha: start + _ridge(x, y, alpha)
        ),
        "the weights set out from the start, but away from the targets.": like(
            _MOVES, lambda x, y, start, alpha: start - _ridge(x, y - x @ start, alpha)
        ),
        "a sign: this pulls to the mirror image of the start.": like(
            _MOVES, lambda x, y, start, alpha: _pulled(x, y, -start, len(x) * alpha)
        ),
        "this is for a penalty beside a sum of errors; the book's loss is a mean.": like(
            _MOVES,
            lambda x, y, start, alpha: _pulled(x, y, start, alpha),
            lambda x, y, start, alpha: _pulled(x, y, start, alpha / len(x)),
        ),
        "the strength is off by a factor of two: neither loss nor penalty has a half.": like(
            _MOVES,
            lambda x, y, start, alpha: _pulled(x, y, start, 2 * len(x) * alpha),
            lambda x, y, start, alpha: _pulled(x, y, start, len(x) * alpha / 2),
        ),
        "nothing pulls: these weights only fit.": like(
            _MOVES, lambda x, y, start, alpha: _free(x, y)
        ),
        "these weights never left.": like(_MOVES, lambda x, y, start, alpha: start),
        "all weights go the same share of the way; do the examples say as much of each?": like(
            _MOVES,
            lambda x, y, start, alpha: (_free(x, y) + alpha * start) / (1 + alpha),
            lambda x, y, start, alpha: (1 - alpha) * _free(x, y) + alpha * start,
            lambda x, y, start, alpha: (_free(x, y) + start) / 2,
        ),
    },
)


# rival: what is gained by width, and what by a penalty, each side at its own best alpha


def _race(seed: int, seeds: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for number, base in enumerate(rng.uniform(15, 25, seeds)):
        for width, best, gained in ((16, 2, 6.0), (256, 1, 4.0)):
            for step, alpha in enumerate((0.0, 0.01, 0.1, 1.0)):
                error = base - gained + 2 * (step - best - 0.7) ** 2 - width / 60
                loss = (base + 2 * (step - best) ** 2) / 20  # a valley at a weaker alpha
                luck = rng.normal()  # of the network, and so of both of its scores
                seen, new = rng.normal(0, [0.15, 2]) + luck * np.array([0.02, 0.5])
                rows.append((number, width, alpha, loss + seen, error + new))
    columns = ["seed", "width", "alpha", "validation_loss", "test_error"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed)


_RACES = [(_race(1, 8),), (_race(2, 11),)]


def _free_error(runs: pd.DataFrame, width: int, column: str = "test_error") -> Array:
    rows = runs[(runs.width == width) & (runs.alpha == 0)]
    return rows.sort_values("seed")[column].to_numpy(float)


def _best(
    runs: pd.DataFrame,
    width: int,
    by: str = "validation_loss",
    column: str = "test_error",
    above: float = 0.0,
) -> Array:
    """The errors of the picks among the networks of a width with an alpha above this, by seed."""
    rows = runs[(runs.width == width) & (runs.alpha > above)]
    picks: Array = rows.loc[rows.groupby("seed")[by].idxmin(), column].to_numpy(float)
    return picks


def _larger(runs: pd.DataFrame, **how: Any) -> float:  # noqa: ANN401 - the arguments of _best
    return float((_best(runs, 16, **how) - _best(runs, 256, **how)).mean())


def _at_alpha_of(width: int) -> Callable[[pd.DataFrame], float]:
    """The gain of width where both sides have the alphas that the one of this width picked."""

    def gain(runs: pd.DataFrame) -> float:
        table = runs.pivot(index="seed", columns=["width", "alpha"], values="test_error")
        alphas = _best(runs, width, column="alpha")
        pairs = [
            table.loc[seed, (16, a)] - table.loc[seed, (256, a)] for seed, a in enumerate(alphas)
        ]
        return float(np.mean(pairs))

    return gain


def _one_alpha_each(by: str) -> Callable[[pd.DataFrame], float]:
    def gain(runs: pd.DataFrame) -> float:
        means = runs[runs.alpha > 0].groupby(["width", "alpha"], as_index=False).mean()
        small, large = (means[means.width == width] for width in (16, 256))
        picks = [float(t.test_error.iloc[int(t[by].argmin())]) for t in (small, large)]
        return picks[0] - picks[1]

    return gain


_RIVAL = Exercise(
    cases=_RACES,
    shape=(3,),
    right=like(
        _RACES,
        lambda runs: (
            _larger(runs),
            (_free_error(runs, 256) - _best(runs, 256)).mean(),
            (_free_error(runs, 16) - _free_error(runs, 256)).mean(),
        ),
    ),
    misconceptions={
        "the first: two things differ, the width and whether there is a penalty at all.": like(
            _RACES, lambda runs: (_free_error(runs, 16) - _best(runs, 256)).mean(), part=0
        ),
        "the first: both widths got the same alpha, which is one side's favourite.": like(
            _RACES, _at_alpha_of(256), _at_alpha_of(16), part=0
        ),
        "your picks have seen the error that you report.": like(
            _RACES,
            lambda runs: _larger(runs, by="test_error"),
            _one_alpha_each("test_error"),
            part=0,
        ),
        "each seed makes a search of its own; you chose one alpha for all of them.": like(
            _RACES, _one_alpha_each("validation_loss"), part=0
        ),
        "some of your penalized networks have no penalty: look at the candidates.": like(
            _RACES, lambda runs: _larger(runs, above=-1), part=0
        ),
        "the first is a mean over alphas, as if nobody had searched.": like(
            _RACES,
            lambda runs: (
                runs[(runs.width == 16) & (runs.alpha > 0)].test_error.mean()
                - runs[(runs.width == 256) & (runs.alpha > 0)].test_error.mean()
            ),
            lambda runs: (
                runs[runs.width == 16].test_error.mean() - runs[runs.width == 256].test_error.mean()
            ),
            part=0,
        ),
        "you report the loss that did the choosing.": like(
            _RACES, lambda runs: _larger(runs, column="validation_loss"), part=0
        ),
        "the sign: an error that falls is a gain.": lambda found: (
            like(_RACES, lambda runs: -_larger(runs), part=0)(found)
            or like(
                _RACES, lambda runs: (_best(runs, 256) - _free_error(runs, 256)).mean(), part=1
            )(found)
            or like(
                _RACES,
                lambda runs: (_free_error(runs, 256) - _free_error(runs, 16)).mean(),
                part=2,
            )(found)
        ),
        "the second is what the penalty gains for the small network.": like(
            _RACES, lambda runs: (_free_error(runs, 16) - _best(runs, 16)).mean(), part=1
        ),
        "the second: in yours the width changes as well.": like(
            _RACES,
            lambda runs: (_free_error(runs, 16) - _best(runs, 256)).mean(),
            lambda runs: (_free_error(runs, 256) - _best(runs, 16)).mean(),
            part=1,
        ),
        "the third: one of your two networks has a penalty.": like(
            _RACES,
            lambda runs: (_free_error(runs, 16) - _best(runs, 256)).mean(),
            lambda runs: (_best(runs, 16) - _free_error(runs, 256)).mean(),
            part=2,
        ),
    },
)


EXERCISES = {
    "lstm": _TWO_STRENGTHS,
    "scale": _SCALE,
    "regret": _REGRET,
    "back": _BACK,
    "start": _START,
    "rival": _RIVAL,
}
