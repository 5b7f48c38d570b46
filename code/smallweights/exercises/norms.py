"""The exercises of the chapter on the norms."""

from __future__ import annotations

import numpy as np

from smallweights.exercises import Array, Exercise, Result, gives, judge, like


def check(name: str, answer: object) -> Result:
    """Whether the answer to an exercise of this chapter is right, and if not, what went wrong.

    Book section: norms.

    >>> print(check("gradient", ...))
    gradient: not answered yet.
    """
    return judge(EXERCISES, name, answer)


# gradient: of the elastic net, at weights of which one is zero

_POINTS = [
    (np.array([1.5, -0.5, 0.0, -2.0]), 0.3, 0.1),
    (np.array([-0.2, 0.0, 3.0, 0.7]), 0.05, 0.4),
]


def _gradient(w: Array, l1: float, l2: float) -> Array:
    return l1 * np.sign(w) + 2 * l2 * w


_GRADIENT = Exercise(
    cases=_POINTS,
    shape=(4,),
    right=like(_POINTS, _gradient),
    misconceptions={
        "the L1 part has no sign: a step against it drives negative weights away from zero.": like(
            _POINTS,
            lambda w, l1, l2: l1 + 2 * l2 * w,
            lambda w, l1, l2: l1 * (w != 0) + 2 * l2 * w,
        ),
        "the L2 part has lost the signs of the weights.": like(
            _POINTS,
            lambda w, l1, l2: l1 * np.sign(w) + 2 * l2 * np.abs(w),
            lambda w, l1, l2: l1 * (w != 0) + 2 * l2 * np.abs(w),
            lambda w, l1, l2: l1 + 2 * l2 * np.abs(w),
        ),
        "the weight that is exactly zero: read again what is wanted there.": like(
            _POINTS,
            lambda w, l1, l2: np.where(w < 0, -l1, l1) + 2 * l2 * w,
            lambda w, l1, l2: np.where(w > 0, l1, -l1) + 2 * l2 * w,
        ),
        "the L2 part: this belongs to a penalty with a half in front, and the book's has none.": (
            like(_POINTS, lambda w, l1, l2: l1 * np.sign(w) + l2 * w)
        ),
        "this is what each weight costs; asked for is how fast the cost rises with it.": like(
            _POINTS, lambda w, l1, l2: l1 * np.abs(w) + l2 * w**2
        ),
        "this points to where the penalty falls, and a gradient to where it rises.": like(
            _POINTS, lambda w, l1, l2: -_gradient(w, l1, l2)
        ),
        "this is the gradient of one of the two terms alone.": like(
            _POINTS,
            lambda w, l1, l2: _gradient(w, l1, 0),
            lambda w, l1, l2: _gradient(w, 0, l2),
        ),
    },
)


# soft: the proximal step of L1

_WEIGHTS = [
    (np.array([1.0, -1.2, 0.05, -0.08, 0.0]), 0.5, 0.4),
    (np.array([-0.02, 0.4, -0.9, 0.03, 2.0]), 0.1, 0.7),
]


def _soft(w: Array, threshold: float) -> Array:
    shrunk: Array = np.sign(w) * (np.abs(w) - threshold).clip(0)
    return shrunk


