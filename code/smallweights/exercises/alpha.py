"""The exercises of the chapter on alpha."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from smallweights import statistics
from smallweights.exercises import Array, Exercise, Result, Test, gives, judge, like


def check(name: str, answer: object) -> Result:
    """Whether the answer to an exercise of this chapter is right, and if not, what went wrong.

    Book section: alpha.

    >>> print(check("price", ...))
    price: not answered yet.
    """
    return judge(EXERCISES, name, answer)


# price: the alpha from which on a smaller network has the lower loss plus penalty

_TWINS = [(0.10, 6.0, 0.35, 4.0), (0.02, 3.0, 0.90, 0.5)]  # loss and norm of one and of the other


def _price(loss: float, norm: float, small_loss: float, small_norm: float) -> float:
    return (small_loss - loss) / (norm**2 - small_norm**2)


_PRICE = Exercise(
    cases=_TWINS,
    right=like(_TWINS, _price),
    misconceptions={
        "this weighs the loss against the norm; look up what the L2 penalty is a sum of.": like(
            _TWINS,
            lambda loss, norm, small_loss, small_norm: (small_loss - loss) / (norm - small_norm),
            lambda loss, norm, small_loss, small_norm: (
                (small_loss - loss) / (norm - small_norm) ** 2
            ),
        ),
        "upside down: this is what a unit of loss is worth, in units of size.": like(
            _TWINS,
            lambda *twins: 1 / _price(*twins),
            lambda *twins: -1 / _price(*twins),
            lambda loss, norm, small_loss, small_norm: (norm - small_norm) / (small_loss - loss),
        ),
        "the sign: an alpha is not negative.": like(_TWINS, lambda *twins: -_price(*twins)),
        "this looks at one of the two networks; asked is where they draw level.": like(
            _TWINS,
            lambda loss, norm, small_loss, small_norm: loss / norm**2,
            lambda loss, norm, small_loss, small_norm: small_loss / small_norm**2,
        ),
        "you compared two quotients. What does each network pay in total?": like(
            _TWINS,
            lambda loss, norm, small_loss, small_norm: small_loss / small_norm**2 - loss / norm**2,
        ),
        "off by a factor of two: the book's penalty has no half.": like(
            _TWINS, lambda *twins: 2 * _price(*twins), lambda *twins: _price(*twins) / 2
        ),
    },
)


# order: the alphas of three weight matrices and a bias, by three sets of patterns

_ASSIGNED = [[0.01, 0.01, 0.01, 0], [0.1, 0.01, 0.01, 0], [0.1, 0.3, 0.01, 0.1]]


def _weights(*rows: list[float]) -> Test:
    return lambda found: gives(rows)(found[:, :3])


_ORDER = Exercise(
    shape=(3, 4),
    right=gives(_ASSIGNED),
    misconceptions={
        "in your table the first pattern that fits a name decides.": _weights(
            [0.1, 0.01, 0.01], [0.01, 0.01, 0.01], [0.01, 0.01, 0.01]
        ),
        "in your table the narrower pattern decides, but a pattern knows nothing of width.": (
            _weights([0.1, 0.01, 0.01], [0.1, 0.01, 0.01], [0.1, 0.3, 0.01])
        ),
        "where two patterns fit a name, you added their alphas.": _weights(
            [0.11, 0.01, 0.01], [0.11, 0.01, 0.01], [0.11, 0.41, 0.01]
        ),
        "a bias in the first two rows: does a pattern reach it unless you ask?": lambda found: bool(
            found[:2, 3].any()
        ),
        "the bias in the third row: read that call to its end.": lambda found: found[2, 3] == 0,
    },
)


# units: the alphas that keep a linear model, with the loss, the targets or the inputs rescaled

_SCALES = [(0.1, 10.0), (0.3, 0.5), (2.0, 3.0)]  # alpha, factor

_UNITS = Exercise(
    cases=_SCALES,
    shape=(5,),
    right=like(_SCALES, lambda a, c: (c * a, a, c * a, c**2 * a, c * a)),
    misconceptions={
        "the loss: the wrong way round, the larger loss now drowns the penalty.": like(
            _SCALES, lambda a, c: a / c, part=0
        ),
        "the loss: your penalty does not follow it, and loses or gains weight beside it.": like(
            _SCALES, lambda a, c: a, part=0
        ),
        "the loss: it has no square in it that would make the factor count twice.": like(
            _SCALES, lambda a, c: c**2 * a, lambda a, c: c**0.5 * a, part=0
        ),
        "targets, L2: the errors grow, but what becomes of the weights, and of their squares?": (
            like(_SCALES, lambda a, c: c**2 * a, lambda a, c: c * a, part=1)
        ),
        "targets, L2: the wrong way round, and there is more to it.": like(
            _SCALES, lambda a, c: a / c, lambda a, c: a / c**2, part=1
        ),
        "targets, L1: this follows the squared errors and forgets that the weights grow, too.": (
            like(_SCALES, lambda a, c: c**2 * a, part=2)
        ),
        "targets, L1: absolute values and squares do not grow alike, so L1 is not like L2.": like(
            _SCALES, lambda a, c: a, part=2
        ),
        "targets, L1: the wrong way round.": like(
            _SCALES, lambda a, c: a / c, lambda a, c: a / c**2, part=2
        ),
        "inputs: the wrong way round. Does a weight grow or shrink if its input grows?": lambda f: (
            like(_SCALES, lambda a, c: a / c**2, lambda a, c: a / c, part=3)(f)
            or like(_SCALES, lambda a, c: a / c, lambda a, c: a / c**2, part=4)(f)
        ),
        "inputs, L2: this would do for a weight; the penalty has its square.": like(
            _SCALES, lambda a, c: c * a, part=3
        ),
        "inputs, L1: this would do for a squared weight.": like(
            _SCALES, lambda a, c: c**2 * a, part=4
        ),
        "inputs: with the same alpha the smaller weights get off more cheaply.": lambda f: any(
            like(_SCALES, lambda a, c: a, part=part)(f) for part in (3, 4)
        ),
    },
)


# pick: what the alpha picked by validation saves, with its interval over seeds


def _runs(seed: int, seeds: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for number, base in enumerate(rng.uniform(1, 3, seeds)):  # twins are alike: one base a seed
        for step, alpha in enumerate((0.0, 0.01, 0.1, 1.0)):
            valley = base + 0.2 * (step - 1.6) ** 2
            seen, new = rng.normal(0, 0.25, 2)
            rows.append((number, alpha, base * (1 + step) / 5, valley + seen, valley + new))
    columns = ["seed", "alpha", "train_loss", "validation_loss", "test_loss"]
    return pd.DataFrame(rows, columns=columns)


_SEARCHES = [(_runs(1, 6),), (_runs(2, 9),)]


def _sides(
    runs: pd.DataFrame, by: str = "validation_loss", column: str = "test_loss"
) -> tuple[Array, Array]:
    """The losses without a penalty and those of the picks, seed by seed."""
    free = runs[runs.alpha == 0].sort_values("seed")[column]
    return free.to_numpy(), runs.loc[runs.groupby("seed")[by].idxmin(), column].to_numpy()


def _saved(runs: pd.DataFrame, by: str = "validation_loss", column: str = "test_loss") -> Array:
    free, picked = _sides(runs, by, column)
    return free - picked


def _saved_by_one(runs: pd.DataFrame, by: str) -> float:
    means = runs.groupby("alpha").mean()
    losses = means.test_loss.to_numpy(float)  # the first is that of alpha = 0
    return float(losses[0] - losses[int(means[by].argmin())])


def _three(runs: pd.DataFrame) -> tuple[float, float, float]:
    found = statistics.interval(_saved(runs))
    return found.mean, found.low, found.high


def _below(saved: Array, times: float, ddof: int = 1) -> float:
    """The mean less so many standard errors."""
    return float(saved.mean() - times * saved.std(ddof=ddof) / len(saved) ** 0.5)


def _quantile(degrees: int) -> float:
    return float(student_t.ppf(0.975, degrees))


def _apart(runs: pd.DataFrame, degrees: int) -> float:
    sides = _sides(runs)
    error = sum(side.var(ddof=1) / len(side) for side in sides) ** 0.5
    return float(_saved(runs).mean() - _quantile(degrees * (len(sides[0]) - 1)) * error)


_PICK = Exercise(
    cases=_SEARCHES,
    shape=(3,),
    right=like(_SEARCHES, _three),
    misconceptions={
        "your alphas are chosen by the examples that you report on.": like(
            _SEARCHES,
            lambda runs: _saved(runs, by="test_loss").mean(),
            lambda runs: _saved_by_one(runs, by="test_loss"),
            part=0,
        ),
        "nothing is ever saved: the loss that you choose by likes a penalty of zero best.": like(
            _SEARCHES, lambda runs: _saved(runs, by="train_loss").mean(), part=0
        ),
        "you report the loss of the very examples that have chosen, which flatters the choice.": (
            like(_SEARCHES, lambda runs: _saved(runs, column="validation_loss").mean(), part=0)
        ),
        "you chose one alpha for all seeds; here each seed makes a search of its own.": like(
            _SEARCHES, lambda runs: _saved_by_one(runs, by="validation_loss"), part=0
        ),
        "you compare with the mean over all alphas, as if nobody had chosen.": like(
            _SEARCHES,
            lambda runs: _sides(runs)[0].mean() - runs.test_loss.mean(),
            lambda runs: runs.test_loss.mean() - _sides(runs)[1].mean(),
            part=0,
        ),
        "this is the loss of the picks; asked is how much lower it is than without a penalty.": (
            like(_SEARCHES, lambda runs: _sides(runs)[1].mean(), part=0)
        ),
        "the sign: what is saved counts as positive.": like(
            _SEARCHES, lambda runs: -_saved(runs).mean(), part=0
        ),
        "this is a share of the loss; asked is the loss itself.": like(
            _SEARCHES,
            lambda runs: (_saved(runs) / _sides(runs)[0]).mean(),
            lambda runs: 100 * (_saved(runs) / _sides(runs)[0]).mean(),
            lambda runs: _saved(runs).mean() / _sides(runs)[0].mean(),
            part=0,
        ),
        "the ends: you let each side scatter by itself, and the two are twins.": like(
            _SEARCHES, lambda runs: _apart(runs, 1), lambda runs: _apart(runs, 2), part=1
        ),
        "the ends: this is how far single seeds lie apart; how sure are you of their mean?": like(
            _SEARCHES,
            lambda runs: _below(_saved(runs), len(_saved(runs)) ** 0.5),
            lambda runs: _below(_saved(runs), 1.96 * len(_saved(runs)) ** 0.5),
            lambda runs: np.quantile(_saved(runs), 0.025),
            lambda runs: _saved(runs).min(),
            part=1,
        ),
        "the ends: one standard error on either side is too little for 95 %.": like(
            _SEARCHES, lambda runs: _below(_saved(runs), 1), part=1
        ),
        "the ends: this multiple of the standard error is for many seeds; here are few.": like(
            _SEARCHES,
            lambda runs: _below(_saved(runs), 1.96),
            lambda runs: _below(_saved(runs), 2),
            part=1,
        ),
        "the ends, nearly: what is the standard deviation divided by, in NumPy and in pandas?": (
            like(
                _SEARCHES,
                lambda runs: _below(_saved(runs), _quantile(len(_saved(runs)) - 1), ddof=0),
                lambda runs: _below(_saved(runs), 1.96, ddof=0),
                part=1,
            )
        ),
    },
)


# libraries: the book's alpha in LogisticRegression, MLPClassifier and ElasticNet

_COPIES = [(0.01, 300, 50), (0.5, 20, 4), (0.002, 1000, 200)]  # alpha, examples, of a step

_LIBRARIES = Exercise(
    cases=_COPIES,
    shape=(3,),
    right=like(_COPIES, lambda a, n, b: (1 / (2 * n * a), 2 * b * a, a)),
    misconceptions={
        "C: the stronger the penalty, the larger yours. Which way does C run?": like(
            _COPIES, lambda a, n, b: 2 * n * a, lambda a, n, b: n * a, lambda a, n, b: a, part=0
        ),
        "C: the number of examples has no say in yours. Beside what does the penalty stand?": like(
            _COPIES, lambda a, n, b: 1 / a, lambda a, n, b: 1 / (2 * a), part=0
        ),
        "C: the wrong way round, more examples should make it smaller.": like(
            _COPIES, lambda a, n, b: n / a, lambda a, n, b: n / (2 * a), part=0
        ),
        "C: nearly. There is a half in front of something.": like(
            _COPIES, lambda a, n, b: 1 / (n * a), lambda a, n, b: 2 / (n * a), part=0
        ),
        "C: a step with few examples is the business of the network; this solver has none.": like(
            _COPIES, lambda a, n, b: 1 / (2 * b * a), lambda a, n, b: 1 / (b * a), part=0
        ),
        "MLPClassifier: you took its loss for a mean.": like(
            _COPIES, lambda a, n, b: a, lambda a, n, b: 2 * a, part=1
        ),
        "MLPClassifier: you counted all examples. How many does it see when it takes a step?": like(
            _COPIES, lambda a, n, b: 2 * n * a, lambda a, n, b: n * a, part=1
        ),
        "MLPClassifier: nearly. There is a half in front of something.": like(
            _COPIES, lambda a, n, b: b * a, lambda a, n, b: b * a / 2, part=1
        ),
        "MLPClassifier: the wrong way round: the larger loss needs the larger alpha beside it.": (
            like(_COPIES, lambda a, n, b: a / b, lambda a, n, b: 2 * a / b, part=1)
        ),
        "ElasticNet: off by a factor. Write down all of its loss, and of its penalty.": like(
            _COPIES, lambda a, n, b: a / 2, lambda a, n, b: 2 * a, lambda a, n, b: 4 * a, part=2
        ),
        "ElasticNet: you took its loss for a sum, as that of Ridge is.": like(
            _COPIES, lambda a, n, b: n * a, lambda a, n, b: 2 * n * a, part=2
        ),
    },
)


# search: how many alphas a layer can have within a budget, and the second of them

_BUDGETS = [(100, 2, 0.001, 1.0), (64, 3, 0.01, 100.0), (60, 3, 0.0002, 0.05), (7, 1, 0.1, 40.0)]


def _fits(budget: int, layers: int) -> int:
    return max(k for k in range(1, budget + 1) if k**layers <= budget)


def _second(budget: int, layers: int, lowest: float, highest: float) -> float:
    return float(np.geomspace(lowest, highest, _fits(budget, layers))[1])


def _overspent(found: Array) -> bool:
    return any(
        k**layers > budget
        for (budget, layers, *_), k in zip(_BUDGETS, found[:, 0].round(), strict=True)
    )


_SEARCH = Exercise(
    cases=_BUDGETS,
    shape=(2,),
    right=like(_BUDGETS, lambda *budget: (_fits(*budget[:2]), _second(*budget))),
    misconceptions={
        "this many alphas would do if the layers were searched one after the other.": like(
            _BUDGETS,
            lambda budget, layers, *ends: budget // layers,
            lambda budget, layers, *ends: budget / layers,
            part=0,
        ),
        "you cannot train a part of a network: the number of alphas is a whole one.": (
            lambda found: not np.allclose(found[:, 0], found[:, 0].round(), rtol=0, atol=1e-9)
        ),
        "this costs more networks than you have: count the combinations.": _overspent,
        "there is room for one alpha more: does your computer get a whole number where you do?": (
            like(
                _BUDGETS,
                lambda budget, layers, *ends: math.floor(budget ** (1 / layers)),
                lambda budget, layers, *ends: _fits(budget, layers) - 1,
                part=0,
            )
        ),
        "equal steps: your first one jumps over nearly all the weak penalties.": like(
            _BUDGETS,
            lambda budget, layers, lowest, highest: (
                lowest + (highest - lowest) / (_fits(budget, layers) - 1)
            ),
            lambda budget, layers, lowest, highest: (
                lowest + (highest - lowest) / _fits(budget, layers)
            ),
            part=1,
        ),
        "your grid stops one alpha short of its strong end: count the steps, not the alphas.": like(
            _BUDGETS,
            lambda budget, layers, lowest, highest: (
                lowest * (highest / lowest) ** (1 / _fits(budget, layers))
            ),
            part=1,
        ),
        "you handed over alphas where NumPy takes exponents.": like(
            _BUDGETS,
            lambda budget, layers, lowest, highest: np.logspace(
                lowest, highest, _fits(budget, layers)
            )[1],
            part=1,
        ),
        "this is an exponent; asked is the alpha.": like(
            _BUDGETS,
            lambda *budget: math.log10(_second(*budget)),
            lambda *budget: math.log(_second(*budget)),
            part=1,
        ),
        "you mixed two bases: the exponents belong to one, the numbers to another.": like(
            _BUDGETS,
            lambda *budget: 10 ** math.log(_second(*budget)),
            lambda *budget: math.exp(math.log10(_second(*budget))),
            part=1,
        ),
        "the second one from the strong end.": like(
            _BUDGETS,
            lambda budget, layers, lowest, highest: _second(budget, layers, highest, lowest),
            part=1,
        ),
    },
)


# shrunk: the bias² and the variance of a single weight under L2

_STUDIES = [(0.1, 2.0, 0.5, 10), (1.0, 0.3, 2.0, 25), (3.0, -1.5, 0.7, 4)]  # alpha, w, noise, n


def _bias(alpha: float, w: float, noise: float, n: int) -> float:
    return (alpha * w / (1 + alpha)) ** 2


def _variance(alpha: float, w: float, noise: float, n: int) -> float:
    return noise**2 / n / (1 + alpha) ** 2


_SHRUNK = Exercise(
    cases=_STUDIES,
    shape=(2,),
    right=like(_STUDIES, lambda *study: (_bias(*study), _variance(*study))),
    misconceptions={
        "the two have changed places.": like(
            _STUDIES, lambda *study: (_variance(*study), _bias(*study))
        ),
        "this is for a penalty beside a sum of errors; the book's loss is a mean.": like(
            _STUDIES, lambda alpha, w, noise, n: _bias(alpha / n, w, noise, n), part=0
        ),
        "alpha is off by a factor: differentiate loss and penalty, and find the weight again.": (
            like(
                _STUDIES,
                lambda alpha, *rest: _bias(alpha / 2, *rest),
                lambda alpha, *rest: _bias(alpha * 2, *rest),
                part=0,
            )
        ),
        "the first is what is left of the weight; asked is what is missing.": like(
            _STUDIES,
            lambda alpha, w, noise, n: (w / (1 + alpha)) ** 2,
            lambda alpha, w, noise, n: w / (1 + alpha),
            part=0,
        ),
        "the first is a bias that is not squared: it has not the unit of a variance.": like(
            _STUDIES,
            lambda alpha, w, noise, n: alpha * w / (1 + alpha),
            lambda alpha, w, noise, n: -alpha * w / (1 + alpha),
            lambda alpha, w, noise, n: abs(alpha * w / (1 + alpha)),
            part=0,
        ),
        "the first is zero: least squares has no bias, but you do not only fit.": gives(
            np.zeros(len(_STUDIES)), part=0
        ),
        "the first is the whole error: the variance is in it.": like(
            _STUDIES, lambda *study: _bias(*study) + _variance(*study), part=0
        ),
        "the variance is that of least squares. Does the penalty act on the truth alone?": like(
            _STUDIES, lambda alpha, w, noise, n: noise**2 / n, part=1
        ),
        "the variance: you shrank it as one shrinks a weight, and its unit is another.": like(
            _STUDIES, lambda alpha, w, noise, n: noise**2 / n / (1 + alpha), part=1
        ),
        "the variance: more examples should make it smaller, and in yours they have no say.": like(
            _STUDIES, lambda alpha, w, noise, n: (noise / (1 + alpha)) ** 2, part=1
        ),
        "the second is a standard deviation, not a variance.": like(
            _STUDIES, lambda *study: _variance(*study) ** 0.5, part=1
        ),
        "the variance has the noise of a new target in it; asked is how far the weights scatter.": (
            like(
                _STUDIES,
                lambda alpha, w, noise, n: _variance(alpha, w, noise, n) + noise**2,
                part=1,
            )
        ),
    },
)


EXERCISES = {
    "price": _PRICE,
    "order": _ORDER,
    "units": _UNITS,
    "pick": _PICK,
    "libraries": _LIBRARIES,
    "search": _SEARCH,
    "shrunk": _SHRUNK,
}
