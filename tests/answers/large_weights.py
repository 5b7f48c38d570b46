"""Right and wrong answers to the exercises of the chapter on large weights."""

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from smallweights.exercises import WRONG as NONE_KNOWN


def weights(model):
    return [w for name, w in model.named_parameters() if "bias" not in name]


def steep(h):
    return 1 - h**2


RIGHT = {
    "norm": [
        lambda model: torch.stack([w.square().sum() for w in weights(model)]).sum().sqrt(),
        lambda model: sum((w**2).sum().item() for w in weights(model)) ** 0.5,
        lambda model: np.linalg.norm([np.linalg.norm(w.detach()) for w in weights(model)]),
        lambda model: parameters_to_vector(weights(model)).float().norm(),
    ],
    "sum": [
        ([-2, -2, -2], [1, 1, 1]),
        np.array([[3.0, -3.0, -3.0], [1.0, 1.0, 1.0]]),
        (torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([0.5, 0.5, 0.5])),
    ],
    "growth": [
        lambda history: history["norm"].iloc[-1] - history["norm"].iloc[0],
        lambda history: history.norm.diff().sum(),
        lambda history: history.set_index("step").norm.pipe(lambda n: n[n.index.max()] - n[0]),
    ],
    "doubled": [(8, 1), [8.0, 1.0], np.array([2**3, 1])],
    "saturation": [
        lambda h: np.mean(1 - h * h < 0.05),
        lambda h: np.mean(np.abs(h) > np.sqrt(0.95)),
        lambda h: (steep(h).ravel() < 0.05 * steep(h=0)).sum() / h.size,
    ],
    "sheaf": [
        lambda curves, truth: (
            np.mean((curves.mean(axis=0) - truth) ** 2),
            np.mean(curves.var(axis=0)),
        ),
        lambda curves, truth: [
            ((curves - truth) ** 2).mean() - curves.var(axis=0).mean(),
            ((curves - curves.mean(axis=0)) ** 2).mean(),
        ],
    ],
    "strength": [
        lambda noise, weight: noise**2 / weight**2,
        lambda noise, weight: np.exp(2 * (np.log(noise) - np.log(weight))),
    ],
}

WRONG = {
    "norm": [
        (lambda model: parameters_to_vector(model.parameters()).norm(), "biases"),
        (lambda model: sum(w.sum() for w in weights(model)), "signs cancel"),
        (lambda model: abs(sum(w.sum() for w in model.parameters())), "signs cancel"),
        (lambda model: sum(w.abs().sum() for w in weights(model)), "L1"),
        (lambda model: sum(w.square().sum() for w in weights(model)), "a step early"),
        (lambda model: parameters_to_vector(weights(model)).square().mean().sqrt(), "a mean"),
        (lambda model: sum(w.norm() for w in weights(model)), "do not add up"),
        (lambda model: model.layers[0].weight.norm(), "one layer"),
        (lambda model: 7, NONE_KNOWN),
    ],
    "sum": [
        (([1, 1, 1], [2, 2, 2]), "not every weight of a"),
        (([-3, 0, 0], [1, 1, 1]), "not every weight of a"),
        (([2, 2, 2], [1, 1, 1]), "the sum is not misled"),
        (([3, 3, -3], [1, 1, 1]), "the same"),
    ],
    "growth": [
        (lambda history: history.norm.iloc[-1], "at the end"),
        (lambda history: history.norm.iloc[0] - history.norm.iloc[-1], "wrong way round"),
        (lambda history: history.norm.max() - history.norm.min(), "sign is lost"),
        (lambda history: abs(history.norm.iloc[-1] - history.norm.iloc[0]), "sign is lost"),
        (lambda history: history.norm.iloc[-1] / history.norm.iloc[0], "ratio"),
        (lambda history: history.norm.diff().iloc[-1], "last stretch"),
    ],
    "doubled": [
        ((1, 1), "moves them farther"),
        ((2, 1), "you doubled once"),
        ((4, 1), "one hidden layer"),
        ((6, 1), "added"),
        ((8, 8), "the flips: you let them grow"),
        ((8, 2), "the flips: you let them grow"),
        ((8, 0), "the flips: you have fewer"),
        ((16, 1), NONE_KNOWN),
    ],
    "saturation": [
        (lambda h: (h > np.sqrt(0.95)).mean(), "one end"),
        (lambda h: (h > 0.95).mean(), "one end"),
        (lambda h: (abs(h) < 0.05).mean(), "steepest"),
        (lambda h: (abs(h) > 0.95).mean(), "distance from its end"),
        (lambda h: (4 * h * (1 - h) < 0.05).mean(), "sigmoid"),
        (lambda h: (steep(h) > 0.05).mean(), "still reacts"),
        (lambda h: (steep(h) < 0.05).sum(), "not a share"),
        (lambda h: 100 * (steep(h) < 0.05).mean(), "not a share"),
    ],
    "sheaf": [
        (lambda c, t: (c.var(0).mean(), ((c.mean(0) - t) ** 2).mean()), "changed places"),
        (lambda c, t: (((c - t) ** 2).mean(), c.var(0).mean()), "whole squared error"),
        (lambda c, t: ((c - t).mean() ** 2, c.var(0).mean()), "signs cancel"),
        (lambda c, t: (abs(c.mean(0) - t).mean(), c.var(0).mean()), "not squared"),
        (lambda c, t: (((c.mean(0) - t) ** 2).mean(), c.var(1).mean()), "point to point"),
        (lambda c, t: (((c.mean(0) - t) ** 2).mean(), c.std(0).mean()), "standard deviation"),
        (lambda c, t: (((c.mean(0) - t) ** 2).mean(), c.var(0, ddof=1).mean()), "nearly"),
    ],
    "strength": [
        (lambda noise, weight: noise / weight, "standard deviations"),
        (lambda noise, weight: weight**2 / noise**2, "upside down"),
        (lambda noise, weight: noise**2, "noise alone"),
        (lambda noise, weight: noise**2 / (noise**2 + weight**2), "a share"),
        (lambda noise, weight: noise**2 / weight**2 / 2, "factor of two"),
    ],
}

GIVEN_AWAY = {
    "norm": r"√|root|dim|named_parameters",
    "sum": r"negative|minus|−|-\d",
    "growth": r"minus|subtract|iloc|−",
    "doubled": r"\d|\beight\b|unchanged|same factor",
    "saturation": r"h\*\*2|h²|0\.97|square",
    "sheaf": r"axis|var\(|ddof|n − 1|mean\(",
    "strength": r"²|\*\*|variance|square",
}
