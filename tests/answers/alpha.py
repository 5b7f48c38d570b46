"""Right and wrong answers to the exercises of the chapter on alpha."""

import math

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from scipy.stats import norm, t, ttest_1samp, ttest_rel
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.model_selection import ParameterGrid
from sklearn.neural_network import MLPClassifier

import smallweights as sw
from smallweights.convert import setting_for
from smallweights.exercises import WRONG as NONE_KNOWN
from smallweights.statistics import differences, interval

# price


def price(loss, norm, small_loss, small_norm):
    return (small_loss - loss) / (norm**2 - small_norm**2)


def price_by_search(loss, norm, small_loss, small_norm):
    def lead(alpha):
        weights = torch.tensor([[norm], [small_norm]])
        total, small = (sw.L2(alpha).value(w).item() for w in weights)
        return loss + total - small_loss - small

    return brentq(lead, 0, 10, xtol=1e-12)


# order

CALLS = [
    sw.Penalize({"layers.0.*": sw.L2(0.1), "*": sw.L2(0.01)}),
    sw.Penalize({"*": sw.L2(0.01), "layers.0.*": sw.L2(0.1)}),
    sw.Penalize(
        {"*": sw.L2(0.01), "layers.[01].*": sw.L2(0.1), "layers.1.*": sw.L2(0.3)}, biases=True
    ),
]
NAMES = ["layers.0.weight", "layers.1.weight", "layers.2.weight", "layers.0.bias"]


def assigned():
    found = [call.assign(sw.MLP((64, 32, 32, 10))) for call in CALLS]
    return [[penalties.get(name, sw.L2(0)).alpha for name in NAMES] for penalties in found]


# units: a small problem is solved, put into other units and asked for the alpha it solves there


def problem():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 3))
    return x, x @ [2.0, -3.0, 2.5] + rng.normal(size=40)


def ridge(x, y, alpha):
    return Ridge(len(x) * alpha, fit_intercept=False).fit(x, y).coef_


def lasso(x, y, alpha):
    return Lasso(alpha / 2, fit_intercept=False, tol=1e-14).fit(x, y).coef_


def solved_by(x, y, w, penalty, factor=1):
    """The alpha at which these weights are the minimum: where the penalty's pull is the loss's."""
    pull = factor * 2 * x.T @ (y - x @ w) / len(x)
    back = penalty.grad(torch.as_tensor(w)).numpy()
    return (pull @ back) / (back @ back)


def units_by_solving(alpha, c):
    x, y = problem()
    w, lone = ridge(x, y, alpha), lasso(x, y, alpha)
    return (
        solved_by(x, y, w, sw.L2(1), factor=c),
        solved_by(x, c * y, c * w, sw.L2(1)),
        solved_by(x, c * y, c * lone, sw.L1(1)),
        solved_by(c * x, y, w / c, sw.L2(1)),
        solved_by(c * x, y, lone / c, sw.L1(1)),
    )


def units(loss=1, target_2=0, target_1=1, input_2=2, input_1=1):
    """An answer from the powers of the factor."""
    powers = np.array([loss, target_2, target_1, input_2, input_1])
    return lambda alpha, c: alpha * c**powers


# pick


def sides(runs, by="validation_loss", column="test_loss"):
    table = runs.pivot(index="seed", columns="alpha")
    chosen = table[by].idxmin(axis=1)
    picked = [table[column].loc[seed, alpha] for seed, alpha in chosen.items()]
    return table[column][0.0].to_numpy(), np.array(picked)


def saved(runs, **how):
    free, picked = sides(runs, **how)
    return free - picked


def paired(runs):
    test = ttest_rel(*sides(runs))
    found = test.confidence_interval()
    return saved(runs).mean(), found.low, found.high


def by_the_book(runs):
    rows = runs.loc[runs.groupby("seed").validation_loss.idxmin()]
    both = pd.concat([runs[runs.alpha == 0].assign(side="none"), rows.assign(side="pick")])
    return three(differences(both, "test_loss", {"side": "none"}, {"side": "pick"}))


