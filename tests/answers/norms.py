"""Right and wrong answers to the exercises of the chapter on the norms."""

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, Ridge, lars_path
from torch.distributions import Laplace, Normal
from torch.nn.functional import softshrink

import smallweights as sw
from smallweights.exercises import WRONG as NONE_KNOWN


def of_torch(w, l1, l2):
    w = torch.tensor(w, requires_grad=True)
    sw.ElasticNet(l1, l2).value(w).backward()
    return w.grad


def one_by_one(w, lr, alpha):
    after = []
    for weight in w:
        pull = min(lr * alpha, abs(weight))
        after.append(weight - pull if weight > 0 else weight + pull)
    return after


def soft(w, threshold):
    return np.maximum(w - threshold, 0) - np.maximum(-w - threshold, 0)


def taken_by(optimizer, w, decay=0.0, alpha=0.0):
    weight = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    steps = optimizer([weight], weight_decay=decay)
    (alpha * weight.square()).backward()
    steps.step()
    return w - weight.item()


def by_optimizers(w, lr, alpha):
    def sgd(weights, weight_decay):
        return torch.optim.SGD(weights, lr, weight_decay=weight_decay)

    def adam(weights, weight_decay):
        return torch.optim.Adam(weights, lr, weight_decay=weight_decay)

    def adamw(weights, weight_decay):
        return torch.optim.AdamW(weights, lr, weight_decay=weight_decay)

    return (
        taken_by(sgd, w, decay=2 * alpha),
        taken_by(adam, w, alpha=alpha),
        taken_by(adamw, w, decay=2 * alpha),
    )


def ridge(X, y, strength, bias=True):
    model = Ridge(alpha=strength, fit_intercept=bias).fit(X, y)
    return [*model.coef_, model.intercept_]


def ridge_centred(X, y, alpha):
    inputs, targets = X - X.mean(0), y - y.mean()
    gram = inputs.T @ inputs / len(X) + alpha * np.eye(X.shape[1])
    w = np.linalg.inv(gram) @ (inputs.T @ targets) / len(X)
    return np.append(w, y.mean() - X.mean(0) @ w)


def ridge_by_search(X, y, alpha):
    def loss(w):
        return ((X @ w[:-1] + w[-1] - y) ** 2).mean() + alpha * (w[:-1] ** 2).sum()

    return minimize(loss, np.zeros(X.shape[1] + 1), tol=1e-9).x


def ridge_with_ones(X, y, strength):
    return ridge(np.column_stack([X, np.ones(len(X))]), y, strength, bias=False)[:-1]


def least_squares(X, y):
    model = LinearRegression().fit(X, y)
    return [*model.coef_, model.intercept_]


def by_log_posterior(noise, scale, n):
    """The strength that makes loss + L1 rise as the log posterior of some weights falls."""
    x, w = torch.linspace(-1, 1, 2 * n).double().reshape(n, 2), torch.tensor([0.4, -1.3]).double()
    y = x.sum(1)

    def log_posterior(w):
        return Normal(x @ w, noise).log_prob(y).sum() + Laplace(0, scale).log_prob(w).sum()

    def loss(w):
        return (y - x @ w).square().mean()

    fall = 2 * noise**2 / n * (log_posterior(0 * w) - log_posterior(w))
    return (fall - (loss(w) - loss(0 * w))) / w.abs().sum()


def rank_one(norm, layers, length):
    """The output's length in a network whose layers pass on one direction and nothing else."""
    x, weight = torch.zeros(4), torch.zeros(4, 4)
    x[0], weight[0, 0] = length, norm / layers**0.5
    for _ in range(layers):
        x = torch.relu(weight @ x)
    return x.norm()


def by_ascent(norm, layers, length):
    """The longest output that is found by turning the weights, their norm kept."""
    start = np.random.default_rng(1).uniform(size=(layers, 3, 3))
    w = torch.tensor(start, requires_grad=True)
    for _ in range(100):
        x = torch.tensor([length, 0.0, 0.0], dtype=torch.float64)
        for weight in w * norm / w.norm():
            x = torch.relu(weight @ x)
        (slope,) = torch.autograd.grad(x.norm().log(), w)
        w = (w / w.norm() + 0.3 * slope / slope.norm().clamp_min(1)).detach().requires_grad_()
    return x.norm().item()


