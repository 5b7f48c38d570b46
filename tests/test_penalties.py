"""Penalties against NumPy formulas, brute-force minima, SciPy, autograd and convex analysis."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import lambertw, wrightomega
from torch.autograd.functional import jacobian

from smallweights import L1, L2, ElasticNet, Exponential, Penalty
from smallweights.penalties import Around, Sum, _lambert_w_of_exp, stack

F64 = torch.float64
SIZES = np.array([1e-3, 0.05, 0.3, 0.9, 2.0, 5.0, 12.0])
MODERATE = np.concatenate([-SIZES, SIZES]).reshape(2, 7)
ALL = np.concatenate([MODERATE, [[0.0, -0.0, 1e3, -1e3, 40.0, -90.0, 700.0]]])
CENTER = np.linspace(-2.1, 2.3, 21).reshape(3, 7)
C, C2 = torch.tensor(CENTER), torch.tensor(CENTER[::-1].copy())
SPREAD = torch.linspace(0, 2, 21, dtype=F64).reshape(3, 7)


def absolute(z):
    return np.abs(z)


def exponential(z):
    with np.errstate(over="ignore"):
        return np.expm1(np.abs(z))


# name: (penalty, NumPy's formula for the share of each weight)
CASES = {
    "L1": (L1(0.3), lambda z: 0.3 * absolute(z)),
    "L2": (L2(0.3), lambda z: 0.3 * z**2),
    "elastic net": (ElasticNet(0.3, 0.2), lambda z: 0.3 * absolute(z) + 0.2 * z**2),
    "exponential": (Exponential(0.3), lambda z: 0.3 * exponential(z)),
    "scaled L1": (2.5 * L1(0.3), lambda z: 0.75 * absolute(z)),
    "scaled elastic net": (ElasticNet(0.3, 0.2) * 2, lambda z: 0.6 * absolute(z) + 0.4 * z**2),
    "scaled exponential": (0.1 * Exponential(0.3), lambda z: 0.03 * exponential(z)),
    "L1 around": (L1(0.3).around(C), lambda z: 0.3 * absolute(z - CENTER)),
    "L2 around": (L2(0.3).around(C), lambda z: 0.3 * (z - CENTER) ** 2),
    "elastic net around": (
        ElasticNet(0.3, 0.2).around(C),
        lambda z: 0.3 * absolute(z - CENTER) + 0.2 * (z - CENTER) ** 2,
    ),
    "exponential around": (Exponential(0.3).around(C), lambda z: 0.3 * exponential(z - CENTER)),
    "scaled around": (3 * L1(0.1).around(C), lambda z: 0.3 * absolute(z - CENTER)),
    "moved twice": (L2(0.3).around(C).around(C), lambda z: 0.3 * (z - 2 * CENTER) ** 2),
    "around in around": (Around(L1(0.3).around(C), C), lambda z: 0.3 * absolute(z - 2 * CENTER)),
    "L1 + L2": (L1(0.3) + L2(0.2), lambda z: 0.3 * absolute(z) + 0.2 * z**2),
    "exponential + L2": (
        Exponential(0.3) + L2(0.2),
        lambda z: 0.3 * exponential(z) + 0.2 * z**2,
    ),
    "scaled sum": (
        2 * (Exponential(0.15) + L2(0.1)),
        lambda z: 0.3 * exponential(z) + 0.2 * z**2,
    ),
    "sum around": (
        (Exponential(0.3) + L2(0.2)).around(C),
        lambda z: 0.3 * exponential(z - CENTER) + 0.2 * (z - CENTER) ** 2,
    ),
    "elastic net around + L2": (
        ElasticNet(0.3, 0.2).around(C) + L2(0.1),
        lambda z: 0.3 * absolute(z - CENTER) + 0.2 * (z - CENTER) ** 2 + 0.1 * z**2,
    ),
    "elastic net + L2 around": (
        ElasticNet(0.3, 0.2) + L2(0.1).around(C),
        lambda z: 0.3 * absolute(z) + 0.2 * z**2 + 0.1 * (z - CENTER) ** 2,
    ),
    "L1 + L2 around": (
        L1(0.3) + L2(0.2).around(C),
        lambda z: 0.3 * absolute(z) + 0.2 * (z - CENTER) ** 2,
    ),
    "L1 around + L2": (
        L1(0.3).around(C) + L2(0.2),
        lambda z: 0.3 * absolute(z - CENTER) + 0.2 * z**2,
    ),
    "two centers": (
        L2(0.3).around(C) + L2(0.2).around(C2),
        lambda z: 0.3 * (z - CENTER) ** 2 + 0.2 * (z - CENTER[::-1]) ** 2,
    ),
    "nested square in a sum": (
        Around(L2(0.3).around(C), C) + Exponential(0.1),
        lambda z: 0.3 * (z - 2 * CENTER) ** 2 + 0.1 * exponential(z),
    ),
    "strength for each weight": (L1(SPREAD), lambda z: SPREAD.numpy() * absolute(z)),
    "L2 for each weight": (L2(SPREAD), lambda z: SPREAD.numpy() * z**2),
    "exponential for each weight": (
        Exponential(SPREAD),
        lambda z: np.where(SPREAD.numpy() > 0, SPREAD.numpy() * exponential(z), 0),
    ),
    "zero strength": (ElasticNet(0, 0), lambda z: 0 * z),
    "zero exponential": (Exponential(0.0), lambda z: 0 * z),
}
ids = pytest.mark.parametrize(("penalty", "formula"), CASES.values(), ids=CASES.keys())


def brute_force_prox(formula, w, step):
    """Minimize ½(z − w)² + step · formula(z) for each weight on a grid, zooming in ten times."""
    low, high = (bound * np.ones(w.shape, np.longdouble) for bound in (-1e3 - 9, 1e3 + 9))
    for _ in range(10):
        z = np.linspace(low, high, 301)
        best = (0.5 * (z - w) ** 2 + step * formula(z)).argmin(0)
        width = (high - low) / 300
        center = np.take_along_axis(z, best[None], 0)[0]
        low, high = center - width, center + width
    return center.astype(float)


@ids
@pytest.mark.parametrize("step", [0.05, 1.0, 20.0])
def test_prox_is_the_brute_force_minimum(penalty, formula, step):
    found = penalty.prox(torch.tensor(ALL), step).numpy()
    np.testing.assert_allclose(found, brute_force_prox(formula, ALL, step), rtol=1e-7, atol=1e-7)


@ids
def test_value_is_the_formula(penalty, formula):
    w = ALL.clip(-20, 20)
    assert penalty.value(torch.tensor(w)).item() == pytest.approx(formula(w).sum(), rel=1e-12)
    shares = penalty.summands(torch.tensor(w)).expand(w.shape)
    np.testing.assert_allclose(shares.numpy(), formula(w), rtol=1e-12, atol=1e-15)


@ids
def test_gradient_is_autograds(penalty, formula):
    w = torch.tensor(ALL.clip(-20, 20) + 1e-4)  # beside the kinks
    torch.testing.assert_close(penalty.grad(w), jacobian(penalty.value, w), rtol=1e-12, atol=1e-12)


@ids
def test_gradient_is_the_formulas_finite_difference(penalty, formula):
    w, h = ALL.clip(-20, 20) + 1e-4, 1e-6
    slope = (formula(w + h) - formula(w - h)) / (2 * h)
    np.testing.assert_allclose(penalty.grad(torch.tensor(w)).numpy(), slope, rtol=1e-5, atol=1e-5)


@ids
def test_the_engines_accumulation_adds_the_gradient(penalty, formula):
    w = torch.tensor(ALL.clip(-20, 20))
    gradient = torch.ones_like(w)
    penalty._accumulate(gradient, w)
    torch.testing.assert_close(gradient, 1 + penalty.grad(w), rtol=1e-14, atol=1e-14)


@ids
def test_a_step_of_zero_moves_nothing(penalty, formula):
    torch.testing.assert_close(penalty.prox(torch.tensor(ALL), 0), torch.tensor(ALL))


@pytest.mark.parametrize("penalty", [L1(0), L2(0), ElasticNet(0, 0), Exponential(0)], ids=str)
def test_a_strength_of_zero_is_no_penalty_however_large_the_weights(penalty):
    w = torch.tensor(ALL)
    assert penalty.value(w) == 0
    assert not penalty.grad(w).any()
    assert torch.equal(penalty.prox(w, 2.0), w)
    assert not jacobian(penalty.value, w).any()


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.3), ElasticNet(0.3, 0.2), Exponential(0.3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_keep_the_dtype_of_the_weights(penalty, dtype):
    w = torch.tensor(MODERATE, dtype=dtype)
    results = penalty.value(w), penalty.grad(w), penalty.prox(w, 0.1)
    assert {result.dtype for result in results} == {dtype}


@pytest.mark.parametrize("penalty", [L1(0.3), ElasticNet(0.3, 0.2), Exponential(0.3)], ids=str)
def test_weights_below_the_threshold_become_exactly_zero(penalty):
    w = torch.tensor([-0.29, -0.1, 0.0, 1e-9, 0.29, -0.31, 0.31], dtype=F64)
    assert (penalty.prox(w, 1.0) == 0).tolist() == [True] * 5 + [False] * 2


def test_l2_shrinks_without_zeros():
    assert (L2(100.0).prox(torch.tensor(MODERATE), 1.0) != 0).all()


@pytest.mark.parametrize("penalty", [L1(0.3), ElasticNet(0.3, 0.2), Exponential(0.3)], ids=str)
def test_the_subgradient_at_a_kink_is_zero(penalty):
    assert penalty.grad(torch.zeros(3)).tolist() == [0, 0, 0]
    assert penalty.around(C).grad(C.clone()).abs().sum() == 0


def test_an_exponential_beyond_the_largest_float_is_infinite_but_its_prox_is_exact():
    w = torch.tensor([1e3, -1e5], dtype=F64)
    assert Exponential(0.3).value(w) == math.inf
    u = wrightomega(np.array([1e3, 1e5]) + np.log(0.3))  # W(0.3 e^|w|) without overflow
    expected = np.array([1, -1]) * ([1e3, 1e5] - u)
    np.testing.assert_allclose(Exponential(0.3).prox(w, 1.0), expected, rtol=1e-9)


@given(st.floats(1e-6, 50), st.floats(-300, 300))
def test_the_exponentials_prox_is_written_with_lambert_w(t, w):
    expected = np.sign(w) * max(0.0, abs(w) - lambertw(t * np.exp(abs(w))).real)
    found = Exponential(t).prox(torch.tensor(w, dtype=F64), 1.0).item()
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-11 * (1 + abs(w)))


@given(st.floats(-700, 1e8))
def test_lambert_w_of_an_exponential_is_scipys_wright_omega(y):
    found = _lambert_w_of_exp(torch.tensor(y, dtype=F64)).item()
    assert found == pytest.approx(wrightomega(y), rel=1e-12)


# Strengths that are tensors: K stacked replicas, each with its own.

STACKED = torch.tensor(np.random.default_rng(0).normal(0, 2, (3, 4, 5)))
KINDS = {
    "L1": L1,
    "L2": L2,
    "elastic net": lambda a: ElasticNet(a, 0.5 * a),
    "exponential": Exponential,
    "around": lambda a: L1(a).around(STACKED[0]),
    "sum": lambda a: Exponential(a) + L2(0.5 * a),
    "sum around": lambda a: (L1(a) + L2(a)).around(STACKED[0]),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
STRENGTHS = [0.0, 0.2, 1.5]


def each_replica(kind, method):
    return torch.stack(
        [method(kind(alpha), w) for alpha, w in zip(STRENGTHS, STACKED, strict=True)]
    )


@kinds
def test_stacked_penalties_act_on_each_replica_as_its_own_does(kind):
    together = stack([kind(alpha) for alpha in STRENGTHS], STACKED)
    for method in (Penalty.summands, Penalty.grad, lambda p, w: p.prox(w, 0.7)):
        torch.testing.assert_close(
            method(together, STACKED), each_replica(kind, method), rtol=1e-13, atol=1e-13
        )


@kinds
def test_stacked_penalties_have_the_dtype_of_the_weights(kind):
    single = STACKED.float()
    together = stack([kind(alpha) for alpha in STRENGTHS], single)
    results = together.summands(single), together.grad(single), together.prox(single, 0.7)
    assert {result.dtype for result in results} == {torch.float32}


@pytest.mark.parametrize("kind", [L1, L2, KINDS["elastic net"], Exponential], ids=list(KINDS)[:4])
def test_a_column_of_strengths_penalizes_each_replica_by_its_own(kind):
    together = kind(torch.tensor(STRENGTHS, dtype=F64).reshape(3, 1, 1))
    for method in (Penalty.summands, Penalty.grad, lambda p, w: p.prox(w, 0.7)):
        torch.testing.assert_close(method(together, STACKED), each_replica(kind, method))


def test_a_column_of_steps_gives_each_replica_its_own():
    steps = torch.tensor([0.0, 0.1, 2.0], dtype=F64)
    together = Exponential(0.4).prox(STACKED, steps.reshape(3, 1, 1))
    alone = [Exponential(0.4).prox(w, s.item()) for w, s in zip(STACKED, steps, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_strengths_for_each_weight_are_stacked_behind_the_replica():
    each = [L1(torch.full((4, 5), 0.1, dtype=F64)), L1(torch.arange(5.0)), L1(2)]
    alone = torch.stack([p.summands(w) for p, w in zip(each, STACKED, strict=True)])
    torch.testing.assert_close(stack(each, STACKED).summands(STACKED), alone)


def test_l1_l2_and_the_elastic_net_stack_as_one_kind():
    together = stack([L1(0.1), L2(0.2), ElasticNet(0.3, 0.4)], STACKED)
    assert type(together) is ElasticNet
    assert together.l1.flatten().tolist() == [0.1, 0, 0.3]
    assert together.l2.flatten().tolist() == [0, 0.2, 0.4]


@pytest.mark.parametrize(
    ("others", "kinds"),
    [
        (Exponential(1), "Exponential, L1"),
        (L1(1).around(STACKED[0]), "L1, L1 around a center"),
        (Exponential(1) + L2(1), "Exponential + L2, L1"),
    ],
)
def test_penalties_of_different_kinds_do_not_stack(others, kinds):
    expected = f"Stacked penalties must be of one kind; got {kinds}. Train each kind by itself."
    with pytest.raises(ValueError, match=re.escape(expected)):
        stack([L1(1), others], STACKED[:2])


# Laws.

strengths = st.floats(0, 10)
weights = arrays(float, 6, elements=st.floats(-30, 30)).map(torch.tensor)
CENTER_6 = torch.linspace(-3, 3, 6, dtype=F64)
simple = st.one_of(
    strengths.map(L1),
    strengths.map(L2),
    st.builds(ElasticNet, strengths, strengths),
    strengths.map(Exponential),
)
centred = simple.map(lambda p: p.around(CENTER_6))
penalties = st.one_of(
    simple, centred, st.builds(lambda p, a: p + L2(a).around(CENTER_6), simple, strengths)
)


@given(penalties, weights)
def test_a_value_is_never_negative(penalty, w):
    assert penalty.value(w) >= 0


@given(simple)
def test_the_value_is_zero_at_the_center(penalty):
    assert penalty.value(torch.zeros(6)) == 0
    assert penalty.around(CENTER_6).value(CENTER_6) == 0


@given(strengths, weights, weights)
def test_l1_and_the_root_of_l2_obey_the_triangle_inequality(alpha, a, b):
    for norm in (L1(alpha).value, lambda w: L2(alpha).value(w).sqrt()):
        assert norm(a + b) <= (norm(a) + norm(b)) * (1 + 1e-12)


@given(strengths, weights, st.floats(-10, 10))
def test_l1_and_the_root_of_l2_grow_in_proportion(alpha, w, factor):
    for norm in (L1(alpha).value, lambda w: L2(alpha).value(w).sqrt()):
        assert norm(factor * w).item() == pytest.approx(abs(factor) * norm(w).item(), rel=1e-9)


@given(penalties, weights, weights, st.floats(0, 1))
def test_a_penalty_is_convex(penalty, a, b, share):
    between = penalty.value(share * a + (1 - share) * b)
    chord = share * penalty.value(a) + (1 - share) * penalty.value(b)
    assert between <= chord + 1e-9 * (1 + abs(chord))


@given(penalties, weights, weights, st.floats(0, 10))
def test_prox_is_non_expansive(penalty, a, b, step):
    moved = (penalty.prox(a, step) - penalty.prox(b, step)).norm()
    assert moved <= (a - b).norm() * (1 + 1e-9) + 1e-9


@given(penalties, weights, weights, st.floats(1e-2, 10))
def test_prox_is_the_resolvent_of_the_subdifferential(penalty, w, other, step):
    z = penalty.prox(w, step)
    slope = (w - z) / step  # must be a subgradient at z: the tangent lies below the value
    tangent = penalty.value(z) + (slope * (other - z)).sum()
    scale = 1 + penalty.value(z) + (slope * (other - z)).abs().sum()
    assert penalty.value(other) >= tangent - 1e-9 * scale


@given(penalties, weights, weights)
def test_the_gradient_is_a_subgradient(penalty, w, other):
    rise = (penalty.grad(w) * (other - w)).sum()
    scale = 1 + penalty.value(w) + (penalty.grad(w) * (other - w)).abs().sum()
    assert penalty.value(other) >= penalty.value(w) + rise - 1e-9 * scale


@given(simple, weights, st.floats(0, 10))
def test_prox_moves_each_weight_toward_zero_and_not_past_it(penalty, w, step):
    z = penalty.prox(w, step)
    assert (z.abs() <= w.abs()).all()
    assert (z * w >= 0).all()


@given(penalties, weights, st.floats(0, 100))
def test_a_multiple_of_a_penalty_has_the_multiple_of_its_value(penalty, w, factor):
    expected = factor * penalty.value(w).item()
    for multiple in (factor * penalty, penalty * factor):
        assert multiple.value(w).item() == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(penalties, penalties, weights)
def test_the_value_and_gradient_of_a_sum_are_the_sums(one, other, w):
    both = one + other
    torch.testing.assert_close(both.value(w), one.value(w) + other.value(w))
    torch.testing.assert_close(both.grad(w), one.grad(w) + other.grad(w))


@given(strengths, strengths)
def test_sums_and_multiples_take_their_simplest_form(a, b):
    assert 2 * L1(a) == L1(2 * a)
    assert 2 * ElasticNet(a, b) == ElasticNet(2 * a, 2 * b)
    assert L1(a) + L2(b) == L2(b) + L1(a) == ElasticNet(a, b) == sum([L1(a), L2(b)])
    assert Exponential(a) + Exponential(b) == Exponential(a + b)
    assert ElasticNet(a, b) + L1(a) + L2(b) == ElasticNet(a + a, b + b)
    assert (L1(a) + L2(b)).around(CENTER_6) == ElasticNet(a, b).around(CENTER_6)


def test_equal_penalties_hash_alike_and_others_differ():
    tensor = torch.tensor([1.0, 2.0])
    for one, same, other in [
        (L1(1), L1(1.0), L1(2)),
        (L1(tensor), L1(tensor.clone()), L1(2 * tensor)),
        (L1(1).around(tensor), L1(1.0).around(tensor.clone()), L1(1).around(2 * tensor)),
        (Exponential(1) + L2(1), Exponential(1.0) + L2(1), Exponential(1) + L2(2)),
        (L1(1), L1(1.0), L2(1)),
        (L1(tensor), L1(tensor), L1(1)),
    ]:
        assert one == same
        assert hash(one) == hash(same)
        assert one != other


def test_a_center_takes_the_dtype_of_the_weights():
    assert L2(1).around(C).grad(C.float()).dtype == torch.float32


def test_sums_are_associative():
    a, b, c = L1(1).around(C), L2(1), Exponential(1)
    assert (a + b) + c == a + (b + c)


def test_moving_twice_adds_the_centers():
    assert L2(1).around(C).around(C2) == L2(1).around(C + C2)
    assert 2 * L1(1).around(C) == L1(2).around(C)
    assert 2 * (Exponential(1) + L2(1)) == Exponential(2) + L2(2)


def test_hashes_tell_kinds_and_strengths_apart():
    assert len({hash(penalty) for penalty in (L1(1), L1(2), L2(1), L2(2))}) == 4


def test_a_center_is_a_copy_that_does_not_follow_the_network():
    trained = torch.ones(2, 2, requires_grad=True)
    penalty = L2(1).around(trained)
    with torch.no_grad():
        trained += 1
    assert penalty.value(torch.ones(2, 2)) == 0
    assert not penalty.center.requires_grad


# Errors.

NUMBER = "must be a finite number >= 0 (or a tensor of such numbers)"
BUILDERS = {
    "L1.alpha": L1,
    "L2.alpha": L2,
    "ElasticNet.l1": lambda value: ElasticNet(value, 1.0),
    "ElasticNet.l2": lambda value: ElasticNet(1.0, value),
    "Exponential.alpha": Exponential,
    "step": lambda value: L1(1.0).prox(torch.ones(2), value),
    "the factor of a penalty": lambda value: L1(1.0) * value,
}
builders = pytest.mark.parametrize(("name", "build"), BUILDERS.items(), ids=BUILDERS.keys())


@builders
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_strength_that_is_not_finite_is_refused(name, build, value):
    expected = f"{name} {NUMBER}; got {value}. To switch a penalty off, use 0."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        build(value)


@builders
@pytest.mark.parametrize("value", [-1e-9, -3])
def test_a_negative_strength_is_refused(name, build, value):
    expected = f"{name} {NUMBER}; got {value}. A negative strength would reward large weights."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        build(value)


@builders
@pytest.mark.parametrize("value", [True, "0.1", None, [0.1], np.ones(2), 1j], ids=repr)
def test_a_strength_that_is_no_number_is_refused(name, build, value):
    expected = f"{name} {NUMBER}; got {value!r} of type {type(value).__name__}."
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        build(value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([0.1, -0.1], ValueError),
        ([0.1, math.nan], ValueError),
        ([math.inf, 0.1], ValueError),
        ([], TypeError),
        ([True], TypeError),
        ([1j], TypeError),
    ],
)
def test_a_tensor_of_strengths_is_checked_to_its_last_number(value, error):
    with pytest.raises(error, match=re.escape(f"L1.alpha {NUMBER}; got tensor(")):
        L1(torch.tensor(value))


@pytest.mark.parametrize("value", [1, np.float64(1), np.float32(1), np.int64(1), torch.tensor(1)])
def test_any_real_number_is_a_strength(value):
    assert L1(value).value(torch.tensor([[-2.0, 3.0]], requires_grad=True)).item() == 5


METHODS = {
    "value": lambda p, w: p.value(w),
    "summands": lambda p, w: p.summands(w),
    "grad": lambda p, w: p.grad(w),
    "prox": lambda p, w: p.prox(w, 0.1),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize(
    ("w", "message"),
    [
        (np.ones(2), "w must be a torch.Tensor; got ndarray. Convert it: torch.as_tensor(w)."),
        ([1.0], "w must be a torch.Tensor; got list. Convert it: torch.as_tensor(w)."),
        (
            torch.ones(2, dtype=torch.int64),
            "w must hold floating-point numbers; got torch.int64. Use w.float().",
        ),
    ],
    ids=["array", "list", "integers"],
)
def test_weights_that_are_no_tensor_of_floats_are_refused(method, w, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        method(L1(0.1), w)


@pytest.mark.parametrize(
    ("penalty", "terms"),
    [
        (L1(1) + Exponential(1), "L1 and Exponential"),
        (ElasticNet(1, 1) + Exponential(1), "L1 and Exponential"),
        (L1(1) + L1(1).around(torch.ones(2)), "L1 and L1 around a center"),
    ],
)
def test_a_sum_without_a_known_prox_names_its_terms(penalty, terms):
    expected = (
        f"No exact proximal operator is known for the sum of {terms}; train with"
        " method='penalty', or keep one of them beside any L2 terms."
    )
    with pytest.raises(NotImplementedError, match=f"^{re.escape(expected)}$"):
        penalty.prox(torch.ones(2), 0.1)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_strength_of_more_dimensions_than_the_weights_is_refused(method):
    stacked = L2(torch.full((3, 1, 1), 0.1))
    expected = (
        "A strength must broadcast to the shape of the weights, (2, 2); with this one the result"
        " has shape (3, 2, 2). Stacked weights have K first."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        method(stacked, torch.ones(2, 2))


@pytest.mark.parametrize("inner", [L1(1), L2(1), Exponential(1), L2(1) + Exponential(1)], ids=str)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_center_of_another_shape_is_refused(inner, method):
    expected = (
        "center has shape (3,) but the weights have (3, 3);"
        " give a center of the weights' own shape."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        method(inner.around(torch.ones(3)), torch.ones(3, 3))


@pytest.mark.parametrize("center", [1.0, np.ones(2), torch.tensor([1.0, math.nan])])
def test_a_center_that_is_no_tensor_of_finite_weights_is_refused(center):
    expected = (
        f"center must be a tensor of finite weights; got {center!r}."
        " Pass a trained weight tensor, for example layer.weight."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        L1(1).around(center)


@pytest.mark.parametrize("terms", [(), (L1(1),), (L1(1), 2)])
def test_a_sum_needs_two_penalties(terms):
    with pytest.raises(TypeError, match=r"^Sum needs two or more penalties; got "):
        Sum(terms)


@pytest.mark.parametrize("other", [1, 2.0, None])
def test_only_penalties_add_to_penalties(other):
    with pytest.raises(TypeError, match="unsupported operand"):
        L1(1) + other
    with pytest.raises(TypeError, match="unsupported operand"):
        other + L1(1)


def test_a_penalty_must_define_its_three_faces():
    with pytest.raises(TypeError, match="abstract"):
        Penalty()
