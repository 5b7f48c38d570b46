"""Penalties: what is added to the loss so that weights stay small.

A penalty is a function of one weight tensor with three faces: its value, a subgradient and its
proximal operator. All penalties here are sums over single weights, so a strength may be a number
or a tensor that broadcasts against the weights: a strength of shape (K, 1, 1) penalizes K stacked
weight matrices of shape (K, out, in), each with its own alpha.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields, replace
from functools import reduce
from numbers import Real
from operator import add
from typing import Any, ClassVar, Self, TypeGuard, cast

import torch
from torch import Tensor

Strength = float | Tensor


def check_strength(name: str, value: object) -> None:
    """Refuse a strength that is not a finite number (or tensor of numbers) of at least zero."""
    expected = f"{name} must be a finite number >= 0 (or a tensor of such numbers)"
    if not _is_numeric(value):
        raise TypeError(f"{expected}; got {value!r} of type {type(value).__name__}.")
    lowest, highest = (
        (value.min().item(), value.max().item()) if isinstance(value, Tensor) else (value, value)
    )
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ValueError(f"{expected}; got {value}. To switch a penalty off, use 0.")
    if lowest < 0:
        raise ValueError(
            f"{expected}; got {value}. A negative strength would reward large weights."
        )


def _is_numeric(value: object) -> TypeGuard[Strength]:
    if isinstance(value, Tensor):
        return value.numel() > 0 and value.dtype != torch.bool and not value.is_complex()
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_weights(w: object) -> None:
    if not isinstance(w, Tensor):
        raise TypeError(
            f"w must be a torch.Tensor; got {type(w).__name__}. Convert it: torch.as_tensor(w)."
        )
    if not w.is_floating_point():
        raise TypeError(f"w must hold floating-point numbers; got {w.dtype}. Use w.float().")


def _shaped_like(w: Tensor, result: Tensor) -> Tensor:
    if result.shape != w.shape:
        raise ValueError(
            f"A strength must broadcast to the shape of the weights, {tuple(w.shape)}; with this"
            f" one the result has shape {tuple(result.shape)}. Stacked weights have K first."
        )
    return result


def _shrink(w: Tensor, threshold: Strength) -> Tensor:
    return w.sign() * (w.abs() - threshold).clamp_min(0)


class Penalty(ABC):
    """A penalty on the size of the weights: value, subgradient and proximal operator.

    Penalties add up (``L1(a) + L2(b)``), scale (``2 * L1(a) == L1(2 * a)``) and move off zero
    (``around``). Every field of a single penalty is a strength, in which its value is linear.
    Book section: norms.

    >>> L1(0.1) + L2(0.01)
    ElasticNet(l1=0.1, l2=0.01)
    >>> 2 * L1(0.1) == L1(0.2)
    True
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # every penalty is a dataclass

    def __post_init__(self) -> None:
        for field in fields(self):
            check_strength(f"{type(self).__name__}.{field.name}", getattr(self, field.name))

    def summands(self, w: Tensor) -> Tensor:
        """The share of each single weight in the value, in the shape of ``w``.

        Raises ``ValueError``, as ``value``, ``grad`` and ``prox`` do, for a strength that does not
        broadcast to the shape of ``w``.
        """
        _check_weights(w)
        return _shaped_like(w, self._summands(w))

    def value(self, w: Tensor) -> Tensor:
        """The penalty of all weights of ``w`` (any shape) together, a scalar tensor >= 0."""
        return self.summands(w).sum()

    def grad(self, w: Tensor) -> Tensor:
        """A subgradient of the value at ``w``, in the shape of ``w``; 0 for a weight at zero."""
        _check_weights(w)
        return _shaped_like(w, self._grad(w))

    def prox(self, w: Tensor, step: Strength) -> Tensor:
        """The proximal operator, ``argmin_z ½‖z − w‖² + step · value(z)``, shaped like ``w``.

        ``step`` is a number or tensor >= 0, usually the learning rate.
        Source: Parikh & Boyd (2014), equation 1.1. Book section: norms.
        """
        _check_weights(w)
        check_strength("step", step)
        return _shaped_like(w, self._prox(w, step))

    def around(self, center: Tensor) -> Penalty:
        """The same penalty on ``w − center``: it pulls toward ``center`` instead of zero.

        ``center`` has the shape of the weights. Source: Li, Grandvalet & Davoine (2018),
        equation 3. Book section: tips.
        """
        return Around(self, center)

    @abstractmethod
    def _summands(self, w: Tensor) -> Tensor: ...

    @abstractmethod
    def _grad(self, w: Tensor) -> Tensor: ...

    @abstractmethod
    def _prox(self, w: Tensor, step: Strength) -> Tensor: ...

    def _accumulate(self, gradient: Tensor, w: Tensor) -> None:
        """Add the subgradient at ``w`` onto ``gradient`` in place: the engine's inner loop."""
        gradient.add_(self._grad(w))

    def __add__(self, other: Penalty) -> Penalty:
        if not isinstance(other, Penalty):
            return NotImplemented
        return _merge([*_terms(self), *_terms(other)])

    def __radd__(self, other: object) -> Penalty:
        return self if other == 0 else NotImplemented  # lets sum([...]) start from its 0

    def __mul__(self, factor: Strength) -> Self:
        check_strength("the factor of a penalty", factor)
        return replace(self, **{f.name: getattr(self, f.name) * factor for f in fields(self)})

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        values = (getattr(self, field.name) for field in fields(self))
        return hash((type(self), *(v for v in values if not isinstance(v, Tensor))))