_SOFT = Exercise(
    cases=_WEIGHTS,
    shape=(5,),
    right=like(_WEIGHTS, lambda w, lr, alpha: _soft(w, lr * alpha)),
    misconceptions={
        "a small weight leaps across zero: this is a gradient step.": like(
            _WEIGHTS, lambda w, lr, alpha: w - lr * alpha * np.sign(w)
        ),
        "you cut the small weights and keep the others whole; here these lose some, too.": like(
            _WEIGHTS, lambda w, lr, alpha: w * (np.abs(w) > lr * alpha)
        ),
        "all negative weights have become zero, the far ones too.": like(
            _WEIGHTS, lambda w, lr, alpha: (w - lr * alpha).clip(0)
        ),
        "negative weights move away from zero.": like(
            _WEIGHTS,
            lambda w, lr, alpha: w - lr * alpha,
            lambda w, lr, alpha: (w - lr * alpha) * (np.abs(w) > lr * alpha),
        ),
        "these are the new sizes, without their signs.": like(
            _WEIGHTS, lambda w, lr, alpha: np.abs(_soft(w, lr * alpha))
        ),
        "one of the two, learning rate and strength, has no say in your step.": like(
            _WEIGHTS,
            lambda w, lr, alpha: _soft(w, alpha),
            lambda w, lr, alpha: _soft(w, lr),
        ),
        "the step is too long: this would be right if alpha were twice as large.": like(
            _WEIGHTS, lambda w, lr, alpha: _soft(w, 2 * lr * alpha)
        ),
        "each weight loses the same share: this is a step of L2.": like(
            _WEIGHTS,
            lambda w, lr, alpha: w / (1 + 2 * lr * alpha),
            lambda w, lr, alpha: w / (1 + lr * alpha),
            lambda w, lr, alpha: w * (1 - 2 * lr * alpha),
            lambda w, lr, alpha: w * (1 - lr * alpha),
        ),
    },
)


# step: what SGD, Adam and AdamW take off a weight without a gradient of the loss

_BLANKS = [(0.5, 0.1, 0.02), (2.0, 0.01, 0.3), (0.2, 0.05, 1.5)]  # weight, lr, alpha


def _decay(w: float, lr: float, alpha: float) -> float:
    return 2 * lr * alpha * w


_STEP = Exercise(
    cases=_BLANKS,
    shape=(3,),
    right=like(_BLANKS, lambda w, lr, alpha: (_decay(w, lr, alpha), lr, _decay(w, lr, alpha))),
    misconceptions={
        "these are the weights after the step; asked for is what they have lost.": like(
            _BLANKS, lambda w, lr, alpha: w - _decay(w, lr, alpha), part=0
        ),
        "the sign: a weight above zero shrinks, so something is taken off.": lambda found: bool(
            (found < 0).any()
        ),
        "SGD: this is the gradient; a step has a length.": like(
            _BLANKS, lambda w, lr, alpha: 2 * alpha * w, part=0
        ),
        "SGD: half of it is missing. Write down the penalty of one weight and differentiate.": like(
            _BLANKS, lambda w, lr, alpha: lr * alpha * w, part=0
        ),
        "SGD: this is what an L1 penalty takes off, the same from each weight.": like(
            _BLANKS, lambda w, lr, alpha: lr * alpha, part=0
        ),
        "Adam: you let it step along the gradient, as SGD does.": like(
            _BLANKS, _decay, lambda w, lr, alpha: lr * alpha * w, part=1
        ),
        "Adam: alpha is still in your answer. Follow it through Adam's formula.": like(
            _BLANKS,
            lambda w, lr, alpha: lr * alpha,
            lambda w, lr, alpha: 2 * lr * alpha,
            part=1,
        ),
        "Adam: the loss has no gradient here, but the penalty has one.": gives(
            np.zeros(len(_BLANKS)), part=1
        ),
        "AdamW: you sent the decay through Adam's division. It goes around it.": like(
            _BLANKS, lambda w, lr, alpha: lr, part=2
        ),
        "AdamW: mind what its weight_decay is set to.": like(
            _BLANKS, lambda w, lr, alpha: lr * alpha * w, part=2
        ),
        "AdamW: the learning rate has no say in your decay.": like(
            _BLANKS, lambda w, lr, alpha: 2 * alpha * w, part=2
        ),
    },
)


# ridge: weights and bias of the linear model


def _patients(seed: int, n: int, alpha: float) -> tuple[Array, Array, float]:
    rng = np.random.default_rng(seed)
    x = rng.normal([0.5, -1.0, 2.0], size=(n, 3))
    return x, x @ [1.0, -2.0, 0.5] + 4 + rng.normal(size=n), alpha


_STUDIES = [_patients(1, 8, 0.3), _patients(2, 20, 0.05)]


def _ridge(x: Array, y: Array, alpha: float, on_bias: float = 0.0) -> Array:
    inputs = np.column_stack([x, np.ones(len(x))])
    charge = np.diag([alpha] * x.shape[1] + [on_bias])
    gram, right = inputs.T @ inputs / len(x) + charge, inputs.T @ y / len(x)
    return np.asarray(np.linalg.solve(gram, right), dtype=np.float64)


