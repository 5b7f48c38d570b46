"""Training against scikit-learn's linear models, torch's own optimizers and a plain loop."""

import copy
import re
import sys
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet as SkElasticNet
from sklearn.linear_model import Lasso, Ridge
from torch import nn
from torch.nn import functional

import smallweights
from smallweights import (
    L1,
    L2,
    MLP,
    Dataset,
    DivergedError,
    Exponential,
    Penalize,
    Training,
    load,
    split,
    two_moons,
)
from smallweights.train import find_device

fit = partial(smallweights.fit, device="cpu")  # where the oracles compute
F64 = torch.float64
PARTS = ("train", "validation", "test")


def diabetes():
    """Diabetes with the target in units of its standard deviation."""
    raw = load("diabetes")
    return split(Dataset(raw.x, raw.y / 77, "regression"), train=400, dtype=F64)


def digits(**options):
    return split(load("digits"), train=40, validation=40, test=100, dtype=F64, **options)


def digits_network():
    return MLP((64, 8, 10), dtype=F64)


def weights_of(model):
    return [parameter.detach() for parameter in model.parameters()]


def assert_same_weights(one, other, tolerance=1e-12):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# A linear network is ridge regression, the lasso or the elastic net.

ALPHA, SHARE = 0.05, 0.7
TO_CONVERGENCE = {"lr": 0.1, "optimizer": "sgd", "momentum": 0.9, "record": 10_000}
LINEAR = {
    # n · mean loss + n·alpha·Σw²
    "ridge": (L2(ALPHA), Ridge(alpha=400 * ALPHA), "penalty"),
    "ridge by prox": (L2(ALPHA), Ridge(alpha=400 * ALPHA), "prox"),
    # mean loss / 2 + alpha/2·Σ|w|
    "lasso": (L1(ALPHA), Lasso(alpha=ALPHA / 2, tol=1e-12, max_iter=100_000), "prox"),
    "elastic net": (
        L1(2 * ALPHA * SHARE) + L2(ALPHA * (1 - SHARE)),
        SkElasticNet(alpha=ALPHA, l1_ratio=SHARE, tol=1e-12, max_iter=100_000),
        "prox",
    ),
}


@pytest.mark.parametrize(("penalty", "oracle", "method"), LINEAR.values(), ids=LINEAR.keys())
def test_a_linear_network_is_scikit_learns_linear_model(penalty, oracle, method):
    data = diabetes()
    trained = fit(
        MLP((10, 1), dtype=F64), data, penalty, Training(1000, method=method, **TO_CONVERGENCE)
    )
    oracle.fit(data.train.x.numpy(), data.train.y.numpy().ravel())
    layer = trained.model.layers[0]
    np.testing.assert_allclose(layer.weight.detach()[0], oracle.coef_.ravel(), atol=1e-6)
    np.testing.assert_allclose(layer.bias.item(), oracle.intercept_, atol=1e-6)
    zeros = (layer.weight.detach()[0] == 0).numpy()
    assert (zeros == (oracle.coef_.ravel() == 0)).all()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_proximal_step_solves_the_lasso_at_every_momentum(momentum):
    data = diabetes()
    training = Training(1500, 0.1 * (1 - momentum), "sgd", momentum, "prox", record=10_000)
    weight = fit(MLP((10, 1), dtype=F64), data, L1(0.3), training).model.layers[0].weight
    oracle = Lasso(alpha=0.15, tol=1e-12).fit(data.train.x.numpy(), data.train.y.numpy().ravel())
    np.testing.assert_allclose(weight.detach()[0], oracle.coef_, atol=1e-6)
    assert 0 < (weight == 0).sum() < 10


# The loop is PyTorch's.


