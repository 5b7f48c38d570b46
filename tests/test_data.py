"""Data sets against scikit-learn, their formulas and their statistics; splits and their errors."""

import math
import re
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import datasets

from smallweights import Dataset, linear_teacher, load, noisy_sine, split, two_moons

PARTS = ("train", "validation", "test")


def numbered(n=60, classes=None):
    """A data set whose first feature is the number of the example."""
    x = np.column_stack([np.arange(n), np.random.default_rng(0).normal(5, 3, (n, 2))])
    if classes is None:
        return Dataset(x, x[:, 1] * 2, "regression")
    return Dataset(x, np.arange(n) % classes, "classification")


def rows_of(part):
    return part.x[:, 0].long().tolist()


# The data sets.

LOADERS = {
    "digits": (datasets.load_digits(), 10),
    "breast_cancer": (datasets.load_breast_cancer(), 2),
    "wine": (datasets.load_wine(), 3),
    "diabetes": (datasets.load_diabetes(scaled=False), None),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaded_data_are_scikit_learns(name):
    (bunch, classes), data = LOADERS[name], load(name)
    assert np.array_equal(data.x, bunch.data)
    assert np.array_equal(data.y.ravel(), bunch.target)
    assert data.features == tuple(bunch.feature_names)
    assert data.name == name
    assert data.task == ("classification" if classes else "regression")
    assert data.classes == (tuple(range(classes)) if classes else None)


def test_an_unknown_data_set_is_refused_with_the_names_there_are():
    expected = "No data set 'mnist'; there are digits, breast_cancer, wine, diabetes."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        load("mnist")


def test_a_sine_without_noise_is_the_sine():
    data = noisy_sine(50, noise=0, seed=3)
    np.testing.assert_allclose(data.y, np.sin(np.pi * data.x), rtol=1e-15)


def test_the_sines_inputs_are_uniform_and_its_noise_is_normal():
    data = noisy_sine(4000, noise=0.3)
    assert stats.kstest(data.x.ravel(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    noise = (data.y - np.sin(np.pi * data.x)).ravel()
    assert stats.kstest(noise, stats.norm(0, 0.3).cdf).pvalue > 0.01


@pytest.mark.parametrize("n", [100, 101])
def test_moons_without_noise_are_two_half_circles_of_even_number(n):
    data = two_moons(n, noise=0)
    upper, lower = data.x[data.y == 0], data.x[data.y == 1]
    assert len(upper) - len(lower) == n % 2
    np.testing.assert_allclose(np.linalg.norm(upper, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(lower - [1, 0.5], axis=1), 1)
    assert (upper[:, 1] >= 0).all()
    assert (lower[:, 1] <= 0.5).all()


def test_the_moons_noise_is_normal_on_both_axes():
    noise = two_moons(2000, noise=0.2).x - two_moons(2000, noise=0).x
    assert stats.kstest(noise.ravel(), stats.norm(0, 0.2).cdf).pvalue > 0.01
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.06


def test_a_teacher_without_noise_is_linear_in_its_relevant_features_alone():
    data = linear_teacher(200, features=20, noise=0, relevant=5)
    weights, residual, *_ = np.linalg.lstsq(data.x, data.y, rcond=None)
    assert residual.item() < 1e-20
    assert (np.abs(weights.ravel()) > 1e-9).tolist() == [True] * 5 + [False] * 15


@pytest.mark.parametrize("relevant", [5, None])
def test_the_teachers_signal_has_variance_one_on_average_over_seeds(relevant):
    signals = [linear_teacher(200, 20, noise=0, relevant=relevant, seed=s).y for s in range(300)]
    assert np.mean([signal.var() for signal in signals]) == pytest.approx(1, abs=0.1)


def test_the_teachers_noise_has_the_stated_deviation():
    noise = linear_teacher(3000, noise=0.5).y - linear_teacher(3000, noise=0).y
    assert stats.kstest(noise.ravel(), stats.norm(0, 0.5).cdf).pvalue > 0.01


GENERATORS = {"sine": noisy_sine, "moons": two_moons, "teacher": linear_teacher}
generators = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS.keys())


@generators
def test_the_same_seed_makes_the_same_data_and_another_seed_others(make):
    one, same, other = make(30, seed=1), make(30, seed=1), make(30, seed=2)
    assert np.array_equal(one.x, same.x)
    assert np.array_equal(one.y, same.y)
    assert not np.array_equal(one.x, other.x)


@generators
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1 example; got 0."),
        ({"n": 5, "noise": -1}, "noise must be a finite standard deviation >= 0; got -1."),
        ({"n": 5, "noise": math.nan}, "noise must be a finite standard deviation >= 0; got nan."),
        ({"n": 5, "noise": math.inf}, "noise must be a finite standard deviation >= 0; got inf."),
    ],
)
def test_generators_refuse_what_they_cannot_make(make, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(**options)


@pytest.mark.parametrize("relevant", [0, 11])
def test_a_teacher_has_between_one_and_all_features_relevant(relevant):
    expected = f"relevant must lie between 1 and 10; got {relevant}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        linear_teacher(5, features=10, relevant=relevant)


# A table becomes a data set, or an error that says what is wrong with it.


def test_a_frame_keeps_its_column_names_and_becomes_numbers():
    frame = pd.DataFrame({"age": [1, 2], "on": [True, False], "text": ["0.5", "2"]})
    data = Dataset(frame.astype({"age": "Int64"}), [1, 2], "regression")
    assert data.features == ("age", "on", "text")
    assert data.x.tolist() == [[1, 1, 0.5], [2, 0, 2]]
    assert data.y.tolist() == [[1], [2]]


def test_lists_and_tensors_do_for_arrays():
    data = Dataset(torch.ones(2, 3), [[1, 2], [3, 4]], "regression", features=list("abc"))
    assert data.features == ("a", "b", "c")
    assert data.y.shape == (2, 2)
    assert Dataset([1.0, 2.0], [0, 1], "classification").x.tolist() == [[1], [2]]


def test_changing_the_array_afterwards_leaves_the_data_alone():
    x, y = np.ones((2, 2)), np.ones(2)
    data = Dataset(x, y, "regression")
    x[:], y[:] = 7, 7
    assert data.x.max() == data.y.max() == 1


def test_labels_become_their_places_among_the_classes():
    data = Dataset(np.ones((3, 1)), ["no", "yes", "no"], "classification")
    assert data.classes == ("no", "yes")
    assert data.y.tolist() == [0, 1, 0]
    given = Dataset(np.ones((3, 1)), [[3], [1], [3]], "classification", classes=[3, 2, 1])
    assert given.y.tolist() == [0, 2, 0]


X = np.ones((4, 2))
HOLES = np.array([[1, np.nan], [np.nan, 2], [np.nan, np.nan], [1, 1]])
TOO_LARGE = np.array([[1, 2], [np.inf, 2], [1, 2], [-np.inf, 1]])
NUMBERS = "text or dates where numbers are needed"
DROP = "fill, convert or drop these before fitting."
EMPTY = "at least one example of at least one feature is needed."
BAD = {
    "no examples": (
        {"x": np.ones((0, 2)), "y": []},
        f"The data are empty: x has shape (0, 2); {EMPTY}",
    ),
    "no features": ({"x": np.ones((4, 0))}, f"The data are empty: x has shape (4, 0); {EMPTY}"),
    "nothing": ({"x": []}, f"The data are empty: x has shape (0, 0); {EMPTY}"),
    "fewer targets": ({"y": [1, 2, 3]}, "x has 4 examples but y has 3; each needs one target."),
    "one target": ({"y": 1.0}, "x has 4 examples but y has 1; each needs one target."),
    "NaN": (
        {"x": HOLES, "features": ["age", "bmi"]},
        f"x has missing values (NaN) in 'age' (2), 'bmi' (2); {DROP}",
    ),
    "NaN in one": ({"x": HOLES[:, :1]}, f"x has missing values (NaN) in '0' (2); {DROP}"),
    "NaN target": (
        {"y": [1, np.nan, 2, 3]},
        f"y has missing values (NaN) in 'target 0' (1); {DROP}",
    ),
    "infinite": (
        {"x": TOO_LARGE, "features": ["age", "bmi"]},
        f"x has infinite values in 'age' (2); {DROP}",
    ),
    "infinite target": (
        {"y": [1, np.inf, 2, 3]},
        f"y has infinite values in 'target 0' (1); {DROP}",
    ),
    "text": (
        {"x": pd.DataFrame({"age": [1, 2, 3, 4], "sex": ["f", "m", "1", None]})},
        f"x has {NUMBERS} in 'sex' (2); {DROP}",
    ),
    "text target": ({"y": ["a", "b", "1", "2"]}, f"y has {NUMBERS} in 'target 0' (2); {DROP}"),
    "dates": (
        {"x": pd.DataFrame({"day": pd.date_range("2020-01-01", periods=4)})},
        f"x has {NUMBERS} in 'day' (4); {DROP}",
    ),
    "complex": ({"x": X * 1j}, f"x has {NUMBERS} in '0' (4), '1' (4); {DROP}"),
    "missing integer": (
        {"x": pd.DataFrame({"age": pd.array([1, None, 2, 3], dtype="Int64")})},
        f"x has missing values (NaN) in 'age' (1); {DROP}",
    ),
    "images": (
        {"x": np.ones((4, 8, 8))},
        "x must be a table of shape (examples, features); got (4, 8, 8)."
        " Flatten each example: x.reshape(len(x), -1).",
    ),
    "names": ({"features": ["a"]}, "x has 2 columns but 1 names were given."),
    "task": ({"task": "ranking"}, "task must be 'classification' or 'regression'; got 'ranking'."),
    "strange label": (
        {"y": [0, 1, 7, -1], "task": "classification", "classes": (0, 1)},
        "y holds labels outside the classes (0, 1): -1, 7.",
    ),
    "missing label": (
        {"y": [0, 1, np.nan, None], "task": "classification"},
        "y lacks 2 of 4 labels; drop those examples.",
    ),
    "missing label beside text": (
        {"y": ["yes", np.nan, "no", None], "task": "classification"},
        "y lacks 2 of 4 labels; drop those examples.",
    ),
    "one-hot labels": (
        {"y": np.eye(4), "task": "classification"},
        "Classification needs one label an example; y has shape (4, 4).",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_bad_data_are_refused(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Dataset(**{"x": X, "y": [1, 2, 3, 4], "task": "regression"} | change)


# Splits.


@given(st.integers(1, 30), st.integers(0, 15), st.integers(0, 15), st.integers(0, 9), st.booleans())
def test_parts_are_disjoint_and_of_the_sizes_asked_for(train, validation, test, seed, classes):
    data = numbered(classes=3 if classes else None)
    parts = split(data, train, validation, test, seed=seed, scale=False)
    rows = [rows_of(getattr(parts, name)) for name in PARTS]
    assert [len(part) for part in rows] == [train, validation, test]
    assert len(set(chain(*rows))) == train + validation + test


@pytest.mark.parametrize("classes", [None, 3])
def test_all_the_rest_is_test(classes):
    data = numbered(classes=classes)
    parts = split(data, 20, 10, scale=False)
    rows = [rows_of(getattr(parts, name)) for name in PARTS]
    assert sorted(chain(*rows)) == list(range(60))
    assert list(split(data, 60).parts()) == ["train"]


@pytest.mark.parametrize("classes", [None, 3])
def test_features_and_targets_stay_together(classes):
    data = numbered(classes=classes)
    for part in split(data, 20, 20, scale=False, dtype=torch.float64).parts().values():
        assert np.array_equal(part.x.numpy(), data.x[rows_of(part)])
        assert np.array_equal(part.y.numpy(), data.y[rows_of(part)])


@pytest.mark.parametrize("classes", [None, 3])
def test_the_same_seed_splits_alike_and_another_seed_otherwise(classes):
    data = numbered(classes=classes)
    one, same, other = (rows_of(split(data, 20, 10, seed=s, scale=False).train) for s in (4, 4, 5))
    assert one == same
    assert one != other


def test_classes_keep_their_shares_in_every_part():
    data = load("digits")
    shares = np.bincount(data.y) / len(data.y)
    for part in split(data, 200, 150).parts().values():
        counts = np.bincount(part.y.numpy(), minlength=10)
        assert np.abs(counts - shares * len(part)).max() <= 1.5


def test_a_part_smaller_than_the_number_of_classes_is_drawn_at_random():
    assert len(split(numbered(classes=30), 10, 20).train) == 10


def test_a_class_of_one_example_is_drawn_at_random():
    data = Dataset(np.arange(10), [0] * 9 + [1], "classification")
    assert len(split(data, 5).train) == 5


def test_the_training_part_alone_is_scaled_to_mean_zero_and_deviation_one():
    parts = split(load("diabetes"), 200, 100, dtype=torch.float64)
    x = parts.train.x.numpy()
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(0), 1)
    assert np.abs(parts.test.x.numpy().mean(0)).max() > 0.01


def test_held_out_examples_do_not_touch_the_scaling_of_the_training_part():
    data = numbered()
    plain = split(data, 20, 10, scale=False)
    x = data.x.copy()
    x[rows_of(plain.validation) + rows_of(plain.test)] *= 1000
    changed = split(Dataset(x, data.y, "regression"), 20, 10)
    scaled = split(data, 20, 10)
    assert torch.equal(changed.train.x, scaled.train.x)
    assert not torch.equal(changed.test.x, scaled.test.x)


def test_held_out_examples_are_scaled_by_the_training_part():
    data = numbered()
    raw, scaled = (split(data, 20, scale=s, dtype=torch.float64) for s in (False, True))
    train = raw.train.x.numpy()
    expected = (raw.test.x.numpy() - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(scaled.test.x.numpy(), expected)


def test_the_scaler_takes_inputs_back_to_raw_features():
    data = numbered()
    raw, scaled = (split(data, 20, scale=s, dtype=torch.float64) for s in (False, True))
    back = scaled.scaler.inverse_transform(scaled.test.x.numpy())
    np.testing.assert_allclose(back, raw.test.x.numpy(), atol=1e-12)
    assert raw.scaler is None


def test_a_constant_feature_is_scaled_to_zero():
    assert not split(Dataset(np.full((6, 1), 3.0), range(6), "regression"), 4).train.x.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_have_the_dtype_asked_for_and_labels_are_whole_numbers(dtype):
    regression, classes = (split(numbered(classes=c), 20, dtype=dtype) for c in (None, 3))
    assert regression.train.x.dtype == regression.train.y.dtype == classes.train.x.dtype == dtype
    assert regression.train.y.shape == (20, 1)
    assert regression.classes is None
    assert classes.train.y.dtype == torch.int64
    assert classes.classes == 3


@pytest.mark.parametrize("share", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("seed", [0, 7])
def test_label_noise_moves_exactly_its_share_of_training_and_validation_labels(share, seed):
    data = load("digits")
    clean = split(data, 200, 100, seed=seed)
    noisy = split(data, 200, 100, seed=seed, label_noise=share)
    moved = [(getattr(clean, p).y != getattr(noisy, p).y).sum().item() for p in PARTS]
    assert moved[0] + moved[1] == round(share * 300)
    assert moved[2] == 0
    assert all(torch.equal(getattr(clean, p).x, getattr(noisy, p).x) for p in PARTS)


def test_noisy_labels_are_spread_over_all_other_classes():
    data = Dataset(np.arange(3000), np.zeros(3000), "classification", classes=range(4))
    counts = np.bincount(split(data, 3000, label_noise=1.0).train.y, minlength=4)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 0.01


def test_label_noise_leaves_the_data_set_clean():
    data = load("wine")
    before = data.y.copy()
    split(data, 100, label_noise=0.5)
    assert np.array_equal(data.y, before)


def test_a_split_moves_to_a_device_with_all_its_parts():
    moved = split(numbered(), 20, 10).to("meta")
    assert {part.x.device.type for part in moved.parts().values()} == {"meta"}
    assert {part.y.device.type for part in moved.parts().values()} == {"meta"}


@pytest.mark.parametrize(
    ("sizes", "test"),
    [((0,), 60), ((-5,), 65), ((61,), -1), ((40, 30), -10), ((10, -1), 51), ((20, 20, 21), 21)],
)
def test_sizes_that_do_not_fit_are_refused(sizes, test):
    train, validation = (*sizes, 0)[:2]
    expected = (
        f"Cannot take train={train}, validation={validation}, test={test} from 60 examples:"
        " train must be at least 1, the others at least 0, their sum at most the whole."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        split(numbered(), *sizes)


@pytest.mark.parametrize("size", [0.8, 20.0, "20"])
def test_a_size_that_is_no_number_of_examples_is_refused(size):
    expected = (
        f"Sizes are numbers of examples; got train={size!r}, validation=0, test=None."
        " For a share of the data: train=round(0.8 * 60)."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        split(numbered(), size)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_label_noise_is_a_share(share):
    expected = f"label_noise is a share between 0 and 1; got {share}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        split(numbered(classes=3), 20, label_noise=share)


@pytest.mark.parametrize("classes", [None, 1])
def test_label_noise_needs_another_class(classes):
    expected = "label_noise swaps labels: it needs classification with two classes."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        split(numbered(classes=classes), 20, label_noise=0.1)