def _same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b)
    return a == b


@dataclass(frozen=True, eq=False)
class L1(Penalty):
    """The L1 penalty ``alpha · Σ|w|`` pulls every weight to zero with the same force.

    ``alpha`` >= 0; its unit is loss per unit of weight. The proximal operator is soft
    thresholding and gives exact zeros. Raises ``ValueError`` for a negative, NaN or infinite alpha.
    Source: Tibshirani (1996), equation 1. Book section: norms.

    >>> w = torch.tensor([3.0, 0.05])
    >>> L1(0.1).value(w), L1(0.1).prox(w, step=1)
    (tensor(0.3050), tensor([2.9000, 0.0000]))
    """

    alpha: Strength

    def _summands(self, w: Tensor) -> Tensor:
        return self.alpha * w.abs()

    def _grad(self, w: Tensor) -> Tensor:
        return self.alpha * w.sign()

    def _prox(self, w: Tensor, step: Strength) -> Tensor:
        return _shrink(w, step * self.alpha)

    def _accumulate(self, gradient: Tensor, w: Tensor) -> None:
        _accumulate_product(gradient, w.sign(), self.alpha)


@dataclass(frozen=True, eq=False)
class L2(Penalty):
    """The L2 penalty ``alpha · Σw²`` pulls a weight to zero in proportion to its size.

    There is no factor ½: PyTorch's ``weight_decay`` in SGD is ``2 · alpha``. ``alpha`` >= 0.
    Raises ``ValueError`` for a negative, NaN or infinite alpha.
    Source: Hoerl & Kennard (1970), equation 2.1. Book section: norms.

    >>> w = torch.tensor([3.0, -4.0])
    >>> L2(0.1).value(w), L2(0.1).grad(w)
    (tensor(2.5000), tensor([ 0.6000, -0.8000]))
    """

    alpha: Strength

    def _summands(self, w: Tensor) -> Tensor:
        return self.alpha * w.square()

    def _grad(self, w: Tensor) -> Tensor:
        return 2 * self.alpha * w

    def _prox(self, w: Tensor, step: Strength) -> Tensor:
        return w / (1 + 2 * step * self.alpha)

    def _accumulate(self, gradient: Tensor, w: Tensor) -> None:
        _accumulate_product(gradient, w, self.alpha, times=2)


