"""Conversions of alpha, each run: two libraries, one function, the same weights."""

import functools
import itertools
import math
import os
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import linear_model, neural_network

import smallweights as sw
from smallweights.convert import DECOUPLED, SETTINGS, convert, penalty_of, setting_for, table
from smallweights.train import _decay as decay

os.environ.setdefault("KERAS_BACKEND", "torch")

N, FEATURES = 60, 3


def squared_data():
    """Centred inputs without correlation: a few steps of gradient descent find the solution."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, FEATURES))
    x -= x.mean(0)
    x = np.linalg.qr(x)[0] * math.sqrt(N)
    y = x @ [1.0, -2.0, 0.5] + rng.normal(size=N)
    return x, y - y.mean()


def log_data():
    """Every input with its mirror image in the other class, so that no bias is needed."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(N // 2, FEATURES))
    y = (x @ [1.0, -1.0, 0.5] + rng.normal(size=N // 2) > 0).astype(float)
    return np.concatenate([x, -x]), np.concatenate([y, 1 - y])


DATA = {"squared": squared_data(), "log": log_data()}
STEPS_OF = {"squared": (0.3, 30), "log": (3.0, 250)}  # learning rate, steps


def examples_losses(outputs, y, loss):
    if loss == "squared":
        return (outputs - y).square()
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs, y, reduction="none")


REDUCE = {"mean": torch.mean, "half mean": lambda a: a.mean() / 2, "sum": torch.sum}
FACTOR = {"mean": 1, "half mean": 0.5, "sum": N}


# One function a library: the weights where it ends, at these strengths, on these data


def in_torch(loss, reduction, weight_decay):
    x, y = map(torch.as_tensor, DATA[loss])
    w = torch.zeros(FEATURES, dtype=torch.float64, requires_grad=True)
    lr, steps = STEPS_OF[loss]
    optimizer = torch.optim.SGD([w], lr=lr / FACTOR[reduction], weight_decay=weight_decay)
    for _ in range(steps):
        optimizer.zero_grad()
        REDUCE[reduction](examples_losses(x @ w, y, loss)).backward()
        optimizer.step()
    return w.detach().numpy()


def in_smallweights(loss, reduction, l1, l2):
    x, y = map(torch.as_tensor, DATA[loss])
    w, penalty = torch.zeros(FEATURES, dtype=torch.float64), sw.ElasticNet(l1, l2)
    lr, steps = STEPS_OF[loss]
    for _ in range(steps):
        w = w.detach().requires_grad_()
        examples_losses(x @ w, y, loss).mean().backward()
        w = penalty.prox(w.detach() - lr * w.grad, lr)
    return w.numpy()


def in_plain_decay(loss, reduction, alpha):
    x, y = map(torch.as_tensor, DATA[loss])
    w = torch.zeros(FEATURES, dtype=torch.float64, requires_grad=True)
    lr, steps = STEPS_OF[loss]
    optimizer = torch.optim.SGD([w], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        examples_losses(x @ w, y, loss).mean().backward()
        decay({"w": sw.L2(alpha)}, {"w": w}, lr)
        optimizer.step()
    return w.detach().numpy()


def in_skorch(loss, reduction, **strengths):
    import skorch

    class Criterion(torch.nn.Module):
        def forward(self, outputs, y):
            return REDUCE[reduction](examples_losses(outputs[:, 0], y, loss))

    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(FEATURES, 1, bias=False, dtype=torch.float64)
            torch.nn.init.zeros_(self.layer.weight)

        def forward(self, x):
            return self.layer(x)

    lr, steps = STEPS_OF[loss]
    net = skorch.NeuralNet(
        Linear,
        Criterion,
        optimizer=torch.optim.SGD,
        lr=lr / FACTOR[reduction],
        max_epochs=steps,
        batch_size=-1,
        train_split=None,
        verbose=0,
        **strengths,
    )
    return net.fit(*DATA[loss]).module_.layer.weight.detach().numpy()[0]


def in_optax(loss, reduction, weight_decay):
    import jax
    import optax

    with jax.enable_x64(True):
        x, y = map(jax.numpy.asarray, DATA[loss])
        reduce = {"mean": lambda a: a.mean(), "half mean": lambda a: a.mean() / 2}
        reduce |= {"sum": lambda a: a.sum()}

        def total(w):
            losses = {
                "squared": lambda: (x @ w - y) ** 2,
                "log": lambda: optax.sigmoid_binary_cross_entropy(x @ w, y),
            }
            return reduce[reduction](losses[loss]())

        lr, steps = STEPS_OF[loss]
        chain = optax.chain(
            optax.add_decayed_weights(weight_decay), optax.sgd(lr / FACTOR[reduction])
        )
        w = jax.numpy.zeros(FEATURES)
        state, slope = chain.init(w), jax.jit(jax.grad(total))
        for _ in range(steps):
            updates, state = chain.update(slope(w), state, w)
            w = optax.apply_updates(w, updates)
        return np.asarray(w)


def in_keras(regularizer):
    def solve(loss, reduction, **strengths):
        import keras

        keras.config.set_floatx("float64")
        layer = keras.layers.Dense(
            1,
            use_bias=False,
            dtype="float64",
            kernel_initializer="zeros",
            kernel_regularizer=getattr(keras.regularizers, regularizer)(**strengths),
        )
        model = keras.Sequential([keras.Input((FEATURES,), dtype="float64"), layer])
        lr, steps = STEPS_OF[loss]

        def losses(y, outputs):
            each = examples_losses(outputs.flatten(), y.flatten(), loss)
            return REDUCE[reduction](each) * torch.ones_like(each)  # Keras takes the mean of it

        model.compile(keras.optimizers.SGD(lr / FACTOR[reduction]), losses)
        x, y = map(torch.as_tensor, DATA[loss])
        for _ in range(steps):
            model.train_on_batch(x, y)
        return layer.kernel.value.detach().numpy()[:, 0]

    return solve


def in_scikit_learn(make):
    def solve(loss, reduction, **strengths):
        x, y = DATA[loss]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a solver that stops short of our tolerance
            fitted = make(**strengths).fit(x, y)
        weights = fitted.coefs_[0] if hasattr(fitted, "coefs_") else fitted.coef_
        return np.ravel(weights)

    return solve


LINEAR = {"fit_intercept": False, "tol": 1e-14, "max_iter": 100_000}
NEURAL = {"hidden_layer_sizes": (), "solver": "lbfgs", "tol": 1e-15, "max_iter": 5000}
SOLVERS = {
    "smallweights.ElasticNet": in_smallweights,
    "smallweights method='decay' (SGD)": in_plain_decay,
    "torch.optim.SGD": in_torch,
    "skorch.NeuralNet": in_skorch,
    "optax.add_decayed_weights": in_optax,
    **{f"keras.regularizers.{name}": in_keras(name) for name in ("L1", "L2", "L1L2")},
    "sklearn.linear_model.Ridge": in_scikit_learn(
        functools.partial(linear_model.Ridge, fit_intercept=False)
    ),
    "sklearn.linear_model.Lasso": in_scikit_learn(functools.partial(linear_model.Lasso, **LINEAR)),
    "sklearn.linear_model.ElasticNet": in_scikit_learn(
        functools.partial(linear_model.ElasticNet, **LINEAR)
    ),
    "sklearn.linear_model.SGDRegressor": in_scikit_learn(
        functools.partial(
            linear_model.SGDRegressor,
            penalty="elasticnet",
            fit_intercept=False,
            learning_rate="invscaling",
            eta0=0.02,
            power_t=0.6,
            tol=None,
            max_iter=10_000,
            random_state=0,
        )
    ),
    "sklearn.linear_model.LogisticRegression": in_scikit_learn(
        functools.partial(
            linear_model.LogisticRegression,
            solver="saga",
            random_state=0,
            **LINEAR,
        )
    ),
    "sklearn.neural_network.MLPRegressor": in_scikit_learn(
        functools.partial(neural_network.MLPRegressor, **NEURAL, max_fun=100_000)
    ),
    "sklearn.neural_network.MLPClassifier": in_scikit_learn(
        functools.partial(neural_network.MLPClassifier, **NEURAL, max_fun=100_000)
    ),
}
TOLERANCE = {  # where the solver stops
    "sklearn.linear_model.SGDRegressor": 3e-3,
    "sklearn.neural_network.MLPClassifier": 3e-5,
}

PENALTIES = {  # so strong that half or twice as much would show, so weak that no weight is zero
    "squared": {"L1": sw.L1(0.05), "L2": sw.L2(0.05), "both": sw.ElasticNet(0.05, 0.05)},
    "log": {"L1": sw.L1(0.01), "L2": sw.L2(0.05), "both": sw.ElasticNet(0.01, 0.05)},
}


@functools.cache
def solved(library, loss, reduction, strengths):
    return SOLVERS[library](loss, reduction, **dict(strengths))


def states(library, penalty):
    try:
        setting_for(library, penalty, n=N)
    except ValueError:
        return False
    return True


def pairs():
    """Every two libraries that can state the penalty, beside each loss of theirs."""
    for loss, kind, reduction in itertools.product(DATA, PENALTIES["log"], REDUCE):
        able = [
            name
            for name in SOLVERS
            if SETTINGS[name].loss in (loss, "") and states(name, PENALTIES[loss][kind])
        ]
        for pair in itertools.permutations(able, 2):
            if reduction == "mean" or any(not SETTINGS[name].scale for name in pair):
                yield pytest.param(
                    *pair, loss, kind, reduction, id="-".join([*pair, loss, kind, reduction])
                )


@pytest.mark.parametrize(("source", "target", "loss", "kind", "reduction"), list(pairs()))
def test_the_converted_setting_ends_at_the_same_weights(source, target, loss, kind, reduction):
    how = {"n": N, "reduction": reduction}
    given = setting_for(source, PENALTIES[loss][kind], **how)
    converted = convert(source, given, target, **how)
    one, other = (
        solved(library, loss, reduction, tuple(strengths.items()))
        for library, strengths in ((source, given), (target, converted))
    )
    tolerance = max(TOLERANCE.get(name, 1e-6) for name in (source, target))
    np.testing.assert_allclose(other, one, atol=tolerance)


@pytest.mark.parametrize("reduction", REDUCE)
@pytest.mark.parametrize("loss", DATA)
def test_adam_with_an_l2_penalty_rests_where_sgd_does(loss, reduction):
    how = {"n": N, "reduction": reduction}
    strengths = setting_for("torch.optim.Adam", PENALTIES[loss]["L2"], **how)
    sgd = tuple(setting_for("torch.optim.SGD", PENALTIES[loss]["L2"], **how).items())
    w = torch.tensor(solved("torch.optim.SGD", loss, reduction, sgd), requires_grad=True)
    rest, (x, y) = w.detach().clone(), map(torch.as_tensor, DATA[loss])
    adam = torch.optim.Adam([w], lr=0.01, eps=1e-3, **strengths)
    REDUCE[reduction](examples_losses(x @ w, y, loss)).backward()
    adam.step()
    assert (w - rest).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("network", "loss", "factor"),
    [("MLPRegressor", "squared", 0.5), ("MLPClassifier", "log", 1)],  # the factor of the loss
)
def test_a_step_on_a_part_of_the_examples_takes_the_number_of_the_part(network, loss, factor):
    """scikit-learn's networks divide their penalty by the examples of the step."""
    batch, lr, name = 20, 0.05, f"sklearn.neural_network.{network}"
    x, y = (part[20 : 20 + batch] for part in DATA[loss])
    net = getattr(neural_network, network)(hidden_layer_sizes=(), solver="sgd")
    net.set_params(alpha=3.0, momentum=0, learning_rate_init=lr, batch_size=batch)
    net.partial_fit(x, y, **({"classes": [0, 1]} if loss == "log" else {}))
    w = torch.tensor(net.coefs_[0][:, 0], requires_grad=True)
    b = torch.tensor(net.intercepts_[0], requires_grad=True)
    weight_decay = convert(name, {"alpha": 3.0}, "torch.optim.SGD", n=N, batch=batch)
    groups = [{"params": [w], **weight_decay}, {"params": [b]}]
    examples_losses(torch.as_tensor(x) @ w + b, torch.as_tensor(y), loss).mean().backward()
    torch.optim.SGD(groups, lr=lr * factor).step()
    np.testing.assert_allclose(w.detach(), net.partial_fit(x, y).coefs_[0][:, 0], atol=1e-14)


# Decoupled decays: the same steps


def by_torch(weight_decay, slopes, start, lr):
    w = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.AdamW([w], lr=lr, weight_decay=weight_decay, eps=1e-16)
    for slope in slopes:
        w.grad = torch.tensor(slope)
        optimizer.step()
    return w.detach().numpy()


def by_optax(weight_decay, slopes, start, lr):
    import jax
    import optax

    with jax.enable_x64(True):
        optimizer = optax.adamw(lr, weight_decay=weight_decay, eps=1e-16)
        w = jax.numpy.asarray(start)
        state = optimizer.init(w)
        for slope in slopes:
            updates, state = optimizer.update(jax.numpy.asarray(slope), state, w)
            w = optax.apply_updates(w, updates)
        return np.asarray(w)


def by_keras(weight_decay, slopes, start, lr):
    import keras

    keras.config.set_floatx("float64")
    optimizer = keras.optimizers.AdamW(lr, weight_decay=weight_decay, epsilon=1e-16)
    w = keras.Variable(start, dtype="float64")
    for slope in slopes:
        optimizer.apply([torch.tensor(slope)], [w])
    return w.value.detach().numpy()


def by_smallweights(alpha, slopes, start, lr):
    w = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.Adam([w], lr=lr, eps=1e-16)
    for slope in slopes:
        w.grad = torch.tensor(slope)
        decay({"w": sw.L2(alpha)}, {"w": w}, lr)
        optimizer.step()
    return w.detach().numpy()


STEPPERS = {
    "smallweights method='decay' (Adam)": by_smallweights,
    "torch.optim.AdamW": by_torch,
    "optax.adamw": by_optax,
    "keras.optimizers.AdamW": by_keras,
}


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(DECOUPLED, 2)))
def test_a_converted_decay_takes_the_same_steps(source, target):
    rng = np.random.default_rng(2)
    slopes, start = rng.normal(size=(20, 4)), rng.normal(size=4)
    strengths = {DECOUPLED[source][0]: 0.8}
    converted = convert(source, strengths, target)
    one = STEPPERS[source](**strengths, slopes=slopes, start=start, lr=0.05)
    other = STEPPERS[target](**converted, slopes=slopes, start=start, lr=0.05)
    np.testing.assert_allclose(other, one, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "target"),
    [("torch.optim.AdamW", "torch.optim.Adam"), ("torch.optim.Adam", "optax.adamw")],
)
def test_a_decay_and_a_penalty_have_no_conversion_and_the_error_says_why(source, target):
    with pytest.raises(ValueError, match=r"no setting in common\. A decoupled decay multiplies"):
        convert(source, {"weight_decay": 0.1}, target)