_RIDGE = Exercise(
    cases=_STUDIES,
    shape=(4,),
    right=like(_STUDIES, _ridge),
    misconceptions={
        "your penalty includes the bias.": like(
            _STUDIES,
            lambda x, y, alpha: _ridge(x, y, alpha, on_bias=alpha),
            lambda x, y, alpha: _ridge(x, y, alpha / len(x), on_bias=alpha / len(x)),
        ),
        "the more examples, the less your penalty counts: is the book's loss a sum?": like(
            _STUDIES, lambda x, y, alpha: _ridge(x, y, alpha / len(x))
        ),
        "your penalty grows with the number of examples: you converted the wrong way round.": like(
            _STUDIES, lambda x, y, alpha: _ridge(x, y, alpha * len(x))
        ),
        "alpha is off by a factor of two: is there a half in the book's loss or penalty?": like(
            _STUDIES,
            lambda x, y, alpha: _ridge(x, y, alpha / 2),
            lambda x, y, alpha: _ridge(x, y, alpha * 2),
        ),
        "this is least squares: the penalty does nothing.": like(
            _STUDIES, lambda x, y, alpha: _ridge(x, y, 0)
        ),
        "the bias is zero: all your answers go through the origin.": gives(
            np.zeros(len(_STUDIES)), part=3
        ),
        "the bias is the mean of the targets, as if the inputs had mean zero. These have not.": (
            like(_STUDIES, lambda x, y, alpha: y.mean(), part=3)
        ),
        "the right numbers in another order.": like(
            _STUDIES, lambda x, y, alpha: np.roll(_ridge(x, y, alpha), 1)
        ),
    },
)


# last: the alpha of L1 from which on no weight is left


def _centred(seed: int, n: int, weights: list[float]) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(weights))) @ (np.eye(len(weights)) + 0.4)
    y = x @ weights + rng.normal(size=n)
    return x - x.mean(0), y - y.mean()


_TABLES = [_centred(1, 12, [0.4, -1.5, 0.3]), _centred(2, 30, [-0.2, 0.1, -0.9, 0.5])]


def _pulls(x: Array, y: Array) -> Array:
    return 2 * x.T @ y / len(x)


_LAST = Exercise(
    cases=_TABLES,
    right=like(_TABLES, lambda x, y: np.abs(_pulls(x, y)).max()),
    misconceptions={
        "this is off by a factor of two: the book's loss has no half in front of it.": like(
            _TABLES,
            lambda x, y: np.abs(_pulls(x, y)).max() / 2,
            lambda x, y: np.abs(_pulls(x, y)).max() * 2,
        ),
        "the more examples, the larger your alpha: this is for a loss that is a sum.": like(
            _TABLES,
            lambda x, y: len(x) * np.abs(_pulls(x, y)).max(),
            lambda x, y: len(x) * np.abs(_pulls(x, y)).max() / 2,
        ),
        "signs: the loss may pull a weight down as hard as up.": like(
            _TABLES, lambda x, y: _pulls(x, y).max(), lambda x, y: _pulls(x, y).max() / 2
        ),
        "this silences the input that pulls least, and the others are still there.": like(
            _TABLES,
            lambda x, y: np.abs(_pulls(x, y)).min(),
            lambda x, y: np.abs(_pulls(x, y)).min() / 2,
        ),
        "you put the pulls of all inputs together, but each weight is held at zero by itself.": (
            like(
                _TABLES,
                lambda x, y: np.abs(_pulls(x, y)).sum(),
                lambda x, y: np.abs(_pulls(x, y)).mean(),
                lambda x, y: np.linalg.norm(_pulls(x, y)),
            )
        ),
        "this is the size of a weight; alpha is weighed against a pull.": like(
            _TABLES,
            lambda x, y: np.abs(np.linalg.lstsq(x, y)[0]).max(),
            lambda x, y: np.abs(np.linalg.lstsq(x, y)[0]).sum(),
        ),
    },
)


