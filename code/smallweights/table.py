"""A reader's own table, read with care: from a CSV file to folds that a network can learn from.

What is done to the data is said, a sentence each. What cannot be mended is a ``TableError`` that
says what to do.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from smallweights.data import Array, Part, Split, Task
from smallweights.text_file import (
    SHOWN,
    TableError,
    check_column,
    count_rows,
    find_options,
    join,
    list_values,
    load_rows,
    show,
)

__all__ = ["Table", "TableError", "read_table"]

TASKS = ("auto", "classification", "regression")
FEWEST_ROWS = 30
MOST_CLASSES = 100
MOST_INPUTS = 2000
MOST_CATEGORIES = 20  # of a column, the pool of the rare ones included
RARE = 5  # a category of fewer rows joins the pool
LARGEST = 1e30  # what is beyond counts as infinite: its square soon would be
MISSING, POOL = "(missing)", "(rare)"


@dataclass(frozen=True, eq=False)
class Table:
    """A table that is ready for a network: ``frame`` of features, targets ``y``, and what was done.

    ``numbers`` and ``categories`` name the columns of ``frame``, NaN where a number is missing.
    ``y`` holds numbers, or class numbers into ``classes``. ``notes`` are sentences on what was done
    to the data. ``rows`` counts the rows of the file that have a target; ``options`` are those
    with which ``pandas.read_csv`` reads the file alike. Book section: tips.
    """

    path: str
    target: str
    task: Task
    frame: pd.DataFrame
    y: Array
    classes: tuple[object, ...] | None
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    notes: tuple[str, ...]
    rows: int
    options: dict[str, Any]

    def prepare(self) -> ColumnTransformer:
        """What makes a network's inputs of ``frame``, to be fitted on training rows alone.

        A missing number becomes the median, numbers are standardized, categories become columns
        of 0 and 1. Source: scikit-learn's own transformers.
        """
        known = [sorted(self.frame[name].unique()) for name in self.categories]
        one_hot = OneHotEncoder(
            categories=known or "auto", drop="if_binary", handle_unknown="ignore", dtype=float
        )
        scale = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
        )
        columns = [
            ("numbers", scale, list(self.numbers)),
            ("categories", one_hot, list(self.categories)),
        ]
        return ColumnTransformer(columns, sparse_threshold=0)

    def folds(self, count: int = 10, *, seed: int = 0) -> dict[int, Split]:
        """The table as ``count`` splits: each row is held out once, as ``test``.

        Medians, means and deviations are those of each fold's training rows. Classes keep their
        shares. A numeric target is standardized, too, so that a loss of 1 is about that of guessing
        the mean. Raises ``TableError`` for a table too small for so many folds.
        """
        most = len(self.y) // 2 if self.classes is None else int(np.bincount(self.y).max())
        if not 2 <= count <= most:
            raise TableError(f"The table allows 2 to {most} folds; got {count}.")
        kind = KFold if self.classes is None else StratifiedKFold
        with warnings.catch_warnings():  # a class of fewer rows than folds is in most of them
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            drawn = list(kind(count, shuffle=True, random_state=seed).split(self.frame, self.y))
        return {i: self._split(train, held_out) for i, (train, held_out) in enumerate(drawn)}

    def _split(self, train: np.ndarray, held_out: np.ndarray) -> Split:
        prepare = self.prepare().fit(self.frame.iloc[train])
        x, y = torch.from_numpy(prepare.transform(self.frame)), torch.tensor(self.y)
        if self.classes is None:
            y = ((y - y[train].mean()) / y[train].std(correction=0).clamp(min=1e-12))[:, None]
        parts = [Part(x[rows], y[rows]) for rows in (train, held_out[:0], held_out)]
        classes = len(self.classes) if self.classes else None
        return Split(parts[0], parts[1], parts[2], self.task, classes)


def read_table(
    path: str | PathLike[str],
    target: str,
    *,
    task: Literal["auto", "classification", "regression"] = "auto",
    rows: int = 5000,
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> Table:
    """Read a CSV file with a line of names, and make of it what a network can learn from.

    ``target`` is the column to predict. ``task`` "auto" takes text, or at most ten different whole
    numbers, for classes. Of more than ``rows`` rows a random sample is used, the same each time.
    ``categories`` names columns of numbers that are codes, ``drop`` columns to leave out. Raises
    ``TableError`` that says what is wrong with the file and what to do. Book section: tips.

    >>> data = load("diabetes")
    >>> frame = pd.DataFrame(data.x, columns=data.features).assign(progress=data.y)
    >>> frame.to_csv("diabetes.csv", index=False)
    >>> table = read_table("diabetes.csv", target="progress")
    >>> table.task, table.rows, len(table.numbers)
    ('regression', 442, 10)
    """
    _check_request(task, rows, target, drop)
    notes = [f"Left out because you said so: {list_values(drop)}."] if drop else []
    options, names = find_options(Path(path), target, notes)
    for name in (target, *categories, *drop):
        check_column(name, names)
    _check_size(len(names) - 1)
    raw, count = load_rows(Path(path), options, names, target, rows, notes)
    raw, y, classes = _targets(raw, target, task, options, notes)
    features = _Features(raw.drop(columns=[target, *drop]), set(categories), options)
    table = Table(
        str(path),
        target,
        "regression" if classes is None else "classification",
        pd.DataFrame(features.numbers | features.categories, index=raw.index),
        y,
        classes,
        tuple(features.numbers),
        tuple(features.categories),
        (*notes, *features.notes, *_describe(features), _describe_target(y, classes)),
        count,
        options,
    )
    _check_size(table.prepare().fit_transform(table.frame[:FEWEST_ROWS]).shape[1])
    return table


def _check_request(task: str, rows: int, target: str, drop: Sequence[str]) -> None:
    if task not in TASKS:
        raise TableError(f"task must be one of {', '.join(TASKS)}; got {task!r}.")
    if rows < FEWEST_ROWS or target in drop:
        raise TableError(f"rows must be at least {FEWEST_ROWS}, and the target not in drop.")


# The target


def _check_rows(count: int, kind: str) -> None:
    if count < FEWEST_ROWS:
        raise TableError(
            f"The table has {count_rows(count)} {kind}; at least {FEWEST_ROWS} are needed, for some"
            " of them are held out to judge by."
        )


def _targets(
    raw: pd.DataFrame, target: str, task: str, options: dict[str, Any], notes: list[str]
) -> tuple[pd.DataFrame, Array, tuple[object, ...] | None]:
    """The rows whose target is fit to use, their targets, and the classes if it has some."""
    _check_rows(len(raw), "with a target")
    text = raw[target]
    values = _to_numbers(text, options)
    wrong = values.isna() | (values.abs() > LARGEST)
    if task == "auto":
        task = _guess_task(text, values, wrong, notes)
    if task == "classification":
        return _classes(raw, target, text if values.isna().any() else values, notes)
    if wrong.mean() > 0.1:
        raise TableError(
            f"The target {target!r} holds text, such as {list_values(text[wrong].unique(), 3)}:"
            " regression needs numbers. Ask for classification, or name a column of numbers."
        )
    if wrong.any():
        notes.append(
            f"Left out for want of a finite number as target: {count_rows(wrong.sum())}"
            f" ({list_values(text[wrong].unique(), 3)})."
        )
        _set_missing(options, target, text[wrong])
    y = values[~wrong].to_numpy(float)
    _check_rows(len(y), "with a number as target")
    _check_varies(target, y)
    return raw[~wrong], y, None


def _guess_task(
    text: pd.Series, values: pd.Series, wrong: pd.Series, notes: list[str]
) -> Literal["classification", "regression"]:
    """Text is for classes, and so are up to ten whole numbers; all else is for regression."""
    numbers = values[~wrong]
    if wrong.mean() > 0.1:
        notes.append("The target holds text: this is classification.")
        return "classification"
    if numbers.nunique() <= 10 and (numbers % 1 == 0).all():
        notes.append(
            f"The target has {numbers.nunique()} different values, all whole numbers, which were"
            " taken for classes. If they are amounts, ask for regression."
        )
        return "classification"
    notes.append("The target is a number: this is regression.")
    return "regression"


def _classes(
    raw: pd.DataFrame, target: str, labels: pd.Series, notes: list[str]
) -> tuple[pd.DataFrame, Array, tuple[object, ...]]:
    labels = labels.map(lambda v: int(v) if v % 1 == 0 else v) if labels.dtype == float else labels
    counts = labels.value_counts()
    _check_varies(target, labels)
    single = counts.index[counts == 1]
    if len(counts) - len(single) > MOST_CLASSES or len(single) > 0.1 * len(labels):
        raise TableError(
            f"The target {target!r} has {len(counts):,} different values in {len(labels):,} rows,"
            f" such as {list_values(counts.index, 3)}: too many to be classes. If they are numbers,"
            " write them without units and with a decimal point, and ask for regression."
        )
    kept = ~labels.isin(single)
    if len(single):
        notes.append(
            f"Left out because a class of one row cannot be judged: {list_values(single)}."
        )
    labels = labels[kept]
    _check_rows(len(labels), "of a class that has more than one")
    _check_varies(target, labels)
    classes = tuple(sorted(labels.unique()))
    return raw[kept], pd.Index(classes).get_indexer(labels), classes


def _check_varies(target: str, values: Sequence[object] | pd.Series | Array) -> None:
    found = pd.unique(pd.Series(values))
    if len(found) == 1:
        raise TableError(
            f"The target {target!r} is {show(found[0])} in every row: there is nothing to learn."
        )


# The features


class _Features:
    """Sorts the columns into numbers and categories, and notes what it leaves out and mends."""

    def __init__(self, raw: pd.DataFrame, codes: set[str], options: dict[str, Any]) -> None:
        self.options = options
        self.numbers: dict[str, pd.Series] = {}
        self.categories: dict[str, pd.Series] = {}
        self.missing: dict[str, int] = {}
        self.left_out: dict[str, list[str]] = {}
        self.notes: list[str] = []
        for name, column in raw.items():
            self._add(str(name), column, name in codes)
        for reason, names in self.left_out.items():
            self.notes.append(f"Left out because {reason}: {list_values(names)}.")
        if not (self.numbers or self.categories):
            raise TableError(" ".join(["No column is left to predict from.", *self.notes]))

    def _add(self, name: str, column: pd.Series, is_code: bool) -> None:
        if column.isna().all():
            return self._leave_out("nothing is in them", name)
        values = _to_numbers(column, self.options)
        odd = column[values.isna() & column.notna()]
        few = len(odd) <= 0.1 * column.notna().sum() and odd.nunique() <= SHOWN
        if is_code or not few:
            return self._add_categories(name, column)
        return self._add_numbers(name, column, values, odd)

    def _add_numbers(self, name: str, text: pd.Series, values: pd.Series, odd: pd.Series) -> None:
        infinite = values.abs() > LARGEST
        for cells, what in ((odd, "no numbers"), (text[infinite], "infinite")):
            if len(cells):
                shown = list_values(cells.unique(), 3)
                self.notes.append(
                    f"{len(cells)} entries of {name!r} are {what} ({shown}) and count as missing."
                )
                _set_missing(self.options, name, cells)
        values = values.mask(infinite)
        if values.isna().all():
            return self._leave_out("nothing is in them", name)
        if _counts_rows(values):
            return self._leave_out("they only count the rows", name)
        if _hardly_varies(values.fillna(values.median())):
            return self._leave_out(f"fewer than {RARE} rows differ from the rest", name)
        self._count_missing(name, values)
        self.numbers[name] = values
        return None

    def _add_categories(self, name: str, text: pd.Series) -> None:
        counts = text.fillna(MISSING).value_counts()
        if text.nunique() > text.notna().sum() / 2 or counts.iloc[0] < RARE:
            example = show(text.dropna().iloc[0])
            return self._leave_out(
                f"nearly every row has a text of its own, such as {example}", name
            )
        if _hardly_varies(text.fillna(MISSING)):
            return self._leave_out(f"fewer than {RARE} rows differ from the rest", name)
        frequent = counts[counts >= RARE]
        if len(counts) > MOST_CATEGORIES:
            frequent = frequent.head(MOST_CATEGORIES - 1)
        self._count_missing(name, text)
        self.categories[name] = text.fillna(MISSING).where(
            text.fillna(MISSING).isin(frequent.index), POOL
        )
        return None

    def _count_missing(self, name: str, column: pd.Series) -> None:
        if column.isna().any():
            self.missing[name] = int(column.isna().sum())

    def _leave_out(self, reason: str, name: str) -> None:
        self.left_out.setdefault(reason, []).append(name)


def _to_numbers(column: pd.Series, options: dict[str, Any]) -> pd.Series:
    """The entries as numbers, NaN where they are none; where commas don't separate they may be
    decimal ones.
    """
    values = pd.to_numeric(column, errors="coerce").astype(float)
    if options["sep"] != "," and values.isna().sum() > column.isna().sum():
        pointed = column.str.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True)
        with_comma = pd.to_numeric(pointed, errors="coerce").astype(float)
        if with_comma.notna().sum() > values.notna().sum():
            options["decimal"] = ","
            return with_comma
    return values


def _counts_rows(values: pd.Series) -> bool:
    steps = values.diff() / values.index.to_series().diff()
    return bool((steps.iloc[1:] == steps.iloc[1]).all() and steps.iloc[1] != 0)


def _hardly_varies(column: pd.Series) -> bool:
    return len(column) - column.value_counts().iloc[0] < RARE


def _set_missing(options: dict[str, Any], name: str, cells: pd.Series) -> None:
    """Let ``read_csv`` take these entries of the column for missing ones."""
    known = options.setdefault("na_values", {}).setdefault(name, [])
    known += [text for text in cells.unique() if text not in known]


# The words


def _describe(features: _Features) -> Iterable[str]:
    """What becomes of the columns on the way to the network."""
    if "decimal" in features.options:
        yield "Numbers with a decimal comma were read as such."
    if features.numbers:
        yield (
            f"Numbers, scaled to mean 0 and standard deviation 1 of the training rows:"
            f" {list_values(features.numbers)}."
        )
    if features.categories:
        kinds = [f"{name!r} ({c.nunique()})" for name, c in features.categories.items()]
        yield f"Categories, each turned into columns of 0 and 1: {join(kinds)}."
    pools = [name for name, c in features.categories.items() if (c == POOL).any()]
    if pools:
        yield (
            f"Categories of fewer than {RARE} rows, and those after the {MOST_CATEGORIES - 1} most"
            f" frequent, share one in {list_values(pools)}."
        )
    if features.missing:
        counts = [f"{name!r} ({count})" for name, count in features.missing.items()]
        yield (
            f"Missing entries: {join(counts)}. A missing number became the median of the training"
            " rows; a missing category is a category of its own."
        )


def _describe_target(y: Array, classes: tuple[object, ...] | None) -> str:
    if classes is None:
        return (
            f"The target, {y.min():g} to {y.max():g}, was scaled as the numbers were: a loss of 1"
            " is about that of always guessing the mean."
        )
    shares = [
        f"{show(name)} ({100 * n / len(y):.0f} %)"
        for name, n in zip(classes, np.bincount(y), strict=True)
    ]
    return f"The {len(classes)} classes: {join(shares)}."


def _check_size(inputs: int) -> None:
    if inputs > MOST_INPUTS:
        raise TableError(
            f"The table makes {inputs:,} inputs of a network; up to {MOST_INPUTS:,} are allowed."
            " Leave columns out of the file, or turn categories of many kinds into few."
        )