def around(values, half):
    return values.mean(), values.mean() - half, values.mean() + half


def with_error(times, ddof=1):
    def answer(runs):
        values = saved(runs)
        return around(values, times * values.std(ddof=ddof) / math.sqrt(len(values)))

    return answer


def one_for_all(by):
    def answer(runs):
        alpha = runs.groupby("alpha")[by].mean().idxmin()
        table = runs.pivot(index="seed", columns="alpha", values="test_loss")
        return three(table[0.0] - table[alpha])

    return answer


def three(values):
    found = interval(values)
    return found.mean, found.low, found.high


def against_the_mean(runs):
    free, _ = sides(runs)
    return three(free - runs.groupby("seed").test_loss.mean().to_numpy())


def unpaired(runs):
    free, picked = sides(runs)
    error = math.sqrt((free.var(ddof=1) + picked.var(ddof=1)) / len(free))
    return around(free - picked, t.ppf(0.975, 2 * len(free) - 2) * error)


def scatter(runs):
    values = saved(runs)
    return around(values, values.std(ddof=1))


def quantiles(runs):
    return saved(runs).mean(), *np.quantile(saved(runs), [0.025, 0.975])


# libraries: solved by the library, and asked for the book's alpha


def c_by_solving(alpha, n):
    x, y = problem()
    x, y = np.resize(x, (n, 3)), np.resize(np.sign(y), n)

    def excess(log_c):
        model = LogisticRegression(C=math.exp(log_c), fit_intercept=False, tol=1e-12, max_iter=9999)
        w = torch.tensor(model.fit(x, y).coef_[0], requires_grad=True)
        margins = torch.as_tensor(y) * (torch.as_tensor(x) @ w)
        loss = torch.nn.functional.softplus(-margins).mean()
        (slope,) = torch.autograd.grad(loss, w)
        w = w.detach()
        return (-slope @ w / (2 * w @ w)).log().item() - math.log(alpha)

    return math.exp(brentq(excess, -12, 6, xtol=1e-6))


def pull_of_network(batch):
    """The share of a weight that MLPClassifier takes off for alpha = 1, learning rate aside."""
    x = np.random.default_rng(1).normal(size=(batch, 3))
    y = np.arange(batch) % 2

    def weight(alpha, lr):
        net = MLPClassifier(
            (2,), solver="sgd", alpha=alpha, learning_rate_init=lr, momentum=0, random_state=1
        )
        return net.partial_fit(x, y, classes=[0, 1]).coefs_[0][0, 0]

    return (weight(0, 0.1) - weight(1, 0.1)) / (0.1 * weight(0, 1e-12))


def elastic_by_solving(alpha):
    x, y = problem()
    w = ridge(x, y, alpha)

    def excess(theirs):
        model = ElasticNet(theirs, l1_ratio=0, fit_intercept=False, tol=1e-10, max_iter=99_999)
        return (model.fit(x, y).coef_ - w).sum() * np.sign(w.sum())

    return brentq(excess, alpha / 3, 3 * alpha, xtol=1e-9)


def libraries_by_solving(alpha, n, batch):
    return c_by_solving(alpha, n), 2 * alpha / pull_of_network(batch), elastic_by_solving(alpha)


def libraries_by_the_book(alpha, n, batch):
    network, penalty = "sklearn.neural_network.MLPClassifier", sw.L2(alpha)
    return (
        setting_for("sklearn.linear_model.LogisticRegression", penalty, n=n)["C"],
        setting_for(network, penalty, n=n, batch=batch)["alpha"],
        setting_for("sklearn.linear_model.ElasticNet", penalty)["alpha"],
    )


def libraries(c=None, network=None, elastic=None):
    """A right answer but for the parts given."""
    c = c or (lambda a, n, b: 1 / (2 * n * a))
    network = network or (lambda a, n, b: 2 * b * a)
    elastic = elastic or (lambda a, n, b: a)
    return lambda *setting: (c(*setting), network(*setting), elastic(*setting))


