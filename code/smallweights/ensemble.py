"""Many training runs at once: the same as ``fit``, a thousand networks at a time.

The grid of replicas (data, learning rate, seed, penalty) is cut into chunks that fit a processor's
cache, joblib maps the chunks, and ``stacked`` trains each.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, groupby, product
from operator import index
from os import PathLike
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from joblib.parallel import get_active_backend
from torch import nn

from smallweights.data import Split
from smallweights.stacked import AnyPenalty, Chunk, Stacked, Trained, chunk_size, train_chunk
from smallweights.storage import ChunkFolder
from smallweights.train import Training, check_types, describe, find_device, show_progress

# What a seed may choose: its data, its penalty.
Source = Split | Callable[[int], Split]
Choice = AnyPenalty | Callable[[int], AnyPenalty]
_SEVERAL = {
    "penalties": "[L2(0.1)] or {0.1: L2(0.1)}",
    "seeds": "range(20)",
    "lr": "[1e-3, 1e-2]",
    "alphas": "[1e-3, 1e-2]",
}


@dataclass(frozen=True)
class Fits:
    """The trained replicas, their history and the names of those that diverged.

    ``replicas`` has a row a replica: its data set, seed, penalty and learning rate, its best
    recorded step and, where it diverged, the step. ``history`` has a row for each (replica,
    recorded step) with the columns of ``fit``'s history; the scores of a diverged replica are NaN
    from there on. Book section: norms.

    >>> data = split(two_moons(60), train=30)
    >>> strengths = {alpha: L2(alpha) for alpha in (0.0, 0.1)}
    >>> start = lambda seed: MLP((2, 4, 2), seed=seed)
    >>> fits = fit_many(start, data, strengths, Training(steps=50), seeds=range(3))
    >>> fits.final.groupby("penalty").seed.count()
    penalty
    0.0    3
    0.1    3
    Name: seed, dtype: int64
    >>> fits.model(seed=2, penalty=0.1)(torch.zeros(1, 2)).shape
    torch.Size([1, 2])
    """

    replicas: pd.DataFrame
    history: pd.DataFrame
    method: str
    weights: Stacked
    best_weights: Stacked
    template: nn.Module

    @property
    def diverged(self) -> pd.DataFrame:
        """The replicas whose training left the finite numbers, with the step where it did."""
        return self.replicas[self.replicas.diverged_at >= 0]

    @property
    def final(self) -> pd.DataFrame:
        """The last row of each replica's history."""
        return self.history.groupby("replica").tail(1).reset_index(drop=True)

    @property
    def best(self) -> pd.DataFrame:
        """The row of each replica's history with the lowest validation loss."""
        at_best = self.history.step == self.history.replica.map(self.replicas.best_step)
        return self.history[at_best].reset_index(drop=True)

    def model(self, *, best: bool = False, **where: object) -> nn.Module:
        """The network of the one replica with these values, e.g. ``model(seed=3, penalty=0.1)``."""
        chosen = self.replicas
        for column, value in where.items():
            chosen = chosen[chosen[column] == value]
        if len(chosen) != 1:
            raise ValueError(f"{where} names {len(chosen)} replicas; give values that name one.")
        return self._unstack(chosen.index[0], best)

    def models(self, *, best: bool = False) -> Iterator[nn.Module]:
        """The networks of all replicas, in the order of ``replicas``."""
        return (self._unstack(k, best) for k in self.replicas.index)

    def measure(self, function: Callable[[nn.Module], float], name: str) -> pd.DataFrame:
        """``replicas`` with one more column: the function's value for each trained network."""
        return self.replicas.assign(**{name: [function(model) for model in self.models()]})

    def _unstack(self, k: int, best: bool) -> nn.Module:
        if best and self.replicas.best_step[k] < 0:
            raise ValueError(
                f"Replica {k} has no best step: that takes a finite loss on validation examples."
                " Give the split some, or ask without best for the weights after the last step."
            )
        model = copy.deepcopy(self.template)
        weights = self.best_weights if best else self.weights
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[name][k])
        return model


