"""One house style for figures, and the few marks that the book draws again and again.

Colours are Okabe and Ito's, told apart by all readers; line styles and markers differ too, so that
a figure reads in grey. A line is a mean over seeds, its band the 95 % interval.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes

from smallweights.statistics import summarize

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")

STYLE: dict[Any, Any] = {  # matplotlib has a type of its own for these names
    "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=STYLES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "figure.dpi": 144,
    "figure.figsize": (7.0, 3.2),
    "font.size": 10.0,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def use_style() -> None:
    """Draw all figures from here on in the style of the book.

    >>> import matplotlib.pyplot as plt
    >>> use_style()
    >>> plt.rcParams["figure.dpi"]
    144.0
    """
    plt.rcParams.update(STYLE)


def band(
    ax: Axes, frame: pd.DataFrame, x: str, y: str, label: str = "", index: int = 0
) -> pd.DataFrame:
    """Draw the mean of ``y`` over seeds against ``x``, with its 95 % interval as a band.

    ``frame`` has one row for each seed and value of ``x``; ``index`` picks colour and line style.
    Returns the drawn numbers: mean, low, high and n by ``x``.

    >>> from matplotlib.figure import Figure
    >>> runs = pd.DataFrame({"step": [0, 0, 9, 9], "loss": [2.0, 2.2, 1.0, 1.4]})
    >>> band(Figure().subplots(), runs, "step", "loss", label="L2")["mean"].round(1).to_dict()
    {0: 2.1, 9: 1.2}
    """
    drawn = summarize(frame, y, x)
    color, style = COLORS[index % 6], STYLES[index % 6]
    ax.plot(drawn.index, drawn["mean"], label=label or None, color=color, linestyle=style)
    ax.fill_between(drawn.index, drawn.low, drawn.high, color=color, alpha=0.2, lw=0)
    return drawn


def bars(ax: Axes, frame: pd.DataFrame, x: str, y: str, index: int = 0) -> pd.DataFrame:
    """Draw the mean of ``y`` over seeds for each category ``x``, with its 95 % interval.

    ``frame`` has one row for each seed and category. Returns the drawn numbers by ``x``.

    >>> from matplotlib.figure import Figure
    >>> runs = pd.DataFrame({"penalty": ["L1", "L1", "L2", "L2"], "loss": [2.0, 2.2, 1.0, 1.4]})
    >>> bars(Figure().subplots(), runs, "penalty", "loss")["mean"].round(1).to_dict()
    {'L1': 2.1, 'L2': 1.2}
    """
    drawn = summarize(frame, y, x).loc[list(dict.fromkeys(frame[x]))]
    errors = [drawn["mean"] - drawn.low, drawn.high - drawn["mean"]]
    places = range(len(drawn))
    ax.errorbar(
        places, drawn["mean"], errors, fmt=MARKERS[index % 6], color=COLORS[index % 6], capsize=4
    )
    ax.set_xticks(list(places), [_label(name) for name in drawn.index])
    ax.margins(x=0.2)
    return drawn


def _label(name: Hashable) -> str:
    return f"{name:g}" if isinstance(name, float) else str(name)


def log_alpha(ax: Axes, smallest: float) -> None:
    """A log axis of alphas that also has room for 0, drawn at the left of ``smallest``.

    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> log_alpha(ax, smallest=1e-4)
    >>> ax.get_xscale()
    'symlog'
    """
    ax.set_xscale("symlog", linthresh=smallest, linscale=0.5)
    ax.set_xlabel("alpha, the strength of the penalty (loss per squared weight)")
