"""What a penalty costs: a step with L1 and L2 on all layers against the same step without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median

import torch
from paired import Row, at_most, seconds
from workloads import DATA, L_CNN, L_LSTM, M, S, Workload

from smallweights import ElasticNet
from smallweights.stacked import (
    Chunk,
    _Stack,
    _stack_penalties,
    _StackedData,
    _update,
    chunk_size,
)

CPU = torch.device("cpu")


def rows() -> Iterable[Row]:
    for work in (S, M, L_CNN, L_LSTM):
        yield cost(work)


def cost(work: Workload, rounds: int = 9, steps: int = 40) -> Row:
    """Single steps in turn, each round by its median step: the machine's other work hits few."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sides = {
        "net": stepper(work, [ElasticNet(alpha, alpha) for alpha in work.penalties()]),
        "none": stepper(work, [None] * work.alphas),
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(1 + rounds):
        taken = [{side: seconds(sides[side]) for side in sides} for _ in range(steps)]
        for side in sides:
            times[side].append(median(step[side] for step in taken))
    torch.set_num_threads(threads)
    name, note = f"penalty on {work.name.split(':')[0]}", f"median of {steps} steps in each round"
    return at_most(name, "no penalty", 1.05, times["net"][1:], times["none"][1:], note)


def stepper(work: Workload, penalties: list[ElasticNet | None]) -> Callable[[], None]:
    """A function that takes one more step of a chunk as large as ``fit_many`` makes it."""
    training = replace(work.training(), steps=10**6, record=10**6)
    fitting = min(work.replicas, chunk_size(work.ours(0), DATA, training, CPU))
    kept = penalties[:fitting]
    groups = fitting // len(kept)
    seeds = [seed for seed in range(groups) for _ in kept]
    models = [work.ours(seed) for seed in seeds]
    chunk = Chunk(models, [DATA] * groups, kept * groups, seeds, training)
    data = _StackedData(chunk, CPU)
    network = _Stack(chunk, data, CPU)
    gradients, batches = network.gradients(data), data.batches()
    stacked = _stack_penalties(chunk, network.trained)
    optimizer = training.make_optimizer(network.trained.values(), fused=True)

    def step() -> None:
        gradients(*next(batches))
        _update(training, stacked, network.trained, optimizer)

    return step
