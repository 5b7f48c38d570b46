"""The book's networks. Each runs as one network, and as K networks at once.

A network is called on (n, features) and answers (n, outputs). Given stacked weights, K of every
tensor, through ``torch.func.functional_call``, the same code answers (K, n, outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 8  # pixels along each side of an image

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
    Book section: large weights.
    """
    if weight.dim() == 2:
        return functional.linear(x, weight, bias)
    replicas, out, _ = weight.shape
    x = x if x.dim() == 3 else x.unsqueeze(0)
    wide = weight.reshape(len(x), -1, weight.shape[2])
    return _product(wide, x.mT, bias).view(replicas, out, -1).mT


def _product(weight: Tensor, columns: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return torch.bmm(weight, columns)
    return torch.baddbmm(bias.reshape(len(weight), -1, 1), weight, columns)


class Linear(nn.Linear):
    """``nn.Linear`` that also takes stacked weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) to (n, out); with K stacked weights to (K, n, out)."""
        return affine(x, self.weight, self.bias)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """Cross-correlation with one bank of kernels, or with K stacked banks, as ``affine`` does.

    ``weight`` is (out, channels, k, k) with ``x`` of (n, channels, H, W), or (K, out, channels, k,
    k) with ``x`` of (n, channels, H, W) or (G, n, channels, H, W). The stacked product takes every
    patch as a column: with n = 32 it is about twice as fast as a grouped ``conv2d``.
    """
    if weight.dim() == 4:
        return functional.conv2d(x, weight, bias, stride, padding)
    replicas, out, _, size, _ = weight.shape
    x = x if x.dim() == 5 else x.unsqueeze(0)
    padded = functional.pad(x.movedim(1, -1), (0, 0, *[padding] * 4))
    patches: Tensor = _Patches.apply(padded, size, stride)  # type: ignore[no-untyped-call]
    height, width, n = patches.shape[-3:]
    wide = weight.reshape(len(x), -1, patches.shape[1:4].numel())
    y = _product(wide, patches.flatten(4).flatten(1, 3), bias)
    return y.view(replicas, out, height, width, n).movedim(-1, 1)


class _Patches(torch.autograd.Function):
    """The k × k patches of images (G, C, H, W, n), as (G, C, k, k, H', W', n).

    Examples run fastest, so patches are copied, and their gradients added, in runs of n numbers.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, stride: int) -> Tensor:  # noqa: ANN401 - untyped
        ctx.size, ctx.stride, ctx.shape = size, stride, x.shape
        windows = x.unfold(2, size, stride).unfold(3, size, stride)
        return windows.permute(0, 1, 5, 6, 2, 3, 4).contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - untyped
        x = gradient.new_zeros(ctx.shape)
        for i, j in product(range(ctx.size), repeat=2):
            patch = gradient[:, :, i, j]
            rows, columns = (
                slice(start, start + (count - 1) * ctx.stride + 1, ctx.stride)
                for start, count in zip((i, j), patch.shape[2:4], strict=True)
            )
            x[:, :, rows, columns] += patch
        return x, None, None


class Conv2d(nn.Conv2d):
    """``nn.Conv2d`` with square kernels that also takes stacked weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, H, W) to (n, out, H', W'); with K stacked weights to (K, n, out, …)."""
        return convolve(x, self.weight, self.bias, self.stride[0], int(self.padding[0]))


class Network(nn.Module):
    """A network of this book: initialized by seed, runs alone or stacked."""

    takes_stacks = True

    def initialize(self, seed: int) -> None:
        """Draw every weight and bias uniformly from ±1/√(fan-in), as PyTorch's linear layers do."""
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

    >>> model = MLP((64, 32, 10), activation="tanh", seed=1)
    >>> model(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
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
        outputs: Tensor = self.layers[-1](hidden[-1] if hidden else x)
        return outputs


class CNN(Network):
    """A convolutional network for 8 × 8 images, given as rows of 64 pixels.

    A 3 × 3 convolution and a ReLU for each of ``channels``, the first with stride 1, the others
    with stride 2 (all with one pixel of zero padding), then one linear layer to ``outputs``.
    Parameters are named ``convolutions.0.weight``, …, ``output.weight``, ``output.bias``. Raises
    ``ValueError`` for no channels, more than four, or a size below 1.
    Source: LeCun et al. (1989), section 3. Book section: tips.

    >>> model = CNN(channels=(4, 8))
    >>> {name: w.numel() for name, w in model.named_parameters() if w.dim() > 1}
    {'convolutions.0.weight': 36, 'convolutions.1.weight': 288, 'output.weight': 1280}
    """

    def __init__(
        self,
        channels: Sequence[int] = (8, 16),
        outputs: int = 10,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if not 1 <= len(channels) <= 4 or min(*channels, outputs) < 1:
            raise ValueError(
                "channels must be one to four numbers >= 1, outputs a number >= 1;"
                f" got {tuple(channels)} and {outputs}."
            )
        strides = [1, 2, 2, 2][: len(channels)]
        self.convolutions = nn.ModuleList(
            Conv2d(fan_in, fan_out, 3, stride, padding=1, dtype=dtype)
            for (fan_in, fan_out), stride in zip(pairwise((1, *channels)), strides, strict=True)
        )
        side = 8 // prod(strides)
        self.output = Linear(channels[-1] * side**2, outputs, dtype=dtype)
        self.initialize(seed)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 64), row by row, to outputs (n, c)."""
        x = _pixels(x).unflatten(-1, (1, SIDE, SIDE))
        for convolution in self.convolutions:
            x = torch.relu(convolution(x))
        outputs: Tensor = self.output(x.flatten(-3))
        return outputs


class LSTM(Network):
    """A long short-term memory that reads an 8 × 8 image in 8 steps of 8 pixels.

    Gates ``i, f, g, o = W x_t + b + R h_{t−1} + d``; cell ``c_t = σ(f) c_{t−1} + σ(i) tanh(g)``;
    state ``h_t = σ(o) tanh(c_t)``; a linear layer takes the last state to ``outputs``. ``hidden``
    is the size of the state. W, b, R, d are named ``lstm.input.weight``, ``lstm.input.bias``,
    ``lstm.recurrent.weight``, ``lstm.recurrent.bias`` and have the rows of ``nn.LSTM``'s; then
    ``output.weight``, ``output.bias``. Raises ``ValueError`` for a size below 1.
    Source: Gers, Schmidhuber & Cummins (2000), section 3. Book section: tips.

    >>> model = LSTM(hidden=16)
    >>> {name: w.numel() for name, w in model.named_parameters() if w.dim() > 1}
    {'lstm.input.weight': 512, 'lstm.recurrent.weight': 1024, 'output.weight': 160}
    """

    def __init__(
        self,
        hidden: int = 32,
        outputs: int = 10,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if min(hidden, outputs) < 1:
            raise ValueError(f"hidden and outputs must be >= 1; got {hidden} and {outputs}.")
        self.lstm = nn.ModuleDict(
            {
                "input": Linear(SIDE, 4 * hidden, dtype=dtype),
                "recurrent": Linear(hidden, 4 * hidden, dtype=dtype),
            }
        )
        self.output = Linear(hidden, outputs, dtype=dtype)
        self.initialize(seed)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 64), row by row, to outputs (n, c)."""
        steps = _pixels(x).unflatten(-1, (SIDE, SIDE)).transpose(-3, -2)  # (…, 8 steps, n, 8)
        w, r = (cast(Linear, self.lstm[name]) for name in ("input", "recurrent"))
        # All steps' inputs in one product, and both biases with them.
        inputs = affine(steps.flatten(-3, -2), w.weight, w.bias + r.bias)
        state: Tensor | None = None
        cell: Tensor | float = 0.0
        for gates in inputs.unflatten(-2, (SIDE, -1)).unbind(-3):
            gates = gates if state is None else _recur(gates, r.weight, state)
            i, f, g, o = gates.chunk(4, -1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            state = torch.sigmoid(o) * torch.tanh(cell)
        outputs: Tensor = self.output(state)
        return outputs


def _recur(inputs: Tensor, weight: Tensor, state: Tensor) -> Tensor:
    """``inputs + state Rᵀ``, with one sum and product, for one network or for K."""
    if weight.dim() == 2:
        return torch.addmm(inputs, state, weight.mT)
    return torch.baddbmm(inputs.mT, weight, state.mT).mT


def _pixels(x: Tensor) -> Tensor:
    if x.shape[-1] != SIDE**2:
        raise ValueError(f"Images must be rows of {SIDE**2} pixels; got {tuple(x.shape)}.")
    return x
