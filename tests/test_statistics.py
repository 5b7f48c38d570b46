"""Intervals against SciPy, a simulation and a loop over seeds; pairing and its errors."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from smallweights.statistics import CONFIDENCE, Interval, differences, interval, summarize

VALUES = [0.3, -1.2, 2.5, 0.9, 1.1]
numbers = arrays(float, st.integers(2, 30), elements=st.floats(-1e3, 1e3))


@pytest.mark.parametrize("n", [2, 3, 20, 200])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_the_interval_is_scipys_t_interval(n, confidence):
    values = np.random.default_rng(n).normal(3, 2, n)
    found = interval(values, confidence=confidence)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.n == n


def test_an_interval_covers_with_95_percent_unless_told_otherwise():
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert interval(VALUES).low == pytest.approx(expected.low, rel=1e-12)
    assert CONFIDENCE == 0.95


@pytest.mark.parametrize("comparisons", [1, 2, 7])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_intervals_read_together_share_the_error_as_bonferroni_says(comparisons, confidence):
    found = interval(VALUES, confidence=confidence, comparisons=comparisons)
    each = 1 - (1 - confidence) / comparisons
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(each)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_intervals_cover_the_true_mean_as_often_as_they_promise():
    draws = np.random.default_rng(0).normal(1, 3, (800, 8))
    for confidence in (0.8, 0.95):
        found = [interval(row, confidence=confidence) for row in draws]
        covered = np.mean([i.low <= 1 <= i.high for i in found])
        four_sigma = 4 * math.sqrt(confidence * (1 - confidence) / len(draws))
        assert covered == pytest.approx(confidence, abs=four_sigma)


def test_intervals_read_together_cover_at_once_as_often_as_they_promise():
    draws = np.random.default_rng(1).normal(1, 3, (300, 5, 8))
    found = [[interval(row, comparisons=5) for row in rows] for rows in draws]
    together = np.mean([all(i.low <= 1 <= i.high for i in row) for row in found])
    four_sigma = 4 * math.sqrt(0.95 * 0.05 / len(draws))
    assert together == pytest.approx(0.95, abs=four_sigma)  # of independent ones, 0.951


@given(numbers, st.floats(0.1, 10), st.floats(-100, 100))
def test_an_interval_moves_and_stretches_with_its_values(values, factor, shift):
    one, other = interval(values), interval(factor * values + shift)
    scale = 1 + np.abs(values).max() * factor * 20 + abs(shift)
    for bound in ("mean", "low", "high"):
        expected = factor * getattr(one, bound) + shift
        assert getattr(other, bound) == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)


@given(numbers)
def test_a_mirrored_sample_has_the_mirrored_interval(values):
    one, other = interval(values), interval(-values)
    assert (other.mean, other.low, other.high) == (-one.mean, -one.high, -one.low)


def test_equal_values_have_an_interval_without_width():
    assert interval([2.0, 2.0, 2.0]) == Interval(2.0, 2.0, 2.0, 3)


def test_any_array_of_numbers_has_an_interval():
    objects = pd.Series(VALUES, dtype=object)
    for values in (tuple(VALUES), np.array(VALUES), objects, np.reshape(VALUES, (5, 1))):
        assert interval(values) == interval(VALUES)


def test_an_interval_holds_plain_floats():
    assert [type(value) for value in vars(interval(VALUES)).values()] == [float] * 3 + [int]


@pytest.mark.parametrize(("values", "n"), [([], 0), ([1.0], 1), (3.0, 1)])
def test_fewer_than_two_seeds_are_refused(values, n):
    with pytest.raises(ValueError, match=f"^An interval needs at least 2 seeds; got {n}\\.$"):
        interval(values)


@pytest.mark.parametrize(
    ("values", "bad"),
    [([math.nan, 1.0, 2.0], 1), ([math.inf, 1.0], 1), ([math.nan, 1.0, -math.inf], 2)],
)
def test_values_that_are_not_finite_are_refused_and_counted(values, bad):
    expected = f"{bad} of {len(values)} values are not finite; did a run diverge?"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        interval(values)


@pytest.mark.parametrize(
    ("confidence", "comparisons"),
    [(0, 1), (1, 1), (-0.5, 1), (1.5, 1), (math.nan, 1), (95, 1), (0.95, 0), (0.95, -2)],
)
def test_an_impossible_confidence_or_number_of_comparisons_is_refused(confidence, comparisons):
    expected = (
        f"confidence must lie in (0, 1) and comparisons be >= 1; got {confidence}, {comparisons}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        interval(VALUES, confidence=confidence, comparisons=comparisons)


# Printing: two digits of the half width.


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (0.12345, 0.11111, 0.13579, "+0.123 [+0.111, +0.136]"),  # half width 0.012
        (-1.23456, -2.46913, 0.0, "-1.2 [-2.5, +0.0]"),  # half width 1.2
        (1.0, 0.0, 2.0, "+1.0 [+0.0, +2.0]"),  # half width exactly 1
        (2.0, 1.5, 2.5, "+2.00 [+1.50, +2.50]"),  # half width 0.5
        (123.4, 111.1, 135.7, "+123 [+111, +136]"),  # half width 12.3
        (1234.5, 0.0, 2469.0, "+1234 [+0, +2469]"),  # half width above 1,000
        (0.00012345, 0.00011111, 0.00013579, "+0.000123 [+0.000111, +0.000136]"),
        (0.25, 0.25, 0.25, "+0.25 [+0.25, +0.25]"),  # no width: two digits of the mean
        (-0.025, -0.025, -0.025, "-0.025 [-0.025, -0.025]"),
        (0.0, 0.0, 0.0, "+0 [+0, +0]"),
    ],
)
def test_an_interval_prints_two_digits_of_its_half_width(mean, low, high, text):
    assert str(Interval(mean, low, high, 5)) == text


@pytest.mark.parametrize("half", [1.125, -0.325, 7.245, 0.005])
def test_a_half_prints_alike_whatever_the_last_bits_of_its_sum(half):
    near = [np.nextafter(half, bound) for bound in (-np.inf, np.inf)]
    printed = {str(Interval(mean, mean - 0.5, mean + 0.5, 5)) for mean in (half, *near)}
    assert len(printed) == 1


@given(st.floats(-8, 4), st.floats(-1e3, 1e3))
def test_the_last_printed_digit_is_between_a_tenth_and_a_hundredth_of_the_half_width(power, mean):
    half = 10**power
    last = 10.0 ** -Interval(mean, mean - half, mean + half, 2).digits()
    assert last == 1 if half > 10.001 else 0.0099 < last / half < 0.1001


# Pairing.

FRAME = pd.DataFrame(
    [
        {"seed": seed, "penalty": penalty, "data": data, "error": 100 * penalty + seed**2 * data}
        for data in (1, 2)
        for penalty in (0.1, 0.0)
        for seed in (3, 1, 2)
    ]
)


def test_differences_are_taken_seed_by_seed():
    one = FRAME[FRAME.data == 1].sample(frac=1, random_state=0)
    found = differences(one, "error", {"penalty": 0.1}, {"penalty": 0.0})
    assert found.to_dict() == {1: 10.0, 2: 10.0, 3: 10.0}
    assert list(found.index) == [1, 2, 3]


def test_rows_may_be_named_by_several_columns():
    found = differences(FRAME, "error", {"penalty": 0.0, "data": 2}, {"penalty": 0.0, "data": 1})
    assert found.to_dict() == {1: 1, 2: 4, 3: 9}


def test_differences_may_be_paired_by_another_column():
    found = differences(FRAME[FRAME.data == 2], "error", {"seed": 3}, {"seed": 1}, by="penalty")
    assert found.to_dict() == {0.0: 16, 0.1: 16}


def test_differences_remove_what_all_configurations_of_a_seed_share():
    rng = np.random.default_rng(2)
    luck, noise = rng.normal(0, 5, 20), rng.normal(0, 0.1, (2, 20))
    rows = [
        {"seed": s, "penalty": p, "error": luck[s] + 0.3 * p + noise[p, s]}
        for s in range(20)
        for p in (0, 1)
    ]
    paired = differences(pd.DataFrame(rows), "error", {"penalty": 1}, {"penalty": 0})
    first, second = (luck + 0.3 + noise[1]), (luck + noise[0])
    expected = stats.ttest_rel(first, second).confidence_interval()
    found = interval(paired)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize(
    ("missing", "odd"), [([0], [3]), ([5], [2]), ([0, 4], [1, 3]), ([0, 1, 4, 5], [2, 3])]
)
def test_seeds_that_are_not_shared_are_named(missing, odd):
    one = FRAME[FRAME.data == 1].reset_index(drop=True).drop(index=missing)
    expected = f"{{'penalty': 0.1}} and {{'penalty': 0.0}} do not share seed {odd}: unpaired."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        differences(one, "error", {"penalty": 0.1}, {"penalty": 0.0})


@pytest.mark.parametrize(
    ("where", "rows"), [({"penalty": 0.5}, 0), ({"penalty": 0.0}, 6), ({}, 12)]
)
@pytest.mark.parametrize("place", ["first", "second"])
def test_a_choice_that_does_not_name_one_row_a_seed_is_refused(where, rows, place):
    good = {"penalty": 0.1, "data": 1}
    first, second = (where, good) if place == "first" else (good, where)
    expected = f"{where} names {rows} rows, not one for each seed."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        differences(FRAME, "error", first, second)


# Summaries.


def test_a_summary_is_a_loop_over_the_groups():
    found = summarize(FRAME, "error", "penalty")
    for penalty, row in found.iterrows():
        values = FRAME.error[FRAME.penalty == penalty]
        low, high = stats.ttest_1samp(values, 0).confidence_interval()
        assert row.to_list() == pytest.approx([values.mean(), low, high, 6])
    assert list(found.index) == [0.0, 0.1]
    assert found.index.name == "penalty"
    assert list(found.columns) == ["mean", "low", "high", "n"]


def test_a_summary_may_be_by_several_columns():
    found = summarize(FRAME, "error", ["data", "penalty"])
    assert list(found.index) == [(1, 0.0), (1, 0.1), (2, 0.0), (2, 0.1)]
    assert list(found.index.names) == ["data", "penalty"]
    means = FRAME.groupby(["data", "penalty"]).error.mean()
    np.testing.assert_allclose(found["mean"], means)


def test_a_group_of_one_seed_is_refused():
    with pytest.raises(ValueError, match="at least 2 seeds; got 1"):
        summarize(FRAME, "error", ["data", "penalty", "seed"])
