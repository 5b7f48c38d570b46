"""The exercises of the chapter on large weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from smallweights import measure
from smallweights.exercises import Array, Exercise, Result, gives, judge, like
from smallweights.models import MLP


def check(name: str, answer: object) -> Result:
    """Whether the answer to an exercise of this chapter is right, and if not, what went wrong.

    Book section: large weights.

    >>> print(check("norm", ...))
    norm: not answered yet.
    """
    return judge(EXERCISES, name, answer)


# norm: the size of a network

_NETWORKS = [
    (MLP((3, 4, 2), seed=1, dtype=torch.float64),),
    (MLP((5, 2), seed=2, dtype=torch.float64),),
    (MLP((2, 3, 3, 1), seed=3, dtype=torch.float64),),
]


def _all(model: nn.Module) -> Array:
    return torch.cat([w.detach().flatten() for w in model.parameters()]).numpy()


def _weights(model: nn.Module) -> Array:
    return torch.cat([w.detach().flatten() for w in model.parameters() if w.dim() > 1]).numpy()


def _layers(model: nn.Module) -> Array:
    return measure.norms(model).l2.to_numpy()


_NORM = Exercise(
    cases=_NETWORKS,
    right=like(_NETWORKS, measure.norm),
    misconceptions={
        "your norm includes the biases.": like(_NETWORKS, lambda net: np.linalg.norm(_all(net))),
        "signs cancel: in a plain sum, a weight of −1 wipes out one of +1.": like(
            _NETWORKS,
            lambda net: _weights(net).sum(),
            lambda net: abs(_weights(net).sum()),
            lambda net: _all(net).sum(),
            lambda net: abs(_all(net).sum()),
        ),
        "this is the L1 norm, the sum of the absolute values; the L2 norm is asked for.": like(
            _NETWORKS, lambda net: np.abs(_weights(net)).sum()
        ),
        "you stopped a step early: this has the unit of a squared weight.": like(
            _NETWORKS, lambda net: (_weights(net) ** 2).sum()
        ),
        "you took a mean: then a network of many weights is no larger than one of few.": like(
            _NETWORKS,
            lambda net: (_weights(net) ** 2).mean(),
            lambda net: (_weights(net) ** 2).mean() ** 0.5,
            lambda net: np.abs(_weights(net)).mean(),
        ),
        "you added the norms of the layers, and norms do not add up.": like(
            _NETWORKS, lambda net: _layers(net).sum()
        ),
        "this is the size of one layer; all of them count.": like(
            _NETWORKS, lambda net: _layers(net)[0], lambda net: _layers(net)[-1]
        ),
    },
)


# sum: three weights a and three weights b, of which the sum calls the wrong ones larger


def _is_larger(found: Array) -> bool:
    return bool((np.abs(found[0]) > np.abs(found[1])).all())


_SUM = Exercise(
    shape=(2, 3),
    right=lambda found: _is_larger(found) and found[0].sum() < found[1].sum(),
    misconceptions={
        "not every weight of a is farther from zero than its partner in b.": (
            lambda found: not _is_larger(found)
        ),
        "the two sums are the same; go a little further.": (
            lambda found: found[0].sum() == found[1].sum()
        ),
        "here the sum is not misled: it calls a the larger one, and a is.": (
            lambda found: found[0].sum() > found[1].sum()
        ),
    },
)


# growth: of a network's norm, from its history

_HISTORIES = [
    (pd.DataFrame({"step": [0, 25, 50], "norm": [3.0, 5.0, 6.5]}),),
    (pd.DataFrame({"step": [0, 25, 50], "norm": [9.0, 9.4, 9.6]}),),
    (pd.DataFrame({"step": [0, 10, 20, 30], "norm": [7.0, 4.0, 4.5, 5.0]}),),
]


def _growth(history: pd.DataFrame) -> float:
    return float(history.norm.iloc[-1] - history.norm.iloc[0])


_GROWTH = Exercise(
    cases=_HISTORIES,
    right=like(_HISTORIES, _growth),
    misconceptions={
        "this is the norm at the end: part of it was there before training began.": like(
            _HISTORIES, lambda history: history.norm.iloc[-1]
        ),
        "the sign is the wrong way round: a network that grew gets a number below zero.": like(
            _HISTORIES, lambda history: -_growth(history)
        ),
        "the sign is lost: a network that shrank must get a number below zero.": like(
            _HISTORIES, lambda history: abs(_growth(history)), lambda history: np.ptp(history.norm)
        ),
        "this is a ratio; the answer is asked for in units of the norm.": like(
            _HISTORIES,
            lambda history: history.norm.iloc[-1] / history.norm.iloc[0],
            lambda history: _growth(history) / history.norm.iloc[0],
        ),
        "this is the growth over the last stretch between two records alone.": like(
            _HISTORIES, lambda history: history.norm.iloc[-1] - history.norm.iloc[-2]
        ),
    },
)


# doubled: the factors by which the logits' change and the flips grow with all weights doubled

_LAYERS = 3
_BY_ALL = 2**_LAYERS

_DOUBLED = Exercise(
    shape=(2,),
    right=gives([_BY_ALL, 1]),
    misconceptions={
        "the logits: with larger weights, the same nudge moves them farther.": (
            lambda found: found[0] <= 1
        ),
        "the logits: you doubled once. Follow the nudge from layer to layer.": gives(2, part=0),
        "the logits: this fits a network with one hidden layer. Count the layers of this one.": (
            gives(4, part=0)
        ),
        "the logits: you added the layers' factors. A layer acts on what the one before it has"
        " made larger.": gives(2 * _LAYERS, part=0),
        "the flips: you let them grow with the logits. But a nudge flips a digit when another logit"
        " overtakes the largest one, and the lead of the largest has changed too.": (
            lambda found: found[0] == _BY_ALL and found[1] > 1
        ),
        "the flips: you have fewer than before. What becomes of the order of the logits?": (
            lambda found: found[0] == _BY_ALL and found[1] < 1
        ),
    },
)


# saturation: the share of tanh outputs where the slope is below 5 % of the largest

_OUTPUTS = [
    (np.tanh(np.random.default_rng(1).normal(-0.5, 1.8, (6, 4))),),
    (np.tanh(np.random.default_rng(2).normal(1.0, 1.5, (9, 3))),),
]


def _saturated(h: Array) -> float:
    return float((1 - h**2 < 0.05).mean())


_SATURATION = Exercise(
    cases=_OUTPUTS,
    right=like(_OUTPUTS, _saturated),
    misconceptions={
        "you count one end: tanh is flat at two.": like(
            _OUTPUTS,
            lambda h: ((1 - h**2 < 0.05) & (h > 0)).mean(),
            lambda h: ((1 - h**2 < 0.05) & (h < 0)).mean(),
            lambda h: (h > 0.95).mean(),
        ),
        "you count outputs near zero, and there tanh is steepest.": like(
            _OUTPUTS, lambda h: (np.abs(h) < 0.05).mean()
        ),
        "you took the output's distance from its end for the slope.": like(
            _OUTPUTS, lambda h: (np.abs(h) > 0.95).mean()
        ),
        "this is the slope of a sigmoid, not of tanh.": like(
            _OUTPUTS,
            lambda h: (h * (1 - h) < 0.05).mean(),
            lambda h: (4 * h * (1 - h) < 0.05).mean(),
        ),
        "this is the share that still reacts; the other one is asked for.": like(
            _OUTPUTS, lambda h: 1 - _saturated(h)
        ),
        "this is not a share: a share lies between 0 and 1.": lambda found: bool(found.max() > 1),
    },
)


# sheaf: the bias² and the variance of curves from several training sets


def _sheaf(seed: int, curves: int, points: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    truth = np.sin(np.linspace(-3, 3, points))
    return 0.7 * truth + 0.1 + 0.3 * rng.normal(size=(curves, points)), truth


_SHEAVES = [_sheaf(1, 5, 4), _sheaf(2, 8, 11)]


def _bias(curves: Array, truth: Array) -> float:
    return float(((curves.mean(0) - truth) ** 2).mean())


def _variance(curves: Array, truth: Array) -> float:
    return float(curves.var(0).mean())


_SHEAF = Exercise(
    cases=_SHEAVES,
    shape=(2,),
    right=like(_SHEAVES, lambda *sheaf: (_bias(*sheaf), _variance(*sheaf))),
    misconceptions={
        "the two have changed places.": like(
            _SHEAVES, lambda *sheaf: (_variance(*sheaf), _bias(*sheaf))
        ),
        "the first is the whole squared error: it has the variance in it.": like(
            _SHEAVES, lambda curves, truth: ((curves - truth) ** 2).mean(), part=0
        ),
        "the bias: signs cancel. Where the curves lie too high and where they lie too low, both"
        " count.": like(
            _SHEAVES,
            lambda curves, truth: (curves - truth).mean(),
            lambda curves, truth: (curves - truth).mean() ** 2,
            part=0,
        ),
        "the first is a bias that is not squared: it has not the unit of a variance.": like(
            _SHEAVES,
            lambda curves, truth: np.abs(curves.mean(0) - truth).mean(),
            lambda curves, truth: _bias(curves, truth) ** 0.5,
            part=0,
        ),
        "the variance: you followed the curves from point to point. How far do they lie apart?": (
            like(
                _SHEAVES,
                lambda curves, truth: curves.var(1).mean(),
                lambda curves, truth: curves.var(),
                part=1,
            )
        ),
        "the second is a standard deviation, not a variance.": like(
            _SHEAVES,
            lambda curves, truth: curves.std(0).mean(),
            lambda curves, truth: _variance(curves, truth) ** 0.5,
            part=1,
        ),
        "nearly: do your two add up to the mean squared error? Look at what you divided by.": like(
            _SHEAVES, lambda curves, truth: curves.var(0, ddof=1).mean(), part=1
        ),
    },
)


# strength: the best one, from the deviations of the target noise and of the teacher's weights

_TEACHERS = [(0.5, 1.0), (0.4, 2.0), (3.0, 0.5)]

_STRENGTH = Exercise(
    cases=_TEACHERS,
    right=like(_TEACHERS, lambda noise, weight: (noise / weight) ** 2),
    misconceptions={
        "this is the ratio of the standard deviations, and training sums something else.": like(
            _TEACHERS, lambda noise, weight: noise / weight
        ),
        "upside down: here a noisier teacher gets a weaker penalty.": like(
            _TEACHERS,
            lambda noise, weight: weight / noise,
            lambda noise, weight: (weight / noise) ** 2,
        ),
        "this knows the noise alone: do a strong and a weak teacher need the same?": like(
            _TEACHERS, lambda noise, weight: noise, lambda noise, weight: noise**2
        ),
        "this is a share and stays below 1; the best strength grows with the noise for ever.": like(
            _TEACHERS,
            lambda noise, weight: noise**2 / (noise**2 + weight**2),
            lambda noise, weight: noise / (noise + weight),
        ),
        "this is off by a factor of two: neither sum has a half in front of it.": like(
            _TEACHERS,
            lambda noise, weight: (noise / weight) ** 2 / 2,
            lambda noise, weight: (noise / weight) ** 2 * 2,
        ),
    },
)


EXERCISES = {
    "norm": _NORM,
    "sum": _SUM,
    "growth": _GROWTH,
    "doubled": _DOUBLED,
    "saturation": _SATURATION,
    "sheaf": _SHEAF,
    "strength": _STRENGTH,
}
