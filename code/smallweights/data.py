"""Data sets, and the one way to split and scale them.

Nothing here touches the network: scikit-learn ships the real data sets, NumPy's ``Generator``
makes the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor

Task = Literal["classification", "regression"]
Array = npt.NDArray[np.float64]

_LOADERS: dict[str, tuple[Callable[..., Any], Task]] = {
    "digits": (datasets.load_digits, "classification"),
    "breast_cancer": (datasets.load_breast_cancer, "classification"),
    "wine": (datasets.load_wine, "classification"),
    "diabetes": (datasets.load_diabetes, "regression"),
}


@dataclass(frozen=True, eq=False, init=False)
class Dataset:
    """A table of examples: features ``x`` (n, d), targets ``y``, and the task they pose.

    ``y`` has n labels for ``task="classification"``; for ``"regression"`` n numbers, or (n, m)
    for m targets. ``classes`` lists the labels that may occur (default: those that do); class i
    of a network's output is ``classes[i]``. Raises ``ValueError`` for empty data, lengths that
    differ, missing or infinite numbers (saying in which columns) and labels outside ``classes``.
    Book section: large weights.

    >>> answers = Dataset([[1.5], [0.5]], ["yes", "no"], "classification")
    >>> answers.classes, answers.y.tolist()
    (('no', 'yes'), [1, 0])
    """

    x: Array
    y: npt.NDArray[Any]
    task: Task
    features: tuple[str, ...]
    classes: tuple[object, ...] | None
    name: str

    def __init__(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        task: Task,
        features: Sequence[str] | None = None,
        classes: Sequence[object] | None = None,
        name: str = "data",
    ) -> None:
        if task not in ("classification", "regression"):
            raise ValueError(f"task must be 'classification' or 'regression'; got {task!r}.")
        table = _table(x)
        names = [str(name) for name in (table.columns if features is None else features)]
        if len(names) != table.shape[1]:
            raise ValueError(f"x has {table.shape[1]} columns but {len(names)} names were given.")
        numbers = _numbers(table.set_axis(names, axis=1), "x")
        targets, known = _targets(y, len(numbers), task, classes)
        fields = {"x": numbers, "y": targets, "task": task, "features": tuple(names)}
        for field, value in (fields | {"classes": known, "name": name}).items():
            object.__setattr__(self, field, value)


def _targets(
    given: npt.ArrayLike, n: int, task: Task, classes: Sequence[object] | None
) -> tuple[npt.NDArray[Any], tuple[object, ...] | None]:
    if task == "classification" and not hasattr(given, "dtype"):
        given = np.asarray(given, dtype=object)  # NumPy would make text of a NaN beside text
    y = np.atleast_1d(np.asarray(given))
    if len(y) != n:
        raise ValueError(f"x has {n} examples but y has {len(y)}; each needs one target.")
    if task == "regression":
        table = pd.DataFrame(y.reshape(n, -1))
        return _numbers(table.set_axis([f"target {i}" for i in table], axis=1), "y"), None
    labels = pd.Series(y.ravel()).infer_objects()
    if len(labels) != n:
        raise ValueError(f"Classification needs one label an example; y has shape {y.shape}.")
    if labels.isna().any():
        raise ValueError(f"y lacks {labels.isna().sum()} of {n} labels; drop those examples.")
    known = tuple(sorted(labels.unique().tolist()) if classes is None else classes)
    codes = pd.Index(known).get_indexer(labels)
    if (codes < 0).any():
        strangers = ", ".join(map(repr, sorted(set(labels[codes < 0]), key=str)[:5]))
        raise ValueError(f"y holds labels outside the classes {known}: {strangers}.")
    return codes.astype(np.int64), known


def _table(x: Any) -> pd.DataFrame:  # noqa: ANN401 - whatever pandas makes a table of
    if getattr(x, "ndim", 2) > 2:
        raise ValueError(
            f"x must be a table of shape (examples, features); got {tuple(x.shape)}."
            " Flatten each example: x.reshape(len(x), -1)."
        )
    table: pd.DataFrame = pd.DataFrame(x)
    if table.empty:
        raise ValueError(
            f"The data are empty: x has shape {table.shape}; at least one example of at least one"
            " feature is needed."
        )
    return table


def _numbers(table: pd.DataFrame, what: str) -> Array:
    """The table as floats, or an error that names the columns that hold something else."""
    missing = table.isna().to_numpy()
    numbers = table.apply(_convert).to_numpy(float, na_value=np.nan, copy=True)
    problems = {
        "text or dates where numbers are needed": np.isnan(numbers) & ~missing,
        "missing values (NaN)": missing,
        "infinite values": np.isinf(numbers),
    }
    for problem, cells in problems.items():
        counts = zip(table.columns, cells.sum(0), strict=True)
        if columns := ", ".join(f"{name!r} ({n})" for name, n in counts if n):
            raise ValueError(
                f"{what} has {problem} in {columns}; fill, convert or drop these before fitting."
            )
    return numbers


def _convert(column: pd.Series) -> pd.Series:
    """Numbers as they are, numbers written as text read, anything else missing."""
    if column.dtype.kind in "biuf":
        return column
    return pd.to_numeric(column.astype(str), errors="coerce")


def load(name: str) -> Dataset:
    """One of scikit-learn's data sets: digits, breast_cancer, wine or diabetes (unscaled).

    Source: scikit-learn's *Toy datasets* page. Book section: large weights.

    >>> load("wine").x.shape
    (178, 13)
    """
    if name not in _LOADERS:
        raise ValueError(f"No data set {name!r}; there are {', '.join(_LOADERS)}.")
    loader, task = _LOADERS[name]
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = loader(**options)
    return Dataset(bunch.data, bunch.target, task, features=bunch.feature_names, name=name)


def noisy_sine(n: int, noise: float = 0.3, seed: int = 0) -> Dataset:
    """One period of a sine, ``y = sin(πx) + noise · ε``, x uniform on [−1, 1], ε normal.

    ``n`` examples; ``noise`` is the standard deviation in units of y. Book section: alpha.

    >>> data = noisy_sine(50, noise=0.1, seed=1)
    >>> data.x.shape, data.y.shape
    ((50, 1), (50, 1))
    """
    rng = _generator(n, noise, seed)
    x = rng.uniform(-1, 1, (n, 1))
    y = np.sin(np.pi * x) + noise * rng.normal(size=(n, 1))
    return Dataset(x, y, "regression", name="noisy sine")


def two_moons(n: int, noise: float = 0.2, seed: int = 0) -> Dataset:
    """Two interleaved half circles of radius 1, one class each, with normal noise on both axes.

    ``n`` examples, as even as possible; ``noise`` is in units of the radius. Book section: alpha.

    >>> np.bincount(two_moons(75).y).tolist()
    [38, 37]
    """
    rng = _generator(n, noise, seed)
    y = np.arange(n) % 2
    angle = rng.uniform(0, np.pi, n)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    x = np.where(y[:, None] == 0, upper, [1, 0.5] - upper)
    return Dataset(x + noise * rng.normal(size=x.shape), y, "classification", name="two moons")


def linear_teacher(
    n: int, features: int = 100, noise: float = 0.5, relevant: int | None = None, seed: int = 0
) -> Dataset:
    """A noisy linear unit as teacher: ``y = w·x/√d + noise · ε`` with normal w, x and ε.

    ``features`` is d; only the first ``relevant`` weights (default: all) are not zero and they are
    scaled so that the signal has variance 1 on average. ``noise`` is the standard deviation of the
    target's noise. Source: Krogh & Hertz (1992), section 3. Book section: large weights.

    >>> linear_teacher(200, features=50, relevant=5).x.shape
    (200, 50)
    """
    relevant = features if relevant is None else relevant
    if not 1 <= relevant <= features:
        raise ValueError(f"relevant must lie between 1 and {features}; got {relevant}.")
    rng = _generator(n, noise, seed)
    weights = np.zeros(features)
    weights[:relevant] = rng.normal(size=relevant) * np.sqrt(features / relevant)
    x = rng.normal(size=(n, features))
    y = x @ weights / np.sqrt(features) + noise * rng.normal(size=n)
    return Dataset(x, y, "regression", name="linear teacher")


def _generator(n: int, noise: float, seed: int) -> np.random.Generator:
    if n < 1:
        raise ValueError(f"n must be at least 1 example; got {n}.")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise must be a finite standard deviation >= 0; got {noise}.")
    return np.random.default_rng(seed)


@dataclass(frozen=True, eq=False)
class Part:
    """The examples of one part of a split: features ``x`` (n, d) and targets ``y`` as tensors.

    ``y`` holds class numbers (n,) for classification and numbers (n, m) for regression.

    >>> train = split(load("wine"), train=100).train
    >>> len(train), train.x.dtype, train.y.dtype
    (100, torch.float32, torch.int64)
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str) -> Part:
        """The same part on another device."""
        return Part(self.x.to(device), self.y.to(device))


