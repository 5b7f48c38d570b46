"""A reader's own table: read with care, searched without leaks, and advice that can be pasted."""

import io
import os
import re
import runpy
import subprocess
import sys
import warnings
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from smallweights import L2, MLP, Training, fit, linear_teacher, search
from smallweights.__main__ import main
from smallweights.advice import GUESS, NONE, advise
from smallweights.report import make_report, write_report
from smallweights.table import TableError, read_table

os.environ.setdefault("KERAS_BACKEND", "torch")
engine, tables, files = (
    sys.modules[f"smallweights.{name}"] for name in ("search", "table", "text_file")
)
QUICK = Training(steps=150, lr=0.03)
ALPHAS = [1e-4, 1e-2, 1.0]


def mixed(n=200, seed=0):
    """Numbers, categories common and rare, missing values of both, a column of names."""
    rng = np.random.default_rng(seed)
    towns = [f"town {i}" for i in range(30)]
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n).astype(float),
            "income": rng.lognormal(3, 1, n).round(2),
            "sex": rng.choice(["f", "m"], n),
            "town": rng.choice(towns, n, p=np.arange(1, 31) / 465),
            "name": [f"person {i}" for i in range(n)],
        }
    )
    table["price"] = (table.age + 5 * (table.sex == "f") + rng.normal(0, 5, n)).round(2)
    table.loc[rng.choice(n, 20, replace=False), "income"] = np.nan
    table.loc[rng.choice(n, 12, replace=False), "town"] = np.nan
    return table


def planted(n=80, features=20):
    """Few examples, many weights, much noise: where a penalty is known to help (Krogh & Hertz)."""
    data = linear_teacher(n, features=features, noise=0.5)
    return pd.DataFrame(data.x).add_prefix("x").assign(y=data.y)


@pytest.fixture
def write(tmp_path):
    """Writes a table, text or bytes to a file and answers its path."""

    def write(content, name="data.csv", **options):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False, **options)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, **options)
        return path

    return write


@pytest.fixture(scope="module")
def advice(tmp_path_factory):
    path = tmp_path_factory.mktemp("advice") / "planted.csv"
    planted().to_csv(path, index=False)
    return advise(read_table(path, "y"), width=8, folds=5, seeds=[0], alphas=ALPHAS, training=QUICK)


def said(table, words):
    return any(words in note for note in table.notes)


def assert_same(table, original):
    assert len(table.frame) == len(original)
    np.testing.assert_allclose(table.frame["age"], original.age)
    np.testing.assert_allclose(table.y, original.price)


# What the network gets: scikit-learn's own pipeline is the oracle


def by_sklearn(original, train):
    """The inputs as scikit-learn makes them: numbers fitted on training rows, all categories."""
    numbers, texts = ["age", "income"], ["sex", "town"]
    scale = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    one_hot = OneHotEncoder(
        min_frequency=5, max_categories=20, drop="if_binary", sparse_output=False
    )
    fitted = ColumnTransformer([("n", scale, numbers)]).fit(original.iloc[train])
    return np.hstack(
        [fitted.transform(original), one_hot.fit_transform(original[texts].astype(object))]
    )


def columns_sorted(x):
    return x[:, np.lexsort(x)]


def test_inputs_are_those_of_scikit_learn_s_pipeline_fold_by_fold(write):
    original = mixed()
    folds = read_table(write(original), "price").folds(4)
    drawn = KFold(4, shuffle=True, random_state=0).split(original)
    for split, (train, held_out) in zip(folds.values(), drawn, strict=True):
        wanted = by_sklearn(original, train)
        for part, rows in ((split.train, train), (split.test, held_out)):
            np.testing.assert_allclose(
                columns_sorted(part.x.numpy()), columns_sorted(wanted[rows]), atol=1e-12
            )