def plain_loop(data, optimizer_of, alpha, steps):
    """Full-batch training as anyone would write it; alpha · Σw² on the weights in the loss."""
    start = digits_network()
    model = nn.Sequential(*start.layers[:1], nn.ReLU(), *start.layers[1:])
    matrices = [p for p in model.parameters() if p.dim() > 1]
    biases = [p for p in model.parameters() if p.dim() == 1]
    optimizer = optimizer_of(matrices, biases)
    for _ in range(steps):
        loss = functional.cross_entropy(model(data.train.x), data.train.y)
        loss = loss + alpha * sum((p**2).sum() for p in matrices)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def groups(optimizer, decay, **options):
    def make(matrices, biases):
        free = {"params": biases, "weight_decay": 0}
        return optimizer([{"params": matrices, "weight_decay": decay}, free], **options)

    return make


PLAIN = {
    "Adam": (Training(40, 0.01), groups(torch.optim.Adam, 0, lr=0.01), 0.02),
    "SGD": (Training(40, 0.1, "sgd"), groups(torch.optim.SGD, 2 * 0.02, lr=0.1), 0),
    "SGD with momentum": (
        Training(40, 0.1, "sgd", 0.9),
        groups(torch.optim.SGD, 2 * 0.02, lr=0.1, momentum=0.9),
        0,
    ),
    "AdamW": (
        Training(40, 0.01, method="decay"),
        groups(torch.optim.AdamW, 2 * 0.02, lr=0.01),
        0,
    ),
}


@pytest.mark.parametrize(("training", "optimizer", "in_loss"), PLAIN.values(), ids=PLAIN.keys())
def test_fit_with_l2_is_the_plain_loop_with_torchs_optimizer(training, optimizer, in_loss):
    data = digits()
    expected = plain_loop(data, optimizer, in_loss, 40)
    assert_same_weights(fit(digits_network(), data, L2(0.02), training).model, expected)


def test_mini_batches_are_what_the_loop_trains_on():
    data, training = digits(), Training(25, 0.1, "sgd", batch=16)
    trained = fit(digits_network(), data, None, training, seed=3)
    model = digits_network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for rows in training.batches(40, seed=3):
        optimizer.zero_grad()
        functional.cross_entropy(model(data.train.x[rows]), data.train.y[rows]).backward()
        optimizer.step()
    assert_same_weights(trained.model, model)


def test_rules_by_name_penalize_their_own_weights():
    data, start = digits(), digits_network()
    rules = Penalize({"layers.1.*": L1(0.5)})
    trained = fit(start, data, rules, Training(300, 0.1, "sgd", method="prox")).model
    assert not trained.layers[1].weight.any()
    assert trained.layers[0].weight.all()


@pytest.mark.parametrize("method", ["penalty", "prox", "decay"])
def test_a_penalty_of_zero_changes_nothing(method):
    data, training = digits(), Training(20, method=method)
    free = fit(digits_network(), data, None, training).model
    assert_same_weights(fit(digits_network(), data, Exponential(0), training).model, free, 0)


def test_the_same_call_gives_the_same_weights():
    data, training = digits(), Training(20, batch=8)
    one, same, other = (
        fit(digits_network(), data, L2(0.01), training, seed=seed).model for seed in (1, 1, 2)
    )
    assert_same_weights(one, same, 0)
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)


# The result.


def test_fit_leaves_the_network_passed_in_as_it_was():
    start = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)).double()
    before = copy.deepcopy(start.state_dict())
    trained = fit(start, digits(), L2(0.01), Training(5)).model
    assert all(torch.equal(before[name], now) for name, now in start.state_dict().items())
    assert all(p.grad is None for p in start.parameters())
    assert start.training
    assert trained[1].num_batches_tracked == 5


def test_frozen_weights_stay_as_they_are():
    start = digits_network()
    start.layers[0].requires_grad_(False)
    for method in ("penalty", "prox", "decay"):
        trained = fit(start, digits(), L1(0.1), Training(5, method=method)).model
        assert torch.equal(trained.layers[0].weight, start.layers[0].weight)
        assert not torch.equal(trained.layers[1].weight, start.layers[1].weight)


