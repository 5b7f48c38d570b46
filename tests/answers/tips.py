"""Right and wrong answers to the exercises of the chapter on the tips."""

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

import smallweights as sw
from smallweights.exercises import WRONG as NONE_KNOWN
from smallweights.statistics import differences

# lstm


def paid(lstm, of_input, of_recurrent):
    total = 0
    for name, w in lstm.named_parameters():
        if name.startswith("weight"):
            total += (of_input if "ih" in name else of_recurrent) * (w**2).sum()
    return total


def paid_by_the_book(lstm, of_input, of_recurrent):
    rules = {"weight_ih*": sw.L2(of_input), "weight_hh*": sw.L2(of_recurrent)}
    return sw.Penalize(rules).value(lstm)


def paid_by_gradient(lstm, of_input, of_recurrent):
    """What SGD's own decay takes off each weight, summed up against the weights."""
    before = {name: w.detach().clone() for name, w in lstm.named_parameters()}
    groups = []
    for name, w in lstm.named_parameters():
        w.grad = torch.zeros_like(w)
        decay = of_input if "_ih" in name else of_recurrent
        groups.append({"params": [w], "weight_decay": 2 * decay * (w.dim() > 1)})
    torch.optim.SGD(groups, lr=0.5).step()
    pairs = [(before[name], w.detach()) for name, w in lstm.named_parameters()]
    return sum(((old - new) * old).sum().item() for old, new in pairs)


def over(ih, hh, size=lambda w: (w**2).sum()):
    """An answer from the parameters whose names have these parts."""

    def answer(lstm, of_input, of_recurrent):
        named = list(lstm.named_parameters())
        first, second = (sum(size(w) for name, w in named if part in name) for part in (ih, hh))
        return of_input * first + of_recurrent * second

    return answer


# scale


def scale(train, validation, test):
    mean, s = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / s, (validation - mean) / s, (test - mean) / s


def scale_by_scikit_learn(*parts):
    scaler = StandardScaler().fit(parts[0])
    return [scaler.transform(part) for part in parts]


def scale_by_pandas(*parts):
    tables = [pd.DataFrame(part) for part in parts]
    center, spread = tables[0].mean(), tables[0].std(ddof=0)
    return [((table - center) / spread).to_numpy() for table in tables]


def scale_by_least_squares(*parts):
    """The line from the old numbers to the new is found from what the new ones shall be."""
    found = np.empty((3, *parts[0].shape))
    for j, column in enumerate(parts[0].T):
        centred = column - np.average(column)
        target = centred / np.linalg.norm(centred) * len(column) ** 0.5
        line = np.polynomial.Polynomial.fit(column, target, 1)
        for i, part in enumerate(parts):
            found[i, :, j] = line(part[:, j])
    return found


def scaled_by(*rows, scaler=StandardScaler):
    """An answer with a scaler fitted to the parts of these numbers."""

    def answer(*parts):
        fitted = scaler().fit(np.vstack([parts[row] for row in rows]))
        return [fitted.transform(part) for part in parts]

    return answer


def pandas_scaled(*parts):
    train, *_ = tables = [pd.DataFrame(part) for part in parts]
    return [((table - train.mean()) / train.std()).to_numpy() for table in tables]


# regret


def regret(runs, tried):
    held = runs.set_index("alpha").test_loss
    seen = runs.set_index("alpha").validation_loss
    pick = seen.loc[tried].idxmin()
    best = held.min()
    return 100 * (held[pick] / best - 1), 100 * (held[tried].min() / best - 1)


def regret_by_sorting(runs, tried):
    rows = [row for row in runs.itertuples() if row.alpha in tried]
    picked = sorted(rows, key=lambda row: row.validation_loss)[0].test_loss
    held = sorted(row.test_loss for row in rows)[0]
    lowest = sorted(runs.test_loss)[0]
    return (picked - lowest) / lowest * 100, (held - lowest) / lowest * 100


def regret_by_sum(runs, tried):
    """From its two parts: not tried, and not picked."""
    searched = runs[runs.alpha.isin(tried)]
    lowest, found = runs.test_loss.min(), searched.test_loss.min()
    picked = searched.test_loss[searched.validation_loss.idxmin()]
    not_tried, not_picked = (100 * (x / lowest) for x in (found - lowest, picked - found))
    return not_tried + not_picked, not_tried


def against(best, by="validation_loss", column="test_loss", second=None):
    """An answer that compares the pick with another loss."""

    def answer(runs, tried):
        table = runs.set_index("alpha")
        pick = table.loc[tried, by].idxmin()
        loss = best(table, tried)
        return 100 * (table[column][pick] / loss - 1), second or regret(runs, tried)[1]

    return answer


