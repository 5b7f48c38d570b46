"""Many runs at once against ``fit``, replica by replica, and against PyTorch's own optimizers."""

import re
from itertools import chain, product
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import delayed, parallel_config
from joblib.parallel import ThreadingBackend
from torch import nn
from torch.nn import functional

from smallweights import (
    CNN,
    L1,
    L2,
    LSTM,
    MLP,
    DivergedError,
    ElasticNet,
    Exponential,
    Penalize,
    Training,
    ensemble,
    fit,
    fit_many,
    linear_teacher,
    load,
    noisy_sine,
    split,
    stacked,
)
from smallweights.stacked import Chunk, train_chunk

F64 = torch.float64
CPU = torch.device("cpu")
DEVICES = ["cpu", *["cuda"] * torch.cuda.is_available()]
DIGITS = load("digits")
NETWORKS = {
    "mlp": lambda seed: MLP((64, 6, 5, 10), seed=seed, dtype=F64),
    "cnn": lambda seed: CNN((2, 3), seed=seed, dtype=F64),
    "lstm": lambda seed: LSTM(4, seed=seed, dtype=F64),
}
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "lr": 0.1},
    "momentum": {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9},
    "adam": {"optimizer": "adam", "lr": 0.01},
}
NETS = {"strong": ElasticNet(0.01, 0.02), "weak": ElasticNet(0.001, 0.0)}


def digits(seed, train=24):
    return split(DIGITS, train, validation=12, test=12, seed=seed, dtype=F64)


def teacher(seed, targets=1):
    made = linear_teacher(40, features=5, seed=seed)
    y = np.hstack([made.y * (i + 1) for i in range(targets)])
    return split(type(made)(made.x, y, "regression"), 20, validation=10, seed=seed, dtype=F64)


def for_seed(value, seed):
    return value(seed) if callable(value) else value