def test_scores_are_taken_without_dropout():
    data = digits()
    start = nn.Sequential(nn.Linear(64, 8), nn.Dropout(0.5), nn.Linear(8, 10)).double()
    trained = fit(start, data, None, Training(5))
    loss = functional.cross_entropy(trained.model(data.train.x), data.train.y)
    assert trained.history.train_loss.iloc[-1] == loss.item()
    assert not trained.model.training
    assert not trained.best.training


def test_the_history_has_a_row_for_each_recorded_step_with_scores_of_each_part():
    trained = fit(digits_network(), digits(), L2(0.01), Training(25, record=10))
    assert trained.history.step.tolist() == [0, 10, 20, 25]
    scores = [f"{part}_{score}" for part in PARTS for score in ("loss", "error")]
    assert trained.history.columns.tolist() == ["step", *scores, "penalty_value", "norm"]


def test_the_history_of_a_regression_has_losses_alone():
    trained = fit(MLP((10, 1), dtype=F64), diabetes(), None, Training(2))
    columns = ["step", "train_loss", "test_loss", "penalty_value", "norm"]
    assert trained.history.columns.tolist() == columns


def test_the_history_tells_the_truth_about_the_final_network():
    data = digits()
    trained = fit(digits_network(), data, L2(0.25), Training(25, record=10))
    last, matrices = trained.history.iloc[-1], [p for p in trained.model.parameters() if p.ndim > 1]
    for name in PARTS:
        part = getattr(data, name)
        outputs = trained.model(part.x)
        assert last[f"{name}_loss"] == functional.cross_entropy(outputs, part.y).item()
        wrong = (outputs.argmax(1) != part.y).sum().item()
        assert last[f"{name}_error"] == wrong / len(part.y)
    squares = sum((w.detach() ** 2).sum().item() for w in matrices)
    assert last.penalty_value == pytest.approx(0.25 * squares, rel=1e-12)
    assert last.norm == pytest.approx(squares**0.5, rel=1e-12)


def test_the_loss_of_a_regression_is_the_mean_squared_error_over_examples_and_targets():
    rng = np.random.default_rng(0)
    data = split(Dataset(rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), "regression"), 9)
    start = MLP((3, 2))
    loss = fit(start, data, None, Training(0)).history.train_loss[0]
    expected = (start(data.train.x) - data.train.y).square().sum().item() / 18
    assert loss == pytest.approx(expected, rel=1e-6)


def test_the_best_network_is_the_recorded_minimum_of_the_validation_loss():
    data = digits(label_noise=0.4)
    trained = fit(digits_network(), data, None, Training(300, 0.02, record=5))
    lowest = trained.history.loc[trained.history.validation_loss.idxmin()]
    assert 0 < trained.best_step == lowest.step < 300
    loss = functional.cross_entropy(trained.best(data.validation.x), data.validation.y)
    assert loss.item() == lowest.validation_loss
    expected = fit(digits_network(), data, None, Training(trained.best_step, 0.02)).model
    assert_same_weights(trained.best, expected, 0)


def test_without_validation_examples_there_is_no_best():
    trained = fit(MLP((10, 1), dtype=F64), diabetes(), None, Training(2))
    assert trained.best is None
    assert trained.best_step is None


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (Training(1), "penalty"),
        (Training(1, method="decay"), "decay"),
        (Training(1, optimizer="sgd", method="prox"), "prox"),
        (Training(1, method="prox"), "prox after Adam (a heuristic)"),
    ],
)
def test_the_result_says_how_the_penalty_entered(training, words):
    assert fit(digits_network(), digits(), L1(0.1), training).method == words


# Mini-batches and recorded steps.


