"""The search chooses what scikit-learn would choose, says how sure it is, and survives anything."""

import os
import signal
import subprocess
import sys

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from smallweights import (
    L1,
    L2,
    MLP,
    Dataset,
    DivergedError,
    ElasticNet,
    Search,
    Training,
    ensemble,
    fit,
    linear_teacher,
    load,
    search,
    storage,
)

engine = sys.modules["smallweights.search"]
CONVERGED = Training(steps=800, lr=0.3, optimizer="sgd", momentum=0.85)
TEACHER = linear_teacher(60, features=4)


def linear(inputs, outputs=1, dtype=torch.float64):
    return lambda seed: MLP((inputs, outputs), seed=seed, dtype=dtype)


def quick(data=TEACHER, **options):
    defaults = {"alphas": [1e-3, 1e-2, 0.1], "finer": False, "seeds": [0, 1], "folds": 3}
    defaults |= {"training": Training(steps=60, lr=0.1, optimizer="sgd"), "device": "cpu"}
    return search(**{"model": linear(4), "data": data} | defaults | options)


@pytest.fixture(scope="module")
def diabetes():
    """440 examples, so that all training parts are of one size, as Ridge's sum of squares needs."""
    data = load("diabetes")
    return Dataset(data.x[:440], data.y[:440], "regression")


@pytest.fixture(scope="module")
def ridge(diabetes):
    """Our search and scikit-learn's, over the same alphas and folds."""
    found = search(linear(10), diabetes, alphas=[1e-3, 1e-2, 0.1, 1], seeds=[3], training=CONVERGED)
    reference = GridSearchCV(
        make_pipeline(StandardScaler(), Ridge()),
        {"ridge__alpha": found.table.alpha.to_numpy() * 352},
        cv=KFold(5, shuffle=True, random_state=3),
        scoring="neg_mean_squared_error",
    )
    return found, reference.fit(diabetes.x, diabetes.y)


class TestAgainstScikitLearn:
    def test_the_scores_are_those_of_ridge(self, ridge):
        found, reference = ridge
        scores = -reference.cv_results_["mean_test_score"]
        np.testing.assert_allclose(found.table["mean"], scores, rtol=1e-6)

    def test_the_standard_errors_are_those_of_ridge(self, ridge):
        found, reference = ridge
        errors = reference.cv_results_["std_test_score"] / np.sqrt(5 - 1)
        np.testing.assert_allclose(found.table.standard_error, errors, rtol=1e-5)

    def test_the_chosen_alpha_is_that_of_ridge(self, ridge):
        found, reference = ridge
        assert found.best == pytest.approx(reference.best_params_["ridge__alpha"] / 352)

    def test_the_scores_are_those_of_logistic_regression(self):
        wine, alphas = load("wine"), [0.01, 0.1]
        found = search(
            linear(13, 3), wine, alphas=alphas, finer=False, seeds=[0], training=CONVERGED
        )
        for fold, (train, held_out) in enumerate(
            StratifiedKFold(5, shuffle=True, random_state=0).split(wine.x, wine.y)
        ):
            for alpha in alphas:
                logistic = LogisticRegression(C=1 / (2 * alpha * len(train)), tol=1e-10)
                reference = make_pipeline(StandardScaler(), logistic)
                reference.fit(wine.x[train], wine.y[train])
                expected = log_loss(wine.y[held_out], reference.predict_proba(wine.x[held_out]))
                score = found.scores.set_index(["fold", "alpha"]).score[fold, alpha]
                assert score == pytest.approx(expected, rel=1e-5)