@dataclass(frozen=True, eq=False)
class ElasticNet(Penalty):
    """The elastic net ``l1 · Σ|w| + l2 · Σw²``: zeros from L1, even shrinkage from L2.

    ``l1``, ``l2`` >= 0; ``ElasticNet(a, b) == L1(a) + L2(b)``. Raises ``ValueError`` for a
    negative, NaN or infinite strength. Source: Zou & Hastie (2005), equation 3.
    Book section: norms.

    >>> ElasticNet(l1=0.1, l2=0.01).value(torch.tensor([3.0, -4.0]))
    tensor(0.9500)
    """

    l1: Strength
    l2: Strength

    def _summands(self, w: Tensor) -> Tensor:
        return self.l1 * w.abs() + self.l2 * w.square()

    def _grad(self, w: Tensor) -> Tensor:
        return self.l1 * w.sign() + 2 * self.l2 * w

    def _prox(self, w: Tensor, step: Strength) -> Tensor:
        return _shrink(w, step * self.l1) / (1 + 2 * step * self.l2)

    def _accumulate(self, gradient: Tensor, w: Tensor) -> None:
        _accumulate_product(gradient, w, self.l2, times=2)
        _accumulate_product(gradient, w.sign(), self.l1)


@dataclass(frozen=True, eq=False)
class Exponential(Penalty):
    """The exponential penalty ``alpha · Σ(e^|w| − 1)``: sparse like L1, hard on large weights.

    Its force on a weight is ``alpha · e^|w|``: close to L1's near zero, beyond any multiple of
    L2's far out. The proximal operator is ``sign(w) · max(0, |w| − W₀(t·e^|w|))`` with
    ``t = step · alpha`` and Lambert's W, computed through ``ln W₀`` so that ``e^|w|`` never
    overflows; the value itself is infinite where ``e^|w|`` exceeds the largest float.
    ``alpha`` >= 0. Source: Corless et al. (1996), equation 1.5. Book section: norms.

    >>> Exponential(0.1).value(torch.tensor([0.1, 5.0]))
    tensor(14.7518)
    """

    alpha: Strength

    def _summands(self, w: Tensor) -> Tensor:
        return self.alpha * self._size(w).expm1()

    def _grad(self, w: Tensor) -> Tensor:
        return self.alpha * w.sign() * self._size(w).exp()

    def _size(self, w: Tensor) -> Tensor:
        return w.abs() * (self.alpha > 0)  # alpha = 0 is no penalty, also where e^|w| overflows

    def _prox(self, w: Tensor, step: Strength) -> Tensor:
        log_t = torch.as_tensor(step * self.alpha, dtype=w.dtype, device=w.device).log()
        size = w.abs()
        return w.sign() * (size - _lambert_w_of_exp(size + log_t)).clamp_min(0)


def _lambert_w_of_exp(y: Tensor) -> Tensor:
    """Lambert's ``W₀(e^y)``, the u > 0 with ``u + ln u = y``, without ever computing ``e^y``."""
    y = y.clamp_min(-1e3)
    log_u = torch.where(y > 1, y.clamp_min(1).log(), y)
    for _ in range(8):  # Newton on e^s + s = y, started at its right, where it is monotone
        u = log_u.exp()
        log_u = log_u - (u + log_u - y) / (u + 1)
    return log_u.exp()


def _accumulate_product(gradient: Tensor, w: Tensor, factor: Strength, times: int = 1) -> None:
    """Add ``times · factor · w`` in one pass over the memory."""
    if isinstance(factor, Tensor):
        gradient.addcmul_(w, factor, value=times)
    else:
        gradient.add_(w, alpha=times * factor)