@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 99))
def test_each_epoch_is_a_permutation(batch, per_epoch, seed):
    n, epochs = batch * per_epoch, 3
    rows = list(Training(epochs * per_epoch, batch=batch).batches(n, seed))
    for epoch in range(epochs):
        drawn = torch.cat(rows[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert sorted(drawn.tolist()) == list(range(n))


@given(st.integers(2, 30), st.data())
def test_the_last_shorter_batch_of_an_epoch_is_skipped(n, data):
    batch = data.draw(st.integers(1, n))
    rows = list(Training(2 * (n // batch), batch=batch).batches(n, 0))
    assert {len(r) for r in rows} == {batch}
    counts = Counter(torch.cat(rows[: n // batch]).tolist())
    assert set(counts.values()) == {1}


def test_the_order_of_mini_batches_is_drawn_anew_each_epoch_and_by_seed_alone():
    training = Training(4, batch=20)
    one, same, other = (
        [rows.tolist() for rows in training.batches(40, seed)] for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other
    assert one[:2] != one[2:]


def test_without_a_batch_size_every_step_takes_all_examples():
    assert [list(range(5))[rows] for rows in Training(3).batches(5, 0)] == [list(range(5))] * 3


def test_a_batch_of_more_than_all_examples_is_refused():
    with pytest.raises(ValueError, match=r"^batch=41 is more than the 40 training examples\.$"):
        fit(digits_network(), digits(), None, Training(1, batch=41))


@pytest.mark.parametrize(
    ("record", "steps"),
    [(4, [0, 4, 8, 10]), (5, [0, 5, 10]), (99, [0, 10]), ((7, 3, 3, 99), [0, 3, 7, 10])],
)
def test_the_first_and_the_last_step_are_always_recorded(record, steps):
    assert Training(10, record=record).recorded() == steps


# Progress and devices.


def test_progress_shows_a_bar_with_the_rate(capsys):
    fit(digits_network(), digits(), None, Training(7), progress=True)
    out, err = capsys.readouterr()
    assert "7/7" in err
    assert "step/s" in err
    assert out == ""


def test_nothing_is_printed_unless_asked_for(capsys):
    fit(digits_network(), digits(), None, Training(7))
    assert capsys.readouterr() == ("", "")


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    expected = "progress=True needs tqdm; install it with: pip install 'smallweights[full]'."
    with pytest.raises(ImportError, match=f"^{re.escape(expected)}$"):
        fit(digits_network(), digits(), None, Training(1), progress=True)


@pytest.mark.parametrize(
    ("cuda", "mps", "dtype", "place"),
    [
        (True, True, torch.float32, "cuda"),
        (False, True, torch.float32, "mps"),
        (False, True, torch.float64, "cpu"),
        (False, False, torch.float32, "cpu"),
    ],
)
def test_the_automatic_device_is_the_fastest_that_can_do_it(monkeypatch, cuda, mps, dtype, place):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert find_device("auto", dtype).type == place
    assert find_device("cpu", dtype).type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("method", ["penalty", "prox", "decay"])
def test_on_cuda_the_weights_are_those_of_the_cpu(method):
    data, training = digits(), Training(30, method=method, batch=16)
    there, here = (
        fit(digits_network(), data, L2(0.02), training, device=d).model for d in ("cuda", "cpu")
    )
    assert_same_weights(there.cpu(), here, 1e-9)


def test_wherever_a_network_was_trained_the_result_lies_on_the_cpu():
    trained = fit(digits_network(), digits(), L2(0.1), Training(3), device="auto")
    assert {p.device.type for p in trained.model.parameters()} == {"cpu"}


# Errors.


def diverging_step(data, lr):
    """The first step whose loss is not finite, by a plain loop."""
    model = MLP((10, 1), dtype=F64)
    optimizer = torch.optim.SGD(model.parameters(), lr)
    for step in range(10_000):
        loss = functional.mse_loss(model(data.train.x), data.train.y)
        if not loss.isfinite():
            return step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError("this training does not diverge")


@pytest.mark.parametrize("spare", [0, 1, 100], ids=["in the last step", "one before", "earlier"])
def test_a_training_that_diverges_says_where_and_suggests_why(spare):
    data = diabetes()
    step = diverging_step(data, lr=5.0)
    steps = step + spare
    expected = (
        f"Training diverged: the loss is inf at step {step} of {steps}. The usual reason is a"
        " learning rate that is too large (lr=5.0) for the data or for the penalty's alpha; try a"
        " tenth of it, and standardize the features."
    )
    with pytest.raises(DivergedError, match=f"^{re.escape(expected)}$"):
        fit(MLP((10, 1), dtype=F64), data, None, Training(steps, 5.0, "sgd"))


def test_a_penalty_too_strong_for_the_learning_rate_is_reported_as_divergence():
    with pytest.raises(DivergedError, match=r"too large \(lr=1\.0\) for the data or"):
        fit(MLP((10, 1), dtype=F64), diabetes(), L2(1e4), Training(500, 1.0, "sgd"))


MISMATCHES = {
    "dtype": (
        MLP((64, 10)),
        "The network computes in torch.float32 but the data are torch.float64; give both the same"
        " dtype (the dtype arguments of the network and of split).",
    ),
    "outputs": (
        MLP((64, 9), dtype=F64),
        "The data have 10 classes, so the network must answer (2, 10) for 2 inputs;"
        " it answers (2, 9).",
    ),
}


@pytest.mark.parametrize(("model", "message"), MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_network_that_does_not_match_the_data_is_refused(model, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fit(model, digits())


def test_a_network_without_parameters_is_refused():
    with pytest.raises(ValueError, match=r"^The network has no parameters to train\.$"):
        fit(nn.Identity(), digits())


def test_a_network_for_other_inputs_is_refused_with_the_shape_of_the_data():
    with pytest.raises(ValueError, match=r"^The network does not take inputs of shape \(n, 64\): "):
        fit(MLP((63, 10), dtype=F64), digits())


def test_a_network_for_other_targets_is_refused_with_their_shape():
    expected = (
        "The data have targets of shape (2, 1), so the network must answer (2, 1) for 2 inputs;"
        " it answers (2, 3)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        fit(MLP((10, 3), dtype=F64), diabetes())


def test_what_is_no_network_is_refused():
    expected = (
        f"model must be a torch.nn.Module; got {MLP!r}."
        " fit takes one network; fit_many takes a function that makes one for a seed."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        fit(MLP, digits())


def test_data_that_were_not_split_are_refused():
    expected = "data must be a Split; got Dataset. Make one: split(dataset, train=200)."
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        fit(MLP((2, 2)), two_moons(10))


def test_an_unknown_parameter_pattern_lists_the_networks_weights():
    expected = "Pattern 'lstm.*' matches no parameter. There are: layers.0.weight, layers.1.weight."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        fit(digits_network(), digits(), Penalize({"lstm.*": L2(1)}))


SETTINGS = {
    "steps must be an integer >= 0": {"steps": [-1, 1.5, True, "10"]},
    "lr must be a finite number > 0": {"lr": [0, -1, float("nan"), float("inf"), "0.1", None]},
    "optimizer must be 'adam' or 'sgd'": {"optimizer": ["Adam", None]},
    "momentum must lie in [0, 1)": {"momentum": [1, -0.1, float("nan"), "0.9"]},
    "momentum must be 0 with Adam, which has its own": {"momentum": [0.9]},
    "method must be 'penalty', 'prox' or 'decay'": {"method": ["L2", None]},
    "batch must be None or an integer >= 1": {"batch": [0, -1, 1.5, True]},
    "record must be an interval >= 1 or a list of steps >= 0": {
        "record": [0, -5, 1.5, [0, -1], [0.5], "all"]
    },
}
CASES = [(rule, name, v) for rule, bad in SETTINGS.items() for name, vs in bad.items() for v in vs]


@pytest.mark.parametrize(("rule", "name", "value"), CASES)
def test_a_setting_outside_its_bounds_is_named(rule, name, value):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{rule}; got {name}={value!r}.')}$"):
        Training(**{name: value})


def test_numpys_numbers_do_for_settings():
    training = Training(np.int64(4), np.float64(0.1), batch=np.int32(2), record=[np.int64(2)])
    assert training.recorded() == [0, 2, 4]