def fit_many(
    model: Callable[[int], nn.Module],
    data: Source | Mapping[Any, Source],
    penalties: Mapping[Any, Choice] | Sequence[Choice],
    training: Training | None = None,
    *,
    seeds: Sequence[int],
    lr: Sequence[float] | None = None,
    device: str = "auto",
    chunk: int | None = None,
    jobs: int | None = None,
    folder: str | PathLike[str] | None = None,
    progress: bool = False,
) -> Fits:
    """Train every combination of data, learning rate, seed and penalty, as ``fit`` would.

    What may depend on the seed is a value or a function of the seed: ``model`` makes the start
    network of a seed, ``data`` its split, a penalty may be made for a seed. ``penalties`` and
    ``data`` may map the labels that the results carry, such as ``{alpha: L2(alpha)}``. ``seeds``
    also order the mini-batches. ``lr`` lists learning rates to try instead of the training's own.

    ``chunk`` is the number of replicas trained together (default: as many as fit the cache);
    ``jobs`` the number of chunks at a time (default: what ``joblib.parallel_config`` says, else a
    thread a core). Each chunk computes on one thread, so the result depends on ``chunk`` in its
    last bits only, and on ``jobs`` not at all. A replica that diverges is listed in ``diverged``
    and leaves the others alone.

    ``folder`` keeps each finished chunk on this machine's disk; the same call on the same folder
    goes on from there, even after a kill, and ends with the same numbers. Needs the extra
    ``smallweights[full]``.

    Raises ``TypeError`` for one value where several are due or for data that are no split,
    ``ValueError`` when networks or penalties that train together differ in shape or in kind, when
    a network keeps buffers (batch normalization), which a stack lacks, for a ``chunk`` below 1, and
    for a chunk in ``folder`` that is damaged or belongs to another run.
    Book section: norms.

    >>> data = lambda seed: split(two_moons(200, seed=seed), train=100, seed=seed)
    >>> start = lambda seed: MLP((2, 8, 2), seed=seed)
    >>> fits = fit_many(start, data, {0: L2(0), 0.1: L2(0.1)}, Training(steps=200), seeds=range(5))
    >>> fits.final.groupby("penalty").norm.mean().round(1).to_dict()
    {0.0: 3.0, 0.1: 1.3}
    """
    training = training or Training()
    lrs = [training.lr] if lr is None else lr
    check_model(model)
    check_several(penalties=penalties, seeds=seeds, lr=lrs)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be a number of replicas >= 1; got {chunk}.")
    seeds = whole_numbers(seeds)
    grid = _grid(data, penalties, lrs, seeds)
    first, split = model(seeds[0]), grid.splits[0]
    for each in grid.splits:
        check_types(first, each)
    place = find_device(device, split.train.x.dtype)
    size = chunk or chunk_size(first, split, training, place)
    chunks = [grid.chunk(model, rows, training) for rows in grid.cut(size)]
    results = map_chunks(train_chunk, chunks, place, jobs=jobs, folder=folder, progress=progress)
    return collect(grid.labels, chunks[0].models[0], results, training)


def check_model(model: object) -> None:
    """Raise ``TypeError`` unless ``model`` can make the network of a seed."""
    if isinstance(model, nn.Module) or not callable(model):
        raise TypeError(
            "model must be a function that makes the start network of a seed, such as"
            f" lambda seed: MLP((64, 10), seed=seed); got {type(model).__name__}."
        )


def check_several(**settings: object) -> None:
    """Raise ``TypeError`` for a setting that is one value where a collection is due."""
    for name, values in settings.items():
        if not isinstance(values, Collection):
            raise TypeError(
                f"{name} must be a collection of values, such as {_SEVERAL[name]}; got {values!r}."
            )


def whole_numbers(seeds: Collection[int]) -> list[int]:
    """The seeds as Python's own integers, which every generator takes; else ``TypeError``."""
    try:
        return [index(seed) for seed in seeds]
    except TypeError as error:
        expected = f"seeds must be whole numbers, such as {_SEVERAL['seeds']}"
        raise TypeError(f"{expected}; got {list(seeds)} ({error}).") from error


