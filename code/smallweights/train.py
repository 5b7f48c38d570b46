"""One training run, in a loop short enough to read.

``fit`` is the book's definition of training with a penalty. ``ensemble.fit_many`` does the same to
a thousand networks at once and is tested against it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from numbers import Integral, Real
from typing import Any, Literal, TypeGuard

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from smallweights.data import Part, Split
from smallweights.penalties import Penalty
from smallweights.select import Penalize, as_penalize, parameters_of, total


class DivergedError(ArithmeticError):
    """Training left the finite numbers; the message says at which step and suggests why.

    Book section: norms.

    >>> data = split(load("diabetes"), train=100)
    >>> fit(MLP((10, 5, 1)), data, training=Training(lr=1e9, optimizer="sgd"))
    Traceback (most recent call last):
    smallweights.train.DivergedError: Training diverged: the loss is ... at step ...
    """


@dataclass(frozen=True)
class Training:
    """How to train: everything but the network, the data and the penalty.

    ``steps``: number of updates. ``lr``: learning rate. ``optimizer``: "adam" or "sgd", the latter
    with ``momentum`` in [0, 1). ``batch``: examples a step, None for all of them; an epoch's last,
    shorter batch is skipped. ``record``: write the history every so many steps, or at these steps;
    the first and the last state are always in it.

    ``method`` says how the penalty enters: "penalty" adds its value to the loss; "prox" takes a
    step on the loss alone, then the penalty's proximal operator, which gives exact zeros; "decay"
    takes lr times the penalty's gradient off the weights beside the optimizer's step (decoupled
    weight decay: AdamW). With momentum μ the proximal step is lr/(1 − μ) long, so that it solves
    the same problem; after Adam it is a heuristic.

    Raises ``ValueError`` that names the setting. Sources: Parikh & Boyd (2014), section 4.2;
    Loshchilov & Hutter (2019), algorithm 2. Book section: norms.

    >>> Training(steps=1000, record=400).recorded()
    [0, 400, 800, 1000]
    """

    steps: int = 500
    lr: float = 3e-3
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.0
    method: Literal["penalty", "prox", "decay"] = "penalty"
    batch: int | None = None
    record: int | Sequence[int] = 50

    def __post_init__(self) -> None:
        rules = {
            "steps must be an integer >= 0": _is_integer(self.steps) and self.steps >= 0,
            "lr must be a finite number > 0": _is_real(self.lr) and 0 < self.lr < float("inf"),
            "optimizer must be 'adam' or 'sgd'": self.optimizer in ("adam", "sgd"),
            "momentum must lie in [0, 1)": _is_real(self.momentum) and 0 <= self.momentum < 1,
            "momentum must be 0 with Adam, which has its own": self.optimizer == "sgd"
            or self.momentum == 0,
            "method must be 'penalty', 'prox' or 'decay'": self.method
            in ("penalty", "prox", "decay"),
            "batch must be None or an integer >= 1": self.batch is None
            or (_is_integer(self.batch) and self.batch >= 1),
            "record must be an interval >= 1 or a list of steps >= 0": _is_record(self.record),
        }
        for rule, kept in rules.items():
            if not kept:
                setting = rule.split()[0]
                raise ValueError(f"{rule}; got {setting}={getattr(self, setting)!r}.")

    def recorded(self) -> list[int]:
        """The steps at which the history is written."""
        if isinstance(self.record, Sequence):
            return sorted({0, self.steps, *(s for s in self.record if s <= self.steps)})
        return sorted({*range(0, self.steps, self.record), self.steps})

    def prox_step(self) -> float:
        """The length of the proximal step: where momentum stops, the gradients have added up."""
        return self.lr / (1 - self.momentum)

    def make_optimizer(
        self, weights: Iterable[Tensor], *, fused: bool = False
    ) -> torch.optim.Optimizer:
        """PyTorch's own optimizer over the weights."""
        if self.optimizer == "adam":
            return torch.optim.Adam(weights, lr=self.lr, fused=fused)
        return torch.optim.SGD(weights, lr=self.lr, momentum=self.momentum, fused=fused)

    def batches(self, n: int, seed: int) -> Iterator[Tensor | slice]:
        """The rows of each step: all of them, or mini-batches in an order drawn for each epoch."""
        if self.batch is None:
            yield from [slice(None)] * self.steps
            return
        yield from islice(chain.from_iterable(self.orders(n, seed)), self.steps)

    def orders(self, n: int, seed: int) -> Iterator[Tensor]:
        """Each epoch's own order of n examples, cut into mini-batches: (steps an epoch, batch)."""
        batch = n if self.batch is None else self.batch
        if batch > n:
            raise ValueError(f"batch={batch} is more than the {n} training examples.")
        rng = np.random.default_rng(seed)
        whole = n - n % batch
        while True:
            yield torch.from_numpy(rng.permutation(n))[:whole].view(-1, batch)


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_record(record: object) -> bool:
    if isinstance(record, Sequence) and not isinstance(record, str):
        return all(_is_integer(step) and step >= 0 for step in record)
    return _is_integer(record) and record >= 1


