"""Change the code a little, one change at a time, and see whether a test notices.

    python tests/mutants.py                        every module of TESTS
    python tests/mutants.py statistics measure     these modules only

A changed copy of a function, a mutant, is *killed* when a test fails on it, and *survives* when
none does. mutmut makes the mutants of a module and tries the module's own tests on each; this
command prints how many are killed, and lists the survivors that RECORDED does not explain. It
fails when less than SHARE of a module's mutants are killed, and when a mutant that RECORDED calls
harmless is killed after all: that entry is out of date, or tests fail for reasons of their own.
The environment variable JOBS says how many mutants are tried at a time (default: one a core).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "mutants"
# The engine does not ask what network it trains: perceptrons are the fastest.
ENGINE = ["tests/test_stacked.py", "-k", "not cnn and not lstm"]
TESTS = {
    "penalties": ["tests/test_penalties.py"],
    "select": ["tests/test_select.py"],
    "measure": ["tests/test_measure.py"],
    "statistics": ["tests/test_statistics.py"],
    "stacked": ENGINE,
    "backprop": ENGINE,
    "ensemble": ENGINE,
}
SHARE = 0.9
NOTICED = {"killed", "timeout", "segfault"}

# Survivors that no test can or should notice: the module, the changed line, and why.
PANDAS = "pandas takes this word in capitals too"
SHIFTED = "a grid that is shifted by a whole cell has the same counts"
RECORDED = {
    (
        "measure",
        'return pd.DataFrame.from_dict(rows, orient="INDEX").rename_axis("parameter")',
    ): PANDAS,
    (
        "measure",
        "_, counts = np.unique(np.floor(weights / bin_width - 0.5), return_counts=True)",
    ): SHIFTED,
    (
        "measure",
        "_, counts = np.unique(np.floor(weights / bin_width + 1.5), return_counts=True)",
    ): SHIFTED,
}

# Only a fork server goes with torch: a process that has computed gradients cannot be forked.
SETTINGS = """\
[mutmut]
source_paths = src
only_mutate = src/smallweights/{module}.py
pytest_add_cli_args_test_selection =
    {tests}
process_isolation = forkserver
timeout_constant = 30.0
timeout_multiplier = 5.0
use_git_change_detection = false
"""


def stage(module: str) -> None:
    """Lay the project out as mutmut knows it: the package under src, beside its tests."""
    folder = STAGE / module
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "src").symlink_to(ROOT / "code")
    for name in ("tests", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    settings = SETTINGS.format(module=module, tests="\n    ".join(TESTS[module]))
    (folder / "setup.cfg").write_text(settings)


def mutmut(module: str, *arguments: str) -> str:
    """What this command of mutmut prints in the folder of the module."""
    # Processes that are forked after OpenMP has started its threads hang.
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).parent / "mutmut"), *arguments]
    run = subprocess.run(command, cwd=STAGE / module, env=env, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return run.stdout


def outcomes(module: str) -> dict[str, str]:
    """Make and try the module's mutants: the outcome of each by name."""
    stage(module)
    mutmut(module, "run", "--max-children", os.environ.get("JOBS", str(os.cpu_count())))
    lines = mutmut(module, "results", "--all", "true")
    return dict(re.findall(r"^ +(smallweights\.\S+): (.+)$", lines, flags=re.M))


def changed_line(module: str, mutant: str) -> str:
    """The lines that this mutant has in place of the original's, as one."""
    return " ".join(re.findall(r"^\+(?!\+\+)\s*(.*)$", mutmut(module, "show", mutant), flags=re.M))


def report(module: str) -> bool:
    """Print the module's numbers and unexplained survivors; whether it passes."""
    found = outcomes(module)
    lines = {name: changed_line(module, name) for name in found if found[name] not in NOTICED}
    killed, total = len(found) - len(lines), len(found)
    open_ones = {name: line for name, line in lines.items() if (module, line) not in RECORDED}
    stale = [line for of, line in RECORDED if of == module and line not in lines.values()]
    print(
        f"{module:10} {killed:3} of {total:3} killed ({killed / total:.1%},"
        f" {list(found.values()).count('timeout')} by timeout);"
        f" of {len(lines)} survivors {len(lines) - len(open_ones)} are recorded"
    )
    for name, line in open_ones.items():
        print(f"    {found[name]} {name.removeprefix('smallweights.')}\n        {line}")
    for line in stale:
        print(f"    recorded, but killed: {line}")
    sys.stdout.flush()
    return killed >= SHARE * total and not stale


def main(modules: list[str]) -> int:
    """Report on these modules; the exit status is 0 when all pass."""
    if unknown := set(modules) - set(TESTS):
        sys.exit(f"No such module: {', '.join(unknown)}; there are {', '.join(TESTS)}.")
    passed = [report(module) for module in modules or TESTS]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