def assert_equal_weights(network, expected, tolerance):
    other = dict(expected.named_parameters())
    for name, weights in network.named_parameters():
        torch.testing.assert_close(
            weights, other[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def assert_like_fit(model, data, penalties, training, *, seeds=(0, 1), tolerance=1e-12, **options):
    """Every replica of ``fit_many`` has the history, weights and best state that ``fit`` gives."""
    fits = fit_many(model, data, penalties, training, seeds=seeds, device="cpu", **options)
    for k, row in fits.replicas.iterrows():
        source = data[row.data] if isinstance(data, dict) else data
        alone = fit(
            model(row.seed),
            for_seed(source, row.seed),
            for_seed(penalties[row.penalty], row.seed),
            Training(**{**vars(training), "lr": row.lr}),
            seed=row.seed,
            device="cpu",
        )
        history = fits.history[fits.history.replica == k].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            history[alone.history.columns], alone.history, rtol=tolerance, atol=tolerance
        )
        assert_equal_weights(fits._unstack(k, best=False), alone.model, tolerance)
        assert row.best_step == (-1 if alone.best_step is None else alone.best_step)
        assert fits.method == alone.method
        if alone.best is not None:
            assert_equal_weights(fits._unstack(k, best=True), alone.best, tolerance)
    return fits


@pytest.mark.parametrize("batch", [None, 7], ids=["full batch", "mini-batch"])
@pytest.mark.parametrize("method", ["penalty", "prox", "decay"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_kind_of_run_is_fits(kind, optimizer, method, batch):
    training = Training(steps=5, method=method, batch=batch, record=2, **OPTIMIZERS[optimizer])
    assert_like_fit(NETWORKS[kind], digits(0), NETS, training)


@pytest.mark.parametrize("batch", [None, 7], ids=["full batch", "mini-batch"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_seed_may_have_its_own_data(kind, batch):
    training = Training(steps=5, batch=batch, record=2)
    assert_like_fit(NETWORKS[kind], digits, NETS, training, seeds=(3, 1, 2))


SIZES = {"small": digits(0), "per seed": digits, "large": digits(1, train=30)}


def test_data_sets_of_several_sizes_train_side_by_side():
    assert_like_fit(NETWORKS["mlp"], SIZES, NETS, Training(steps=4, batch=7))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_chunks_are_no_larger_than_asked_and_hold_each_replica_once(size):
    grid = ensemble._grid(SIZES, NETS, [0.1, 0.2], range(5))
    chunks = grid.cut(size)
    assert max(map(len, chunks)) <= size
    assert list(chain(*chunks)) == list(grid.labels.index)


@pytest.mark.parametrize(
    ("batch", "numbers"),
    [(None, 4 * (64 * 6 + 6 + 6 * 10 + 10) + 2 * (6 + 10) * 24), (7, 4 * 460 + 2 * 16 * 7)],
)
def test_a_chunk_holds_what_fits_the_cache(monkeypatch, batch, numbers):
    """Weights, gradients and Adam's two averages; outputs of a layer and what comes back."""
    network = MLP((64, 6, 10), seed=0, dtype=F64)
    for room, size in ((8 * 3 * numbers, 3), (8 * 3 * numbers - 1, 2), (1, 1)):
        monkeypatch.setitem(stacked.CHUNK_BYTES, "cpu", room)
        assert stacked.chunk_size(network, digits(0), Training(batch=batch), CPU) == size


def test_a_chunk_has_the_data_of_each_seed_once():
    grid = ensemble._grid(digits, NETS, [0.1], (3, 1))
    chunk = grid.chunk(NETWORKS["mlp"], [0, 1, 2, 3], Training())
    assert [id(data) for data in chunk.data] == [id(grid.splits[k]) for k in (0, 2)]


@pytest.mark.parametrize(("data", "copies"), [(digits(0), 1), (digits, 2)])
def test_data_that_all_replicas_share_are_held_once(data, copies):
    grid = ensemble._grid(data, NETS, [0.1], (3, 1))
    held = stacked._StackedData(grid.chunk(NETWORKS["mlp"], [0, 1, 2, 3], Training(batch=7)), CPU)
    assert {len(tensor) for part in held.parts.values() for tensor in part} == {copies}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_several_learning_rates_are_fits_with_each(optimizer):
    training = Training(steps=4, **OPTIMIZERS[optimizer])
    fits = assert_like_fit(NETWORKS["mlp"], digits(0), NETS, training, lr=[0.001, 0.02])
    assert list(fits.replicas.lr.unique()) == [0.001, 0.02]


PENALTIES = {
    "L1": {0.1: L1(0.1), 0.0: L1(0.0)},
    "L2": {0.1: L2(0.1), 0.01: L2(0.01)},
    "L1 beside L2": {"L1": L1(0.1), "L2": L2(0.1), "net": NETS["strong"]},
    "exponential": {0.1: Exponential(0.1), 0.01: Exponential(0.01)},
    "sum": {0.1: L2(0.1) + Exponential(0.1), 0.2: L2(0.2) + Exponential(0.01)},
    "none": {"none": None},
    "none beside L1": {"none": None, "L1": L1(0.1)},
    "biases": {a: Penalize({"*": ElasticNet(a, a)}, biases=True) for a in (0.1, 0.01)},
    "rules": {a: Penalize({"*": L2(a), "layers.0.*": L1(a)}) for a in (0.1, 0.01)},
    "rules that leave one layer out": {a: Penalize({"layers.0.*": L2(a)}) for a in (0.1, 0.01)},
    "rules on other layers": {i: Penalize({f"layers.{i}.*": L1(0.1)}) for i in range(3)},
    "around": {
        a: lambda seed, a=a: Penalize({"*": ElasticNet(a, a)}).around(NETWORKS["mlp"](seed + 10))
        for a in (0.1, 0.01)
    },
}


def silent(seed):
    network = NETWORKS["mlp"](seed)
    for weight in network.parameters():
        nn.init.zeros_(weight)
    return network


def test_of_equal_outputs_the_first_counts_as_in_fit():
    assert_like_fit(silent, digits(0), {0.1: L2(0.1)}, Training(steps=1))


@pytest.mark.parametrize("method", ["penalty", "prox", "decay"])
@pytest.mark.parametrize("penalties", PENALTIES.values(), ids=PENALTIES)
def test_every_penalty_acts_as_in_fit(penalties, method):
    training = Training(steps=5, lr=0.1, optimizer="sgd", method=method, record=2)
    assert_like_fit(NETWORKS["mlp"], digits(0), penalties, training)


@pytest.mark.parametrize("kind", ["cnn", "lstm"])
def test_connections_are_penalized_apart(kind):
    first, rest = {"cnn": ("convolutions.*", "output.*"), "lstm": ("lstm.r*", "lstm.i*")}[kind]
    penalties = {a: Penalize({first: L1(a), rest: L2(a)}) for a in (0.1, 0.01)}
    assert_like_fit(NETWORKS[kind], digits(0), penalties, Training(steps=4, batch=7))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("batch", [None, 7], ids=["full batch", "mini-batch"])
@pytest.mark.parametrize("targets", [1, 3])
def test_regression_is_fits(targets, batch, activation):
    def model(seed):
        return MLP((5, 4, targets), activation, seed=seed, dtype=F64)

    for data in (teacher(0, targets), lambda seed: teacher(seed, targets)):
        training = Training(steps=6, batch=batch, record=[0, 3])
        assert_like_fit(model, data, NETS, training)


@pytest.mark.parametrize("sizes", [(64, 10), (64, 3, 4, 5, 10)], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
def test_any_depth_with_and_without_biases_is_fits(sizes, bias):
    def model(seed):
        return MLP(sizes, "tanh", bias=bias, seed=seed, dtype=F64)

    assert_like_fit(model, digits, NETS, Training(steps=4, batch=7))


def test_a_single_replica_is_fits():
    def model(seed):
        return MLP((5, 4, 1), seed=seed, dtype=F64)

    assert_like_fit(model, teacher(0), {0.1: L2(0.1)}, Training(steps=3), seeds=[3])


def test_data_without_a_validation_part_have_no_best_step():
    data = split(DIGITS, 24, test=12, seed=0, dtype=F64)
    fits = assert_like_fit(NETWORKS["mlp"], data, NETS, Training(steps=3))
    assert (fits.replicas.best_step == -1).all()
    message = "Replica 0 has no best step: that takes a finite loss on validation examples."
    with pytest.raises(ValueError, match=f"^{re.escape(message)} Give the split some, or ask"):
        next(fits.models(best=True))


def test_of_equal_losses_the_first_is_best_as_in_fit():
    still = Training(steps=3, lr=1e-300, optimizer="sgd")
    fits = assert_like_fit(NETWORKS["mlp"], digits(0), NETS, still)
    assert (fits.replicas.best_step == 0).all()


def test_one_example_at_a_time_is_fits():
    assert_like_fit(NETWORKS["mlp"], digits(0), NETS, Training(steps=3, batch=1))


@pytest.mark.parametrize("dear", [(torch, "vmap"), (stacked, "Autograd")], ids=["map", "graph"])
def test_perceptrons_need_neither_a_map_nor_a_graph(monkeypatch, dear):
    monkeypatch.setattr(*dear, None)
    assert_like_fit(NETWORKS["mlp"], digits(0), NETS, Training(steps=1))


class Foreign(nn.Module):
    """A network that knows nothing of stacks."""

    def __init__(self, seed):
        super().__init__()
        self.start = MLP((64, 5, 10), "tanh", seed=seed, dtype=F64).layers
        self.scale = nn.Parameter(torch.ones(5, dtype=F64))

    def forward(self, x):
        hidden = functional.silu(functional.linear(x, self.start[0].weight, self.start[0].bias))
        return functional.linear(hidden * self.scale, self.start[1].weight)


@pytest.mark.parametrize("batch", [None, 7], ids=["full batch", "mini-batch"])
@pytest.mark.parametrize("data", [digits(0), digits], ids=["shared data", "data per seed"])
def test_foreign_network_is_fits(data, batch):
    def model(seed):
        network = Foreign(seed)
        network.start[1].bias.requires_grad_(False)  # unused, so it has no gradient
        return network

    assert_like_fit(model, data, NETS, Training(steps=4, batch=batch))


@pytest.mark.parametrize("method", ["penalty", "prox", "decay"])
def test_weights_that_a_network_does_not_use_feel_their_penalty_alone(method):
    training = Training(steps=4, lr=0.1, optimizer="sgd", method=method)
    penalties = {a: Penalize({"*": ElasticNet(a, a)}, biases=True) for a in (0.1, 0.01)}
    fits = assert_like_fit(Foreign, digits(0), penalties, training)
    unused = fits.weights["start.1.bias"]
    start = torch.stack([Foreign(seed).start[1].bias.detach() for seed in fits.replicas.seed])
    assert (unused.abs() < start.abs()).all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_frozen_weights_stay_as_they_are(kind):
    def model(seed):
        network = NETWORKS[kind](seed)
        next(network.parameters()).requires_grad_(False)
        return network

    fits = assert_like_fit(model, digits(0), NETS, Training(steps=3))
    for k, seed in enumerate(fits.replicas.seed):
        assert torch.equal(
            next(fits._unstack(k, best=False).parameters()), next(model(seed).parameters())
        )


def test_training_goes_on_from_trained_weights():
    def trained(seed):
        return fit(NETWORKS["mlp"](seed), digits(seed), L2(0.01), Training(steps=4)).model

    assert_like_fit(trained, digits, NETS, Training(steps=4, batch=7))


def test_no_step_at_all_reports_the_start():
    fits = assert_like_fit(NETWORKS["mlp"], digits(0), NETS, Training(steps=0))
    assert list(fits.history.step) == [0] * 4


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("data", [digits(0), digits], ids=["shared data", "data per seed"])
def test_results_do_not_depend_on_the_chunk_size(kind, data):
    training = Training(steps=4, batch=7, record=2)
    for chunk in (1, 3, 100):
        assert_like_fit(NETWORKS[kind], data, NETS, training, chunk=chunk)


def assert_bit_equal(fits, other):
    pd.testing.assert_frame_equal(fits.replicas, other.replicas, check_exact=True)
    pd.testing.assert_frame_equal(fits.history, other.history, check_exact=True)
    for name in fits.weights:
        assert torch.equal(fits.weights[name], other.weights[name])
        assert torch.equal(fits.best_weights[name], other.best_weights[name])


@pytest.mark.parametrize(
    ("given", "configured", "place", "used"),
    [
        (None, {}, "cpu", -1),
        (None, {}, "cuda", 1),
        (None, {"n_jobs": 3}, "cpu", None),
        (None, {"n_jobs": 1}, "cpu", None),
        (2, {}, "cpu", 2),
    ],
)
def test_jobs_are_the_callers_else_joblibs_else_all_cores(
    monkeypatch, given, configured, place, used
):
    asked = []
    monkeypatch.setattr(
        ensemble, "_as_they_come", lambda _, jobs: (x for x in asked.append(jobs) or [])
    )
    with parallel_config(**configured):
        ensemble.map_chunks(train_chunk, [], torch.device(place), jobs=given)
    assert asked == [used]


def test_many_runs_take_the_callers_jobs(monkeypatch):
    real, asked = ensemble._as_they_come, []
    monkeypatch.setattr(
        ensemble, "_as_they_come", lambda tasks, jobs: asked.append(jobs) or real(tasks, jobs)
    )
    fit_many(NETWORKS["mlp"], digits(0), [None], Training(steps=0), seeds=[0], jobs=2)
    assert asked == [2]


def test_double_precision_keeps_off_a_device_that_lacks_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    fits = fit_many(NETWORKS["mlp"], digits(0), [None], Training(steps=1), seeds=[0])
    assert fits.weights["layers.0.weight"].dtype == F64


def test_a_chunk_computes_on_one_thread_and_the_callers_threads_come_back():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        inside = ensemble.map_chunks(lambda *_: torch.get_num_threads(), [None], CPU, jobs=1)
        assert (inside, torch.get_num_threads()) == ([1], before + 1)
    finally:
        torch.set_num_threads(before)


def test_nothing_is_printed_unless_asked_for(capsys):
    ensemble.map_chunks(lambda *_: None, [None], CPU, jobs=1)
    fit_many(NETWORKS["mlp"], digits(0), [None], Training(steps=0), seeds=[0], jobs=1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("generators", [True, False], ids=["as ready", "in rounds"])
def test_as_many_chunks_as_jobs_train_at_a_time(monkeypatch, generators):
    monkeypatch.setattr(ThreadingBackend, "supports_return_generator", generators)
    met = Barrier(2)
    tasks = [delayed(met.wait)(timeout=20)] * 2
    assert sorted(ensemble._as_they_come(tasks, 2)) == [0, 1]


@pytest.mark.parametrize("kind", NETWORKS)
def test_results_do_not_depend_on_the_number_of_jobs(kind):
    training = Training(steps=4, batch=7, record=2)
    one, two = (
        fit_many(
            NETWORKS[kind], digits, NETS, training, seeds=range(4), chunk=2, jobs=jobs, device="cpu"
        )
        for jobs in (1, 2)
    )
    assert_bit_equal(one, two)


def step_where_fit_diverges(*arguments, **options):
    with pytest.raises(DivergedError) as caught:
        fit(*arguments, **options)
    return int(re.search(r"at step (\d+) of", str(caught.value))[1])


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("batch", [None, 7], ids=["full batch", "mini-batch"])
def test_diverging_replica_is_named_and_leaves_the_others_alone(kind, batch):
    training = Training(steps=60, lr=0.1, optimizer="sgd", batch=batch, record=1)
    wild, tame = {"a": L2(0.01), "b": L2(1e10), "c": L2(0.02)}, dict.fromkeys("abc", L2(0.01))
    tame["c"] = L2(0.02)
    fits, calm = (
        fit_many(NETWORKS[kind], digits(0), penalties, training, seeds=(0, 1), device="cpu")
        for penalties in (wild, tame)
    )
    assert list(fits.diverged.penalty) == ["b", "b"]
    for row in fits.diverged.itertuples():
        step = step_where_fit_diverges(
            NETWORKS[kind](row.seed), digits(0), L2(1e10), training, seed=row.seed, device="cpu"
        )
        assert row.diverged_at == step
        seen = fits.history[fits.history.replica == row.Index].set_index("step")
        assert seen.loc[: step - 1, "train_loss"].notna().all()
        assert seen.loc[step:, ["train_loss", "norm"]].isna().all(axis=None)
    others = [k for k, penalty in enumerate(fits.replicas.penalty) if penalty != "b"]
    pd.testing.assert_frame_equal(
        fits.history[fits.history.penalty != "b"], calm.history[calm.history.penalty != "b"]
    )
    for name, weights in fits.weights.items():
        assert torch.equal(weights[others], calm.weights[name][others])


def test_diverging_learning_rate_is_named():
    def model(seed):
        return MLP((5, 3, 1), seed=seed, dtype=F64)

    training = Training(steps=200, optimizer="sgd", record=20)
    penalties = {"none": None}
    fits = fit_many(model, teacher(0), penalties, training, seeds=(0, 1), lr=[0.01, 1e4])
    assert (fits.diverged.lr == 1e4).all()
    for row in fits.diverged.itertuples():
        assert row.diverged_at == step_where_fit_diverges(
            model(row.seed), teacher(0), None, Training(**{**vars(training), "lr": 1e4})
        )
    assert len(fits.diverged) == 2


def torch_loop(network, data, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(network(data.train.x), data.train.y).backward()
        optimizer.step()
    return network


def decayed(network, alpha):
    """Parameter groups with ``weight_decay = 2 · alpha`` on the weights and none on the biases."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 2 * alpha},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


@pytest.mark.parametrize("kind", NETWORKS)
def test_decay_with_adam_is_adamw(kind):
    alphas = (0.05, 0.5)
    training = Training(steps=6, lr=0.01, method="decay")
    fits = fit_many(
        NETWORKS[kind], digits(0), {a: L2(a) for a in alphas}, training, seeds=(0, 1), device="cpu"
    )
    for seed, alpha in product((0, 1), alphas):
        network = NETWORKS[kind](seed)
        optimizer = torch.optim.AdamW(decayed(network, alpha), lr=0.01)
        expected = torch_loop(network, digits(0), optimizer, 6)
        assert_equal_weights(fits.model(seed=seed, penalty=alpha), expected, 1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("kind", NETWORKS)
def test_l2_with_sgd_is_pytorchs_weight_decay(kind, momentum):
    alphas = (0.05, 0.5)
    training = Training(steps=6, lr=0.05, optimizer="sgd", momentum=momentum)
    fits = fit_many(
        NETWORKS[kind], digits(0), {a: L2(a) for a in alphas}, training, seeds=(0, 1), device="cpu"
    )
    for seed, alpha in product((0, 1), alphas):
        network = NETWORKS[kind](seed)
        optimizer = torch.optim.SGD(decayed(network, alpha), lr=0.05, momentum=momentum)
        expected = torch_loop(network, digits(0), optimizer, 6)
        assert_equal_weights(fits.model(seed=seed, penalty=alpha), expected, 1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_device_gives_fits_numbers(kind, device):
    training = Training(steps=5, batch=7, record=5)
    fits = fit_many(NETWORKS[kind], digits, NETS, training, seeds=(0, 1), device=device)
    for (k, row), network in zip(fits.replicas.iterrows(), fits.models(), strict=True):
        alone = fit(
            NETWORKS[kind](row.seed),
            digits(row.seed),
            NETS[row.penalty],
            training,
            seed=row.seed,
            device="cpu",
        )
        assert_equal_weights(network, alone.model, 1e-9)
        losses = fits.history[fits.history.replica == k].test_loss
        np.testing.assert_allclose(losses, alone.history.test_loss, rtol=1e-9)


def test_prox_gives_the_exact_zeros_that_fit_gives():
    training = Training(steps=8, lr=0.1, optimizer="sgd", method="prox")
    fits = assert_like_fit(NETWORKS["mlp"], digits(0), {0.1: L1(0.1)}, training)
    for network, seed in zip(fits.models(), fits.replicas.seed, strict=True):
        alone = fit(NETWORKS["mlp"](seed), digits(0), L1(0.1), training, device="cpu").model
        zeros = [torch.equal(a == 0, b == 0) for a, b in _pairs(network, alone)]
        assert all(zeros)
        assert (network.layers[0].weight == 0).any()


def _pairs(network, other):
    return zip(network.parameters(), other.parameters(), strict=True)


@pytest.fixture(scope="module")
def fits():
    training = Training(steps=6, lr=0.5, record=2)  # so large that some overfit
    return fit_many(NETWORKS["mlp"], digits, {0.1: L2(0.1), 0.2: L2(0.2)}, training, seeds=(4, 5))


def test_replicas_have_a_row_each_with_their_labels(fits):
    labels = fits.replicas[["data", "seed", "penalty"]].to_numpy().tolist()
    assert labels == [["data", 4, 0.1], ["data", 4, 0.2], ["data", 5, 0.1], ["data", 5, 0.2]]
    assert (fits.replicas.diverged_at == -1).all()
    assert (fits.replicas[["best_step", "diverged_at"]].dtypes == np.int64).all()
    assert len(fits.diverged) == 0


def test_final_and_best_are_rows_of_the_history(fits):
    assert list(fits.final.step) == [6] * 4
    lowest = fits.history.groupby("replica").validation_loss.min()
    np.testing.assert_array_equal(fits.best.validation_loss, lowest)


BEST = {"weights": {}, "best_weights": {"best": True}}


@pytest.mark.parametrize(("kept", "options"), BEST.items())
def test_model_is_found_by_its_labels(fits, kept, options):
    (weights, *_) = fits.model(seed=4, penalty=0.2, **options).parameters()
    assert torch.equal(weights, getattr(fits, kept)["layers.0.weight"][1])


@pytest.mark.parametrize(("kept", "options"), BEST.items())
def test_models_are_networks_of_their_own(fits, kept, options):
    weights = [network.layers[0].weight for network in list(fits.models(**options))]
    assert torch.equal(torch.stack(weights), getattr(fits, kept)["layers.0.weight"])


def test_best_network_of_a_run_that_overfits_is_an_earlier_one(fits):
    assert fits.replicas.best_step[1] < 6


@pytest.mark.parametrize(("where", "n"), [({"seed": 4}, 2), ({"seed": 4, "penalty": 0.3}, 0)])
def test_labels_that_name_no_single_replica_are_refused(fits, where, n):
    expected = f"{where} names {n} replicas; give values that name one."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        fits.model(**where)


def test_measure_adds_a_column_over_the_networks(fits):
    table = fits.measure(lambda network: network.layers[0].weight.norm().item(), "size")
    expected = fits.weights["layers.0.weight"].flatten(1).norm(dim=1)
    np.testing.assert_allclose(table["size"], expected, rtol=1e-12)


MLP_FOR = NETWORKS["mlp"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "^fit_many needs at least one seed; got none.$"),
        ({"penalties": {}}, "^fit_many needs at least one penalty; got none.$"),
        ({"data": {}}, "^fit_many needs at least one data set; got none.$"),
        ({"lr": []}, "^fit_many needs at least one learning rate; got none.$"),
        ({"lr": [0.1, 0.1]}, "Each learning rate must occur once, but 0.1 occurs again"),
        (
            {"seeds": [2, 1, 1]},
            "^Each seed must occur once, but 1 occurs again. Penalties that read alike take labels"
            " of their own: {label: penalty}.$",
        ),
        ({"penalties": [L1(0.1), L1(0.1)]}, "Each penalty must occur once, but 'L1"),
        ({"penalties": [L1(0.1), Exponential(0.1)]}, "must be of one kind; got Exponential, L1"),
        ({"chunk": 0}, "^chunk must be a number of replicas >= 1; got 0.$"),
        ({"training": Training(batch=25)}, "batch=25 is more than the 24 training examples"),
        ({"model": lambda seed: MLP((63, 10), dtype=F64)}, "does not take inputs of shape"),
        ({"model": lambda seed: MLP((64, 9), dtype=F64)}, "data have 10 classes"),
        ({"model": lambda seed: MLP((64, 10))}, "computes in torch.float32 but the data"),
        (
            {"model": lambda seed: MLP((64, 4 + seed, 10), dtype=F64)},
            r"^fit_many trains networks of one architecture together; got weights of shapes"
            r" {'layers.0.weight': \(4, 64\).*} and {'layers.0.weight': \(5, 64\).*}."
            r" Call it once for each architecture.$",
        ),
        (
            {"model": lambda seed: nn.Sequential(MLP_FOR(seed), nn.BatchNorm1d(10, dtype=F64))},
            r"^fit_many cannot stack networks with buffers \(batch normalization keeps some\);"
            r" train them with fit, or use layers that keep no running statistics.$",
        ),
        (
            {"model": lambda seed: nn.Sequential(MLP_FOR(seed), nn.Dropout(0.5))},
            r"^torch.vmap cannot stack this network \(dropout, nn.LSTM and steps that depend on"
            r" values are beyond it\): (?s:.*) Train its replicas one by one, with fit.$",
        ),
    ],
)
def test_bad_argument_is_refused_by_name(arguments, message):
    call = {"model": MLP_FOR, "data": digits(0), "penalties": [L1(0.1)], "seeds": [0, 1]}
    with pytest.raises(ValueError, match=message):
        fit_many(**{**call, **arguments})


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("seeds", 3, "seeds must be a collection of values, such as range(20); got 3."),
        ("lr", 0.1, "lr must be a collection of values, such as [1e-3, 1e-2]; got 0.1."),
        (
            "penalties",
            L1(0.1),
            "penalties must be a collection of values, such as [L2(0.1)] or {0.1: L2(0.1)}; got"
            " L1(alpha=0.1).",
        ),
        (
            "model",
            MLP((64, 10)),
            "model must be a function that makes the start network of a seed, such as"
            " lambda seed: MLP((64, 10), seed=seed); got MLP.",
        ),
    ],
)
def test_one_value_where_several_are_due_is_refused_by_name(argument, value, message):
    call = {"model": MLP_FOR, "data": digits(0), "penalties": [L1(0.1)], "seeds": [0, 1]}
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        fit_many(**{**call, argument: value})


def test_a_dataset_that_was_not_split_is_refused():
    message = "data must be a Split; got Dataset. Make one: split(dataset, train=200)."
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        fit_many(MLP_FOR, load("digits"), [L1(0.1)], seeds=[0, 1])
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        fit_many(MLP_FOR, {"a": digits(0), "b": load("digits")}, [L1(0.1)], seeds=[0, 1])


@pytest.mark.parametrize("seeds", [{3, 4}, np.array([3, 4])], ids=["set", "array"])
def test_seeds_may_be_any_collection_of_whole_numbers(seeds):
    fits = fit_many(MLP_FOR, digits(0), [L1(0.1)], Training(steps=1), seeds=seeds)
    assert list(fits.replicas.seed) == [3, 4]


def test_seeds_that_are_no_whole_numbers_are_refused():
    message = (
        "seeds must be whole numbers, such as range(20); got [0.5] ('float' object cannot be"
        " interpreted as an integer)."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        fit_many(MLP_FOR, digits(0), [L1(0.1)], seeds=[0.5])


def test_networks_trained_together_need_data_of_one_shape():
    chunk = Chunk(
        models=[MLP_FOR(0), MLP_FOR(1)],
        data=[digits(0), digits(1, train=30)],
        penalties=[None, None],
        seeds=[0, 1],
        training=Training(steps=1),
    )
    one, other = ({"train": (n, 64), "validation": (12, 64), "test": (12, 64)} for n in (24, 30))
    expected = f"Networks trained together need data of one shape; got {one} and {other}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        train_chunk(chunk, CPU)


def test_penalty_that_leaves_the_numbers_still_names_fits_step():
    """A value that overflows is no divergence: the loss on the data is what is watched."""
    data = split(noisy_sine(20), 10, validation=5, dtype=F64)
    training = Training(steps=3, lr=1e-3, optimizer="sgd", method="prox")
    penalties = {1.0: Exponential(1.0)}
    assert_like_fit(
        lambda seed: MLP((1, 3, 1), "tanh", seed=seed, dtype=F64), data, penalties, training
    )