def lowest(table, tried):
    return table.test_loss.min()


# back


def back(w, b, mean, s, target_mean, target_s):
    weights = target_s * w / s
    return np.append(weights, target_mean + target_s * b - weights @ mean)


def predict(w, b, mean, s, target_mean, target_s):
    """What the model answers in the units of the file."""
    return lambda x: target_mean + target_s * (((x - mean) / s) @ w + b)


def back_by_trying(*model):
    """The bias is the answer at zero; a weight is how the answer moves by one unit."""
    answer = predict(*model)
    bias = answer(np.zeros(3))
    return [*(answer(row) - bias for row in np.eye(3)), bias]


def back_by_fitting(*model):
    x = np.random.default_rng(1).normal(size=(20, 3))
    line = LinearRegression().fit(x, predict(*model)(x))
    return [*line.coef_, line.intercept_]


def with_bias(bias):
    return lambda *model: np.append(back(*model)[:3], bias(*model))


def with_weights(weights):
    return lambda *model: np.append(weights(*model), back(*model)[3])


# start


def start(x, y, w, alpha):
    n, d = x.shape
    return np.linalg.solve(x.T @ x / n + alpha * np.eye(d), x.T @ y / n + alpha * w)


def start_by_ridge(x, y, w, alpha):
    change = Ridge(len(x) * alpha, fit_intercept=False).fit(x, y - x @ w)
    return w + change.coef_


def start_by_more_rows(x, y, w, alpha):
    pull = (len(x) * alpha) ** 0.5 * np.eye(3)
    return np.linalg.lstsq(np.vstack([x, pull]), np.append(y, pull @ w))[0]


def start_by_the_book(x, y, w, alpha):
    penalty = sw.L2(alpha).around(torch.as_tensor(w))

    def loss(v):
        v = torch.tensor(v, requires_grad=True)
        total = ((torch.as_tensor(x) @ v - torch.as_tensor(y)) ** 2).mean() + penalty.value(v)
        total.backward()
        return total.item(), v.grad.numpy()

    return minimize(loss, np.zeros(3), jac=True, options={"gtol": 1e-10}).x


def ridge(x, y, strength):
    return Ridge(strength, fit_intercept=False).fit(x, y).coef_


def least_squares(x, y):
    return np.linalg.lstsq(x, y)[0]


# rival


def rival(runs):
    def picks(width, rows):
        rows = rows[rows.width == width]
        return rows.loc[rows.groupby("seed").validation_loss.idxmin()].set_index("seed").test_error

    free, penalized = runs[runs.alpha == 0], runs[runs.alpha > 0]
    small, small_free = picks(16, penalized), picks(16, free)
    large, large_free = picks(256, penalized), picks(256, free)
    return (
        (small - large).mean(),
        (large_free - large).mean(),
        (small_free - large_free).mean(),
    )


def rival_by_the_book(runs):
    """By names of the rivals, as the page on width does it."""
    runs = runs.assign(rival=runs.width.astype(str) + np.where(runs.alpha > 0, " with", ""))
    picks = runs.loc[runs.groupby(["rival", "seed"]).validation_loss.idxmin()]
    pairs = [("16 with", "256 with"), ("256", "256 with"), ("16", "256")]
    gains = [differences(picks, "test_error", {"rival": a}, {"rival": b}) for a, b in pairs]
    return [gain.mean() for gain in gains]


def rival_by_loops(runs):
    def error(seed, width, penalized):
        rows = runs[(runs.seed == seed) & (runs.width == width) & ((runs.alpha > 0) == penalized)]
        return min(rows[["validation_loss", "test_error"]].itertuples(index=False)).test_error

    sides = [(16, True), (256, True), (256, False), (16, False)]
    means = [np.mean([error(seed, *side) for seed in set(runs.seed)]) for side in sides]
    small, large, large_free, small_free = means
    return small - large, large_free - large, small_free - large_free


def first(gain):
    """A right answer but for the first gain."""
    return lambda runs: (gain(runs), *rival(runs)[1:])


def picked(runs, width, by="validation_loss", column="test_error", above=0.0):
    rows = runs[(runs.width == width) & (runs.alpha > above)]
    return rows.loc[rows.groupby("seed")[by].idxmin()].set_index("seed")[column]


def free(runs, width):
    return runs[(runs.width == width) & (runs.alpha == 0)].set_index("seed").test_error


def between(**how):
    return lambda runs: (picked(runs, 16, **how) - picked(runs, 256, **how)).mean()


