"""Figures: what is drawn are the numbers of the summary, and readers can tell the lines apart."""

from itertools import combinations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy import stats

from smallweights.plots import (
    COLORS,
    MARKERS,
    STYLE,
    STYLES,
    band,
    bars,
    log_alpha,
    use_style,
)

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    [
        {"seed": seed, "alpha": alpha, "kind": f"{alpha:g}!", "error": alpha + RNG.normal()}
        for alpha in (0.1, 0.0, 10.0)
        for seed in range(5)
    ]
)
INDICES = pytest.mark.parametrize("index", [0, 1, 5, 6, 8])


@pytest.fixture
def ax():
    return Figure().subplots()


def expected(column, value):
    """Mean and bounds of the 95 % interval, by SciPy."""
    values = FRAME.error[FRAME[column] == value]
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    return values.mean(), low, high


@INDICES
def test_a_band_is_the_mean_and_its_interval(ax, index):
    drawn = band(ax, FRAME, "alpha", "error", "L2", index)
    (line,), (area,) = ax.lines, ax.collections
    alphas = [0.0, 0.1, 10.0]
    means, lows, highs = np.transpose([expected("alpha", alpha) for alpha in alphas])
    np.testing.assert_allclose(line.get_xydata(), np.transpose([alphas, means]))
    edges = {tuple(np.round(point, 9)) for point in area.get_paths()[0].vertices}
    for bounds in (lows, highs):
        assert {tuple(np.round(p, 9)) for p in zip(alphas, bounds, strict=True)} <= edges
    np.testing.assert_allclose(drawn[["mean", "low", "high"]].T, [means, lows, highs])
    assert list(drawn.n) == [5, 5, 5]
    assert drawn.index.name == "alpha"


@INDICES
def test_line_and_band_have_the_colour_and_style_of_their_index(ax, index):
    band(ax, FRAME, "alpha", "error", index=index)
    (line,), (area,) = ax.lines, ax.collections
    (same,) = ax.plot([0], [0], color=COLORS[index % 6], linestyle=STYLES[index % 6])
    assert line.get_color() == same.get_color()
    assert line.get_linestyle() == same.get_linestyle()
    assert line._dash_pattern == same._dash_pattern
    assert tuple(area.get_facecolor()[0]) == (*to_rgb(COLORS[index % 6]), 0.2)
    assert list(area.get_linewidth()) == [0]


def test_the_first_colour_is_used_unless_told_otherwise(ax):
    band(ax, FRAME, "alpha", "error")
    bars(ax, FRAME, "kind", "error")
    assert {line.get_color() for line in ax.lines} == {COLORS[0]}


def test_only_a_labelled_band_is_in_the_legend(ax):
    band(ax, FRAME, "alpha", "error")
    band(ax, FRAME, "alpha", "error", "L2")
    assert ax.get_legend_handles_labels()[1] == ["L2"]


@INDICES
def test_bars_are_the_mean_and_its_interval_in_the_order_of_the_frame(ax, index):
    drawn = bars(ax, FRAME, "kind", "error", index)
    kinds = ["0.1!", "0!", "10!"]
    means, lows, highs = np.transpose([expected("kind", kind) for kind in kinds])
    points, (bounds,) = ax.lines[0], ax.collections
    np.testing.assert_allclose(points.get_xydata(), np.transpose([[0, 1, 2], means]))
    for place, segment in enumerate(bounds.get_segments()):
        np.testing.assert_allclose(segment, [[place, lows[place]], [place, highs[place]]])
    assert [label.get_text() for label in ax.get_xticklabels()] == kinds
    assert list(ax.get_xticks()) == [0, 1, 2]
    assert list(drawn.index) == kinds
    np.testing.assert_allclose(drawn[["mean", "low", "high"]].T, [means, lows, highs])


@INDICES
def test_bars_have_the_colour_and_marker_of_their_index(ax, index):
    bars(ax, FRAME, "kind", "error", index)
    points, lower, upper = ax.lines
    assert points.get_marker() == MARKERS[index % 6]
    assert points.get_linestyle() == "None"
    assert {line.get_color() for line in ax.lines} == {COLORS[index % 6]}
    assert tuple(ax.collections[0].get_color()[0][:3]) == to_rgb(COLORS[index % 6])
    assert {lower.get_markersize(), upper.get_markersize()} == {8}  # caps of 4 points a side


def test_numbers_are_labelled_without_trailing_digits(ax):
    bars(ax, FRAME, "alpha", "error")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.1", "0", "10"]


def test_bars_keep_a_margin_at_either_side(ax):
    bars(ax, FRAME, "kind", "error")
    left, right = ax.get_xlim()
    assert left == pytest.approx(-0.4)
    assert right == pytest.approx(2.4)


def test_an_alpha_of_zero_has_room_on_a_log_axis(ax):
    ax.plot([0, 1e-4, 1e-3, 1e-2], [1, 2, 3, 4])
    log_alpha(ax, 1e-4)
    pixels = ax.transData.transform([(x, 1) for x in (0, 1e-4, 1e-3, 1e-2)])[:, 0]
    steps = np.diff(pixels)
    assert steps[1] == pytest.approx(steps[2])  # equal factors, equal distances
    assert 0.5 * steps[1] < steps[0] < 0.7 * steps[1]  # zero half a decade left of the smallest
    assert ax.get_xlabel() == "alpha, the strength of the penalty (loss per squared weight)"


# The style.


def test_the_style_is_used_for_new_figures():
    with plt.rc_context():
        plt.rcdefaults()
        assert plt.rcParams["axes.grid"] is False
        use_style()
        for name, value in STYLE.items():
            assert plt.rcParams[name] == (list(value) if isinstance(value, tuple) else value)
        figure, ax = plt.subplots()
        lines = [ax.plot([0, 1], [i, i])[0] for i in range(6)]
        assert [line.get_color() for line in lines] == list(COLORS)
        assert tuple(figure.get_size_inches()) == (7.0, 3.2)
        plt.close(figure)


def test_the_style_has_names_and_values_that_matplotlib_knows():
    assert set(STYLE) <= set(plt.rcParamsDefault)
    with plt.rc_context(STYLE):
        figure = plt.figure()
        figure.add_subplot().plot([0, 1], [0, 1])
        figure.canvas.draw()
        plt.close(figure)


def test_lines_and_points_differ_without_colour():
    for marks in (STYLES, MARKERS, COLORS):
        assert len(set(marks)) == 6


# Machado, Oliveira & Fernandes (2009), table 1: how colours look without one kind of cone.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("matrix", BLINDNESS.values(), ids=BLINDNESS)
def test_colours_stay_apart_for_readers_who_lack_a_kind_of_cone(matrix):
    seen = [np.asarray(matrix) @ to_rgb(color) for color in COLORS]
    assert min(np.abs(one - other).max() for one, other in combinations(seen, 2)) > 0.1


def test_the_first_two_colours_differ_in_grey():
    blue, orange = (np.dot([0.2126, 0.7152, 0.0722], to_rgb(color)) for color in COLORS[:2])
    assert abs(blue - orange) > 0.05
