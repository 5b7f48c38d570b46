"""How strong a penalty a reader's table wants, how sure that is, and the lines to paste.

The search is ``search`` on the table's own folds. Beside it stand two rivals on the same folds: the
same networks without a penalty, and a guess that looks at no column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch

from smallweights.convert import setting_for
from smallweights.data import Split
from smallweights.ensemble import fit_many
from smallweights.models import MLP
from smallweights.penalties import L2
from smallweights.search import BLUE, Search, search
from smallweights.statistics import Interval, interval, summarize
from smallweights.table import MOST_CATEGORIES, RARE, Table
from smallweights.train import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NONE, GUESS = "no penalty", "guessing"
MEASURES = {
    "classification": "cross-entropy (nats)",
    "regression": "mean squared error (1 = guessing)",
}


@dataclass(frozen=True, eq=False)
class Advice:
    """What a search on a table found, beside its rivals, and what follows.

    ``found`` is the ``Search``; ``rivals`` has a row a fold, with the held-out loss without a
    penalty and that of guessing. The networks have one hidden layer of ``width`` ReLU units.
    Book section: tips.
    """

    table: Table
    found: Search
    rivals: pd.DataFrame
    width: int
    training: Training

    @property
    def verdict(self) -> Literal["blind", "flat", "helps"]:
        """What the penalty is worth, by the rule of one standard error and fold by fold.

        "blind": guessing does as well, so nothing was learned. "flat": having no penalty does.
        A rival does as well if its mean lies within one standard error of the lowest; the networks
        without a penalty do not if they lose so steadily that the interval of ``gain`` is above 0.
        Source: Hastie et al. (2009), section 7.10.
        """
        low = self._best_row
        reach = low["mean"] + low.standard_error
        if self.rivals[GUESS].mean() <= reach:
            return "blind"
        steady = self.gain is not None and self.gain.low > 0
        none = self.rivals[NONE].mean(skipna=False)  # what survives divergence is no fair sample
        return "flat" if none <= reach and not steady else "helps"

    @property
    def gain(self) -> Interval | None:
        """The loss that the best alpha saves against no penalty, fold by fold (95 % interval).

        The interval is widened for all alphas that were tried, since the best is the luckiest of
        them. None where networks without a penalty diverged.
        """
        scores = self.found.scores
        best = scores[scores.alpha == self.found.best].groupby("fold").score.mean()
        saved = self.rivals[NONE] - best
        if saved.isna().any():
            return None
        return interval(saved, comparisons=len(self.found.candidates))

    @property
    def alpha(self) -> float:
        """The alpha to use: the best, or the simplest where having none does as well."""
        return self.found.best if self.verdict == "helps" else self.found.simplest

    @property
    def _best_row(self) -> pd.Series:
        table = self.found.table
        return table[table.alpha == self.found.best].iloc[0]

    def numbers(self) -> pd.DataFrame:
        """The held-out loss of each alpha and rival: mean, 95 % interval and number of folds."""
        scores = self.found.scores[~self.found.scores.diverged]
        by_fold = scores.groupby(["alpha", "fold"], as_index=False).score.mean()
        whole = by_fold[by_fold.alpha.isin(self.found.candidates.alpha)]
        found = summarize(whole, "score", "alpha").rename(index="alpha = {:g}".format)
        rivals = {
            name: vars(interval(losses)) for name, losses in self.rivals.dropna(axis=1).items()
        }
        rows = pd.concat([found, pd.DataFrame(rivals).T])
        return rows.astype({"n": int}).rename_axis("network")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the search's curve, and the rivals as lines across it.

        Needs the extra ``smallweights[full]``.
        """
        ax = self.found.plot(ax)
        for name, style, color in ((NONE, "--", BLUE), (GUESS, ":", "0.3")):
            mean = self.rivals[name].mean(skipna=False)
            if math.isfinite(mean):
                ax.axhline(mean, linestyle=style, color=color, lw=1.4, label=name)
        ax.legend(fontsize="small", framealpha=0.8, frameon=True)
        return ax

    def sentences(self) -> list[str]:
        """What was found and what follows, a sentence or two each."""
        said = [self.found.explain(), self._compare_none(), self._compare_guess()]
        used = len(self.table.y)
        if used < self.table.rows:
            said.append(
                f"The search saw {used:,} of {self.table.rows:,} rows. The more rows, the weaker"
                " the penalty that is best beside a mean loss: search again with more rows if you"
                " train on all."
            )
        return [*said, self._recommend()]

    def _compare_none(self) -> str:
        if self.gain is None:
            return "Without a penalty, networks diverged."
        none, gain = self.rivals[NONE].mean(), self.gain
        saved = (
            f"Without a penalty the loss is {none:.3g}. Fold by fold the best alpha saves {gain}"
            f" (95 % interval, widened for the {len(self.found.candidates)} alphas tried)."
        )
        if self.verdict == "flat":
            return f"{saved} Having none does as well, as far as this table can tell."
        if self.verdict == "helps" and gain.low <= 0:
            return f"{saved} That is likely, not sure: the folds do not agree."
        return saved

    def _compare_guess(self) -> str:
        guess = self.rivals[GUESS].mean()
        what = "the mean" if self.table.classes is None else "each class by its share"
        said = f"Guessing {what}, without a look at any column, has a loss of {guess:.3g}."
        if self.verdict != "blind":
            return said
        return (
            f"{said} That is no worse: these columns tell such a network nothing about"
            f" {self.table.target!r}, and no penalty changes that. Look at the data first."
        )

    def _recommend(self) -> str:
        if self.verdict == "blind":
            return f"No recommendation. The lines below have alpha = {self.alpha:g} as an example."
        if self.verdict == "flat":
            return (
                "Recommendation: you need no penalty here. If you want small weights, take L2 with"
                f" alpha = {self.alpha:g}, the largest whose loss is not visibly higher."
            )
        beyond = {
            "upper": " Even that is the strongest tried, so try stronger ones.",
            "lower": " That is the weakest tried, so try weaker ones.",
        }
        edge = beyond.get(self.found.edge or "", "")
        return f"Recommendation: L2 with alpha = {self.alpha:g}.{edge}"

    def lines(self) -> dict[str, str]:
        """The recommendation as Python, by library: the same penalty in the words of each."""
        return {
            "PyTorch": self._pytorch(),
            "Keras": self._keras(),
            "scikit-learn": self._sklearn(),
        }

    @property
    def _sizes(self) -> tuple[int, int]:
        """The network's inputs and outputs."""
        table = self.table
        inputs = table.prepare().fit_transform(table.frame).shape[1]
        return inputs, len(table.classes or [0])

    def _pytorch(self) -> str:
        inputs, outputs = self._sizes
        layers = [
            f"nn.Linear({inputs}, {self.width})",
            "nn.ReLU()",
            f"nn.Linear({self.width}, {outputs})",
        ]
        decay = setting_for("torch.optim.Adam", L2(self.alpha))["weight_decay"]
        loss = "MSELoss" if self.table.classes is None else "CrossEntropyLoss"
        return f"""\
import torch
from torch import nn

network = nn.Sequential({", ".join(layers)})
weights = [w for w in network.parameters() if w.dim() > 1]
biases = [b for b in network.parameters() if b.dim() == 1]
optimizer = torch.optim.Adam(  # not AdamW, whose weight_decay is another thing
    [
        {{"params": weights, "weight_decay": {decay:.6g}}},
        {{"params": biases, "weight_decay": 0.0}},
    ],
    lr={self.training.lr:g},
)
loss_function = nn.{loss}()  # a mean over the rows"""

    def _keras(self) -> str:
        inputs, outputs = self._sizes
        strength = setting_for("keras.regularizers.L2", L2(self.alpha))["l2"]
        loss = (
            "keras.losses.MeanSquaredError()"
            if self.table.classes is None
            else "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
        )
        return f"""\
import keras

penalty = keras.regularizers.L2({strength:.6g})
network = keras.Sequential(
    [
        keras.Input(({inputs},)),
        keras.layers.Dense({self.width}, "relu", kernel_regularizer=penalty),
        keras.layers.Dense({outputs}, kernel_regularizer=penalty),
    ]
)
network.compile(keras.optimizers.Adam({self.training.lr:g}), {loss})"""

    def _sklearn(self) -> str:
        table, batch = self.table, len(self.table.y)
        kind = "MLPRegressor" if table.classes is None else "MLPClassifier"
        name = f"sklearn.neural_network.{kind}"
        strength = setting_for(name, L2(self.alpha), n=batch, batch=batch)["alpha"]
        steps = math.ceil(self.training.steps * batch / table.rows)
        return f"""\
{_prepared(table, kind)}
# It warns that it stops at max_iter: the search's networks stopped there, too.
network = {kind}(
    hidden_layer_sizes=({self.width},),
    batch_size={batch},
    alpha={strength:.6g},  # beside a sum over a batch, so it goes with batch_size
    learning_rate_init={self.training.lr:g},
    max_iter={steps},
)
{_FITTED[table.task]}
model.fit(table[numbers + categories], table[{table.target!r}])"""


