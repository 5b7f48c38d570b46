"""Every benchmark: a table on the screen and the rows in ``_build/bench.json``.

Run from the project's root, all of them or some: ``python tests/benchmarks training penalty``.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import date
from importlib import import_module
from pathlib import Path

import torch
from paired import Row

NAMES = ("training", "penalty", "growth", "cuda")
TABLE = "{:52} {:27} {:>8} {:>8} {:>4} {:>17} {:>10}"


def main(names: list[str]) -> None:
    if strangers := set(names) - set(NAMES):
        sys.exit(f"No benchmark named {', '.join(strangers)}; there are {', '.join(NAMES)}.")
    print(TABLE.format("workload", "against", "ratio", "goal", "met", "range", "seconds"))
    rows = []
    for name in names or NAMES:
        for row in import_module(f"bench_{name}").rows():
            rows.append(asdict(row))
            print(line(row), flush=True)
    target = Path("_build/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


def line(row: Row) -> str:
    met = {None: "", True: "yes", False: "no"}[row.met]
    spread = f"{row.lowest:.3g} to {row.highest:.3g}"
    text = TABLE.format(
        row.workload, row.against, f"{row.ratio:.3g}", row.goal, met, spread, f"{row.seconds:.3g}"
    )
    return f"{text}\n    {row.note}" if row.note else text


def machine() -> dict[str, object]:
    return {
        "date": date.today().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