# search


def count(budget, layers):
    return int(budget ** (1 / layers) + 1e-9)


def search(budget, layers, lowest, highest):
    k = count(budget, layers)
    return k, np.geomspace(lowest, highest, k)[1]


def search_by_counting(budget, layers, lowest, highest):
    def networks(k):
        return len(ParameterGrid({str(layer): range(k) for layer in range(layers)}))

    k = 1
    while networks(k + 1) <= budget:
        k += 1
    return k, 10 ** np.linspace(np.log10(lowest), np.log10(highest), k)[1]


def counted(rule):
    """A search with the number of alphas by another rule."""

    def answer(budget, layers, lowest, highest):
        k = rule(budget, layers)
        return k, lowest * (highest / lowest) ** (1 / (k - 1))

    return answer


def stepped(rule):
    """A search with the second alpha by another rule, from the number and the ends."""
    return lambda budget, layers, *ends: (
        count(budget, layers),
        rule(count(budget, layers), *ends),
    )


# shrunk


def shrunk(alpha, w, noise, n):
    return (w - w / (1 + alpha)) ** 2, noise**2 / (n * (1 + alpha) ** 2)


def shrunk_by_ridge(alpha, w, noise, n):
    """Ridge is linear in the targets, so its answers to n unit targets say all of it."""
    x = np.random.default_rng(2).normal(size=n)
    x = (x / np.sqrt(np.square(x).mean())).reshape(-1, 1)
    follows = Ridge(n * alpha, fit_intercept=False).fit(x, np.eye(n)).coef_[:, 0]
    return (follows @ x[:, 0] * w - w) ** 2, noise**2 * np.square(follows).sum()


def parts(bias=None, variance=None):
    """A right answer but for the part given."""

    def answer(*study):
        squared, scatter = shrunk(*study)
        return bias(*study) if bias else squared, variance(*study) if variance else scatter

    return answer


RIGHT = {
    "price": [price, price_by_search],
    "order": [
        [[0.01, 0.01, 0.01, 0], [0.1, 0.01, 0.01, 0], [0.1, 0.3, 0.01, 0.1]],
        np.array(assigned()),
    ],
    "units": [units(), lambda a, c: (c * a, a, c * a, c * c * a, c * a), units_by_solving],
    "pick": [
        paired,
        by_the_book,
        lambda runs: three(saved(runs)),
        lambda runs: (
            saved(runs).mean(),
            *ttest_1samp(saved(runs), 0).confidence_interval(),
        ),
        lambda runs: with_error(t.ppf(0.975, runs.seed.nunique() - 1))(runs),
    ],
    "libraries": [
        lambda a, n, b: (1 / (2 * n * a), 2 * b * a, a),
        libraries_by_the_book,
        libraries_by_solving,
    ],
    "search": [search, search_by_counting],
    "shrunk": [
        shrunk,
        lambda a, w, noise, n: ((a * w / (1 + a)) ** 2, (noise / (1 + a)) ** 2 / n),
        shrunk_by_ridge,
    ],
}