def test_numeric_targets_are_standardized_by_training_rows(write):
    original = mixed()
    folds = read_table(write(original), "price").folds(4)
    drawn = KFold(4, shuffle=True, random_state=0).split(original)
    for split, (train, held_out) in zip(folds.values(), drawn, strict=True):
        scaler = StandardScaler().fit(original[["price"]].iloc[train])
        wanted = scaler.transform(original[["price"]].iloc[held_out])
        np.testing.assert_allclose(split.test.y, wanted, atol=1e-12)


def test_held_out_rows_leave_the_training_inputs_alone(write):
    original = mixed()
    held_out = next(KFold(4, shuffle=True, random_state=0).split(original))[1]
    changed = original.copy()
    changed.loc[held_out, ["income", "price"]] *= 100
    one, other = (read_table(write(t), "price").folds(4)[0].train for t in (original, changed))
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.y, other.y)


def test_classes_keep_their_shares_and_their_order(write):
    original = mixed().assign(price=lambda t: np.where(t.age > 60, "old", "grown"))
    table = read_table(write(original), "price")
    drawn = StratifiedKFold(4, shuffle=True, random_state=0).split(original, original.price)
    for split, (_, held_out) in zip(table.folds(4).values(), drawn, strict=True):
        names = [table.classes[i] for i in split.test.y]
        assert names == original.price.iloc[held_out].tolist()


def test_folds_of_your_own_give_the_search_of_the_same_dataset():
    data = linear_teacher(60, features=4)
    drawn = enumerate(KFold(3, shuffle=True, random_state=0).split(data.x))
    folds = {i: engine._fold(data, *rows, torch.float64) for i, rows in drawn}
    options = {"seeds": [0], "alphas": [0.01, 0.1], "finer": False, "training": QUICK}

    def network(seed):
        return MLP((4, 1), seed=seed, dtype=torch.float64)

    one, other = (search(network, d, folds=3, **options) for d in (data, folds))
    pd.testing.assert_frame_equal(one.scores, other.scores)


def test_one_fold_of_your_own_is_refused(write):
    folds = read_table(write(mixed()), "price").folds(4)
    with pytest.raises(ValueError, match="two or more, without hold_out; got 1"):
        search(lambda seed: MLP((3, 1), seed=seed), {0: folds[0]}, seeds=[0])


def test_more_folds_than_the_table_allows_are_refused(write):
    table = read_table(write(mixed()), "price")
    with pytest.raises(TableError, match="allows 2 to 100 folds; got 150"):
        table.folds(150)


# What was done to the data is said


def test_every_column_is_named_in_the_notes(write):
    table = read_table(write(mixed()), "price")
    text = " ".join(table.notes)
    assert [name for name in mixed().columns if name != "price" and repr(name) not in text] == []


def test_missing_values_are_counted(write):
    table = read_table(write(mixed()), "price")
    assert said(table, "Missing entries: 'income' (20), 'town' (12).")


def test_text_targets_mean_classification(write):
    table = read_table(write(mixed().assign(price=lambda t: t.sex)), "price")
    assert (table.task, table.classes) == ("classification", ("f", "m"))
    assert said(table, "The target holds text: this is classification.")