class TestScore:
    def test_it_is_the_loss_on_the_fold_after_the_last_step(self):
        found = quick(seeds=[5])
        part = engine._sources(TEACHER, [5], 3, None, torch.float64)[1]
        run = fit(linear(4)(5), part, L2(1e-2), Training(steps=60, lr=0.1, optimizer="sgd"), seed=5)
        score = found.scores.set_index(["fold", "alpha"]).score[1, 1e-2]
        assert score == pytest.approx(run.history.test_loss.iloc[-1], rel=1e-12)

    def test_it_may_be_the_error(self):
        found = search(
            linear(13, 3), load("wine"), alphas=[0.01, 0.1], seeds=[0], score="error", finer=False
        )
        wrong = found.scores.score * [36, 36, 36, 36, 36, 36, 35, 35, 35, 35]
        np.testing.assert_allclose(wrong, wrong.round(), atol=1e-12)
        assert found.measure == "error (share of wrong classes)"

    def test_it_is_averaged_over_seeds_within_a_fold(self):
        found = quick(seeds=range(4))
        folds = found.scores[found.scores.alpha == 0.1].groupby("fold").score.mean()
        row = found.table[found.table.alpha == 0.1].iloc[0]
        assert row.n == 3
        assert row["mean"] == pytest.approx(folds.mean())
        assert row.standard_error == pytest.approx(folds.std() / 3**0.5)

    def test_any_family_of_penalties_will_do(self):
        lasso = quick(penalty=lambda a: ElasticNet(a, 0.0))
        np.testing.assert_array_equal(lasso.scores.score, quick(penalty=L1).scores.score)


class TestFolds:
    def test_every_example_is_held_out_once_and_never_trains_its_own_fold(self):
        numbered = Dataset(np.arange(20.0)[:, None], np.arange(20.0), "regression")
        splits = engine._sources(numbered, [0], 3, None, torch.float64).values()
        assert sorted(torch.cat([s.test.y for s in splits]).ravel().tolist()) == list(range(20))
        for part in splits:
            assert not set(part.test.y.ravel().tolist()) & set(part.train.y.ravel().tolist())

    def test_features_are_standardized_by_the_training_part_alone(self):
        for part in engine._sources(TEACHER, [0], 3, None, torch.float64).values():
            torch.testing.assert_close(part.train.x.mean(0), torch.zeros(4).double())
            torch.testing.assert_close(part.train.x.std(0, correction=0), torch.ones(4).double())
            assert part.test.x.mean(0).abs().min() > 1e-6

    def test_nothing_can_be_chosen_on_the_held_out_examples(self):
        for part in engine._sources(TEACHER, [0], 3, None, torch.float64).values():
            assert list(part.parts()) == ["train", "test"]

    def test_hold_out_draws_another_split_for_each_seed(self):
        found = quick(hold_out=0.25, seeds=[0, 1, 2])
        source = engine._sources(TEACHER, [0], 5, 0.25, torch.float64)["hold-out"]
        assert len(source(0).test) == 15
        assert not torch.equal(source(0).test.y, source(1).test.y)
        assert (found.over, found.table.n.tolist()) == ("seed", [3, 3, 3])
        assert "over 3 hold-out splits" in str(found)


class TestGrid:
    def test_decades_come_first_then_quarter_decades_around_the_best(self):
        found = quick(alphas=None, finer=True)
        coarse = quick(alphas=None)
        assert coarse.table.alpha.tolist() == [10.0**k for k in range(-6, 2)]
        new = sorted(set(found.table.alpha) - set(coarse.table.alpha))
        quarters = [coarse.best * 10 ** (k / 4) for k in (-3, -2, -1, 1, 2, 3)]
        np.testing.assert_allclose(new, quarters, rtol=1e-3)

    def test_the_interval_holds_the_optimum_that_theory_gives(self):
        # The posterior mean for normal weights of variance 1/d and noise of variance s² is ridge
        # regression with alpha = s² · d / n on the mean squared error.
        teacher = linear_teacher(100, features=20, noise=1.0, seed=2)
        found = search(
            linear(20), teacher, alphas=[1e-3, 1e-2, 0.1, 1], seeds=[0], training=CONVERGED
        )
        assert found.interval[0] <= 1.0 * 20 / 80 <= found.interval[1]
        assert found.edge is None

    def test_a_minimum_at_the_upper_edge_is_said_to_lie_there(self):
        nothing_to_learn = Dataset(TEACHER.x, np.tile([1.0, -1.0], 30), "regression")
        found = quick(nothing_to_learn)
        assert (found.best, found.edge) == (0.1, "upper")
        assert "It is the upper edge of the grid" in str(found)

    def test_a_minimum_at_the_lower_edge_is_said_to_lie_there(self):
        found = quick(linear_teacher(60, features=4, noise=0.0))
        assert (found.best, found.edge) == (1e-3, "lower")
        assert "It is the lower edge of the grid" in str(found)

    def test_a_minimum_below_alphas_that_diverged_lies_at_no_edge(self):
        nothing_to_learn = Dataset(TEACHER.x, np.tile([1.0, -1.0], 30), "regression")
        wild = Training(steps=200, lr=0.1, optimizer="sgd")
        grid = {"alphas": [0.1, 1.0, 1e4], "seeds": [0], "finer": False}
        found = search(linear(4), nothing_to_learn, training=wild, **grid)
        assert (found.best, found.candidates.alpha.max(), found.edge) == (1.0, 1.0, None)