WRONG = {
    "price": [
        (lambda l1, n1, l2, n2: (l2 - l1) / (n1 - n2), "against the norm"),
        (lambda l1, n1, l2, n2: (l2 - l1) / (n1 - n2) ** 2, "against the norm"),
        (lambda l1, n1, l2, n2: (n1**2 - n2**2) / (l2 - l1), "upside down"),
        (lambda l1, n1, l2, n2: (n1 - n2) / (l2 - l1), "upside down"),
        (lambda l1, n1, l2, n2: (l1 - l2) / (n1**2 - n2**2), "the sign"),
        (lambda l1, n1, l2, n2: l1 / n1**2, "one of the two"),
        (lambda l1, n1, l2, n2: l2 / n2**2, "one of the two"),
        (lambda l1, n1, l2, n2: l2 / n2**2 - l1 / n1**2, "two quotients"),
        (lambda l1, n1, l2, n2: 2 * price(l1, n1, l2, n2), "factor of two"),
        (lambda l1, n1, l2, n2: 1.0, NONE_KNOWN),
    ],
    "order": [
        ([[0.1, 0.01, 0.01, 0], [0.01] * 3 + [0], [0.01] * 4], "first pattern"),
        ([[0.1, 0.01, 0.01, 0], [0.1, 0.01, 0.01, 0], [0.1, 0.3, 0.01, 0.1]], "narrower"),
        ([[0.11, 0.01, 0.01, 0], [0.11, 0.01, 0.01, 0], [0.11, 0.41, 0.01, 0.11]], "added"),
        ([[0.01] * 4, [0.1, 0.01, 0.01, 0.1], [0.1, 0.3, 0.01, 0.1]], "first two rows"),
        ([[0.01] * 3 + [0], [0.1, 0.01, 0.01, 0], [0.1, 0.3, 0.01, 0]], "third row"),
        ([[0.5, 0.5, 0.5, 0], [0.5, 0.5, 0.5, 0], [0.5] * 4], NONE_KNOWN),
    ],
    "units": [
        (units(loss=-1), "drowns"),
        (units(loss=0), "does not follow"),
        (units(loss=2), "count twice"),
        (units(target_2=2), "what becomes of the weights"),
        (units(target_2=1), "what becomes of the weights"),
        (units(target_2=-1), "there is more to it"),
        (units(target_1=2), "follows the squared errors"),
        (units(target_1=0), "not like L2"),
        (units(target_1=-1), "targets, L1: the wrong way"),
        (units(input_2=-2), "inputs: the wrong way"),
        (units(input_1=-1), "inputs: the wrong way"),
        (units(input_2=1), "this would do for a weight;"),
        (units(input_1=2), "for a squared weight"),
        (units(input_2=0, input_1=0), "more cheaply"),
        (units(input_2=3), NONE_KNOWN),
    ],
    "pick": [
        (lambda runs: three(saved(runs, by="test_loss")), "that you report on"),
        (one_for_all("test_loss"), "that you report on"),
        (lambda runs: three(saved(runs, by="train_loss")), "likes a penalty of zero"),
        (lambda runs: three(saved(runs, column="validation_loss")), "flatters"),
        (one_for_all("validation_loss"), "one alpha for all seeds"),
        (against_the_mean, "as if nobody had chosen"),
        (lambda runs: three(sides(runs)[1]), "the loss of the picks"),
        (lambda runs: three(-saved(runs)), "the sign"),
        (lambda runs: three(saved(runs) / sides(runs)[0]), "a share"),
        (lambda runs: three(100 * saved(runs) / sides(runs)[0]), "a share"),
        (unpaired, "twins"),
        (scatter, "single seeds"),
        (quantiles, "single seeds"),
        (with_error(1), "too little"),
        (with_error(norm.ppf(0.975)), "here are few"),
        (with_error(2), "here are few"),
        (lambda runs: with_error(t.ppf(0.975, runs.seed.nunique() - 1), ddof=0)(runs), "nearly"),
        (lambda runs: (9, 8, 10), NONE_KNOWN),
    ],
    "libraries": [
        (libraries(c=lambda a, n, b: 2 * n * a), "Which way does C run"),
        (libraries(c=lambda a, n, b: a), "Which way does C run"),
        (libraries(c=lambda a, n, b: 1 / a), "Beside what"),
        (libraries(c=lambda a, n, b: n / (2 * a)), "more examples should"),
        (libraries(c=lambda a, n, b: 1 / (n * a)), "C: nearly"),
        (libraries(c=lambda a, n, b: 1 / (2 * b * a)), "business of the network"),
        (libraries(network=lambda a, n, b: 2 * a), "for a mean"),
        (libraries(network=lambda a, n, b: 2 * n * a), "counted all examples"),
        (libraries(network=lambda a, n, b: b * a), "MLPClassifier: nearly"),
        (libraries(network=lambda a, n, b: 2 * a / b), "MLPClassifier: the wrong way"),
        (libraries(elastic=lambda a, n, b: 2 * a), "off by a factor"),
        (libraries(elastic=lambda a, n, b: a / 2), "off by a factor"),
        (libraries(elastic=lambda a, n, b: n * a), "that of Ridge"),
        (libraries(elastic=lambda a, n, b: 7.0), NONE_KNOWN),
    ],
    "search": [
        (counted(lambda budget, layers: budget // layers), "one after the other"),
        (counted(lambda budget, layers: budget ** (1 / layers)), "a whole one"),
        (counted(lambda budget, layers: round(budget ** (1 / layers))), "more networks"),
        (counted(lambda budget, layers: math.ceil(budget ** (1 / layers))), "more networks"),
        (counted(lambda budget, layers: budget), "more networks"),
        (counted(lambda budget, layers: int(budget ** (1 / layers))), "one alpha more"),
        (stepped(lambda k, low, high: np.linspace(low, high, k)[1]), "equal steps"),
        (stepped(lambda k, low, high: low + (high - low) / k), "equal steps"),
        (
            stepped(lambda k, low, high: np.geomspace(low, high, k, endpoint=False)[1]),
            "one alpha short",
        ),
        (stepped(lambda k, low, high: np.logspace(low, high, k)[1]), "takes exponents"),
        (
            stepped(lambda k, low, high: np.linspace(np.log10(low), np.log10(high), k)[1]),
            "an exponent",
        ),
        (stepped(lambda k, low, high: np.logspace(np.log(low), np.log(high), k)[1]), "two bases"),
        (stepped(lambda k, low, high: np.geomspace(low, high, k)[-2]), "strong end"),
        (stepped(lambda k, low, high: 5.0), NONE_KNOWN),
    ],
    "shrunk": [
        (lambda *study: shrunk(*study)[::-1], "changed places"),
        (lambda a, w, noise, n: shrunk(a / n, w, noise, n), "beside a sum"),
        (lambda a, w, noise, n: shrunk(a / 2, w, noise, n), "off by a factor"),
        (lambda a, w, noise, n: shrunk(2 * a, w, noise, n), "off by a factor"),
        (parts(bias=lambda a, w, noise, n: (w / (1 + a)) ** 2), "what is left"),
        (parts(bias=lambda a, w, noise, n: w / (1 + a) - w), "not squared"),
        (parts(bias=lambda *study: 0), "least squares has no bias"),
        (parts(bias=lambda *study: sum(shrunk(*study))), "the whole error"),
        (parts(variance=lambda a, w, noise, n: noise**2 / n), "that of least squares"),
        (parts(variance=lambda a, w, noise, n: noise**2 / n / (1 + a)), "its unit is another"),
        (parts(variance=lambda a, w, noise, n: noise**2 / (1 + a) ** 2), "more examples"),
        (parts(variance=lambda *study: shrunk(*study)[1] ** 0.5), "standard deviation"),
        (
            parts(variance=lambda a, w, noise, n: shrunk(a, w, noise, n)[1] + noise**2),
            "noise of a new target",
        ),
        (parts(bias=lambda *study: 9), NONE_KNOWN),
    ],
}

GIVEN_AWAY = {
    "price": r"\*\*|²|difference|minus|/|squared",
    "order": r"\blast\b|later|0\.\d|overwrit",
    "units": r"²|\*|/|\bdivide|\bmultipl|stays",
    "pick": r"validation|paired|student|difference|\bt\b|n ?[-−] ?1",
    "libraries": r"²|[*·/]|\b2\b|twice|cancel|invers",
    "search": r"root|\*\*|\^|power|geom|log10|/",
    "shrunk": r"²|\*\*|/|1 \+|square of",
}