RIGHT = {
    "gradient": [
        lambda w, l1, l2: l1 * np.sign(w) + 2 * l2 * w,
        lambda w, l1, l2: np.where(w == 0, 0, np.where(w > 0, l1, -l1) + 2 * l2 * w),
        lambda w, l1, l2: sw.ElasticNet(l1, l2).grad(torch.tensor(w).float()),
        of_torch,
    ],
    "soft": [
        lambda w, lr, alpha: np.sign(w) * np.maximum(np.abs(w) - lr * alpha, 0),
        lambda w, lr, alpha: np.where(np.abs(w) <= lr * alpha, 0, w - lr * alpha * np.sign(w)),
        lambda w, lr, alpha: w - np.clip(w, -lr * alpha, lr * alpha),
        lambda w, lr, alpha: softshrink(torch.tensor(w), lr * alpha),
        lambda w, lr, alpha: sw.L1(alpha).prox(torch.as_tensor(w), lr),
        one_by_one,
    ],
    "step": [
        lambda w, lr, alpha: (2 * lr * alpha * w, lr, 2 * lr * alpha * w),
        lambda w, lr, alpha: [w - (1 - 2 * lr * alpha) * w, lr * np.sign(w), lr * 2 * alpha * w],
        by_optimizers,
    ],
    "ridge": [
        lambda X, y, alpha: ridge(X, y, len(X) * alpha),
        ridge_centred,
        ridge_by_search,
    ],
    "last": [
        lambda X, y: max(abs(2 * X.T @ y / len(y))),
        lambda X, y: 2 * np.linalg.norm(X.T @ y, np.inf) / len(X),
        lambda X, y: 2 * lars_path(X, y, method="lasso")[0][0],
    ],
    "prior": [
        lambda noise, scale, n: 2 * noise**2 / (n * scale),
        lambda noise, scale, n: (1 / scale) / (n / (2 * noise**2)),
        by_log_posterior,
    ],
    "capacity": [
        lambda norm, layers, length: (norm / layers**0.5) ** layers * length,
        lambda norm, layers, length: np.sqrt((norm**2 / layers) ** layers) * length,
        rank_one,
        by_ascent,
    ],
}