def handmade(means, errors, diverged=None, interval=(0.1, 10.0)):
    alphas = [0.01, 0.1, 1.0, 10.0][: len(means)]
    table = pd.DataFrame(
        {
            "alpha": alphas,
            "mean": means,
            "standard_error": errors,
            "n": 5,
            "diverged": [0] * len(means) if diverged is None else diverged,
            "replicas": 5,
        }
    )
    return Search(table, pd.DataFrame(), interval, "cross-entropy (nats)", "fold")


class TestChoice:
    def test_simplest_is_the_largest_alpha_within_one_standard_error(self):
        found = handmade([3.0, 1.0, 1.5, 1.7], [0.1, 0.6, 9.0, 9.0])
        assert (found.best, found.simplest) == (0.1, 1.0)

    def test_simplest_is_the_best_where_nothing_larger_comes_near(self):
        found = handmade([3.0, 1.0, 1.5, 1.7], [9.0, 0.4, 9.0, 9.0])
        assert (found.best, found.simplest) == (0.1, 0.1)
        assert "No larger alpha comes within one standard error" in str(found)

    def test_a_mean_exactly_one_standard_error_away_counts(self):
        assert handmade([1.0, 1.5], [0.5, 0.0]).simplest == 0.1

    def test_an_alpha_that_lost_replicas_is_never_chosen(self):
        found = handmade([3.0, 2.0, 1.0, 2.1], [1.0] * 4, diverged=[0, 0, 1, 0])
        assert (found.best, found.simplest) == (0.1, 10.0)
        assert "Left out because replicas diverged: alpha 1 (1 of 5)." in str(found)

    def test_of_a_tie_the_largest_alpha_is_best(self):
        assert handmade([2.0, 1.0, 1.0, 3.0], [0.0] * 4).best == 1.0
        assert engine._interval(cells(np.ones((3, 2, 2)))) == (100.0, 100.0)

    def test_it_explains_itself_with_its_numbers(self):
        assert str(handmade([3.0, 1.0, 1.5, 1.7], [0.1, 0.6, 9.0, 9.0])) == (
            "Alpha 0.1 has the lowest held-out cross-entropy, 1.00 ± 0.60 (standard error over"
            " 5 folds); other folds and seeds would put the minimum between 0.1 and 10 (95 %)."
            " The simplest choice within one standard error is alpha 1 (1.50)."
        )


def cells(cube):
    """A frame of scores from an array (alphas, folds, seeds)."""
    index = pd.MultiIndex.from_product(map(range, cube.shape), names=["alpha", "fold", "seed"])
    frame = pd.DataFrame({"score": cube.ravel().astype(float)}, index=index).reset_index()
    return frame.assign(alpha=10.0**frame.alpha, diverged=False)


@st.composite
def cubes(draw):
    shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
    numbers = draw(st.lists(st.integers(-9, 9), min_size=64, max_size=64))
    return np.array(numbers)[: np.prod(shape)].reshape(shape)


