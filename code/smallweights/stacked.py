"""A chunk of replicas trained together: the engine's inside.

The weights of K networks are stacked, K of every tensor, and trained by one optimizer; the sum of
the K losses has for each network's weights the gradient that its own loss has. Networks that see
the same examples share the product with the first layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from smallweights.data import Part, Split
from smallweights.penalties import Penalty, stack
from smallweights.select import Penalize, as_penalize, parameters_of
from smallweights.train import Training, check_match

AnyPenalty = Penalize | Penalty | None
Stacked = dict[str, Tensor]

# Weights, gradients, optimizer state and activations of a chunk should stay in the cache.
CHUNK_BYTES = {"cpu": 8 * 2**20, "cuda": 4 * 2**30, "mps": 2**30}


@dataclass(frozen=True)
class Chunk:
    """Replicas that are trained together: K start networks, their data, penalties and seeds.

    ``data`` holds G splits; the first K/G replicas see the first, and so on.
    """

    models: list[nn.Module]
    data: list[Split]
    penalties: list[AnyPenalty]
    seeds: list[int]
    training: Training


@dataclass(frozen=True)
class Trained:
    """What training a chunk gives: weights stacked by name, and scores of shape (records, K).

    ``best_step`` is −1 where there is no validation loss; ``diverged_at`` is −1 where training
    stayed finite.
    """

    weights: Stacked
    best: Stacked
    best_step: Tensor
    diverged_at: Tensor
    scores: Stacked


def chunk_size(model: nn.Module, data: Split, training: Training, place: torch.device) -> int:
    """How many replicas fit the cache: weights four times over, activations of a batch twice."""
    weights = parameters_of(model).values()
    widths = sum(len(w) for w in weights if w.dim() > 1)
    examples = training.batch or len(data.train)
    numbers = 4 * sum(w.numel() for w in weights) + 2 * widths * examples
    return max(1, CHUNK_BYTES[place.type] // (numbers * data.train.x.element_size()))


def train_chunk(chunk: Chunk, place: torch.device) -> Trained:
    """Train the replicas of one chunk together."""
    training, data = chunk.training, _StackedData(chunk, place)
    forward, weights = _stack_networks(chunk, data, place)
    penalties = _stack_penalties(chunk, weights)
    optimizer = training.make_optimizer(weights.values(), fused=place.type != "mps")
    log = _StackedLog(data, penalties, training.recorded(), weights)
    for step, rows in enumerate(data.batches(training)):
        log.write(step, forward, weights)
        x, y = data.rows("train", rows)
        losses = data.losses(forward(weights, x), y)
        log.watch(step, losses)
        losses.sum().backward()
        with torch.no_grad():
            _update(training, penalties, weights, optimizer)
        optimizer.zero_grad()
    log.write(training.steps, forward, weights)
    return log.result(weights)


def _update(
    training: Training,
    penalties: Mapping[str, Penalty],
    weights: Stacked,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step of all replicas, with the penalty's closed forms in place of its graph."""
    for name, penalty in penalties.items():
        if training.method == "penalty":
            penalty._accumulate(weights[name].grad, weights[name])
        elif training.method == "decay":
            weights[name].sub_(training.lr * penalty._grad(weights[name]))
    optimizer.step()
    if training.method == "prox":
        for name, penalty in penalties.items():
            weights[name].copy_(penalty._prox(weights[name], training.prox_step()))


