"""A chunk of replicas trained together: the engine's inside.

The weights of K networks are stacked, K of every tensor, and trained by one optimizer; the sum of
the K losses has for each network's weights the gradient that its own loss has. Networks that see
the same examples share the product with the first layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from smallweights.backprop import Autograd, Backpropagation
from smallweights.data import Split
from smallweights.models import MLP
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
    network = _Stack(chunk, data, place)
    gradients = network.gradients(data)
    penalties = _stack_penalties(chunk, network.trained)
    optimizer = training.make_optimizer(network.trained.values(), fused=place.type != "mps")
    log = _StackedLog(data, penalties, training.recorded(), network)
    for step, (x, y) in enumerate(data.batches()):
        log.write(step)
        log.watch(gradients(x, y))
        _update(training, penalties, network.trained, optimizer)
    log.write(training.steps)
    return log.result()


@torch.no_grad()
def _update(
    training: Training,
    penalties: Mapping[str, Penalty],
    weights: Stacked,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step of all replicas, with the penalty's closed forms in place of its graph."""
    for name, penalty in penalties.items():
        if training.method == "penalty":
            penalty._accumulate(cast(Tensor, weights[name].grad), weights[name])
        elif training.method == "decay":
            weights[name].sub_(training.lr * penalty._grad(weights[name]))
    optimizer.step()
    if training.method == "prox":
        for name, penalty in penalties.items():
            weights[name].copy_(penalty._prox(weights[name], training.prox_step()))