class TestInterval:
    def test_it_is_a_point_where_every_fold_and_seed_agrees(self):
        cube = np.random.default_rng(0).uniform(1, 2, (4, 5, 3))
        cube[2] = 0.5
        assert engine._interval(cells(cube)) == (100.0, 100.0)

    def test_it_spans_what_the_folds_disagree_on(self):
        cube = np.ones((4, 6, 2))
        cube[1, :3], cube[2, 3:] = 0, 0
        assert engine._interval(cells(cube)) == (10.0, 100.0)

    def test_it_spans_what_the_seeds_disagree_on(self):
        cube = np.ones((4, 2, 6))
        cube[1, :, :3], cube[2, :, 3:] = 0, 0
        assert engine._interval(cells(cube)) == (10.0, 100.0)

    @given(cube=cubes(), shift=st.integers(-50, 50))
    def test_a_hard_fold_is_hard_for_all_alphas_and_changes_nothing(self, cube, shift):
        harder = cube.copy()
        harder[:, 0] += shift
        assert engine._interval(cells(harder)) == engine._interval(cells(cube))


class TestDivergence:
    def test_what_diverged_is_counted_and_left_out(self):
        found = quick(alphas=[0.01, 0.1, 30], training=Training(steps=400, lr=0.1, optimizer="sgd"))
        assert found.table.diverged.tolist() == [0, 0, 6]
        assert found.scores[found.scores.alpha == 30].score.isna().all()
        assert "alpha 30 (6 of 6)" in str(found)

    def test_survivors_do_not_make_an_alpha_eligible(self):
        scores = cells(np.array([[[2], [3]], [[1], [9]]]))
        scores.loc[3, ["score", "diverged"]] = [np.nan, True]
        found = engine._summarize(scores, "loss (nats)", "fold")
        assert (found.best, found.interval) == (1.0, (1.0, 1.0))
        assert found.table["mean"].tolist() == [2.5, 1.0]

    def test_it_is_an_error_where_every_alpha_diverged(self):
        with pytest.raises(DivergedError, match=r"every alpha: 0\.001 \(6 of 6\).*a tenth"):
            quick(training=Training(steps=400, lr=1e3, optimizer="sgd"))


BAD = {
    "no dataset": (TypeError, "needs a Dataset; got tuple", {"data": (1, 2)}),
    "a penalty, not a family": (TypeError, r"a function of alpha.*got L2", {"penalty": L2(1.0)}),
    "a network, not a function": (TypeError, "makes the start network", {"model": MLP((2, 2))}),
    "a seed, not several": (
        TypeError,
        r"seeds must be a collection.*range\(20\); got 3",
        {"seeds": 3},
    ),
    "an alpha, not several": (TypeError, "alphas must be a collection.*got 0.1", {"alphas": 0.1}),
    "no seed": (ValueError, "at least 1 for folds", {"seeds": []}),
    "the same seed twice": (ValueError, r"seeds must differ.*\[1, 1\]", {"seeds": [1, 1]}),
    "one hold-out split": (ValueError, "2 for hold-out", {"seeds": [1], "hold_out": 0.5}),
    "hold-out of everything": (ValueError, "hold_out must be a share", {"hold_out": 1.0}),
    "hold-out of nothing": (ValueError, "hold_out must be a share", {"hold_out": 0.001}),
    "one alpha": (ValueError, "two or more different", {"alphas": [0.1, 0.1]}),
    "alpha zero": (ValueError, r"numbers > 0.*got \[0, 1\]", {"alphas": [0, 1]}),
    "alpha not a number": (ValueError, "finite numbers", {"alphas": [1, float("nan")]}),
    "error of a regression": (ValueError, "for classification 'error'", {"score": "error"}),
    "one fold": (ValueError, "n_splits", {"folds": 1}),
}


@pytest.mark.parametrize(("error", "words", "options"), BAD.values(), ids=BAD)
def test_a_bad_setting_is_refused_in_words(error, words, options):
    with pytest.raises(error, match=words):
        quick(**options)