@dataclass(frozen=True, eq=False)
class Split:
    """A data set in three parts: ``train``, ``validation`` (to choose with) and ``test``.

    ``classes`` is the number of classes, or None for regression; ``scaler`` takes raw features to
    the network's inputs and back, None where nothing was scaled. The held-out loss of the book is
    the loss on ``test``. Book section: large weights.

    >>> data = split(load("wine"), train=100, validation=30)
    >>> {name: len(part) for name, part in data.parts().items()}
    {'train': 100, 'validation': 30, 'test': 48}
    """

    train: Part
    validation: Part
    test: Part
    task: Task
    classes: int | None = None
    scaler: StandardScaler | None = None

    def parts(self) -> dict[str, Part]:
        """The parts that hold examples, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if len(part)}

    def to(self, device: torch.device | str) -> Split:
        """The same split on another device."""
        train, validation, test = (
            part.to(device) for part in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)


def split(
    dataset: Dataset,
    train: int,
    validation: int = 0,
    test: int | None = None,
    *,
    seed: int = 0,
    label_noise: float = 0.0,
    scale: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Split:
    """Split a data set by seed into train, validation and test examples, all the rest being test.

    Sizes are numbers of examples; classes keep their shares (stratified). ``scale`` standardizes
    each feature with the mean and deviation of the training part alone. ``label_noise`` is the
    share of training and validation labels that are replaced by another class, drawn uniformly;
    test labels stay clean. The same seed gives the same split. Raises ``ValueError`` for sizes
    that do not fit the data. Book section: large weights.

    >>> clean = split(load("digits"), train=200, seed=1)
    >>> noisy = split(load("digits"), train=200, seed=1, label_noise=0.2)
    >>> (clean.train.y != noisy.train.y).sum().item()
    40
    """
    rows = _draw(dataset, train, validation, test, seed)
    y = _corrupt(dataset, np.concatenate(rows[:2]), label_noise, seed)
    scaler = StandardScaler().fit(dataset.x[rows[0]]) if scale else None
    x = dataset.x if scaler is None else scaler.transform(dataset.x)
    targets = torch.as_tensor(y, dtype=torch.int64 if dataset.classes else dtype)
    first, second, third = (
        Part(torch.as_tensor(x[part], dtype=dtype), targets[part]) for part in rows
    )
    classes = len(dataset.classes) if dataset.classes else None
    return Split(first, second, third, dataset.task, classes, scaler)


def _draw(
    dataset: Dataset, train: int, validation: int, test: int | None, seed: int
) -> list[npt.NDArray[np.int64]]:
    n = len(dataset.x)
    if not all(isinstance(size, Integral | None) for size in (train, validation, test)):
        raise TypeError(
            f"Sizes are numbers of examples; got train={train!r}, validation={validation!r},"
            f" test={test!r}. For a share of the data: train=round(0.8 * {n})."
        )
    test = n - train - validation if test is None else test
    if train < 1 or validation < 0 or test < 0 or train + validation + test > n:
        raise ValueError(
            f"Cannot take train={train}, validation={validation}, test={test} from {n} examples:"
            " train must be at least 1, the others at least 0, their sum at most the whole."
        )
    rest, parts = np.arange(n), []
    for size in (train, validation, test):
        part, rest = _take(dataset, rest, size, seed)
        parts.append(part)
    return parts


def _take(
    dataset: Dataset, rows: npt.NDArray[np.int64], size: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw ``size`` of the rows, with the classes' shares kept where that is possible."""
    if size in (0, len(rows)):
        return rows[:size], rows[size:]
    strata = None
    if dataset.task == "classification":
        counts = np.unique(dataset.y[rows], return_counts=True)[1]
        if min(size, len(rows) - size) >= len(counts) and counts.min() >= 2:
            strata = dataset.y[rows]
    taken, left = train_test_split(rows, train_size=size, random_state=seed, stratify=strata)
    return taken, left


def _corrupt(
    dataset: Dataset, rows: npt.NDArray[np.int64], share: float, seed: int
) -> npt.NDArray[Any]:
    """The targets, with the given share of the labels in ``rows`` moved to another class."""
    if not 0 <= share <= 1:
        raise ValueError(f"label_noise is a share between 0 and 1; got {share}.")
    if share == 0:
        return dataset.y
    if dataset.classes is None or len(dataset.classes) < 2:
        raise ValueError("label_noise swaps labels: it needs classification with two classes.")
    rng = np.random.default_rng(seed)
    hit = rng.choice(rows, round(share * len(rows)), replace=False)
    y = dataset.y.copy()
    y[hit] = (y[hit] + rng.integers(1, len(dataset.classes), len(hit))) % len(dataset.classes)
    return y
