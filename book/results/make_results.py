"""Make the book's large results: a notebook's own experiment, over more seeds or a finer grid.

    python book/results/make_results.py [NAME ...]      all results, or these

A notebook that has a large version tags the cell that sets ``SEEDS`` with ``parameters`` and the
cell that makes the frame ``table`` with ``result``. All code cells up to there, but those tagged
``aside``, are run here with other seeds and settings, and ``table`` is kept as ``NAME.csv`` beside
its provenance, ``NAME.json``. The tests run them again with a few seeds drawn at random and compare
the rows.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import nbformat
import pandas as pd
import torch
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
BOOK = HERE.parent


class Result(NamedTuple):
    """A notebook, the seeds to run it with, and other names of its ``parameters`` cell to set."""

    notebook: Path
    seeds: range
    settings: Mapping[str, list[float]] | None = None


FINER = {
    "LRS": [0.0005 * 2**k for k in range(7)],
    "ALPHAS": [0.004 * 2**k for k in range(12)],
}
COARSE, FINE = [0.0, 0.001, 0.004, 0.016, 0.064], [0.001 * 2 ** (0.4 * k) for k in range(16)]
DOUBLING = [0.0] + [0.001 * 2**k for k in range(8)]
WIDE = [4, 16, 64, 256, 1024]
RESULTS = {
    "growing": Result(BOOK / "large_weights" / "growing.ipynb", range(100)),
    "simpler": Result(BOOK / "large_weights" / "simpler.ipynb", range(100)),
    "weight_decay": Result(BOOK / "norms" / "weight_decay.ipynb", range(20, 50), FINER),
    "kinds": Result(BOOK / "tips" / "kinds.ipynb", range(24), {"ALPHAS": DOUBLING}),
    "lstm": Result(BOOK / "tips" / "lstm.ipynb", range(40), {"GRID": COARSE, "LINE": FINE}),
    "larger": Result(BOOK / "tips" / "larger.ipynb", range(20, 40), {"WIDTHS": WIDE}),
    "coarse_to_fine": Result(BOOK / "tips" / "coarse_to_fine.ipynb", range(20, 120)),
    "both_norms": Result(BOOK / "tips" / "both_norms.ipynb", range(20, 120)),
}
BESIDE = {"aside", "remove-cell"}
PACKAGES = ("smallweights", "torch", "numpy", "scikit-learn", "pandas")


def experiment(path: Path) -> list[NotebookNode]:
    """The notebook's code cells up to the one tagged ``result``.

    Without those tagged ``aside``, and without the one for Colab, which no page shows.
    """
    codes = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    codes = [cell for cell in codes if BESIDE.isdisjoint(cell.metadata.get("tags", []))]
    tags = [cell.metadata.get("tags", []) for cell in codes]
    ends = [number for number, names in enumerate(tags) if "result" in names]
    if len(ends) != 1 or sum("parameters" in names for names in tags[: ends[0]]) != 1:
        raise ValueError(
            f"{path.name} needs one cell tagged 'parameters' and after it one tagged 'result'."
        )
    return codes[: ends[0] + 1]


def digest(path: Path) -> str:
    """A digest of the experiment's source: a result whose digest differs is out of date."""
    source = "\n".join(cell.source for cell in experiment(path))
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def rerun(name: str, seeds: Sequence[int]) -> pd.DataFrame:
    """The result's ``table`` over these seeds, by running the notebook's own cells."""
    path, _, settings = RESULTS[name]
    cells = experiment(path)
    for cell in cells:
        if "parameters" in cell.metadata.get("tags", []):
            for variable, value in {"SEEDS": list(seeds), **(settings or {})}.items():
                cell.source += f"\n{variable} = {value}"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "table.csv"
        keep = nbformat.v4.new_code_cell(f"table.to_csv({str(target)!r}, index=False)")
        notebook = nbformat.v4.new_notebook(cells=[*cells, keep])
        where = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=None, kernel_name="python3", resources=where).execute()
        return pd.read_csv(target)


def provenance(name: str) -> dict[str, object]:
    """How a result was made."""
    path, seeds, settings = RESULTS[name]
    return {
        "command": f"python book/results/make_results.py {name}",
        "notebook": path.relative_to(BOOK).as_posix(),
        "experiment": digest(path),
        "seeds": list(seeds),
        "settings": settings,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "date": date.today().isoformat(),
    }


def main(names: Sequence[str]) -> None:
    """Make and keep the named results, or all."""
    for name in names or RESULTS:
        path, seeds, _ = RESULTS[name]
        print(f"{name}: {len(seeds)} seeds of {path.name}", flush=True)
        rerun(name, seeds).to_csv(HERE / f"{name}.csv", index=False, float_format="%.9g")
        (HERE / f"{name}.json").write_text(json.dumps(provenance(name), indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
