"""Training as another device rounds: each matrix product, mean or exponential ends a bit elsewhere.

    PYTHONSTARTUP=$PWD/tests/last_bits.py python -m pytest book

A graphics card adds in another order than a processor. A kernel that starts with this file trains
so on any machine, and what a notebook prints must not depend on it. The bit depends on the value
alone: equal results stay equal, as they would on one device. Zeros stay zeros, and a third of the
numbers stay as they are.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import smallweights  # noqa: F401 - what trains has to be there to be changed

TRAINING = ("fit", "train_chunk")
INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}
# PyTorch's names of the operations in the book's training that each device rounds in its own way.
# Sums, products and quotients of single numbers end alike everywhere, and a sum with zero is exact.
INEXACT = """
    addmm baddbmm bmm convolution convolution_backward exp exp_ expm1 log _log_softmax
    _log_softmax_backward_data mean mm mse_loss mse_loss_backward nll_loss_forward pow sigmoid
    sigmoid_backward sqrt sum tanh tanh_backward
""".split()  # noqa: SIM905 - a list would take a line a name


class LastBits(TorchDispatchMode):
    """While it is on, inexact operations end in other last bits."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        results = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in INEXACT:
            for result in results if isinstance(results, tuple) else (results,):
                shake(result)
        return results


def shake(values: Tensor) -> None:
    """Move finite floating-point numbers but zeros by -1, 0 or 1 in their last place, in place."""
    if isinstance(values, Tensor) and values.dtype in INTEGERS:
        movable = values.isfinite() & (values != 0)
        bits = values.view(INTEGERS[values.dtype])
        bits += (bits % 3 - 1) * movable


def with_last_bits(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, computing so in whichever thread it is called."""

    @functools.wraps(function)
    def computing(*args: object, **kwargs: object) -> object:
        with LastBits():
            return function(*args, **kwargs)

    return computing


def start() -> None:
    """Let all training from here on compute so."""
    for module in [m for name, m in sys.modules.items() if name.startswith("smallweights")]:
        for name in TRAINING:
            if hasattr(module, name):
                setattr(module, name, with_last_bits(getattr(module, name)))


if __name__ == "__main__":
    start()
