"""The commands ``python -m smallweights search data.csv --target column`` and ``… report``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smallweights.environment import environment_report
from smallweights.table import TASKS, TableError, read_table
from smallweights.train import DivergedError, Training

ADVICE = """\
The file needs a line with the columns' names; numbers, categories and missing values may follow.
A number of small networks is trained on it, 10 folds times 2 start weights for each strength of an
L2 penalty. The report says what was done to the data, shows the curve and ends in lines to paste.
Nothing leaves your machine."""
COLUMNS = {"categories": "columns of numbers that are codes", "drop": "columns to leave out"}
COUNTS = {
    "rows": (5000, "of more rows, a random sample of so many is used"),
    "folds": (10, "parts that are held out in turn"),
    "seeds": (2, "start weights on each fold"),
    "width": (32, "hidden units of the network"),
    "steps": (300, "steps of training"),
}


def make_parser() -> argparse.ArgumentParser:
    """The commands' arguments."""
    parser = argparse.ArgumentParser("python -m smallweights", description="Small Weights.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    search = commands.add_parser(
        "search", help="how strong a penalty does your table want?", description=ADVICE
    )
    search.add_argument("data", help="a CSV file")
    search.add_argument("--target", required=True, help="the column to predict")
    search.add_argument("--task", choices=TASKS, default="auto", help="(default: auto)")
    search.add_argument("--out", default="report.html", help="the report (default: report.html)")
    for name, words in COLUMNS.items():
        search.add_argument(f"--{name}", nargs="+", default=[], metavar="COLUMN", help=words)
    for name, (usual, words) in COUNTS.items():
        words = f"{words} (default: {usual})"
        search.add_argument(f"--{name}", type=_positive, default=usual, metavar="N", help=words)
    search.add_argument("--lr", type=float, default=0.01, help="learning rate (default: 0.01)")
    search.set_defaults(run=run_search)
    report = commands.add_parser("report", help="versions and processor, to paste into an issue")
    report.set_defaults(run=lambda _: print(environment_report()))
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {text}.")
    return value


def run_search(options: argparse.Namespace) -> None:
    """Read the table, search, write the report, and print what it says."""
    from smallweights.advice import advise
    from smallweights.report import write_report  # here: --help needs no matplotlib

    out = Path(options.out)
    if out.exists() and Path(options.data).exists() and out.samefile(options.data):
        raise TableError("--out names the data file itself; name another file.")
    if not out.parent.is_dir():
        raise TableError(f"There is no folder {str(out.parent)!r} for the report.")
    training = Training(steps=options.steps, lr=options.lr)
    reading = {name: getattr(options, name) for name in ("task", "rows", "categories", "drop")}
    table = read_table(options.data, options.target, **reading)
    print(*table.notes, "", sep="\n")
    print("Three bars: a coarse grid, a finer one, and no penalty.\n", flush=True)
    size = {"width": options.width, "folds": options.folds, "seeds": range(options.seeds)}
    advice = advise(table, **size, training=training, progress=True)
    print(*advice.sentences(), sep="\n")
    print("\nThe report, with the curve and the lines to paste:", write_report(advice, out))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all went well, 2 with a sentence on stderr if not."""
    options = make_parser().parse_args(arguments)
    try:
        options.run(options)
    except ImportError as error:
        install = "install what the command needs with: pip install 'smallweights[full]'"
        print(f"smallweights: {error}; {install}.", file=sys.stderr)
        return 2
    except (DivergedError, OSError, ValueError) as error:
        print(f"smallweights: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