_FITTED = {
    "regression": (
        "model = make_pipeline(prepare, network)\n"
        "model = TransformedTargetRegressor(model, transformer=StandardScaler())"
    ),
    "classification": (
        "# Two classes share one output here and had two in the search: alpha is near, not exact.\n"
        "model = make_pipeline(prepare, network)"
    ),
}


def _prepared(table: Table, kind: str) -> str:
    """The lines that read the file and prepare its columns as they were for the search."""
    return f"""\
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import {kind}
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

table = pd.read_csv({_arguments(table)})
table = table.dropna(subset=[{table.target!r}])
numbers = {list(table.numbers)!r}
categories = {list(table.categories)!r}
scale = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
one_hot = OneHotEncoder(
    min_frequency={RARE}, max_categories={MOST_CATEGORIES}, handle_unknown="infrequent_if_exist"
)
prepare = ColumnTransformer([("n", scale, numbers), ("c", one_hot, categories)])"""


def _arguments(table: Table) -> str:
    """What ``read_csv`` needs to be told to read the file as it was read here."""
    usual = {"sep": ",", "encoding": "utf-8"}
    told = {name: value for name, value in table.options.items() if usual.get(name) != value}
    return ", ".join([repr(table.path), *(f"{name}={value!r}" for name, value in told.items())])