# Laws, and what is refused

strength = st.floats(1e-6, 1e3)
SHARING = [name for name in SETTINGS if states(name, sw.ElasticNet(0.1, 0.2))]


@given(strength, strength, st.sampled_from(SHARING), st.integers(1, 10**6), st.integers(1, 10**4))
def test_there_and_back_is_the_same_penalty(l1, l2, name, n, batch):
    how = {"n": n, "batch": batch, "reduction": "sum"}
    back = penalty_of(name, setting_for(name, sw.ElasticNet(l1, l2), **how), **how)
    assert (back.l1, back.l2) == pytest.approx((l1, l2), rel=1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_no_penalty_stays_no_penalty(name):
    strengths = setting_for(name, sw.ElasticNet(0.0, 0.0), n=N)
    assert penalty_of(name, strengths, n=N) == sw.ElasticNet(0.0, 0.0)


@pytest.mark.parametrize("name", ["ElasticNet", "LogisticRegression"])
def test_a_share_that_is_left_out_is_the_library_s_own(name):
    model, strength = getattr(linear_model, name)(), {"C" if name[0] == "L" else "alpha": 0.1}
    call = {"source": f"sklearn.linear_model.{name}", "target": "smallweights.ElasticNet", "n": 9}
    stated = strength | {"l1_ratio": model.get_params()["l1_ratio"]}
    assert convert(strengths=strength, **call) == convert(strengths=stated, **call)


def test_the_table_lists_every_library_that_has_a_penalty():
    assert table().library.tolist() == list(SETTINGS)


RIDGE, LOGISTIC = "sklearn.linear_model.Ridge", "sklearn.linear_model.LogisticRegression"
TORCH, KERAS = "torch.optim.SGD", "keras.regularizers.L1L2"


@pytest.mark.parametrize(
    ("source", "strengths", "target", "options", "message"),
    [
        ("Ridge", {"alpha": 1}, TORCH, {}, "No conversion is known for 'Ridge': expected one of"),
        (RIDGE, {"alpha": 1}, TORCH, {}, "so the number of examples counts: give n"),
        (RIDGE, {"alpha": 1}, TORCH, {"n": 0}, "got n=0"),
        (RIDGE, {"alpha": 1}, TORCH, {"n": 2.5}, "got n=2.5"),
        (
            RIDGE,
            {"alpha": 1},
            TORCH,
            {"n": 9, "reduction": "max"},
            "mean, half mean, sum; got 'max'",
        ),
        (RIDGE, {"alpha": -1}, TORCH, {"n": 9}, "alpha must be a finite number >= 0"),
        (RIDGE, {"alpha": math.nan}, TORCH, {"n": 9}, "alpha must be a finite number >= 0"),
        (RIDGE, {"lambda": 1}, TORCH, {"n": 9}, "Ridge is set by alpha; got lambda"),
        (RIDGE, {}, TORCH, {"n": 9}, "Ridge is set by alpha; got nothing"),
        (RIDGE, {"alpha": 1}, LOGISTIC, {"n": 9}, "Ridge a squared loss and .* a log loss"),
        (LOGISTIC, {"C": 0}, TORCH, {"n": 9}, "C must be a number > 0"),
        (LOGISTIC, {"C": 1, "l1_ratio": 2}, TORCH, {"n": 9}, r"l1_ratio must lie in \[0, 1\]"),
        (KERAS, {"l1": 0.1, "l2": 0.1}, TORCH, {}, "cannot state .*: it has ½·weight_decay"),
    ],
)
def test_the_error_says_what_was_expected(source, strengths, target, options, message):
    with pytest.raises(ValueError, match=message):
        convert(source, strengths, target, **options)


@pytest.mark.parametrize("penalty", [sw.Exponential(0.1), sw.L2(torch.tensor([0.1, 0.2]))])
def test_a_penalty_that_no_library_states_is_refused(penalty):
    with pytest.raises(ValueError, match="L1, L2 or ElasticNet whose strengths are numbers; got"):
        setting_for(RIDGE, penalty, n=N)


def test_a_decay_is_no_penalty():
    with pytest.raises(ValueError, match=r"AdamW and a penalty have no setting in comm"):
        penalty_of("torch.optim.AdamW", {"weight_decay": 0.1})