class _StackedData:
    """The examples of a chunk, (1, n, ...) where all replicas share them, else (G, n, ...)."""

    def __init__(self, chunk: Chunk, place: torch.device) -> None:
        self.place, self.task, self.training = place, chunk.data[0].task, chunk.training
        self.replicas, groups = len(chunk.models), len(chunk.data)
        self.seeds = chunk.seeds[:: self.replicas // groups]
        same = all(split is chunk.data[0] for split in chunk.data)
        self.parts = self._stack_parts(chunk.data[:1] if same else chunk.data)
        x, _ = self.parts["train"]
        self.n = x.shape[1]
        self.groups = len(x) if chunk.training.batch is None else groups
        self.first_rows = torch.arange(groups).mul(0 if same else self.n).unsqueeze(1)

    def _stack_parts(self, splits: list[Split]) -> dict[str, tuple[Tensor, Tensor]]:
        each = [split.parts() for split in splits]
        sizes = [{name: tuple(part.x.shape) for name, part in parts.items()} for parts in each]
        if any(size != sizes[0] for size in sizes):
            raise ValueError(
                f"Networks trained together need data of one shape; got {sizes[0]} and"
                f" {next(size for size in sizes if size != sizes[0])}."
            )

        def stacked(name: str, field: str) -> Tensor:
            return torch.stack([getattr(parts[name], field) for parts in each]).to(self.place)

        return {name: (stacked(name, "x"), stacked(name, "y")) for name in each[0]}

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The examples of each step, (G, b, ...): each seed has its own order."""
        x, y = self.parts["train"]
        if self.training.batch is None:
            yield from [(x, y)] * self.training.steps
            return
        orders = [self.training.orders(self.n, seed) for seed in self.seeds]
        epochs = (torch.stack(epoch, 1) + self.first_rows for epoch in zip(*orders, strict=True))
        steps = chain.from_iterable(epoch.to(self.place) for epoch in epochs)
        x, y = x.flatten(0, 1), y.flatten(0, 1)
        for rows in islice(steps, self.training.steps):
            yield _take(x, rows), _take(y, rows)

    def _targets(self, y: Tensor) -> Tensor:
        """Targets of every replica, (K, n, ...)."""
        if len(y) == 1:
            return y.expand(self.replicas, *y.shape[1:])
        return y.repeat_interleave(self.replicas // len(y), 0)

    def losses(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The K losses of outputs (K, n, c), and the gradient of each with respect to its own."""
        outputs, targets = outputs.mT, self._targets(y)  # (K, c, n), as it lies in memory
        if self.task == "classification":
            index = targets.unsqueeze(1)
            logs = functional.log_softmax(outputs, 1)
            losses = logs.gather(1, index).mean((1, 2)).neg_()
            gradient = logs.exp_().scatter_(1, index, -1, reduce="add")
            return losses, gradient.div_(outputs.shape[2]).mT
        gap = outputs - targets.mT
        return gap.square().mean((1, 2)), gap.mul(2 / gap[0].numel()).mT

    def errors(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The K shares of wrong classes."""
        best = outputs.mT.max(1).indices  # the first of equals, as argmax; six times as fast
        wrong = best != self._targets(y)
        # Divided by a number instead of a tensor, CUDA takes its reciprocal and is a bit off.
        return wrong.sum(1).double() / torch.tensor(wrong.shape[1], device=self.place)


def _take(examples: Tensor, rows: Tensor) -> Tensor:
    """The rows; index_select copies whole ones: six times as fast as x[rows] for many seeds."""
    return examples.index_select(0, rows.flatten()).view(*rows.shape, *examples.shape[1:])


class _Stack:
    """K networks as one: their weights stacked by name, and a function that runs them all.

    ``trained`` are the weights that take gradients; the others are frozen.
    """

    def __init__(self, chunk: Chunk, data: _StackedData, place: torch.device) -> None:
        self.template = chunk.models[0]
        _check_stackable(chunk)
        networks = [parameters_of(model) for model in chunk.models]
        self.weights: Stacked = {
            name: torch.stack([network[name].detach() for network in networks])
            .to(place)
            .requires_grad_(weight.requires_grad)
            for name, weight in networks[0].items()
        }
        self.trained = {name: w for name, w in self.weights.items() if w.requires_grad}
        self.skeleton = copy.deepcopy(self.template).to("meta").train()
        self.run = self._call if getattr(self.template, "takes_stacks", False) else self._map
        self.replicas, self.groups = data.replicas, data.groups

    def gradients(self, data: _StackedData) -> Callable[[Tensor, Tensor], Tensor]:
        """The function that writes the K gradients on examples (x, y) and answers the K losses."""
        if type(self.template) is MLP and len(self.trained) == len(self.weights):
            return Backpropagation(self.template, self.weights, self.groups, data.losses)
        return Autograd(self.run, self.trained, data.losses)

    def _call(self, x: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.skeleton, self.weights, (x,))
        return outputs

    def _map(self, x: Tensor) -> Tensor:
        """The outputs of networks that are not the book's: mapped by ``torch.vmap``."""

        def one(weights: Stacked, x: Tensor) -> Tensor:
            outputs: Tensor = functional_call(self.skeleton, weights, (x,))
            return outputs

        shared = len(x) == 1
        x = x[0] if shared else x.repeat_interleave(self.replicas // len(x), 0)
        try:
            return torch.vmap(one, in_dims=(0, None if shared else 0))(self.weights, x)
        except (RuntimeError, NotImplementedError) as error:
            raise ValueError(
                "torch.vmap cannot stack this network (dropout, nn.LSTM and steps that depend on"
                f" values are beyond it): {error} Train its replicas one by one, with fit."
            ) from error


def _check_stackable(chunk: Chunk) -> None:
    template = chunk.models[0]
    if list(template.buffers()):
        raise ValueError(
            "fit_many cannot stack networks with buffers (batch normalization keeps some);"
            " train them with fit, or use layers that keep no running statistics."
        )
    shapes = {name: tuple(w.shape) for name, w in parameters_of(template).items()}
    for model in chunk.models:
        if (other := {name: tuple(w.shape) for name, w in parameters_of(model).items()}) != shapes:
            raise ValueError(
                "fit_many trains networks of one architecture together; got weights of shapes"
                f" {shapes} and {other}. Call it once for each architecture."
            )
    for split in chunk.data:
        check_match(template, split)


def _stack_penalties(chunk: Chunk, weights: Stacked) -> dict[str, Penalty]:
    """Each tensor's penalty with the K replicas' strengths stacked."""
    one = {name: w[0] for name, w in weights.items()}
    each = [as_penalize(penalty).assign(one) for penalty in chunk.penalties]
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
        network: _Stack,
    ) -> None:
        self.data, self.penalties, self.steps, self.network = data, penalties, steps, network
        self.rows: list[Stacked] = []
        self.best = {name: w.detach().clone() for name, w in network.weights.items()}
        self.lowest = torch.full((data.replicas,), torch.inf, device=data.place)
        self.best_step = torch.full_like(self.lowest, -1, dtype=torch.long)
        self.alive = torch.ones_like(self.lowest, dtype=torch.bool)
        self.survived = torch.zeros_like(self.best_step)
        self.unseen: list[Tensor] = []

    def watch(self, losses: Tensor) -> None:
        """Note the losses of one more step, to be looked at a hundred at once: it is cheaper."""
        self.unseen.append(losses)
        if len(self.unseen) == 100:
            self._look()

    def _look(self) -> None:
        """A replica survives a step whose loss is finite, unless it died before."""
        if self.unseen:
            finite = torch.stack(self.unseen).isfinite() & self.alive
            lived = finite.cumprod(0).bool()
            self.alive = lived[-1]
            self.survived += lived.sum(0)
            self.unseen.clear()

    @torch.no_grad()
    def write(self, step: int) -> None:
        if step != self.steps[len(self.rows)]:
            return
        self._look()
        row: Stacked = {}
        self.network.skeleton.eval()  # as fit does: dropout and the like are for training
        for part, (x, y) in self.data.parts.items():
            outputs = self.network.run(x)
            row[f"{part}_loss"], _ = self.data.losses(outputs, y)
            if self.data.task == "classification":
                row[f"{part}_error"] = self.data.errors(outputs, y)
        self.network.skeleton.train()
        self.rows.append(row | self._sizes())
        if "validation_loss" in row:
            self._keep_best(step, row["validation_loss"])

    def _sizes(self) -> Stacked:
        weights = self.network.weights
        terms = [p._summands(weights[name]) for name, p in self.penalties.items()]
        squares = [w.square() for w in weights.values() if w.dim() > 2]
        return {
            "penalty_value": self._per_replica(terms),
            "norm": self._per_replica(squares).sqrt(),
        }

    def _per_replica(self, tensors: list[Tensor]) -> Tensor:
        zero = torch.zeros_like(self.lowest)
        return sum((tensor.flatten(1).sum(1) for tensor in tensors), zero)

    def _keep_best(self, step: int, losses: Tensor) -> None:
        better = (losses < self.lowest) & self.alive
        self.lowest = torch.where(better, losses, self.lowest)
        self.best_step.masked_fill_(better, step)
        for name, best in self.best.items():
            best[better] = self.network.weights[name].detach()[better]

    def result(self) -> Trained:
        """All that was seen; the scores of a replica are NaN from the step where it died."""
        self.watch(self.rows[-1]["train_loss"])
        self._look()
        steps = torch.tensor(self.steps, device=self.data.place).unsqueeze(1)
        valid = steps < self.survived
        scores = {
            name: torch.stack([row[name].double() for row in self.rows]).where(valid, torch.nan)
            for name in self.rows[0]
        }
        diverged_at = self.survived.masked_fill(self.alive, -1)
        return Trained(
            {name: w.detach().cpu() for name, w in self.network.weights.items()},
            {name: w.detach().cpu() for name, w in self.best.items()},
            self.best_step.cpu(),
            diverged_at.cpu(),
            {name: score.cpu() for name, score in scores.items()},
        )