class TestPlot:
    @pytest.fixture(autouse=True)
    def no_windows(self):
        mpl.use("Agg")
        yield
        mpl.pyplot.close("all")

    def test_it_has_a_log_axis_and_labels_with_units(self):
        ax = handmade([3.0, 1.0, 1.5], [0.1, 0.6, 0.7]).plot()
        assert ax.get_xscale() == "log"
        assert ax.get_xlabel() == "alpha (strength of the penalty)"
        assert ax.get_ylabel() == "held-out cross-entropy (nats)"

    def test_it_marks_both_choices_and_says_what_the_bands_are(self):
        ax = handmade([3.0, 1.0, 1.5], [0.1, 0.6, 0.7]).plot()
        assert [text.get_text() for text in ax.get_legend().get_texts()] == [
            "mean ± one standard error (n = 5 folds)",
            "95 % of the minima",
            "best: alpha = 0.1",
            "simplest: alpha = 1",
        ]

    def test_the_band_is_one_standard_error_wide(self):
        ax = handmade([3.0, 1.0, 1.5], [0.1, 0.6, 0.7]).plot()
        heights = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == (1.0 - 0.6, 3.0 + 0.1)

    def test_it_draws_on_the_axes_it_is_given(self):
        ax = mpl.pyplot.subplots()[1]
        assert handmade([3.0, 1.0], [0.1, 0.6]).plot(ax) is ax

    def test_without_matplotlib_the_error_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
        with pytest.raises(ImportError, match=r"pip install 'smallweights\[full\]'"):
            handmade([3.0, 1.0], [0.1, 0.6]).plot()


def assert_identical(one, other):
    pd.testing.assert_frame_equal(one.scores, other.scores, check_exact=True)
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    assert one.interval == other.interval


class TestGoingOn:
    def test_both_stages_are_kept_and_not_trained_again(self, tmp_path, monkeypatch):
        first = quick(finer=True, folder=tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["coarse", "fine"]
        monkeypatch.setattr(ensemble, "train_chunk", None)
        assert_identical(quick(finer=True, folder=tmp_path), first)

    def test_a_search_killed_in_either_stage_ends_bit_identical(self, tmp_path):
        subprocess.run([sys.executable, "-c", KILLS, str(tmp_path)], check=True, timeout=120)
        left = len(list(tmp_path.glob("fine/*.safetensors")))
        ended = quick(finer=True, chunk=2, folder=tmp_path)
        assert 2 <= left < len(list(tmp_path.glob("fine/*.safetensors")))
        assert_identical(ended, quick(finer=True, chunk=2))


KILLS = """
import os, pathlib, signal, sys, time
import torch
from smallweights import MLP, Training, linear_teacher, search

folder = pathlib.Path(sys.argv[1])


def run():
    search(
        lambda seed: MLP((4, 1), seed=seed, dtype=torch.float64), linear_teacher(60, features=4),
        alphas=[1e-3, 1e-2, 0.1], seeds=[0, 1], folds=3, device="cpu", chunk=2, jobs=1,
        training=Training(steps=60, lr=0.1, optimizer="sgd"), folder=folder,
    )


Training().make_optimizer([torch.zeros(1, requires_grad=True)])  # the first one imports much
for files in ("coarse/*.safetensors", "fine/*.safetensors"):
    child = os.fork()  # a process of its own without a second import of PyTorch
    if child == 0:
        run()
        os._exit(0)
    while len(list(folder.glob(files))) < 2:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.fixture(scope="module")
def client():
    """Two Dask worker processes of one thread each, on this machine."""
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


class TestOnACluster:
    def test_the_result_is_that_of_the_local_run_to_the_bit(self, client, monkeypatch):
        local = quick(chunk=1, finer=True)
        monkeypatch.setattr(Training, "batches", None)  # whatever trains must do so elsewhere
        with joblib.parallel_config("dask"):
            assert_identical(quick(chunk=1, finer=True), local)

    def test_a_worker_killed_half_way_changes_no_bit(self, client, tmp_path, monkeypatch):
        local, write = quick(chunk=1), storage.ChunkFolder.write
        victim = next(iter(client.run(os.getpid).values()))

        def write_and_kill(self, i, trained):
            write(self, i, trained)
            if len(list(tmp_path.glob("coarse/*.safetensors"))) == 5:
                os.kill(victim, signal.SIGKILL)

        monkeypatch.setattr(storage.ChunkFolder, "write", write_and_kill)
        with joblib.parallel_config("dask"):
            found = quick(chunk=1, folder=tmp_path)
        with pytest.raises(ProcessLookupError):
            os.kill(victim, 0)
        assert_identical(found, local)
