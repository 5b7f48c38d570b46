"""Which weights a penalty acts on: patterns over parameter names, biases left out by default."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from torch import Tensor, nn

from smallweights.penalties import Penalty

Parameters = Mapping[str, Tensor]


class Penalize:
    """Give each group of weights its own penalty: ``{name pattern: penalty}``, last match wins.

    ``Penalize({"*": L2(1e-4), "lstm.recurrent.*": L1(1e-3)})`` penalizes the recurrent weights
    with L1 and all others with L2. Patterns are shell patterns over the names that
    ``model.named_parameters()`` gives. Parameters with fewer than two dimensions (biases, scales)
    are left out unless ``biases=True``. A pattern that matches nothing raises ``ValueError`` with
    the names there are. Source: Goodfellow et al. (2016), section 7.1. Book section: norms.

    >>> penalty = Penalize({"*": L2(1e-4), "layers.1.*": L1(1e-3)})
    >>> penalty.assign(MLP((2, 3, 1)))
    {'layers.0.weight': L2(alpha=0.0001), 'layers.1.weight': L1(alpha=0.001)}
    """

    def __init__(self, rules: Mapping[str, Penalty], *, biases: bool = False) -> None:
        expected = "Penalize needs {name pattern: penalty}, for example {'*': L2(1e-4)}"
        if not isinstance(rules, Mapping):
            raise TypeError(f"{expected}; got {rules!r}.")
        for pattern, penalty in rules.items():
            if not isinstance(pattern, str) or not isinstance(penalty, Penalty):
                raise TypeError(f"{expected}; got {pattern!r}: {penalty!r}.")
        self.rules = dict(rules)
        self.biases = biases
        self.centers: Parameters | None = None

    def __repr__(self) -> str:
        extra = ", biases=True" if self.biases else ""
        moved = "" if self.centers is None else ".around(...)"
        return f"Penalize({self.rules}{extra}){moved}"

    def around(self, centers: nn.Module | Parameters) -> Penalize:
        """The same penalties, pulling toward the weights of ``centers`` instead of zero.

        ``centers`` is a trained model, or its weights by parameter name.
        Source: Li, Grandvalet & Davoine (2018), equation 3. Book section: tips.
        """
        moved = Penalize(self.rules, biases=self.biases)
        moved.centers = {name: w.detach().clone() for name, w in parameters_of(centers).items()}
        return moved

    def assign(self, model: nn.Module | Parameters) -> dict[str, Penalty]:
        """The penalty of each penalized parameter, by name, for this model."""
        weights = parameters_of(model)
        open_names = [name for name, w in weights.items() if self.biases or w.dim() >= 2]
        assigned: dict[str, Penalty] = {}
        for pattern, penalty in self.rules.items():
            names = [name for name in open_names if fnmatchcase(name, pattern)]
            if not names:
                raise ValueError(self._unmatched(pattern, weights, open_names))
            assigned |= dict.fromkeys(names, penalty)
        return assigned if self.centers is None else _move(assigned, self.centers)

    def value(self, model: nn.Module | Parameters) -> Tensor:
        """The penalty of the whole model, a scalar tensor that gradients flow through."""
        weights = parameters_of(model)
        return total(self.assign(weights), weights)

    def _unmatched(self, pattern: str, weights: Parameters, open_names: list[str]) -> str:
        if any(fnmatchcase(name, pattern) for name in weights):
            return (
                f"Pattern {pattern!r} matches only biases and other parameters with fewer than two"
                " dimensions, which are left out; pass biases=True to penalize them."
            )
        return f"Pattern {pattern!r} matches no parameter. There are: {', '.join(open_names)}."


def _move(assigned: dict[str, Penalty], centers: Parameters) -> dict[str, Penalty]:
    missing = [name for name in assigned if name not in centers]
    if missing:
        raise ValueError(f"around(...) has no center for {', '.join(missing)}.")
    return {name: penalty.around(centers[name]) for name, penalty in assigned.items()}


def total(penalties: Mapping[str, Penalty], weights: Parameters) -> Tensor:
    """The value of all penalties together, a scalar tensor. Book section: norms."""
    zero = next(iter(weights.values())).new_zeros(())
    return sum((penalty.value(weights[name]) for name, penalty in penalties.items()), zero)


def parameters_of(model: nn.Module | Parameters) -> dict[str, Tensor]:
    """The model's parameters by name; a mapping is taken as it is."""
    return dict(model.named_parameters() if isinstance(model, nn.Module) else model)


def as_penalize(penalty: Penalize | Penalty | None) -> Penalize:
    """What the user gave as a penalty: one for all weights, rules by name, or none at all."""
    if isinstance(penalty, Penalize):
        return penalty
    if penalty is None or isinstance(penalty, Penalty):
        return Penalize({} if penalty is None else {"*": penalty})
    raise TypeError(
        f"penalty must be a Penalty, a Penalize or None; got {type(penalty).__name__}."
        " For L2 with alpha 0.01, pass L2(0.01)."
    )
