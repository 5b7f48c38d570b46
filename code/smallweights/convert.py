"""From one library's alpha to another's: the same function minimized, in other words.

Libraries state a penalty beside a loss that they sum, average or halve. So the same number means
another penalty in each. In the book's terms every one of them minimizes

    scale · (mean loss) + first · Σ|w| + second · Σw²

and a division by the scale gives the book's alphas. This module knows, for each library, the
scale and the two factors. The learning rate does not enter, and the optimizer does in one place: a
decoupled decay is an L2 penalty under plain SGD, without momentum. Under Adam (AdamW) it minimizes
no such function: it has a setting in other libraries' AdamW and no conversion to a penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real

import pandas as pd

from smallweights.penalties import L1, L2, ElasticNet, Penalty, Strength, check_strength

Strengths = Mapping[str, float]
Factors = tuple[float, float]

REDUCTIONS = {"mean": "1", "half mean": "½", "sum": "b"}
NO_PENALTY = (
    "{0} and {1} have no setting in common. A decoupled decay multiplies each weight by"
    " 1 - lr·weight_decay; a penalty's pull goes through the optimizer, and Adam divides it by the"
    " size of the weight's past gradients. So the two take other steps and end elsewhere: search"
    " the strength anew."
)


@dataclass(frozen=True)
class Form:
    """How strengths are stated: their names, and the factors of Σ|w| and Σw².

    ``read`` makes the factors from the strengths, ``write`` the strengths from the factors.
    ``kind`` is the form's name in the page's calculator. Book section: alpha.
    """

    kind: str
    names: tuple[str, ...]
    read: Callable[..., Factors]
    write: Callable[[float, float], tuple[float, ...]]
    formula: str


@dataclass(frozen=True)
class Setting:
    """A library's way to state a penalty: beside which loss, how scaled, in which form.

    ``scale`` is the factor before the mean loss: ``1``, ``½``, ``n`` (all examples), ``b`` and
    ``b/2`` (the examples of a step), or empty where the user's own loss decides. ``loss`` is
    ``squared``, ``log`` or empty for any. ``share`` is the library's own ``l1_ratio``, which
    counts where none is given. Book section: alpha.
    """

    form: Form
    loss: str = ""
    scale: str = ""
    share: float = 0.0


def _l1(name: str) -> Form:
    return Form("l1", (name,), lambda a: (a, 0.0), lambda p, q: (p,), f"{name}·Σ|w|")


def _l2(name: str) -> Form:
    return Form("l2", (name,), lambda a: (0.0, a), lambda p, q: (q,), f"{name}·Σw²")


def _half_l2(name: str) -> Form:
    return Form("half l2", (name,), lambda a: (0.0, a / 2), lambda p, q: (2 * q,), f"½·{name}·Σw²")


def _shared(p: float, q: float) -> tuple[float, float]:
    total = p + 2 * q
    return total, p / total if total else 0.0


def _inverse(p: float, q: float) -> tuple[float, float]:
    total, share = _shared(p, q)
    return 1 / total if total else math.inf, share


BOTH = Form(
    "both",
    ("l1", "l2"),
    lambda l1, l2: (l1, l2),
    lambda p, q: (p, q),
    "l1·Σ|w| + l2·Σw²",
)
SHARED = Form(
    "shared",
    ("alpha", "l1_ratio"),
    lambda alpha, l1_ratio: (alpha * l1_ratio, alpha * (1 - l1_ratio) / 2),
    _shared,
    "alpha·(l1_ratio·Σ|w| + ½(1 − l1_ratio)·Σw²)",
)
INVERSE = Form(
    "inverse",
    ("C", "l1_ratio"),
    lambda C, l1_ratio: (l1_ratio / C, (1 - l1_ratio) / (2 * C)),
    _inverse,
    "(l1_ratio·Σ|w| + ½(1 − l1_ratio)·Σw²)/C",
)

SETTINGS = {
    "smallweights.ElasticNet": Setting(BOTH, scale="1"),
    "smallweights method='decay' (SGD)": Setting(_l2("alpha"), scale="1"),
    "torch.optim.SGD": Setting(_half_l2("weight_decay")),
    "torch.optim.Adam": Setting(_half_l2("weight_decay")),
    "skorch.NeuralNet": Setting(_half_l2("optimizer__weight_decay")),
    "optax.add_decayed_weights": Setting(_half_l2("weight_decay")),
    "keras.regularizers.L1": Setting(_l1("l1")),
    "keras.regularizers.L2": Setting(_l2("l2")),
    "keras.regularizers.L1L2": Setting(BOTH),
    "sklearn.linear_model.Ridge": Setting(_l2("alpha"), "squared", "n"),
    "sklearn.linear_model.Lasso": Setting(_l1("alpha"), "squared", "½"),
    "sklearn.linear_model.ElasticNet": Setting(SHARED, "squared", "½", share=0.5),
    "sklearn.linear_model.SGDRegressor": Setting(SHARED, "squared", "½"),
    "sklearn.linear_model.LogisticRegression": Setting(INVERSE, "log", "n"),
    "sklearn.neural_network.MLPRegressor": Setting(_half_l2("alpha"), "squared", "b/2"),
    "sklearn.neural_network.MLPClassifier": Setting(_half_l2("alpha"), "log", "b"),
}
# By what learning rate · weight is multiplied in a step, for the argument's value of 1.
DECOUPLED = {
    "smallweights method='decay' (Adam)": ("alpha", 2),
    "torch.optim.AdamW": ("weight_decay", 1),
    "optax.adamw": ("weight_decay", 1),
    "keras.optimizers.AdamW": ("weight_decay", 1),
}


def convert(
    source: str,
    strengths: Strengths,
    target: str,
    *,
    n: int | None = None,
    batch: int | None = None,
    reduction: str = "mean",
) -> dict[str, float]:
    """The setting of ``target`` that minimizes the function that ``source`` does.

    ``strengths`` are the arguments of ``source`` by name, such as ``{"alpha": 0.1}``; the result
    is those of ``target``. ``n`` counts the training examples and ``batch`` those of a step (all,
    unless given). ``reduction`` says how your own loss is made of the examples' where you write
    it yourself (PyTorch, Keras, optax, skorch): ``mean``, ``half mean`` or ``sum``, of squared
    errors or log losses in nats, one output each. Both must be used on the same weights: PyTorch
    and optax decay biases too, unless told otherwise. ``LogisticRegression`` and ``SGDRegressor``
    take an ``l1_ratio`` with ``penalty="elasticnet"``; left out, it is 0 there, and ½ for
    scikit-learn's elastic net, as in the library. Raises ``ValueError`` where there is no such
    setting and says why. Source: the libraries' documentation; each pair is run in the
    tests. Book section: alpha.

    >>> convert("torch.optim.SGD", {"weight_decay": 0.001}, "keras.regularizers.L2")
    {'l2': 0.0005}
    >>> convert("sklearn.linear_model.Ridge", {"alpha": 1}, "torch.optim.Adam", n=500)
    {'weight_decay': 0.004}
    """
    if source in DECOUPLED and target in DECOUPLED:
        (name, factor), (target_name, target_factor) = DECOUPLED[source], DECOUPLED[target]
        (value,) = _checked(source, (name,), strengths)
        return {target_name: value * factor / target_factor}
    if source in DECOUPLED or target in DECOUPLED:
        raise ValueError(NO_PENALTY.format(_known(source), _known(target)))
    losses = {name: SETTINGS[_known(name)].loss for name in (source, target)}
    if len(set(filter(None, losses.values()))) > 1:
        told = " and ".join(f"{name} a {loss} loss" for name, loss in losses.items())
        raise ValueError(f"No setting makes these two minimize one function: {told}.")
    penalty = penalty_of(source, strengths, n=n, batch=batch, reduction=reduction)
    return setting_for(target, penalty, n=n, batch=batch, reduction=reduction)


def penalty_of(
    source: str,
    strengths: Strengths,
    *,
    n: int | None = None,
    batch: int | None = None,
    reduction: str = "mean",
) -> ElasticNet:
    """The penalty beside the mean loss that these strengths of a library amount to.

    ``alpha₁ = first/scale`` and ``alpha₂ = second/scale``, as in ``convert``, whose arguments and
    errors it shares. Book section: alpha.

    >>> penalty_of("torch.optim.SGD", {"weight_decay": 0.002})
    ElasticNet(l1=0.0, l2=0.001)
    """
    setting = _coupled(source)
    first, second = setting.form.read(*_checked(source, setting.form.names, strengths))
    scale = _scale(source, n, batch, reduction)
    return ElasticNet(first / scale, second / scale)


def setting_for(
    target: str,
    penalty: Penalty,
    *,
    n: int | None = None,
    batch: int | None = None,
    reduction: str = "mean",
) -> dict[str, float]:
    """The strengths of a library that amount to this penalty beside the mean loss.

    ``penalty`` is an ``L1``, ``L2`` or ``ElasticNet``; arguments and errors are those of
    ``convert``. Book section: alpha.

    >>> setting_for("sklearn.linear_model.Lasso", L1(0.02))
    {'alpha': 0.01}
    """
    form = _coupled(target).form
    scale = _scale(target, n, batch, reduction)
    factors = tuple(scale * alpha for alpha in _alphas(penalty))
    strengths = form.write(*factors)
    if not all(map(math.isclose, form.read(*strengths), factors)):
        raise ValueError(
            f"{target} cannot state {penalty}: it has {form.formula} alone. Add the rest to the"
            " loss yourself, or take a library that has both."
        )
    return dict(zip(form.names, strengths, strict=True))


def table() -> pd.DataFrame:
    """What each library minimizes: a loss, the factor before the mean of it, and a penalty.

    Where your own loss decides on the factor it is one of three.

    >>> table().set_index("library").loc["torch.optim.Adam"].to_dict()
    {'loss': 'any', 'factor': '1 | ½ | b', 'penalty': '½·weight_decay·Σw²'}
    """
    rows = [
        (name, s.loss or "any", s.scale or " | ".join(REDUCTIONS.values()), s.form.formula)
        for name, s in SETTINGS.items()
    ]
    return pd.DataFrame(rows, columns=["library", "loss", "factor", "penalty"])


def _known(name: str) -> str:
    if name not in SETTINGS and name not in DECOUPLED:
        names = ", ".join([*SETTINGS, *DECOUPLED])
        raise ValueError(f"No conversion is known for {name!r}: expected one of {names}.")
    return name


def _coupled(name: str) -> Setting:
    if _known(name) in DECOUPLED:
        raise ValueError(NO_PENALTY.format(name, "a penalty"))
    return SETTINGS[name]


def _checked(source: str, names: tuple[str, ...], strengths: Strengths) -> list[float]:
    """The strengths in the order of the names; a share that is left out is the library's own."""
    given = dict(strengths)
    if "l1_ratio" in names:
        given = {"l1_ratio": SETTINGS[source].share} | given
    if set(given) != set(names):
        raise ValueError(
            f"{source} is set by {' and '.join(names)}; got {', '.join(strengths) or 'nothing'}."
        )
    for name, value in given.items():
        check_strength(name, 0 if name == "C" and value == math.inf else value)
        if name == "C" and value == 0:
            raise ValueError("C must be a number > 0: it is the inverse of a strength; got 0.")
        if name == "l1_ratio" and value > 1:
            raise ValueError(f"l1_ratio must lie in [0, 1]; got {value}.")
    return [float(given[name]) for name in names]


def _scale(name: str, n: int | None, batch: int | None, reduction: str) -> float:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be {', '.join(REDUCTIONS)}; got {reduction!r}.")
    scale = SETTINGS[name].scale or REDUCTIONS[reduction]
    if scale == "1":
        return 1.0
    if scale == "½":
        return 0.5
    count = n if scale == "n" or batch is None else batch
    if not isinstance(count, Integral) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"{name} adds the penalty to a sum over examples, so the number of examples counts:"
            f" give n, and batch if a step sees fewer; got n={n!r}, batch={batch!r}."
        )
    return count / 2 if scale == "b/2" else float(count)


def _alphas(penalty: Penalty) -> Factors:
    alphas: tuple[Strength, Strength] | None = None
    match penalty:
        case L1(alpha):
            alphas = (alpha, 0.0)
        case L2(alpha):
            alphas = (0.0, alpha)
        case ElasticNet(l1, l2):
            alphas = (l1, l2)
    if alphas is None or not all(isinstance(alpha, Real) for alpha in alphas):
        raise ValueError(
            "A conversion takes an L1, L2 or ElasticNet whose strengths are numbers; got"
            f" {penalty!r}."
        )
    return float(alphas[0]), float(alphas[1])