@dataclass(frozen=True, eq=False)
class Sum(Penalty):
    """A sum of penalties that no single class expresses; made by ``+``.

    Its proximal operator is exact as long as at most one term is left once the squares (L2 terms,
    centred anywhere) are folded into the step; otherwise ``prox`` raises ``NotImplementedError``
    and names the terms, because the proximal operator of a sum is not the composition of the
    terms' operators. Source: Parikh & Boyd (2014), sections 2.1 and 2.2. Book section: norms.

    >>> L1(0.1) + Exponential(0.01)
    Sum(terms=(L1(alpha=0.1), Exponential(alpha=0.01)))
    """

    terms: tuple[Penalty, ...]

    def __post_init__(self) -> None:
        if len(self.terms) < 2 or not all(isinstance(term, Penalty) for term in self.terms):
            raise TypeError(f"Sum needs two or more penalties; got {self.terms!r}.")

    def _summands(self, w: Tensor) -> Tensor:
        return reduce(add, (term._summands(w) for term in self.terms))

    def _grad(self, w: Tensor) -> Tensor:
        return reduce(add, (term._grad(w) for term in self.terms))

    def _prox(self, w: Tensor, step: Strength) -> Tensor:
        squares, others = zip(*(_split_square(term, w) for term in self.terms), strict=True)
        left = [term for term in others if term is not None]
        if len(left) > 1:
            raise NotImplementedError(
                "No exact proximal operator is known for the sum of "
                + " and ".join(_kind(term) for term in left)
                + "; train with method='penalty', or keep one of them beside any L2 terms."
            )
        weight = 1 + sum(2 * step * strength for strength, _ in squares)
        point: Tensor = (
            w + sum(2 * step * strength * center for strength, center in squares)
        ) / weight
        return left[0]._prox(point, step / weight) if left else point

    def around(self, center: Tensor) -> Sum:
        return Sum(tuple(term.around(center) for term in self.terms))

    def __mul__(self, factor: Strength) -> Sum:
        return Sum(tuple(term * factor for term in self.terms))

    __rmul__ = __mul__


@dataclass(frozen=True, eq=False)
class Around(Penalty):
    """A penalty moved off zero, ``value(w) = penalty.value(w − center)``; made by ``around``.

    It keeps a copy of the center. Raises ``ValueError`` for a center that is not finite or has
    another shape than the weights. Source: Li, Grandvalet & Davoine (2018), equation 3.
    Book section: tips.

    >>> pull = L2(0.1).around(torch.tensor([1.0, 2.0]))
    >>> pull.value(torch.tensor([1.0, 5.0]))
    tensor(0.9000)
    """

    penalty: Penalty
    center: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.center, Tensor) or not self.center.isfinite().all():
            raise ValueError(
                f"center must be a tensor of finite weights; got {self.center!r}."
                " Pass a trained weight tensor, for example layer.weight."
            )
        object.__setattr__(self, "center", self.center.detach().clone())

    def _summands(self, w: Tensor) -> Tensor:
        return self.penalty._summands(self._offset(w))

    def _grad(self, w: Tensor) -> Tensor:
        return self.penalty._grad(self._offset(w))

    def _prox(self, w: Tensor, step: Strength) -> Tensor:
        return self._center_for(w) + self.penalty._prox(self._offset(w), step)

    def _offset(self, w: Tensor) -> Tensor:
        return w - self._center_for(w)

    def _center_for(self, w: Tensor) -> Tensor:
        """The center in the dtype and on the device of ``w``, once their shapes agree."""
        if w.shape != self.center.shape:
            raise ValueError(
                f"center has shape {tuple(self.center.shape)} but the weights have"
                f" {tuple(w.shape)}; give a center of the weights' own shape."
            )
        return self.center.to(w)

    def around(self, center: Tensor) -> Around:
        return Around(self.penalty, self.center + center)

    def __mul__(self, factor: Strength) -> Around:
        return Around(self.penalty * factor, self.center)

    __rmul__ = __mul__


def _terms(penalty: Penalty) -> tuple[Penalty, ...]:
    return penalty.terms if isinstance(penalty, Sum) else (penalty,)