# prior: the alpha of L1 from the noise, the scale of a Laplace prior and the number of examples

_BELIEFS = [(0.7, 0.2, 100), (1.5, 2.0, 25), (0.3, 0.5, 1000)]

_PRIOR = Exercise(
    cases=_BELIEFS,
    right=like(_BELIEFS, lambda noise, scale, n: 2 * noise**2 / (n * scale)),
    misconceptions={
        "this is L2's alpha, for a Gaussian prior.": like(
            _BELIEFS,
            lambda noise, scale, n: noise**2 / (n * scale**2),
            lambda noise, scale, n: noise**2 / (2 * n * scale**2),
        ),
        "the number of examples has no say in it: this is for a loss that is a sum.": like(
            _BELIEFS,
            lambda noise, scale, n: 2 * noise**2 / scale,
            lambda noise, scale, n: noise**2 / scale,
            lambda noise, scale, n: 1 / scale,
        ),
        "off by a constant factor: mind the half in the exponent of the normal density.": like(
            _BELIEFS,
            lambda noise, scale, n: noise**2 / (n * scale),
            lambda noise, scale, n: noise**2 / (2 * n * scale),
            lambda noise, scale, n: 4 * noise**2 / (n * scale),
        ),
        "the noise has no say in it: this is for a classifier.": like(
            _BELIEFS, lambda noise, scale, n: 1 / (n * scale)
        ),
        "the unit is wrong: measure targets and weights in thousandths, and alpha should follow.": (
            like(
                _BELIEFS,
                lambda noise, scale, n: 2 * noise / (n * scale),
                lambda noise, scale, n: noise / (n * scale),
            )
        ),
        "upside down: the firmer the belief in small weights, the weaker your penalty.": like(
            _BELIEFS,
            lambda noise, scale, n: n * scale / (2 * noise**2),
            lambda noise, scale, n: 2 * noise**2 * scale / n,
            lambda noise, scale, n: scale / (2 * noise**2),
        ),
        "more examples should make the prior count less, and yours counts more.": like(
            _BELIEFS, lambda noise, scale, n: 2 * n * noise**2 / scale
        ),
    },
)


# capacity: the longest output that a ReLU network of a given norm can have

_NETWORKS = [(2.0, 1, 3.0), (3.0, 2, 1.5), (5.0, 3, 0.5)]  # norm, layers, length of the input


def _longest(norm: float, layers: int, length: float) -> float:
    return float((norm / layers**0.5) ** layers * length)


_CAPACITY = Exercise(
    cases=_NETWORKS,
    right=like(_NETWORKS, _longest),
    misconceptions={
        "every layer has the whole norm here; they have to share it.": like(
            _NETWORKS, lambda norm, layers, length: norm**layers * length
        ),
        "the layers share the norm as if norms added up. What is it that adds up?": like(
            _NETWORKS, lambda norm, layers, length: (norm / layers) ** layers * length
        ),
        "this is right for one layer: each further one acts on what the one before it made.": like(
            _NETWORKS,
            lambda norm, layers, length: norm * length,
            lambda norm, layers, length: norm / layers**0.5 * length,
        ),
        "you added up what the layers do, and each acts on what the one before it made.": like(
            _NETWORKS,
            lambda norm, layers, length: layers**0.5 * norm * length,
            lambda norm, layers, length: layers * norm * length,
        ),
        "the input's length has no say in it.": like(
            _NETWORKS,
            lambda norm, layers, length: _longest(norm, layers, 1),
            lambda norm, layers, length: norm**layers,
        ),
        "the unit is wrong: this is the largest possible output with its length squared.": like(
            _NETWORKS, lambda norm, layers, length: _longest(norm, layers, length) ** 2
        ),
        "a layer does not lengthen what goes in by the sum of its squared weights.": like(
            _NETWORKS, lambda norm, layers, length: (norm**2 / layers) ** layers * length
        ),
    },
)


EXERCISES = {
    "gradient": _GRADIENT,
    "soft": _SOFT,
    "step": _STEP,
    "ridge": _RIDGE,
    "last": _LAST,
    "prior": _PRIOR,
    "capacity": _CAPACITY,
}
