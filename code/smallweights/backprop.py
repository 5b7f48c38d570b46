"""The gradients of K stacked networks: by autograd for any network, by hand for the perceptron.

A step of training asks for the gradients of K losses at once. Each loss depends on one network's
weights alone, so the gradient of the losses' sum holds all K gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor

from smallweights.models import MLP

LossGradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

aten = torch.ops.aten

# What is left of the gradient in front of an activation that answered y; computed in place.
_DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda gradient, y: aten.threshold_backward.grad_input(
        gradient, y, 0, grad_input=gradient
    ),
    "tanh": lambda gradient, y: aten.tanh_backward.grad_input(gradient, y, grad_input=gradient),
    "sigmoid": lambda gradient, y: aten.sigmoid_backward.grad_input(
        gradient, y, grad_input=gradient
    ),
}
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
}


class Autograd:
    """The gradients of any stacked network, written into each weight's ``grad``.

    ``loss`` takes outputs (K, n, c) and targets, and answers the K losses and their gradient with
    respect to the outputs: its closed form is cheaper than its graph.
    """

    def __init__(
        self, forward: Callable[[Tensor], Tensor], trained: Mapping[str, Tensor], loss: LossGradient
    ) -> None:
        self.forward, self.trained, self.loss = forward, trained, loss

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The K losses on these examples."""
        for weight in self.trained.values():
            weight.grad = None
        outputs = self.forward(x)
        losses, gradient = self.loss(outputs.detach(), y)
        # In this thread: autograd's own has no CUDA context before its first product, and warns.
        with torch.autograd.set_multithreading_enabled(False):
            outputs.backward(gradient)
        for weight in self.trained.values():
            if weight.grad is None:  # the network does not use it
                weight.grad = torch.zeros_like(weight)
        return losses


class Backpropagation:
    """The gradients of K stacked perceptrons, written into each weight's ``grad``.

    The same numbers as ``Autograd``, without a graph and in memory that is kept from step to step.
    This is worth its lines: a step takes about three fifths of the time where layers are small
    and four fifths where they are wide. Source: Rumelhart, Hinton & Williams (1986).
    Book section: norms.
    """

    def __init__(
        self, network: MLP, weights: Mapping[str, Tensor], groups: int, loss: LossGradient
    ) -> None:
        self.loss = loss
        last = len(network.layers) - 1
        self.layers = [
            _Layer(
                weights[f"layers.{i}.weight"],
                weights.get(f"layers.{i}.bias"),
                groups if i == 0 else None,
                network.activation if i < last else None,
            )
            for i in range(last + 1)
        ]

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The K losses on these examples."""
        signals = x.mT if x.dim() == 3 else x.mT.unsqueeze(0)
        for layer in self.layers:
            signals = layer.forward(signals)
        losses, gradient = self.loss(signals.mT, y)
        gradient = gradient.mT.contiguous()
        for layer in reversed(self.layers):
            gradient = cast(Tensor, layer.backward(gradient))
        return losses


class _Layer:
    """One layer of K perceptrons. Signals are (K, width, n): examples run fastest.

    The first layer's inputs are (G, features, n): the K/G networks that share them form one wide
    matrix. ``groups`` is G there and None in other layers, ``activation`` None in the last.
    Buffers and views are made once: threads that train other chunks wait at every call of torch.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, groups: int | None, activation: str | None
    ) -> None:
        weight.grad = torch.zeros_like(weight)
        self.first, self.activation = groups is not None, activation
        self.groups = groups or len(weight)
        self.weight, self.gradient = self._wide(weight.detach()), self._wide(weight.grad)
        self.weight_t = self.weight.mT
        self.bias = None if bias is None else bias.detach().view(self.groups, -1, 1)
        if bias is not None:
            self.bias_gradient = bias.grad = torch.zeros_like(bias)
        self.shape = weight.shape[:2]
        self.inputs = self.outputs = weight.new_empty(0)

    def _wide(self, signals: Tensor) -> Tensor:
        return signals.view(self.groups, -1, signals.shape[-1])

    def _hold(self, inputs: Tensor) -> None:
        """Keep the inputs for the way back, and make room for the answer to so many examples."""
        examples = inputs.shape[-1]
        if self.outputs.shape[-1] != examples:
            self.outputs = inputs.new_empty(*self.shape, examples)
            self.wide_outputs = self._wide(self.outputs)
            self.input_gradient = None if self.first else torch.empty_like(inputs)
        self.inputs, self.inputs_t = inputs, inputs.mT

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs is not self.inputs:
            self._hold(inputs)
        if self.bias is None:
            torch.bmm(self.weight, inputs, out=self.wide_outputs)
        else:
            torch.baddbmm(self.bias, self.weight, inputs, out=self.wide_outputs)
        return _IN_PLACE[self.activation](self.outputs) if self.activation else self.outputs

    def backward(self, gradient: Tensor) -> Tensor | None:
        """Write the gradients of weight and bias, answer that of the inputs; the data has none."""
        if self.activation:
            _DERIVATIVES[self.activation](gradient, self.outputs)
        if self.bias is not None:
            torch.sum(gradient, 2, out=self.bias_gradient)
        if self.first:
            torch.bmm(self._wide(gradient), self.inputs_t, out=self.gradient)
            return None
        torch.bmm(gradient, self.inputs_t, out=self.gradient)
        return torch.bmm(self.weight_t, gradient, out=self.input_gradient)