def advise(
    table: Table,
    *,
    width: int = 32,
    folds: int = 10,
    seeds: Sequence[int] = (0, 1),
    alphas: Sequence[float] | None = None,
    training: Training | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Advice:
    """Search the strength of an L2 penalty for this table, and compare it with having none.

    Networks of one hidden layer train on every fold from the start weights of every seed, 300
    steps of Adam unless ``training`` says otherwise. ``alphas``, ``jobs`` and ``progress`` are
    those of ``search``. Raises ``TableError`` for a table too small for the folds,
    ``DivergedError`` when networks diverged at every alpha, and ``ValueError`` for a ``training``
    that the lines of code cannot state: they need Adam with ``method="penalty"``.
    Book section: tips.

    >>> from smallweights.table import read_table
    >>> x = np.linspace(-1, 1, 60)
    >>> pd.DataFrame({"x": x, "y": np.sin(3 * x)}).to_csv("sine.csv", index=False)
    >>> table = read_table("sine.csv", target="y")
    >>> advice = advise(table, width=4, folds=3, training=Training(steps=20), alphas=[0.1, 1])
    >>> advice.verdict, list(advice.lines())
    ('blind', ['PyTorch', 'Keras', 'scikit-learn'])
    """
    training = training or Training(steps=300, lr=0.01)
    _check_training(training)
    splits = table.folds(folds)
    training = replace(training, record=[training.steps])
    options: dict[str, Any] = {"seeds": list(seeds), "jobs": jobs, "progress": progress}
    inputs = splits[0].train.x.shape[1]

    def network(seed: int) -> MLP:
        sizes = (inputs, width, splits[0].classes or 1)
        return MLP(sizes, seed=seed, dtype=torch.float64)

    found = search(network, splits, L2, alphas=alphas, training=training, **options)
    fits = fit_many(network, splits, {0.0: L2(0.0)}, training, **options)
    none = fits.final.pivot(index="data", columns="seed", values="test_loss").mean(
        axis=1, skipna=False
    )
    rivals = pd.DataFrame({NONE: none, GUESS: {i: _guess(fold) for i, fold in splits.items()}})
    return Advice(table, replace(found, measure=MEASURES[table.task]), rivals, width, training)


def _check_training(training: Training) -> None:
    if (training.optimizer, training.method) != ("adam", "penalty"):
        raise ValueError(
            "training must be Adam's with method='penalty', which the lines of code are for; got"
            f" optimizer={training.optimizer!r} and method={training.method!r}. Use search."
        )


def _guess(data: Split) -> float:
    """The held-out loss of the mean, or of the classes' shares, of the training rows."""
    y = data.test.y.numpy()
    if data.classes is None:
        return float(np.square(y - data.train.y.numpy().mean()).mean())
    shares = np.bincount(data.train.y.numpy(), minlength=data.classes) / len(data.train)
    return float(-np.log(shares[y]).mean())