@dataclass(frozen=True)
class Fit:
    """A trained network, its history and its best state.

    ``model`` is the network after the last step, ``best`` at the recorded step with the lowest
    validation loss (``best_step``), None without validation examples; both are in evaluation mode
    and on the CPU, wherever they were trained.
    ``history`` has a row a recorded step: loss and (for classes) error on each part of the data,
    ``penalty_value``, and ``norm``, the L2 norm of all weights without biases. ``method`` says
    how the penalty entered. Book section: norms.

    >>> data = split(two_moons(90), train=30, validation=30)
    >>> fitted = fit(MLP((2, 8, 2)), data, L2(0.01), Training(steps=100))
    >>> fitted.history.step.tolist(), fitted.method
    ([0, 50, 100], 'penalty')
    """

    model: nn.Module
    best: nn.Module | None
    best_step: int | None
    history: pd.DataFrame
    method: str


def fit(
    model: nn.Module,
    data: Split,
    penalty: Penalize | Penalty | None = None,
    training: Training | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> Fit:
    """Train a copy of one network with a penalty: ``min loss(weights) + penalty(weights)``.

    The loss is the mean cross-entropy for classes and the mean squared error for regression.
    ``penalty`` is one for all weights but the biases, a ``Penalize`` or None. ``seed`` orders the
    mini-batches. Frozen parameters (``requires_grad=False``) stay as they are. ``device`` "auto"
    takes CUDA or MPS where there is one, the CPU otherwise. ``progress`` shows a bar. Raises
    ``DivergedError`` when the loss is no longer finite, and ``ValueError`` when network and data
    don't fit. Source: Goodfellow et al. (2016), equation 7.1. Book section: norms.

    >>> data = split(load("digits"), train=200)
    >>> training = Training(steps=100, record=100, lr=0.01)
    >>> fit(MLP((64, 10)), data, L2(0.1), training).history.norm.round(1).tolist()
    [1.9, 2.0]
    >>> fit(MLP((64, 10)), data, None, training).history.norm.round(1).tolist()
    [1.9, 6.8]
    """
    training = training or Training()
    check_match(model, data)
    place = find_device(device, data.train.x.dtype)
    model, data = copy.deepcopy(model).to(place).train(), data.to(place)
    weights = {name: w for name, w in parameters_of(model).items() if w.requires_grad}
    penalties = as_penalize(penalty).assign(weights)
    optimizer = training.make_optimizer(weights.values())
    log = _Log(data, penalties, training.recorded())
    batches = training.batches(len(data.train), seed)
    for step, rows in enumerate(_bar(batches, training.steps, progress)):
        log.write(step, model)
        loss = data_loss(data, model(data.train.x[rows]), data.train.y[rows])
        _check_finite(loss, step, training)
        if training.method == "penalty":
            loss = loss + total(penalties, weights)
        optimizer.zero_grad()
        loss.backward()
        if training.method == "decay":
            _decay(penalties, weights, training.lr)
        optimizer.step()
        if training.method == "prox":
            _take_prox(penalties, weights, training.prox_step())
    log.write(training.steps, model)
    _check_finite(torch.tensor(log.rows[-1]["train_loss"]), training.steps, training)
    return log.result(model, describe(training))


def data_loss(data: Split, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss without penalty: mean cross-entropy for classes, mean squared error otherwise."""
    if data.task == "classification":
        return functional.cross_entropy(outputs, targets)
    return functional.mse_loss(outputs, targets)


@torch.no_grad()
def _decay(penalties: Mapping[str, Penalty], weights: Mapping[str, Tensor], lr: float) -> None:
    for name, penalty in penalties.items():
        weights[name].sub_(lr * penalty.grad(weights[name]))


@torch.no_grad()
def _take_prox(
    penalties: Mapping[str, Penalty], weights: Mapping[str, Tensor], step: float
) -> None:
    for name, penalty in penalties.items():
        weights[name].copy_(penalty.prox(weights[name], step))


class _Log:
    """Writes the history of one run and keeps the best state."""

    def __init__(self, data: Split, penalties: Mapping[str, Penalty], steps: list[int]) -> None:
        self.data, self.penalties, self.steps = data, penalties, set(steps)
        self.rows: list[dict[str, float]] = []
        self.best: nn.Module | None = None
        self.best_step: int | None = None
        self.lowest = float("inf")

    @torch.no_grad()
    def write(self, step: int, model: nn.Module) -> None:
        if step not in self.steps:
            return
        model.eval()  # dropout and the like are for training
        row: dict[str, float] = {"step": step}
        for name, part in self.data.parts().items():
            row |= _scores(self.data, name, part, model(part.x))
        weights = parameters_of(model)
        row["penalty_value"] = total(self.penalties, weights).item()
        row["norm"] = sum(w.square().sum().item() for w in weights.values() if w.dim() > 1) ** 0.5
        self.rows.append(row)
        if row.get("validation_loss", float("inf")) < self.lowest:
            self.lowest, self.best_step = row["validation_loss"], step
            self.best = copy.deepcopy(model)
        model.train()

    def result(self, model: nn.Module, method: str) -> Fit:
        best = self.best and self.best.cpu()
        return Fit(model.eval().cpu(), best, self.best_step, pd.DataFrame(self.rows), method)


def _scores(data: Split, name: str, part: Part, outputs: Tensor) -> dict[str, float]:
    scores = {f"{name}_loss": data_loss(data, outputs, part.y).item()}
    if data.task == "classification":
        scores[f"{name}_error"] = (outputs.argmax(-1) != part.y).sum().item() / len(part.y)
    return scores


def describe(training: Training) -> str:
    """The way the penalty entered, in words."""
    heuristic = training.method == "prox" and training.optimizer == "adam"
    return "prox after Adam (a heuristic)" if heuristic else training.method


def _check_finite(loss: Tensor, step: int, training: Training) -> None:
    if not loss.isfinite():
        raise DivergedError(
            f"Training diverged: the loss is {loss.item()} at step {step} of {training.steps}."
            f" The usual reason is a learning rate that is too large (lr={training.lr}) for the"
            " data or for the penalty's alpha; try a tenth of it, and standardize the features."
        )


def find_device(device: str, dtype: torch.dtype = torch.float32) -> torch.device:
    """The device by name; "auto" is CUDA or MPS where there is one, the CPU otherwise.

    MPS has no float64: such data stay on the CPU.
    """
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    mps = torch.backends.mps.is_available() and dtype != torch.float64
    return torch.device("mps" if mps else "cpu")


@torch.no_grad()
def check_match(model: nn.Module, data: Split) -> None:
    """Raise ``ValueError`` unless the network takes these inputs and answers these targets."""
    check_types(model, data)
    first, x = next(model.parameters(), None), data.train.x[:2]
    if first is None:
        raise ValueError("The network has no parameters to train.")
    if first.dtype != x.dtype:
        raise ValueError(
            f"The network computes in {first.dtype} but the data are {x.dtype}; give both the same"
            " dtype (the dtype arguments of the network and of split)."
        )
    try:
        outputs = copy.deepcopy(model).eval()(x.to(first.device))
    except RuntimeError as error:
        raise ValueError(
            f"The network does not take inputs of shape (n, {', '.join(map(str, x.shape[1:]))}):"
            f" {error}"
        ) from error
    wanted = (len(x), data.classes) if data.classes else tuple(data.train.y[:2].shape)
    if tuple(outputs.shape) != wanted:
        what = f"{data.classes} classes" if data.classes else f"targets of shape {wanted}"
        raise ValueError(
            f"The data have {what}, so the network must answer {wanted} for {len(x)} inputs;"
            f" it answers {tuple(outputs.shape)}."
        )


def check_types(model: object, data: object) -> None:
    """Raise ``TypeError`` unless these are a network and a split."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module; got {model!r}."
            " fit takes one network; fit_many takes a function that makes one for a seed."
        )
    if not isinstance(data, Split):
        raise TypeError(
            f"data must be a Split; got {type(data).__name__}. Make one: split(dataset, train=200)."
        )


def _bar(steps: Iterable[Any], count: int, progress: bool) -> Iterable[Any]:
    return show_progress(steps, total=count, unit="step") if progress else steps


def show_progress(items: Iterable[Any], **options: object) -> Iterable[Any]:
    """The items with tqdm's bar: rate and time left. Needs the extra ``smallweights[full]``."""
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm; install it with: pip install 'smallweights[full]'."
        ) from error
    bar: Iterable[Any] = tqdm(items, **options)
    return bar