def shared(width):
    """Both sides at the alpha that one of them picked."""

    def gain(runs):
        chosen = picked(runs, width, column="alpha").reset_index().merge(runs)
        assert set(chosen.width) == {16, 256}
        sides = chosen.pivot(index="seed", columns="width", values="test_error")
        return (sides[16] - sides[256]).mean()

    return gain


def one_for_all(by):
    def gain(runs):
        means = runs[runs.alpha > 0].groupby(["width", "alpha"]).mean()
        small, large = (means.test_error[means.loc[[width]][by].idxmin()] for width in (16, 256))
        return small - large

    return gain


def usual(runs):
    return (free(runs, 16) - picked(runs, 256)).mean()


def averaged(runs):
    means = runs[runs.alpha > 0].groupby("width").test_error.mean()
    return means[16] - means[256]


RIGHT = {
    "lstm": [paid, paid_by_the_book, paid_by_gradient],
    "scale": [scale, scale_by_scikit_learn, scale_by_pandas, scale_by_least_squares],
    "regret": [regret, regret_by_sorting, regret_by_sum],
    "back": [back, back_by_trying, back_by_fitting],
    "start": [start, start_by_ridge, start_by_more_rows, start_by_the_book],
    "rival": [rival, rival_by_the_book, rival_by_loops],
}