WRONG = {
    "gradient": [
        (lambda w, l1, l2: l1 + 2 * l2 * w, "L1 part has no sign"),
        (lambda w, l1, l2: l1 * np.sign(w) + 2 * l2 * abs(w), "L2 part has lost the signs"),
        (lambda w, l1, l2: l1 + 2 * l2 * abs(w), "L2 part has lost the signs"),
        (lambda w, l1, l2: np.where(w >= 0, l1, -l1) + 2 * l2 * w, "exactly zero"),
        (lambda w, l1, l2: np.where(w > 0, l1, -l1) + 2 * l2 * w, "exactly zero"),
        (lambda w, l1, l2: l1 * np.sign(w) + l2 * w, "a half in front"),
        (lambda w, l1, l2: l1 * abs(w) + l2 * w * w, "costs"),
        (lambda w, l1, l2: -l1 * np.sign(w) - 2 * l2 * w, "where the penalty falls"),
        (lambda w, l1, l2: l1 * np.sign(w), "one of the two terms"),
        (lambda w, l1, l2: 2 * l2 * w, "one of the two terms"),
        (lambda w, l1, l2: np.sign(w), NONE_KNOWN),
    ],
    "soft": [
        (lambda w, lr, alpha: w - lr * alpha * np.sign(w), "leaps across zero"),
        (lambda w, lr, alpha: np.where(abs(w) < lr * alpha, 0, w), "keep the others whole"),
        (lambda w, lr, alpha: np.maximum(w - lr * alpha, 0), "all negative weights"),
        (lambda w, lr, alpha: w - lr * alpha, "move away from zero"),
        (lambda w, lr, alpha: np.where(abs(w) < lr * alpha, 0, w - lr * alpha), "move away"),
        (lambda w, lr, alpha: np.maximum(abs(w) - lr * alpha, 0), "without their signs"),
        (lambda w, lr, alpha: soft(w, alpha), "has no say"),
        (lambda w, lr, alpha: soft(w, lr), "has no say"),
        (lambda w, lr, alpha: soft(w, 2 * lr * alpha), "too long"),
        (lambda w, lr, alpha: w * (1 - lr * alpha), "the same share"),
        (lambda w, lr, alpha: w / (1 + 2 * lr * alpha), "the same share"),
    ],
    "step": [
        (lambda w, lr, alpha: [w * (1 - 2 * lr * alpha), w - lr, w], "after the step"),
        (lambda w, lr, alpha: [-2 * lr * alpha * w, -lr, -2 * lr * alpha * w], "the sign"),
        (lambda w, lr, alpha: (2 * alpha * w, lr, 2 * alpha * w), "SGD: this is the gradient"),
        (lambda w, lr, alpha: (lr * alpha * w, lr, lr * alpha * w), "SGD: half of it"),
        (lambda w, lr, alpha: (lr * alpha, lr, lr * alpha), "SGD: this is what an L1"),
        (lambda w, lr, alpha: [2 * lr * alpha * w] * 3, "Adam: you let it step"),
        (
            lambda w, lr, alpha: (2 * lr * alpha * w, lr * alpha, 2 * lr * alpha * w),
            "Adam: alpha is still",
        ),
        (lambda w, lr, alpha: (2 * lr * alpha * w, 0, 2 * lr * alpha * w), "Adam: the loss has no"),
        (lambda w, lr, alpha: (2 * lr * alpha * w, lr, lr), "AdamW: you sent"),
        (lambda w, lr, alpha: (2 * lr * alpha * w, lr, lr * alpha * w), "AdamW: mind"),
        (lambda w, lr, alpha: (2 * lr * alpha * w, lr, 2 * alpha * w), "AdamW: the learning rate"),
        (lambda w, lr, alpha: (w, w, w), NONE_KNOWN),
    ],
    "ridge": [
        (lambda X, y, alpha: ridge_with_ones(X, y, len(X) * alpha), "includes the bias"),
        (lambda X, y, alpha: ridge_with_ones(X, y, alpha), "includes the bias"),
        (lambda X, y, alpha: ridge(X, y, alpha), "is the book's loss a sum"),
        (lambda X, y, alpha: ridge(X, y, len(X) ** 2 * alpha), "wrong way round"),
        (lambda X, y, alpha: ridge(X, y, len(X) * alpha / 2), "factor of two"),
        (lambda X, y, alpha: ridge(X, y, 2 * len(X) * alpha), "factor of two"),
        (lambda X, y, alpha: least_squares(X, y), "least squares"),
        (lambda X, y, alpha: ridge(X, y, len(X) * alpha, bias=False), "through the origin"),
        (lambda X, y, alpha: [*ridge_centred(X, y, alpha)[:-1], y.mean()], "mean of the targets"),
        (lambda X, y, alpha: np.roll(ridge_centred(X, y, alpha), 1), "another order"),
    ],
    "last": [
        (lambda X, y: abs(X.T @ y).max() / len(X), "factor of two"),
        (lambda X, y: lars_path(X, y, method="lasso")[0][0], "factor of two"),
        (lambda X, y: 2 * abs(X.T @ y).max(), "loss that is a sum"),
        (lambda X, y: 2 * (X.T @ y).max() / len(X), "signs"),
        (lambda X, y: 2 * abs(X.T @ y).min() / len(X), "pulls least"),
        (lambda X, y: 2 * abs(X.T @ y).sum() / len(X), "by itself"),
        (lambda X, y: 2 * np.linalg.norm(X.T @ y) / len(X), "by itself"),
        (lambda X, y: abs(np.linalg.inv(X.T @ X) @ X.T @ y).max(), "size of a weight"),
        (lambda X, y: 1.0, NONE_KNOWN),
    ],
    "prior": [
        (lambda noise, scale, n: noise**2 / (n * scale**2), "Gaussian"),
        (lambda noise, scale, n: 2 * noise**2 / scale, "a sum"),
        (lambda noise, scale, n: 1 / scale, "a sum"),
        (lambda noise, scale, n: noise**2 / (n * scale), "constant factor"),
        (lambda noise, scale, n: 1 / (n * scale), "classifier"),
        (lambda noise, scale, n: 2 * noise / (n * scale), "unit"),
        (lambda noise, scale, n: n * scale / (2 * noise**2), "upside down"),
        (lambda noise, scale, n: 2 * noise**2 * n / scale, "count less"),
        (lambda noise, scale, n: noise, NONE_KNOWN),
    ],
    "capacity": [
        (lambda norm, layers, length: norm**layers * length, "the whole norm"),
        (lambda norm, layers, length: (norm / layers) ** layers * length, "as if norms added up"),
        (lambda norm, layers, length: norm * length, "one layer"),
        (lambda norm, layers, length: layers * norm / layers**0.5 * length, "you added up"),
        (lambda norm, layers, length: (norm / layers**0.5) ** layers, "length has no say"),
        (lambda norm, layers, length: ((norm**2 / layers) ** layers) * length**2, "squared"),
        (lambda norm, layers, length: (norm**2 / layers) ** layers * length, "squared weights"),
        (lambda norm, layers, length: 1.0, NONE_KNOWN),
    ],
}

GIVEN_AWAY = {
    "gradient": r"\bsign\(|np\.|2 ?\*|twice|\b0\b|is zero there",
    "soft": r"lr ?[*·]|max|clip|subtract|times",
    "step": r"\b2\b|twice|one learning rate|cancel|1 −",
    "ridge": r"\beye\b|[*·]|centre|intercept|\bn\b|/",
    "last": r"absolute|max|largest|\babs|/|transpose",
    "prior": r"²|\*\*|/|variance|square",
    "capacity": r"√|root|\*\*|\^|/|power",
}