@dataclass(frozen=True)
class Grid:
    """The replicas by label, each with the split and penalty that its labels stand for."""

    labels: pd.DataFrame
    splits: list[Split]
    penalties: list[AnyPenalty]

    def cut(self, size: int) -> list[list[int]]:
        """Rows cut into chunks of rows alike, of whole groups that share their data."""
        chunks: list[list[int]] = []
        for rows in self._alike():
            groups = [list(group.index) for _, group in rows.groupby(["data", "seed"], sort=False)]
            width = len(groups[0])
            if width > size:
                chunks += [piece for group in groups for piece in _evenly(group, size)]
            else:
                chunks += [list(chain(*piece)) for piece in _evenly(groups, size // width)]
        return chunks

    def _alike(self) -> Iterator[pd.DataFrame]:
        """The runs of rows that may train together: one learning rate, data of one shape."""
        lrs = list(self.labels.lr)
        shapes = [[part.x.shape for part in split.parts().values()] for split in self.splits]
        for _, rows in groupby(self.labels.index, lambda row: (lrs[row], shapes[row])):
            yield self.labels.loc[list(rows)]

    def chunk(
        self, model: Callable[[int], nn.Module], rows: list[int], training: Training
    ) -> Chunk:
        """The replicas of these rows, ready to train."""
        labels = self.labels.loc[rows]
        groups = labels.drop_duplicates(["data", "seed"]).index
        return Chunk(
            models=[model(seed) for seed in labels.seed],
            data=[self.splits[row] for row in groups],
            penalties=[self.penalties[row] for row in rows],
            seeds=list(labels.seed),
            training=replace(training, lr=float(labels.lr.iloc[0])),
        )


def _evenly(items: list[Any], most: int) -> list[list[Any]]:
    """The items in as few pieces of at most so many as it takes, of sizes that differ little."""
    pieces = math.ceil(len(items) / most)
    size = math.ceil(len(items) / pieces)
    return [items[start : start + size] for start in range(0, len(items), size)]


def _grid(
    data: Source | Mapping[Any, Source],
    penalties: Mapping[Any, Choice] | Sequence[Choice],
    lrs: Sequence[float],
    seeds: Sequence[int],
) -> Grid:
    sources = data if isinstance(data, Mapping) else {"data": data}
    named = (
        penalties.items() if isinstance(penalties, Mapping) else [(str(p), p) for p in penalties]
    )
    labels = [label for label, _ in named]
    _check_distinct({"seed": seeds, "penalty": labels, "data set": sources, "learning rate": lrs})
    rows, splits, chosen = [], [], []
    for lr, (label, source), seed in product(lrs, sources.items(), seeds):
        shared = _for_seed(source, seed)
        for name, penalty in named:
            rows.append({"data": label, "seed": seed, "penalty": name, "lr": lr})
            splits.append(shared)
            chosen.append(_for_seed(penalty, seed))
    return Grid(pd.DataFrame(rows), splits, chosen)


def _check_distinct(axes: Mapping[str, Collection[Any]]) -> None:
    for axis, values in axes.items():
        if not len(values):
            raise ValueError(f"fit_many needs at least one {axis}; got none.")
        if len(set(values)) < len(values):
            twice = next(value for value, count in Counter(values).items() if count > 1)
            raise ValueError(
                f"Each {axis} must occur once, but {twice!r} occurs again. Penalties that read"
                " alike take labels of their own: {label: penalty}."
            )


def _for_seed(value: object, seed: int) -> Any:  # noqa: ANN401 - a split or a penalty
    return value(seed) if callable(value) else value


def map_chunks(
    function: Callable[[Chunk, torch.device], Trained],
    chunks: Sequence[Chunk],
    place: torch.device,
    *,
    jobs: int | None = None,
    folder: str | PathLike[str] | None = None,
    progress: bool = False,
) -> list[Trained]:
    """Train the chunks through joblib, each on one thread of its own.

    It is this process that writes to ``folder``, as the chunks come in: a worker may sit on
    another machine, and one writer needs no locks.
    """
    kept = None if folder is None else ChunkFolder(folder, chunks, place)
    done = {} if kept is None else kept.read()
    left = [i for i in range(len(chunks)) if i not in done]
    if jobs is None and get_active_backend()[1] is None:  # nobody configured joblib
        jobs = -1 if place.type == "cpu" else 1
    threads = torch.get_num_threads()
    try:
        tasks = [joblib.delayed(_on_one_thread)(function, chunks[i], place, i) for i in left]
        bar = {"total": len(chunks), "initial": len(done), "unit": "chunk"}
        with closing(_as_they_come(tasks, jobs)) as results:
            for i, trained in show_progress(results, **bar) if progress else results:
                done[i] = trained
                if kept is not None:
                    kept.write(i, trained)
        return [done[i] for i in range(len(chunks))]
    finally:
        torch.set_num_threads(threads)


def _as_they_come(
    tasks: Sequence[Any], jobs: int | None
) -> Generator[tuple[int, Trained], None, None]:
    """The tasks' results in the order in which they are ready."""
    backend, _ = get_active_backend(prefer="threads")
    if backend.supports_return_generator:
        pool = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered")
        ready = pool(tasks)
        try:
            for result in ready:  # noqa: UP028 - `yield from` would close it outside the filter
                yield result
        finally:
            with warnings.catch_warnings():  # of results that an error elsewhere leaves unread
                warnings.simplefilter("ignore")
                ready.close()
        return
    size = joblib.effective_n_jobs(jobs)  # Ray hands out lists alone: a round at a time
    for start in range(0, len(tasks), size):
        yield from joblib.Parallel(n_jobs=jobs, prefer="threads")(tasks[start : start + size])


def _on_one_thread(
    function: Callable[[Chunk, torch.device], Trained], chunk: Chunk, place: torch.device, i: int
) -> tuple[int, Trained]:
    torch.set_num_threads(1)
    return i, function(chunk, place)


def collect(
    labels: pd.DataFrame, template: nn.Module, results: Sequence[Trained], training: Training
) -> Fits:
    """Put the chunks' results back together, in the order of the labels."""
    joined = {
        field: torch.cat([getattr(result, field) for result in results])
        for field in ("best_step", "diverged_at")
    }
    replicas = labels.assign(**{field: values.numpy() for field, values in joined.items()})
    replicas = replicas.rename_axis("replica")
    scores = {
        name: torch.cat([result.scores[name] for result in results], 1).T.numpy().ravel()
        for name in results[0].scores
    }
    steps = training.recorded()
    rows = np.repeat(np.arange(len(replicas)), len(steps))
    history = replicas[["data", "seed", "penalty", "lr"]].iloc[rows].reset_index()
    history = history.assign(step=np.tile(steps, len(replicas)), **scores)
    weights, best = (_cat([getattr(r, name) for r in results]) for name in ("weights", "best"))
    return Fits(replicas, history, describe(training), weights, best, template)


def _cat(parts: Sequence[Stacked]) -> Stacked:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