WRONG = {
    "lstm": [
        (over("_ih", "_hh"), "includes the biases"),
        (over("ih_l", "hh_l"), "includes the biases"),
        (over("weight_hh", "weight_ih"), "changed places"),
        (over("weight_ih_l0", "weight_hh_l0"), "first layer"),
        (over("weight_ih", "weight_hh", lambda w: w.norm()), "unit of a weight"),
        (over("weight_ih", "weight_hh", lambda w: w.abs().sum()), "unit of a weight"),
        (over("weight_ih", "weight_hh", lambda w: (w**2).mean()), "means"),
        (over("weight_ih", "weight_hh", lambda w: (w**2).sum() / 2), "no half"),
        (lambda lstm, a, b: paid(lstm, a, a), "pay the same"),
        (lambda lstm, a, b: paid(lstm, b, b), "pay the same"),
        (lambda lstm, a, b: 1.0, NONE_KNOWN),
    ],
    "scale": [
        (lambda *parts: [StandardScaler().fit_transform(part) for part in parts], "by itself"),
        (scaled_by(0, 1, 2), "a leak"),
        (scaled_by(0, 1), "a leak"),
        (
            lambda train, *parts: [(x - train.mean(0)) / train.var(0) for x in (train, *parts)],
            "var",
        ),
        (lambda train, *parts: [x / train.std(0) for x in (train, *parts)], "still there"),
        (lambda train, *parts: [x - train.mean(0) for x in (train, *parts)], "centred"),
        (scaled_by(0, scaler=MinMaxScaler), "another scaler"),
        (
            lambda train, *parts: [(x - train.mean()) / train.std() for x in (train, *parts)],
            "all columns",
        ),
        (pandas_scaled, "nearly"),
        (scaled_by(0, scaler=RobustScaler), NONE_KNOWN),
        (lambda *parts: parts, NONE_KNOWN),
    ],
    "regret": [
        (against(lowest, by="test_loss"), "that it is judged by"),
        (against(lowest, by="train_loss"), "likes the weakest"),
        (lambda runs, tried: regret(runs, list(runs.alpha)), "did not pay for"),
        (against(lambda table, tried: table.test_loss[tried].min()), "the best that was tried"),
        (
            against(lambda table, tried: table.test_loss[table.validation_loss.idxmin()]),
            "a search of all",
        ),
        (against(lambda table, tried: table.test_loss.mean()), "a mean"),
        (
            against(
                lambda table, tried: table.validation_loss.min(),
                column="validation_loss",
            ),
            "done the choosing",
        ),
        (lambda *case: np.array(regret(*case)) / 100, "or a share of one"),
        (
            lambda runs, tried: np.array(regret(runs, tried)) * runs.test_loss.min() / 100,
            "or a share of one",
        ),
        (
            lambda *case: (100 - 100 / (1 + regret(*case)[0] / 100), regret(*case)[1]),
            "per cent of what",
        ),
        (lambda *case: (-regret(*case)[0], -regret(*case)[1]), "the sign"),
        (lambda *case: (regret(*case)[0], regret(*case)[0] - regret(*case)[1]), "other part"),
        (lambda *case: (regret(*case)[0], regret(*case)[0]), "once more"),
        (lambda *case: (1e3, 1e3), NONE_KNOWN),
    ],
    "back": [
        (with_weights(lambda w, b, mean, s, m, t: t * w * s), "millimetres"),
        (with_weights(lambda w, b, mean, s, m, t: w * s), "millimetres"),
        (lambda w, b, mean, s, m, t: [*(w / s), b - (w / s) @ mean], "standard deviations"),
        (lambda w, b, mean, s, m, t: [*w, b], "has no say"),
        (lambda w, b, mean, s, m, t: [*(t * w), m + t * b], "has no say"),
        (with_weights(lambda w, b, mean, s, m, t: w / (s * t)), "the wrong way"),
        (with_bias(lambda w, b, mean, s, m, t: b), "a mean patient"),
        (with_bias(lambda w, b, mean, s, m, t: t * b), "a mean patient"),
        (with_bias(lambda w, b, mean, s, m, t: m + t * b), "a mean patient"),
        (with_bias(lambda w, b, mean, s, m, t: m + t * (b + w @ (mean / s))), "the wrong side"),
        (with_bias(lambda w, b, mean, s, m, t: m + t * (b - w @ mean)), "in one unit"),
        (with_bias(lambda w, b, mean, s, m, t: m + t * b - (w / s) @ mean), "in one unit"),
        (with_bias(lambda w, b, mean, s, m, t: t * (b - w @ (mean / s))), "had a mean"),
        (with_bias(lambda w, b, mean, s, m, t: m + b - w @ (mean / s)), "still in standard"),
        (with_bias(lambda w, b, mean, s, m, t: m + b - t * w @ (mean / s)), "still in standard"),
        (with_bias(lambda *model: 1e6), NONE_KNOWN),
    ],
    "start": [
        (lambda x, y, w, alpha: ridge(x, y, len(x) * alpha), "pulls to zero"),
        (lambda x, y, w, alpha: start(x, y, w, alpha) - w, "how far"),
        (lambda x, y, w, alpha: w + ridge(x, y, len(x) * alpha), "on top of"),
        (lambda x, y, w, alpha: w + ridge(x, x @ w - y, len(x) * alpha), "away from the targets"),
        (lambda x, y, w, alpha: start(x, y, -w, alpha), "mirror"),
        (lambda x, y, w, alpha: start(x, y, w, alpha / len(x)), "beside a sum"),
        (lambda x, y, w, alpha: start(x, y, w, alpha / 2), "factor of two"),
        (lambda x, y, w, alpha: start(x, y, w, 2 * alpha), "factor of two"),
        (lambda x, y, w, alpha: least_squares(x, y), "only fit"),
        (lambda x, y, w, alpha: w, "never left"),
        (lambda x, y, w, alpha: (least_squares(x, y) + alpha * w) / (1 + alpha), "same share"),
        (lambda x, y, w, alpha: (1 - alpha) * least_squares(x, y) + alpha * w, "same share"),
        (lambda x, y, w, alpha: [9, 9, 9], NONE_KNOWN),
    ],
    "rival": [
        (first(usual), "two things differ"),
        (first(shared(256)), "the same alpha"),
        (first(shared(16)), "the same alpha"),
        (first(between(by="test_error")), "have seen the error"),
        (first(one_for_all("test_error")), "have seen the error"),
        (first(one_for_all("validation_loss")), "a search of its own"),
        (first(between(above=-1)), "have no penalty"),
        (first(averaged), "as if nobody"),
        (first(between(column="validation_loss")), "did the choosing"),
        (lambda runs: -np.array(rival(runs)), "the sign"),
        (lambda runs: rival(runs) * np.array([1, 1, -1]), "the sign"),
        (
            lambda runs: (
                rival(runs)[0],
                (free(runs, 16) - picked(runs, 16)).mean(),
                rival(runs)[2],
            ),
            "small network",
        ),
        (lambda runs: (rival(runs)[0], usual(runs), rival(runs)[2]), "the width changes"),
        (lambda runs: (*rival(runs)[:2], usual(runs)), "the third"),
        (lambda runs: (100, 100, 100), NONE_KNOWN),
    ],
}

GIVEN_AWAY = {
    "lstm": r"_ih|_hh|²|squar|\bdim\b",
    "scale": r"\btrain|subtract|\(|\bn\b",
    "regret": r"test_loss|idxmin|/|\*|minus|held-out",
    "back": r"[*·/]|\bdivid|\bmultipl|minus",
    "start": r"[*·/@]|\+|\bridge|residual|\badd",
    "rival": r"> 0|\b16\b|256|validation|minus",
}