class _StackedData:
    """The examples of a chunk: (n, ...) where all replicas share them, else (G, n, ...)."""

    def __init__(self, chunk: Chunk, place: torch.device) -> None:
        self.place, self.task = place, chunk.data[0].task
        self.replicas, self.groups = len(chunk.models), len(chunk.data)
        self.seeds = chunk.seeds[:: self.replicas // self.groups]
        splits = [split.parts() for split in chunk.data]
        sizes = [{name: tuple(part.x.shape) for name, part in parts.items()} for parts in splits]
        if any(size != sizes[0] for size in sizes):
            raise ValueError(
                f"Networks trained together need data of one shape; got {sizes[0]} and"
                f" {next(size for size in sizes if size != sizes[0])}."
            )
        self.parts = {name: self._join([parts[name] for parts in splits]) for name in splits[0]}

    def _join(self, parts: list[Part]) -> tuple[Tensor, Tensor]:
        pick = (lambda ts: ts[0]) if self.groups == 1 else torch.stack
        x, y = pick([part.x for part in parts]), pick([part.y for part in parts])
        return x.to(self.place), y.to(self.place)

    def batches(self, training: Training) -> Iterator[Tensor | slice]:
        """The rows of each step, (b,) or (G, b): each seed has its own order."""
        n = self.parts["train"][0].shape[-2]
        if training.batch is None or self.groups == 1:
            yield from training.batches(n, self.seeds[0])
            return
        orders = [training.batches(n, seed) for seed in self.seeds]
        yield from (torch.stack(rows) for rows in zip(*orders, strict=True))

    def rows(self, part: str, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """The examples of these rows, or all of them, of one part."""
        x, y = self.parts[part]
        if isinstance(rows, slice):
            return x, y
        if rows.dim() == 1:
            return x[rows], y[rows]
        group = torch.arange(self.groups).unsqueeze(1)
        return x[group, rows], y[group, rows]

    def _targets(self, y: Tensor) -> Tensor:
        """Targets of every replica, (K, n, ...)."""
        dims = 1 if self.task == "classification" else 2
        if y.dim() == dims:
            return y.expand(self.replicas, *y.shape)
        return y.repeat_interleave(self.replicas // self.groups, 0)

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The K losses of outputs (K, n, c)."""
        targets = self._targets(y)
        if self.task == "classification":
            terms = functional.cross_entropy(outputs.mT, targets, reduction="none")
            return terms.mean(1)
        return (outputs - targets).square().mean((1, 2))

    def errors(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The K shares of wrong classes."""
        return (outputs.argmax(-1) != self._targets(y)).double().mean(1)


def _stack_networks(
    chunk: Chunk, data: _StackedData, place: torch.device
) -> tuple[Callable[[Stacked, Tensor], Tensor], Stacked]:
    """The stack's forward function, and its weights as leaves that take gradients."""
    template = chunk.models[0]
    if list(template.buffers()):
        raise ValueError(
            "fit_many cannot stack networks with buffers (batch normalization keeps some);"
            " train them with fit, or use layers that keep no running statistics."
        )
    for split in chunk.data:
        check_match(template, split)
    networks = [parameters_of(model) for model in chunk.models]
    weights = {
        name: torch.stack([network[name].detach() for network in networks])
        .to(place)
        .requires_grad_()
        for name in networks[0]
    }
    skeleton = copy.deepcopy(template).to("meta")
    if getattr(template, "takes_stacks", False):
        return lambda ws, x: functional_call(skeleton, ws, (x,)), weights
    return _by_vmap(skeleton, data), weights


def _by_vmap(skeleton: nn.Module, data: _StackedData) -> Callable[[Stacked, Tensor], Tensor]:
    """The forward function of a network that is not the book's: mapped by ``torch.vmap``."""
    shares = data.replicas // data.groups

    def one(weights: Stacked, x: Tensor) -> Tensor:
        return functional_call(skeleton, weights, (x,))

    def forward(weights: Stacked, x: Tensor) -> Tensor:
        if data.groups == 1:
            return torch.vmap(one, in_dims=(0, None))(weights, x)
        return torch.vmap(one)(weights, x.repeat_interleave(shares, 0))

    return forward


def _stack_penalties(chunk: Chunk, weights: Stacked) -> dict[str, Penalty]:
    """Each tensor's penalty with the K replicas' strengths stacked."""
    each = [
        as_penalize(penalty).assign(model)
        for penalty, model in zip(chunk.penalties, chunk.models, strict=True)
    ]
    names = [name for name in weights if any(name in penalties for penalties in each)]
    off = {name: next(p[name] for p in each if name in p) * 0.0 for name in names}
    return {name: stack([p.get(name, off[name]) for p in each], weights[name]) for name in names}


class _StackedLog:
    """Writes the history of a chunk, keeps each replica's best state, notes who diverged."""

    def __init__(
        self,
        data: _StackedData,
        penalties: Mapping[str, Penalty],
        steps: list[int],
        weights: Stacked,
    ) -> None:
        self.data, self.penalties, self.steps = data, penalties, set(steps)
        self.rows: list[Stacked] = []
        self.best = {name: w.detach().clone() for name, w in weights.items()}
        self.lowest = torch.full((data.replicas,), torch.inf, device=data.place)
        self.best_step = torch.full((data.replicas,), -1, device=data.place)
        self.diverged_at = torch.full((data.replicas,), -1, device=data.place)

    def watch(self, step: int, losses: Tensor) -> None:
        new = (self.diverged_at < 0) & ~losses.detach().isfinite()
        self.diverged_at.masked_fill_(new, step)

    @torch.no_grad()
    def write(
        self, step: int, forward: Callable[[Stacked, Tensor], Tensor], weights: Stacked
    ) -> None:
        if step not in self.steps:
            return
        row: Stacked = {}
        for part in self.data.parts:
            x, y = self.data.rows(part, slice(None))
            outputs = forward(weights, x)
            row[f"{part}_loss"] = self.data.losses(outputs, y)
            if self.data.task == "classification":
                row[f"{part}_error"] = self.data.errors(outputs, y)
        self.watch(step, row["train_loss"])
        row["penalty_value"] = self._per_replica(
            penalty._summands(weights[name]) for name, penalty in self.penalties.items()
        )
        row["norm"] = self._per_replica(w.square() for w in weights.values() if w.dim() > 2).sqrt()
        alive = self.diverged_at < 0
        self.rows.append({name: torch.where(alive, v, torch.nan) for name, v in row.items()})
        if "validation_loss" in row:
            self._keep_best(step, row["validation_loss"], weights)

    def _per_replica(self, tensors: Iterator[Tensor]) -> Tensor:
        zero = torch.zeros(self.data.replicas, device=self.data.place)
        return sum((tensor.flatten(1).sum(1) for tensor in tensors), zero)

    def _keep_best(self, step: int, losses: Tensor, weights: Stacked) -> None:
        better = losses < self.lowest
        self.lowest = torch.where(better, losses, self.lowest)
        self.best_step.masked_fill_(better, step)
        for name, best in self.best.items():
            best[better] = weights[name].detach()[better]

    def result(self, weights: Stacked) -> Trained:
        scores = {
            name: torch.stack([row[name].double() for row in self.rows]).cpu()
            for name in self.rows[0]
        }
        final = {name: w.detach().cpu() for name, w in weights.items()}
        best = {name: w.cpu() for name, w in self.best.items()}
        return Trained(final, best, self.best_step.cpu(), self.diverged_at.cpu(), scores)
