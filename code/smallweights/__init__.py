"""Small Weights: weight regularization of neural networks, every claim a measurement."""

from smallweights.data import (
    Dataset,
    Part,
    Split,
    linear_teacher,
    load,
    noisy_sine,
    split,
    two_moons,
)
from smallweights.ensemble import Fits, fit_many
from smallweights.models import CNN, LSTM, MLP
from smallweights.penalties import L1, L2, ElasticNet, Exponential, Penalty
from smallweights.search import Search, search
from smallweights.select import Penalize
from smallweights.train import DivergedError, Fit, Training, fit

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "L1",
    "L2",
    "LSTM",
    "MLP",
    "Dataset",
    "DivergedError",
    "ElasticNet",
    "Exponential",
    "Fit",
    "Fits",
    "Part",
    "Penalize",
    "Penalty",
    "Search",
    "Split",
    "Training",
    "fit",
    "fit_many",
    "linear_teacher",
    "load",
    "noisy_sine",
    "search",
    "split",
    "two_moons",
]
