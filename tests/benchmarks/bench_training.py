"""Training a grid of networks: against the loop, scikit-learn, skorch and the machine itself."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace

import joblib
import torch
from paired import ROUNDS, Row, at_least, compare, seconds
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier
from threadpoolctl import threadpool_limits
from workloads import DATA, L_CNN, L_LSTM, M, S, Workload, perceptron


def rows() -> Iterable[Row]:
    yield from against_loop(S, networks=5, goal=40, others={"skorch GridSearchCV": skorch_on_s()})
    yield from against_loop(M, networks=10, goal=3, others=scikit_learn_on_m(), other_goal=2)
    yield from against_loop(L_CNN, networks=4, goal=4)
    yield from against_loop(L_LSTM, networks=4, goal=4)
    yield share_of_products()


def against_loop(
    work: Workload,
    networks: int,
    goal: float,
    others: dict[str, tuple[Callable[[], object], float]] | None = None,
    other_goal: float | None = None,
) -> list[Row]:
    threads = work.best_threads()
    name = f"loop, {threads} thread" + "s" * (threads > 1)
    loop = {name: (lambda: work.loop(networks, threads=threads), work.replicas / networks)}
    others = others or {}
    goals = {name: goal, **dict.fromkeys(others, other_goal)}
    return compare(work.name, work.together, loop | others, goals)


def scikit_learn_on_m() -> dict[str, tuple[Callable[[], object], float]]:
    """The same grid with joblib on all cores, one BLAS thread each, in threads and processes."""
    return {
        f"scikit-learn, joblib {backend}": (
            lambda b=backend: fit_classifiers(b, 10),
            M.replicas / 10,
        )
        for backend in ("threading", "loky")
    }


def fit_classifiers(backend: str, count: int) -> None:
    with joblib.parallel_config(backend=backend, n_jobs=-1):
        joblib.Parallel()(joblib.delayed(fit_classifier)(seed) for seed in range(count))


def fit_classifier(seed: int) -> None:
    """One full-batch step an epoch, float32, and no way to stop early."""
    classifier = MLPClassifier(
        (128, 128),
        alpha=1e-4,
        batch_size=len(DATA.train),
        learning_rate_init=3e-3,
        max_iter=M.steps,
        n_iter_no_change=M.steps + 1,
        random_state=seed,
    )
    warnings.simplefilter("ignore", ConvergenceWarning)  # every run is to end at its last step
    with threadpool_limits(1):
        classifier.fit(DATA.train.x.numpy(), DATA.train.y.numpy())


def skorch_on_s() -> tuple[Callable[[], object], float]:
    """One split, five alphas, all cores: GridSearchCV fits five networks."""
    logging.getLogger("skorch").setLevel(logging.ERROR)
    per_epoch = len(DATA.train) // S.batch
    network = NeuralNetClassifier(
        perceptron,
        module__sizes=(64, 32, 10),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        batch_size=S.batch,
        iterator_train__shuffle=True,
        iterator_train__drop_last=True,
        max_epochs=S.steps // per_epoch,
        train_split=None,
        verbose=0,
    )
    x = torch.cat([DATA.train.x, DATA.validation.x]).numpy()
    y = torch.cat([DATA.train.y, DATA.validation.y]).numpy()
    parts = PredefinedSplit([-1] * len(DATA.train) + [0] * len(DATA.validation))
    grid = {"optimizer__weight_decay": [2 * alpha for alpha in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)]}
    search = GridSearchCV(network, grid, cv=parts, refit=False, n_jobs=-1, scoring="accuracy")
    return (lambda: search.fit(x, y)), S.replicas / 5


def share_of_products() -> Row:
    """What the networks' products alone would take at the rate of one large product.

    Over 300 steps, a training of usual length: in a short one the set-up weighs more.
    """
    longer = replace(M, steps=300)
    a = torch.randn(2048, 2048)
    products = 2 * len(DATA.train) * (3 * (128 * 128 + 128 * 10) + 2 * 64 * 128)
    work = products * longer.replicas * longer.steps
    mine, ideal = [], []
    for _ in range(ROUNDS):
        mine.append(seconds(longer.together))
        fastest = min(seconds(lambda: a @ a) for _ in range(5))
        ideal.append(fastest * work / (2 * 2048**3))
    rate = work / sorted(mine)[ROUNDS // 2] / 1e9
    return at_least(
        longer.name, "matrix-product rate", 0.6, mine, ideal, f"{rate:.0f} GFLOP/s, set-up included"
    )
