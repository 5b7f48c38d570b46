"""The workloads, and each as the plain PyTorch loop that a reader would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from paired import seconds
from torch import nn
from torch.nn import functional

from smallweights import CNN, L2, LSTM, MLP, Split, Training, fit_many, load, split

DATA = split(load("digits"), train=200, validation=100, test=100, seed=0)


class TorchLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 32, batch_first=True)
        self.output = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.lstm(x.view(-1, 8, 8))[0][:, -1])


def perceptron(sizes: tuple[int, ...]) -> nn.Module:
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )


@dataclass(frozen=True)
class Workload:
    """``alphas`` × ``seeds`` networks, trained for ``steps`` with Adam on 200 digits."""

    name: str
    ours: Callable[[int], nn.Module]
    plain: Callable[[], nn.Module]
    steps: int
    batch: int | None
    alphas: int
    seeds: int

    @property
    def replicas(self) -> int:
        return self.alphas * self.seeds

    def penalties(self) -> dict[float, L2]:
        return {alpha: L2(alpha) for alpha in np.logspace(-6, -2, self.alphas)}

    def training(self) -> Training:
        return Training(self.steps, batch=self.batch, record=self.steps)

    def together(self, **options: object) -> None:
        """All networks with ``fit_many``, from the call to the result."""
        penalties = options.pop("penalties", self.penalties())
        fit_many(self.ours, DATA, penalties, self.training(), seeds=range(self.seeds), **options)

    def loop(self, networks: int, device: str = "cpu", threads: int | None = None) -> None:
        """Some of the networks, one after another, on so many threads (default: PyTorch's own)."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        data = DATA.to(device)
        for seed in range(networks):
            torch.manual_seed(seed)
            train(self.plain().to(device), data, 1e-4, self.steps, self.batch)
        torch.set_num_threads(before)

    def best_threads(self) -> int:
        """The number of threads with which the loop is fastest: small products gain from one."""
        short, counts = replace(self, steps=30), {1, torch.get_num_threads()}
        short.loop(1)
        times = {
            count: min(seconds(lambda c=count: short.loop(1, threads=c)) for _ in range(3))
            for count in counts
        }
        return min(times, key=times.get)

    def with_seeds(self, seeds: int) -> Workload:
        return replace(self, seeds=seeds)


def train(network: nn.Module, data: Split, alpha: float, steps: int, batch: int | None) -> None:
    weights = [p for p in network.parameters() if p.dim() > 1]
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for rows in mini_batches(len(data.train), steps, batch):
        x, y = data.train.x[rows], data.train.y[rows]
        loss = functional.cross_entropy(network(x), y)
        loss = loss + alpha * sum((w**2).sum() for w in weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def mini_batches(n: int, steps: int, batch: int | None) -> Iterator[torch.Tensor | slice]:
    order, size = iter(()), batch or n
    for _ in range(steps):
        rows = next(order, None)
        if rows is None or len(rows) < size:
            order = iter(torch.randperm(n).split(size))
            rows = next(order)
        yield slice(None) if batch is None else rows


S = Workload(
    "S: 64-32-10, mini-batch 32, 100 networks",
    lambda seed: MLP((64, 32, 10), seed=seed),
    lambda: perceptron((64, 32, 10)),
    steps=600,
    batch=32,
    alphas=20,
    seeds=5,
)
M = Workload(
    "M: 64-128-128-10, full batch of 200, 100 networks",
    lambda seed: MLP((64, 128, 128, 10), seed=seed),
    lambda: perceptron((64, 128, 128, 10)),
    steps=60,
    batch=None,
    alphas=20,
    seeds=5,
)
L_CNN = Workload(
    "L-CNN: 8 and 16 channels, mini-batch 32, 64 networks",
    lambda seed: CNN((8, 16), seed=seed),
    convolutional,
    steps=60,
    batch=32,
    alphas=16,
    seeds=4,
)
L_LSTM = Workload(
    "L-LSTM: 32 hidden units, mini-batch 32, 64 networks",
    lambda seed: LSTM(32, seed=seed),
    TorchLSTM,
    steps=60,
    batch=32,
    alphas=16,
    seeds=4,
)