def _as_elastic(penalty: Penalty) -> ElasticNet | None:
    """L1 and L2 are elastic nets with one strength at zero; other penalties are none."""
    match penalty:
        case L1(alpha):
            return ElasticNet(alpha, 0 * alpha)
        case L2(alpha):
            return ElasticNet(0 * alpha, alpha)
        case ElasticNet():
            return penalty
    return None


def _merge(terms: Sequence[Penalty]) -> Penalty:
    """The simplest penalty equal to the sum of the terms."""
    merged: list[Penalty] = []
    for term in terms:
        for place, earlier in enumerate(merged):
            if (both := _add_alike(earlier, term)) is not None:
                merged[place] = both
                break
        else:
            merged.append(term)
    return merged[0] if len(merged) == 1 else Sum(tuple(merged))


def _add_alike(a: Penalty, b: Penalty) -> Penalty | None:
    if type(a) is type(b) and not isinstance(a, Around):
        return replace(a, **{f.name: getattr(a, f.name) + getattr(b, f.name) for f in fields(a)})
    one, other = _as_elastic(a), _as_elastic(b)
    if one is None or other is None:
        return None
    return ElasticNet(one.l1 + other.l1, one.l2 + other.l2)


def _split_square(
    term: Penalty, w: Tensor
) -> tuple[tuple[Strength, Tensor | float], Penalty | None]:
    """A term as (strength and center of its square, what is left of it)."""
    match term:
        case L2(alpha):
            return (alpha, 0.0), None
        case ElasticNet(l1, l2):
            return (l2, 0.0), L1(l1)
        case Around(penalty, center):
            (strength, inner), rest = _split_square(penalty, w)
            moved = None if rest is None else rest.around(center)
            return (strength, inner + term._center_for(w)), moved
    return (0.0, 0.0), term


def stack(penalties: Sequence[Penalty], like: Tensor) -> Penalty:
    """One penalty on K stacked weight tensors, from the K penalties of each.

    ``like`` is a tensor of the stacked weights, shape (K, ...): every strength becomes a tensor of
    shape (K, 1, ...) in its dtype and on its device; strengths that are tensors already, one for
    each weight or input, keep their shape behind the K. Raises ``ValueError`` when the penalties
    are of different kinds (L1, L2 and the elastic net count as one kind).
    """
    if len({_kind(penalty) for penalty in penalties}) > 1:
        elastic = [e for penalty in penalties if (e := _as_elastic(penalty)) is not None]
        if len(elastic) < len(penalties):
            kinds = ", ".join(sorted({_kind(penalty) for penalty in penalties}))
            raise ValueError(
                f"Stacked penalties must be of one kind; got {kinds}. Train each kind by itself."
            )
        penalties = elastic
    return _stack_alike(penalties, like)


def _kind(penalty: Penalty) -> str:
    match penalty:
        case Around(inner):
            return f"{_kind(inner)} around a center"
        case Sum(terms):
            return " + ".join(_kind(term) for term in terms)
    return type(penalty).__name__


def _stack_alike(penalties: Sequence[Penalty], like: Tensor) -> Penalty:
    first = penalties[0]
    if isinstance(first, Sum):
        columns = zip(*(cast(Sum, penalty).terms for penalty in penalties), strict=True)
        return Sum(tuple(_stack_alike(column, like) for column in columns))
    if isinstance(first, Around):
        moved = [cast(Around, penalty) for penalty in penalties]
        inner = _stack_alike([penalty.penalty for penalty in moved], like)
        return Around(inner, torch.stack([penalty.center.to(like) for penalty in moved]))
    return replace(
        first,
        **{
            f.name: _column([getattr(penalty, f.name) for penalty in penalties], like)
            for f in fields(first)
        },
    )


def _column(strengths: Sequence[Strength], like: Tensor) -> Tensor:
    values = [torch.as_tensor(strength, dtype=torch.float64) for strength in strengths]
    column = torch.stack(torch.broadcast_tensors(*values)).to(like)
    return column.reshape(len(column), *[1] * (like.dim() - column.dim()), *column.shape[1:])