def test_few_whole_numbers_mean_classification_unless_told_otherwise(write):
    path = write(mixed().assign(price=lambda t: (t.age // 20).astype(int)))
    table = read_table(path, "price")
    assert (table.task, table.classes) == ("classification", (0, 1, 2, 3))
    assert said(table, "If they are amounts, ask for regression.")
    assert read_table(path, "price", task="regression").task == "regression"


def test_numbers_that_are_codes_become_categories_on_demand(write):
    path = write(mixed().assign(code=lambda t: (t.age // 10).astype(int)))
    assert "code" in read_table(path, "price").numbers
    assert "code" in read_table(path, "price", categories=["code"]).categories


def test_columns_are_left_out_on_demand_and_it_is_said(write):
    table = read_table(write(mixed()), "price", drop=["town"])
    assert "town" not in table.frame
    assert said(table, "Left out because you said so: 'town'.")


def test_the_target_cannot_be_dropped(write):
    with pytest.raises(TableError, match="target not in drop"):
        read_table(write(mixed()), "price", drop=["price"])


def test_a_task_that_is_none_is_refused(write):
    words = r"^task must be one of auto, classification, regression; got 'clasification'.$"
    with pytest.raises(TableError, match=words):
        read_table(write(mixed()), "price", task="clasification")


# Every malformed file gets a correct run …


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_a_wrong_delimiter_is_recognized(write, sep):
    table = read_table(write(mixed(), sep=sep), "price")
    assert_same(table, mixed())
    assert said(table, "not by commas")


def test_columns_separated_by_spaces_are_recognized(write):
    original = mixed()[["age", "sex", "price"]]
    assert_same(read_table(write(original, sep=" "), "price"), original)


def test_decimal_commas_are_read_as_numbers(write):
    table = read_table(write(mixed(), sep=";", decimal=","), "price")
    assert_same(table, mixed())
    assert said(table, "decimal comma")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_another_encoding_is_recognized(write, encoding):
    original = mixed().replace({"sex": {"f": "weiblich", "m": "männlich"}})
    table = read_table(write(original, encoding=encoding), "price")
    assert_same(table, original)
    assert set(table.frame.sex) == {"weiblich", "männlich"}


def test_duplicate_column_names_are_told_apart(write):
    original = mixed().rename(columns={"income": "age"})
    table = read_table(write(original), "price")
    assert said(table, "Columns named as an earlier one were renamed: 'age again'.")
    assert {"age", "age again"} <= set(table.numbers)


def test_an_all_missing_column_is_left_out(write):
    table = read_table(write(mixed().assign(void=np.nan)), "price")
    assert said(table, "nothing is in them: 'void'")
    assert "void" not in table.frame


def test_an_id_like_column_is_left_out(write):
    table = read_table(write(mixed()), "price")
    assert said(table, "nearly every row has a text of its own, such as 'person 0': 'name'")


def test_a_column_that_counts_the_rows_is_left_out(write):
    table = read_table(write(mixed().assign(id=lambda t: 5 * t.index + 3)), "price")
    assert said(table, "they only count the rows: 'id'")


def test_a_column_that_hardly_varies_is_left_out(write):
    table = read_table(write(mixed().assign(flag=lambda t: (t.index == 7) * 1)), "price")
    assert said(table, "fewer than 5 rows differ from the rest: 'flag'")


@pytest.mark.parametrize("infinite", ["inf", "-Infinity", "1e300"])
def test_infinite_numbers_count_as_missing(write, infinite):
    original = mixed().astype({"income": object})
    original.loc[[3, 5], "income"] = infinite
    table = read_table(write(original), "price")
    assert said(table, f"2 entries of 'income' are infinite ('{infinite}') and count as missing.")
    wanted = mixed().income.isna() | mixed().index.isin([3, 5])
    assert table.frame.income.isna().tolist() == wanted.tolist()


def test_stray_text_in_a_column_of_numbers_counts_as_missing(write):
    original = mixed().astype({"age": object})
    original.loc[[3, 5], "age"] = "?"
    table = read_table(write(original), "price")
    assert said(table, "2 entries of 'age' are no numbers ('?') and count as missing.")
    assert np.flatnonzero(table.frame.age.isna()).tolist() == [3, 5]


@pytest.mark.parametrize("value", [np.nan, np.inf, "?"])
def test_rows_without_a_target_are_left_out(write, value):
    original = mixed().astype({"price": object})
    original.loc[[3, 5], "price"] = value
    table = read_table(write(original), "price")
    assert_same(table, mixed().drop(index=[3, 5]))
    assert said(table, "Left out for want of a")


@pytest.mark.parametrize("blank", ["\t", '" "'])
def test_rows_whose_class_is_blank_are_left_out(tmp_path, blank):
    rows = [f"{i * i % 17},{blank if i == 7 else 'ab'[i % 2]}" for i in range(60)]
    path = tmp_path / "blank.csv"
    path.write_text("\n".join(["number,kind", *rows]))
    table = read_table(path, "kind")
    assert (len(table.y), table.classes) == (59, ("a", "b"))
    assert said(table, "Left out for want of a target: 1 row of 60.")


def test_a_class_with_a_single_member_is_left_out(write):
    original = mixed().assign(price=lambda t: t.sex)
    original.loc[7, "price"] = "other"
    table = read_table(write(original), "price")
    assert (table.classes, len(table.y)) == (("f", "m"), 199)
    assert said(table, "a class of one row cannot be judged: 'other'")


def test_a_class_of_fewer_members_than_folds_is_kept(write):
    original = mixed().assign(price=lambda t: t.sex)
    original.loc[[7, 8], "price"] = "other"
    folds = read_table(write(original), "price").folds(5)
    assert all((split.train.y == 2).any() for split in folds.values())


def test_copies_of_rows_are_counted(write):
    table = read_table(write(pd.concat([mixed(), mixed()[:3]])), "price")
    assert said(table, "3 rows agree with an earlier one in every column.")


def test_lines_that_end_in_a_delimiter_are_read(write):
    text = mixed().to_csv(index=False).replace("\n", ",\n")
    assert_same(read_table(write(text), "price"), mixed())


def test_spaces_around_names_and_values_do_not_count(write):
    text = mixed().to_csv(index=False).replace(",", " , ")
    table = read_table(write(text), "price")
    assert_same(table, mixed())
    assert set(table.frame.sex) == {"f", "m"}


def test_a_million_rows_are_sampled(write):
    block = mixed(1000)[["age", "sex", "price"]].to_csv(index=False, header=False)
    table = read_table(write("age,sex,price\n" + 1000 * block), "price", rows=2000)
    assert (table.rows, len(table.frame)) == (1_000_000, 2000)
    assert said(table, "Of 1,000,000 rows with a target a random 2,000 were used")
    low, high = np.quantile(table.frame.index, [0.25, 0.75]) / 1_000_000
    assert (round(low, 1), round(high, 1)) in {(0.2, 0.7), (0.2, 0.8), (0.3, 0.8), (0.3, 0.7)}


def test_the_sample_does_not_depend_on_the_pieces_it_is_read_in(write, monkeypatch):
    path = write(mixed(5000))
    whole = read_table(path, "price", rows=300)
    monkeypatch.setattr(files, "CELLS", 1)
    pieces = read_table(path, "price", rows=300)
    pd.testing.assert_frame_equal(whole.frame, pieces.frame)


# … or a sentence that helps


NARROW = mixed()[["age", "sex", "price"]]
MALFORMED = {
    "empty file": (b"", {}, "is empty: it needs a line of names"),
    "blank lines": (b"\n \n\n", {}, "is empty: it needs a line of names"),
    "header only": ("age,sex,price\n", {}, "has 0 rows with a target; at least 30"),
    "one row": (NARROW[:1], {}, "has 1 row with a target; at least 30"),
    "too few rows": (NARROW[:29], {}, "has 29 rows with a target; at least 30"),
    "constant target": (NARROW.assign(price=3), {}, "'price' is 3 in every row"),
    "constant text": (NARROW.assign(price="a"), {}, "'price' is 'a' in every row"),
    "text target as regression": (
        NARROW.assign(price=NARROW.sex),
        {"task": "regression"},
        "holds text, such as '.', '.': regression needs numbers. Ask for classification",
    ),
    "amounts as classes": (
        NARROW,
        {"task": "classification"},
        "different values in 200 rows.* too many to be classes",
    ),
    "numbers with a unit": (
        NARROW.assign(price=NARROW.price.map("{} EUR".format)),
        {},
        "too many to be classes. If they are numbers, write them without units",
    ),
    "unknown delimiter": (NARROW.to_csv(index=False, sep="~"), {}, "Columns must be separated by"),
    "no line of names": (
        "".join(f"{i},{i % 7}\n" for i in range(7, 50)),
        {},
        "The first line holds numbers: is the line with the names missing",
    ),
    "archive": (b"PK\x03\x04rest", {}, "is not a text file. If it is a spreadsheet"),
    "binary file": (bytes(range(256)) * 40, {}, "is not a text file"),
    "target twice": (
        NARROW.rename(columns={"age": "price"}),
        {},
        "2 columns are called 'price', and one of them is the target",
    ),
    "a line too long": (
        NARROW.to_csv(index=False).replace("\n", ",1\n", 50).replace(",1\n", "\n", 49),
        {},
        r"Not every line has the 3 fields of the first one \(Expected 3 fields in line 50, saw 4",
    ),
    "all lines too long": (
        NARROW.to_csv(index=False).replace("\n", ",1\n").replace(",1\n", "\n", 1),
        {},
        "Not every line has the 3 fields of the first one",
    ),
    "open quotation mark": (
        NARROW.to_csv(index=False).replace("m,", '"m,', 1),
        {},
        "Not every line has the 3 fields.* quotation marks",
    ),
    "nothing but the target": (NARROW[["price"]], {}, "No column is left to predict from"),
    "nothing but names": (
        mixed()[["name", "price"]],
        {},
        "No column is left to predict from. Left out because nearly every row has a text",
    ),
    "too many columns": (
        "price," + ",".join(map(str, range(2001))) + "\n",
        {},
        "makes 2,001 inputs of a network; up to 2,000 are allowed",
    ),
    "too few rows asked for": (NARROW, {"rows": 10}, "rows must be at least 30"),
    "unknown category": (NARROW, {"categories": ["sexe"]}, "'sexe'. Did you mean 'sex'"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_gets_a_sentence(write, name):
    content, options, words = MALFORMED[name]
    with pytest.raises(TableError, match=words):
        read_table(write(content), "price", **options)


def test_categories_count_as_inputs(write, monkeypatch):
    monkeypatch.setattr(tables, "MOST_INPUTS", 8)
    with pytest.raises(TableError, match="makes 22 inputs of a network; up to 8 are allowed"):
        read_table(write(mixed()), "price")


@pytest.mark.parametrize("asked", ["prise", "PRICE"])
def test_a_missing_target_gets_the_nearest_name_and_all_columns(write, asked):
    words = f"no column '{asked}'. Did you mean 'price'. The columns are: 'age', 'sex', 'price'."
    with pytest.raises(TableError, match=words):
        read_table(write(NARROW), asked)


def test_a_missing_file_gets_the_nearest_name(write):
    path = write(NARROW, "houses.csv")
    with pytest.raises(TableError, match=r"There is no file .* Did you mean 'houses.csv'"):
        read_table(path.with_name("house.csv"), "price")


# The advice


def test_a_penalty_that_is_known_to_help_is_found_to_help(advice):
    assert advice.verdict == "helps"
    assert advice.alpha == advice.found.best
    assert 1e-3 < advice.alpha < 1


def test_the_rival_without_a_penalty_is_the_plain_network(advice):
    split = advice.table.folds(5)[3]
    model = MLP((20, 8, 1), seed=0, dtype=torch.float64)
    plain = fit(model, split, None, QUICK).history.test_loss.iloc[-1]
    assert advice.rivals[NONE][3] == pytest.approx(plain, rel=1e-9)


def test_guessing_a_number_is_scikit_learn_s_dummy(advice):
    split = advice.table.folds(5)[2]
    dummy = DummyRegressor().fit(split.train.x, split.train.y)
    loss = np.square(dummy.predict(split.test.x) - split.test.y.numpy()[:, 0]).mean()
    assert advice.rivals[GUESS][2] == pytest.approx(loss)


def test_guessing_a_class_is_scikit_learn_s_dummy(write):
    table = read_table(write(mixed().assign(price=lambda t: t.sex)), "price")
    options = {"folds": 3, "alphas": [0.1, 1.0], "training": Training(steps=2), "seeds": [0]}
    found, split = advise(table, width=2, **options), table.folds(3)[1]
    dummy = DummyClassifier(strategy="prior").fit(split.train.x, split.train.y)
    assert found.rivals[GUESS][1] == pytest.approx(
        log_loss(split.test.y, dummy.predict_proba(split.test.x))
    )


def made(advice, curve, none, guess=9.0, spread=0.1):
    """The advice on a curve of five folds that differ by ``spread`` from the given means."""
    folds = spread * np.array([-2, -1, 0, 1, 2]) / np.sqrt(2.5 / 5)  # standard error: spread
    rows = [
        {"fold": i, "seed": 0, "alpha": alpha, "score": mean + folds[i], "diverged": False}
        for alpha, mean in curve.items()
        for i in range(5)
    ]
    found = engine._summarize(pd.DataFrame(rows), advice.found.measure, "fold")
    wobble = 5 * folds[[2, 0, 4, 1, 3]]  # unlike the curve's, so that no difference is steady
    rivals = pd.DataFrame({NONE: none + wobble, GUESS: guess + folds})
    return replace(advice, found=found, rivals=rivals)


VALLEY = {0.001: 1.5, 0.01: 1.0, 0.1: 1.05, 1.0: 3.0}


@pytest.mark.parametrize(("none", "verdict"), [(1.09, "flat"), (1.11, "helps"), (0.8, "flat")])
def test_none_does_as_well_within_one_standard_error(advice, none, verdict):
    assert made(advice, VALLEY, none).verdict == verdict


def test_a_small_but_steady_gain_is_not_called_flat(advice):
    steady = made(advice, VALLEY, 1.05)
    best = steady.found.scores.query("alpha == 0.01").set_index("fold").score
    steady.rivals[NONE] = best + 0.05 + 0.001 * np.arange(5)
    assert steady.verdict == "helps"


def test_a_flat_curve_gets_the_simplest_alpha_and_says_that_none_is_needed(advice):
    flat = made(advice, VALLEY, 1.05)
    assert flat.alpha == flat.found.simplest == 0.1
    assert "you need no penalty here" in flat.sentences()[-1]


def test_a_network_that_only_guesses_gets_no_recommendation(advice):
    blind = made(advice, VALLEY, 2.0, guess=1.05)
    assert blind.verdict == "blind"
    assert "No recommendation" in blind.sentences()[-1]


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ({0.01: 3.0, 0.1: 2.0, 1.0: 1.0}, "so try stronger ones"),
        ({0.01: 1.0, 0.1: 2.0, 1.0: 3.0}, "so try weaker ones"),
        (VALLEY, "alpha = 0.01.$"),
    ],
)
def test_a_best_alpha_at_the_edge_is_said_to_be_there(advice, curve, words):
    assert re.search(words, made(advice, curve, 5.0).sentences()[-1])


def test_folds_that_do_not_agree_are_said_not_to(advice):
    assert any("the folds do not agree" in s for s in made(advice, VALLEY, 1.2).sentences())


def test_networks_that_diverged_without_a_penalty_are_reported(advice):
    lost = made(advice, VALLEY, 2.0)
    lost.rivals.loc[2, NONE] = np.nan
    assert lost.verdict == "helps"
    lost.rivals[NONE] = [0.5, 0.5, np.nan, 0.5, 0.5]  # what survives is no fair sample
    assert lost.verdict == "helps"
    assert "Without a penalty, networks diverged." in lost.sentences()
    assert NONE not in lost.numbers().index


@pytest.mark.parametrize("other", [{"optimizer": "sgd"}, {"method": "decay"}])
def test_a_training_that_the_lines_cannot_state_is_refused(write, other):
    with pytest.raises(ValueError, match=r"^training must be Adam's with method='penalty'"):
        advise(read_table(write(mixed()), "price"), training=Training(**other))


def test_a_sample_is_said_to_want_another_alpha_than_the_whole(advice):
    sampled = replace(advice, table=replace(advice.table, rows=1000))
    assert any("saw 80 of 1,000 rows" in sentence for sentence in sampled.sentences())


def test_the_numbers_hold_the_mean_of_each_alpha(advice):
    numbers = advice.numbers()
    for row in advice.found.table.itertuples():
        assert numbers["mean"][f"alpha = {row.alpha:g}"] == pytest.approx(row.mean)


# The lines to paste


def executed(tmp_path, code):
    path = tmp_path / "pasted.py"
    path.write_text(code)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return runpy.run_path(str(path))


def held_out_loss(model, x, y):
    """The mean of scikit-learn's loss over the search's folds, 1 being that of guessing."""
    losses = []
    for train, held_out in KFold(5, shuffle=True, random_state=0).split(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x.iloc[train], y.iloc[train])
        errors = model.predict(x.iloc[held_out]) - y.iloc[held_out]
        losses.append(np.square(errors).mean() / y.iloc[train].var(ddof=0))
    return np.mean(losses)


def test_the_pasted_scikit_learn_lines_reach_the_search_s_loss(advice, tmp_path):
    names = executed(tmp_path, advice.lines()["scikit-learn"])
    x, y = planted().drop(columns="y"), planted().y
    network = "regressor__mlpregressor__"
    model = names["model"].set_params(**{f"{network}random_state": 0, f"{network}batch_size": 64})
    best = advice.found.table.set_index("alpha").loc[advice.alpha]
    stated = model.get_params()[f"{network}alpha"] * 64 / 80  # it goes with the batch
    pasted, copied = (
        held_out_loss(model.set_params(**{f"{network}alpha": alpha}), x, y)
        for alpha in (stated, advice.alpha)
    )
    assert abs(pasted - best["mean"]) < best.standard_error
    assert copied > pasted + 2 * best.standard_error


def test_the_pasted_scikit_learn_lines_read_what_was_mended(write, tmp_path):
    original = mixed().rename(columns={"income": "age"}).astype(object)
    original.iloc[[3, 5], 0] = "?"
    original.iloc[[8, 9], 1] = "inf"
    original.iloc[[20], 5] = np.nan
    table = read_table(write(original, sep=";", decimal=",", encoding="latin-1"), "price")
    options = {"folds": 2, "alphas": [0.1, 1.0], "training": Training(steps=2), "seeds": [0]}
    names = executed(tmp_path, advise(table, width=2, **options).lines()["scikit-learn"])
    assert len(names["table"]) == len(table.y) == 199
    x = names["prepare"].fit_transform(names["table"])
    assert x.shape[1] - 1 == table.prepare().fit_transform(table.frame).shape[1]  # sex: two columns
    assert np.isfinite(names["model"].predict(names["table"])).all()


def test_the_pasted_pytorch_lines_train_as_fit_does(advice, tmp_path):
    names, split = executed(tmp_path, advice.lines()["PyTorch"]), advice.table.folds(5)[0]
    start = MLP((20, 8, 1), seed=0, dtype=torch.float64)
    network = names["network"].double()
    with torch.no_grad():
        for w, from_start in zip(network.parameters(), start.parameters(), strict=True):
            w.copy_(from_start)
    for _ in range(QUICK.steps):
        names["optimizer"].zero_grad()
        names["loss_function"](network(split.train.x), split.train.y).backward()
        names["optimizer"].step()
    wanted = fit(start, split, L2(advice.alpha), QUICK).model
    for w, expected in zip(network.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(w, expected, rtol=1e-6, atol=1e-9)


def test_the_pasted_keras_lines_add_the_penalty(advice, tmp_path):
    network = executed(tmp_path, advice.lines()["Keras"])["network"]
    kernels = [w.value.numpy(force=True) for w in network.weights if w.ndim == 2]
    wanted = advice.alpha * sum(np.square(w).sum() for w in kernels)
    assert [w.shape for w in kernels] == [(20, 8), (8, 1)]
    assert sum(network.losses).item() == pytest.approx(wanted, rel=1e-5)


def test_the_pasted_lines_for_classes_run(write, tmp_path):
    table = read_table(write(mixed().assign(price=lambda t: t.town.fillna("no"))), "price")
    options = {"folds": 2, "alphas": [0.1, 1.0], "training": Training(steps=2), "seeds": [0]}
    lines = advise(table, width=2, **options).lines()
    assert len(lines) == 3
    for code in lines.values():
        executed(tmp_path, code)


# The report


@pytest.fixture(scope="module")
def report(advice):
    return make_report(advice)


def test_the_report_is_well_formed_and_states_its_language(report):
    page = ElementTree.parse(io.StringIO(report.removeprefix("<!DOCTYPE html>\n"))).getroot()
    assert (page.tag, page.get("lang")) == ("html", "en")
    assert page.find("head/title").text == "How strong a penalty for 'y' of 'planted.csv'?"


def test_the_report_loads_nothing(report):
    loaded = re.findall(r'(?:src|href|action|data)="(?!#)([^"]*)"|url\((?!#)|@import', report)
    assert loaded == []
    assert re.findall(r"<(script|link|iframe|object|img|base)\b", report) == []
    addresses = set(re.findall(r'https?://[^"\s<]+', report))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # XML names


def test_the_report_s_figure_has_a_text_alternative_with_its_numbers(report, advice):
    words = re.search(r'role="img" aria-label="([^"]+)"', report)[1]
    low = advice.found.table["mean"].min()
    assert f"its lowest point, {low:.3g}, at {advice.found.best:g}" in words


def test_the_report_says_what_was_done_and_what_to_do(report, advice):
    text = "".join(ElementTree.fromstring(report.removeprefix("<!DOCTYPE html>\n")).itertext())
    for words in (*advice.table.notes, *advice.sentences(), *advice.lines().values()):
        assert words in text


def test_the_report_is_the_same_each_time(report, advice, tmp_path):
    assert write_report(advice, tmp_path / "report.html").read_text(encoding="utf-8") == report


def test_names_in_the_data_cannot_write_html(advice):
    evil = "<script>alert(1)</script>\x1b[31m"
    table = replace(advice.table, target=evil, path=evil, notes=(f"Left out: {evil!r}.",))
    page = make_report(replace(advice, table=table))
    assert "<script" not in page
    assert "\x1b" not in page


# The command


TINY = ["--folds", "2", "--seeds", "1", "--steps", "5", "--width", "2"]


def test_the_command_writes_the_report_and_says_where(write, tmp_path, capsys):
    out = tmp_path / "found.html"
    path = write(mixed())
    assert main(["search", str(path), "--target", "price", "--out", str(out), *TINY]) == 0
    printed = capsys.readouterr()
    assert "this is regression" in printed.out
    assert str(out) in printed.out
    assert "chunk" in printed.err  # the progress bar
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "prise"], "Did you mean 'price'?"),
        (["--target", "price", "--out", "{data}"], "names the data file itself"),
        (["--target", "price", "--out", "nowhere/report.html"], "There is no folder 'nowhere'"),
        (["--target", "price", "--lr", "-1"], "lr must be a finite number > 0; got"),
        (["--target", "price", "--folds", "1"], "allows 2 to 100 folds; got 1"),
        (["--target", "price", "--lr", "1e200"], "diverged"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence_and_status_2(
    write, monkeypatch, tmp_path, capsys, arguments, words
):
    path = write(mixed())
    monkeypatch.chdir(tmp_path)
    given = [argument.format(data=path) for argument in arguments]
    assert main(["search", str(path), *TINY, *given]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_the_command_is_found_and_leaves_no_traceback(tmp_path):
    command = [sys.executable, "-m", "smallweights", "search", "gone.csv", "--target", "y"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "smallweights: There is no file 'gone.csv'.\n"


def test_the_command_without_the_extra_says_what_to_install(write, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "smallweights.report", None)
    assert main(["search", str(write(mixed())), "--target", "price"]) == 2
    assert "pip install 'smallweights[full]'" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_a_count_that_is_none_is_refused(capsys, value):
    with pytest.raises(SystemExit) as stopped:
        main(["search", "data.csv", "--target", "y", "--folds", value])
    assert stopped.value.code == 2
    assert "--folds" in capsys.readouterr().err
