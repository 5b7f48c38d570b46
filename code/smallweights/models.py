"""The book's networks. Each runs as one network, and as K networks at once.

A network is called on (n, features) and answers (n, outputs). Given stacked weights, K of every
tensor, through ``torch.func.functional_call``, the same code answers (K, n, outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x Wᵀ + b`` for one layer, or for K stacked layers that share their inputs in groups.

    ``weight`` is (out, in), or (K, out, in) with ``x`` of (n, in) or (G, n, in): the first K/G
    layers see x[0], the next K/G see x[1], and so on. The layers of a group form one wide matrix,
    so a shared input is multiplied once; examples run fastest in the result's memory.
    """
    if weight.dim() == 2:
        return functional.linear(x, weight, bias)
    replicas, out, _ = weight.shape
    x = x if x.dim() == 3 else x.unsqueeze(0)
    wide = weight.reshape(len(x), -1, weight.shape[2])
    if bias is None:
        y = torch.bmm(wide, x.mT)
    else:
        y = torch.baddbmm(bias.reshape(len(x), -1, 1), wide, x.mT)
    return y.view(replicas, out, -1).mT


class Linear(nn.Linear):
    """``nn.Linear`` that also takes stacked weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) to (n, out); with K stacked weights to (K, n, out)."""
        return affine(x, self.weight, self.bias)


class Network(nn.Module):
    """A network of this book: initialized by seed, runs alone or stacked."""

    takes_stacks = True

    def initialize(self, seed: int) -> None:
        """Draw every weight and bias uniformly from ±1/√(fan-in), as PyTorch's layers do."""
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                bound = module.weight[0].numel() ** -0.5
                for parameter in module.parameters(recurse=False):
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)


class MLP(Network):
    """A multilayer perceptron: ``sizes`` are inputs, hidden widths, outputs.

    ``MLP((64, 32, 10))`` has one hidden layer of 32 units, ``MLP((64, 10))`` none: it is linear.
    ``activation`` is "relu", "tanh" or "sigmoid". Parameters are named ``layers.0.weight``,
    ``layers.0.bias``, ``layers.1.weight``, … . Raises ``ValueError`` for fewer than two sizes, a
    size below 1 or an unknown activation. Book section: large weights.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        bias: bool = True,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(
                f"sizes must be inputs, hidden widths and outputs, each >= 1; got {tuple(sizes)}."
            )
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {list(ACTIVATIONS)}; got {activation!r}.")
        self.activation = activation
        self.layers = nn.ModuleList(
            Linear(inputs, outputs, bias=bias, dtype=dtype) for inputs, outputs in pairwise(sizes)
        )
        self.initialize(seed)

    def hidden(self, x: Tensor) -> list[Tensor]:
        """The activations of every hidden layer, each (n, width)."""
        activations = []
        for layer in self.layers[:-1]:
            x = ACTIVATIONS[self.activation](layer(x))
            activations.append(x)
        return activations

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (n, d) to outputs (n, c): logits for classes, predictions for regression."""
        hidden = self.hidden(x)
        return self.layers[-1](hidden[-1] if hidden else x)
