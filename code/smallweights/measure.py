"""What to measure on a trained network: size of the weights, sensitivity, saturation, bits."""

from __future__ import annotations

import copy
import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from smallweights.models import MLP
from smallweights.select import parameters_of

# The derivative of each saturating activation, written in terms of its output, over its maximum.
_RELATIVE_SLOPE = {
    "tanh": lambda h: 1 - h.square(),
    "sigmoid": lambda h: 4 * h * (1 - h),
}


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """The weight tensors without biases, by name."""
    weights = {name: w.detach() for name, w in parameters_of(model).items() if w.dim() > 1}
    if not weights:
        raise ValueError("The network has no weight with two or more dimensions to measure.")
    return weights


def _all_weights(model: nn.Module) -> Tensor:
    return torch.cat([w.flatten() for w in _weights(model).values()])


def norms(model: nn.Module) -> pd.DataFrame:
    """The size of the weights by layer: Σ|w| (``l1``), √Σw² (``l2``), the largest |w|, how many.

    One row a weight tensor, biases left out. Source: Goodfellow et al. (2016), section 2.5.
    Book section: large weights.

    >>> norms(MLP((2, 3, 1))).weights.to_dict()
    {'layers.0.weight': 6, 'layers.1.weight': 3}
    """
    rows = {
        name: {
            "l1": w.abs().sum().item(),
            "l2": w.norm().item(),
            "largest": w.abs().max().item(),
            "weights": w.numel(),
        }
        for name, w in _weights(model).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("parameter")


def norm(model: nn.Module) -> float:
    """The L2 norm of all weights together, ``√Σw²``, biases left out.

    Book section: large weights.

    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
    >>> norm(layer)
    5.0
    """
    return float(_all_weights(model).norm())


def input_gradient(model: nn.Module, x: Tensor) -> float:
    """How steeply the outputs change with the inputs: the mean of ‖∂outputs/∂x‖_F over examples.

    ``x`` is (n, d); the unit is output (logits for classes) per unit of input.
    Source: Reed & Marks (1999), section 16.5. Book section: large weights.

    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
    >>> input_gradient(layer, torch.zeros(1, 2))
    5.0
    """
    _check_inputs(x)
    x = x.detach().clone().requires_grad_()
    outputs = model(x)
    squares = x.new_zeros(len(x))
    for column in outputs.unbind(1):
        (gradient,) = torch.autograd.grad(column.sum(), x, retain_graph=True)
        squares = squares + gradient.flatten(1).square().sum(1)
    return squares.sqrt().mean().item()


def _nudged(
    model: nn.Module, x: Tensor, noise: float, repeats: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The outputs (1, n, c) for x, and (repeats, n, c) for x with normal noise added."""
    _check_inputs(x)
    if not 0 < noise < math.inf:
        raise ValueError(f"noise must be a finite standard deviation > 0; got {noise}.")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1; got {repeats}.")
    draws = np.random.default_rng(seed).normal(scale=noise, size=(repeats, *x.shape))
    with torch.no_grad():
        moved = model((x + torch.as_tensor(draws).to(x)).flatten(0, 1)).unflatten(
            0, (repeats, len(x))
        )
        return model(x).unsqueeze(0), moved


def output_change(
    model: nn.Module, x: Tensor, noise: float, *, repeats: int = 5, seed: int = 0
) -> float:
    """How far the outputs move under input noise: √ of the mean of ‖f(x + ε) − f(x)‖².

    ``noise`` is the standard deviation of the normal ε in units of the inputs; each of the n
    examples is nudged ``repeats`` times, by the same draws for every network. The unit is that of
    the outputs. Source: Reed & Marks (1999), p. 269. Book section: large weights.

    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
    >>> round(output_change(layer, torch.zeros(2000, 2), noise=0.1), 1)
    0.5
    """
    still, moved = _nudged(model, x, noise, repeats, seed)
    return (moved - still).square().sum(-1).mean().sqrt().item()


def flips(model: nn.Module, x: Tensor, noise: float, *, repeats: int = 5, seed: int = 0) -> float:
    """The share of nudged examples whose predicted class is no longer that of the example itself.

    Arguments as for ``output_change``; needs a network with two or more outputs. NaN where these
    are not finite.
    Source: Reed & Marks (1999), p. 269. Book section: large weights.

    >>> layer = torch.nn.Linear(1, 2, bias=False)
    >>> layer.weight.data = torch.tensor([[1.0], [-1.0]])
    >>> round(flips(layer, torch.ones(2000, 1), noise=1.0), 1)
    0.2
    """
    still, moved = _nudged(model, x, noise, repeats, seed)
    if still.shape[-1] < 2:
        raise ValueError("flips needs class outputs; this network has one. Use output_change.")
    return _share(moved.argmax(-1) != still.argmax(-1), moved)


def saturation(model: MLP, x: Tensor, *, slope: float = 0.05) -> float:
    """The share of hidden activations on the flat ends of tanh or sigmoid.

    A unit counts as saturated for an example when its activation's slope is less than ``slope``
    times the largest one (1 for tanh, ¼ for sigmoid). ``x`` is (n, d). NaN where activations are
    not finite. Raises ``ValueError`` for no hidden layer, and for ReLU, which has no flat end that
    large weights push it to.
    Source: Reed & Marks (1999), section 16.5. Book section: large weights.

    >>> saturation(MLP((2, 8, 1), "tanh"), torch.zeros(4, 2))
    0.0
    """
    _check_inputs(x)
    activation = getattr(model, "activation", type(model).__name__)
    if activation not in _RELATIVE_SLOPE:
        raise ValueError(f"saturation needs an MLP with tanh or sigmoid units; got {activation}.")
    if not 0 < slope < 1:
        raise ValueError(f"slope must lie between 0 and 1; got {slope}.")
    with torch.no_grad():
        hidden = [h.flatten() for h in model.hidden(x)]
    if not hidden:
        raise ValueError("saturation needs hidden units; this network has none.")
    units = torch.cat(hidden)
    return _share(_RELATIVE_SLOPE[activation](units) < slope, units)


def sparsity(model: nn.Module) -> float:
    """The share of weights that are exactly zero, biases left out; NaN if one is not finite.

    Book section: norms.

    >>> layer = torch.nn.Linear(4, 1)
    >>> layer.weight.data = torch.tensor([[3.0, 0.0, 0.0, 0.0]])
    >>> sparsity(layer)
    0.75
    """
    weights = _all_weights(model)
    return _share(weights == 0, weights)


def entropy(model: nn.Module, *, bin_width: float | None = None, bins: int = 64) -> float:
    """The entropy of the weights' distribution, ``−Σ pᵢ log₂ pᵢ`` over histogram bins, in bits.

    With ``bin_width`` the bins are a fixed grid in units of the weights: weights that are all
    scaled down get fewer bits. Without, ``bins`` bins span the weights' own range: only the shape
    of the distribution counts. NaN for weights that are not finite.
    Source: Hinton & van Camp (1993), section 2. Book section: large weights.

    >>> layer = torch.nn.Linear(4, 1)
    >>> layer.weight.data = torch.tensor([[-1.0, 1.0, 2.0, 3.0]])
    >>> entropy(layer, bin_width=1.0), entropy(layer, bin_width=100.0)
    (2.0, 0.0)
    """
    weights = _all_weights(model).double().cpu().numpy()
    if bin_width is not None and not 0 < bin_width < math.inf:
        raise ValueError(f"bin_width must be a finite number > 0; got {bin_width}.")
    if not np.isfinite(weights).all():
        return math.nan
    if bin_width is None:
        counts, _ = np.histogram(weights, bins=bins)
    else:
        _, counts = np.unique(np.floor(weights / bin_width + 0.5), return_counts=True)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


@torch.no_grad()
def quantized(model: nn.Module, step: float) -> nn.Module:
    """A copy of the network with each weight rounded to a multiple of ``step``, biases kept.

    ``Q(w) = step · ⌊w/step + ½⌋``, so no weight moves by more than step/2, in units of the
    weights. To store one rounded weight with an ideal code takes
    ``entropy(model, bin_width=step)`` bits. Raises ``ValueError`` for a step that is not a finite
    number > 0. Source: Cover & Thomas (2006), section 8.3. Book section: large weights.

    >>> layer = torch.nn.Linear(3, 1)
    >>> layer.weight.data = torch.tensor([[0.1, 0.26, -0.9]])
    >>> quantized(layer, step=0.5).weight.tolist()
    [[0.0, 0.5, -1.0]]
    """
    if not 0 < step < math.inf:
        raise ValueError(f"step must be a finite number > 0; got {step}.")
    rounded = copy.deepcopy(model)
    for weight in _weights(rounded).values():
        weight.div_(step).add_(0.5).floor_().mul_(step)
    return rounded


def _share(chosen: Tensor, numbers: Tensor) -> float:
    """The share that was chosen by these numbers, or NaN where one of them chose nothing."""
    return chosen.double().mean().item() if numbers.isfinite().all() else math.nan


def _check_inputs(x: Tensor) -> None:
    if not isinstance(x, Tensor) or x.dim() < 2 or not len(x):
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x must be a tensor of inputs (n, d) with n >= 1; got {got}.")
