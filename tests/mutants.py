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

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "mutants"
# The engine does not ask what network it trains: perceptrons are the fastest. Each of its modules
# leaves out the tests that only repeat for it what another test says.
NETWORK = "cnn or lstm"
CHUNK = "(every_penalty and (decay or prox)) or (regression_is and (tanh or sigmoid))"
STEP = "every_kind or every_penalty or regression_is"
ENGINE = "tests/test_stacked.py"
TESTS = {
    "penalties": ["tests/test_penalties.py"],
    "select": ["tests/test_select.py"],
    "measure": ["tests/test_measure.py"],
    "statistics": ["tests/test_statistics.py"],
    "stacked": [ENGINE, "-k", f"not ({NETWORK} or {CHUNK})"],
    "backprop": [ENGINE, "-k", f"not ({NETWORK})"],
    "ensemble": [
        ENGINE,
        "tests/test_storage.py::TestGoingOn",
        "-k",
        f"around or not ({NETWORK} or {STEP})",
    ],
}
SHARE = 0.9
# How pytest ends on a mutant that it notices: a test fails, pytest is interrupted, pytest breaks; a
# file of tests cannot be imported, so that it has not the tests that were asked for; time runs out;
# the process crashes.
FAILED, SURVIVED = 1, 0
NOTICED = {FAILED, 2, 3, 255, -signal.SIGXCPU, -signal.SIGKILL, -signal.SIGSEGV}

# Survivors that no test can or should notice: the module, the changed line, and why.
PANDAS = "pandas takes this word in capitals too"
SHIFTED = "a grid that is shifted by a whole cell has the same counts"
ALIKE = "stack has made sure that these penalties are of one kind, with as many terms"
CAST = "a cast speaks to mypy and does nothing when it runs"
ON_CPU = "on the processor, where the tests run, the device that is left out is the right one"
START = "Newton's method comes to the same root from this start, or in one more step"
PAIRS = "these are alike: none is longer than another"
UNDERFLOW = "e to the power −1000 is zero already"
NOTHING = "a square of strength zero may sit anywhere"
MEMORY = "the numbers are the same, in memory that is new at each step or that nothing uses"
LOOKS = "however many losses are looked at together, the same are seen"
FUSED = "a fused optimizer takes the same steps, in fewer calls"
UNUSED = "a skeleton's own weights are never used, wherever they are"
COPIES = "examples that are copied for each network give the same numbers as shared ones"
SPLIT = "squares, others = zip(*(_split_square(term, w) for term in self.terms), {})"
LOG_T = "log_t = torch.as_tensor(step * self.alpha, dtype=w.dtype, {}).log()"
INPUT_GRADIENT = "self.input_gradient = None if (self.first) {} else torch.empty_like(inputs)"
LOWEST = "self.lowest = torch.full((data.replicas,), torch.inf, {})"
SHARES = "return wrong.sum(1).double() / torch.tensor(wrong.shape[1], {})"
ORDERS = "epochs = (torch.stack(epoch, 1) + self.first_rows for epoch in zip(*orders, {}))"
OPTIMIZER = "optimizer = training.make_optimizer(network.trained.values(), {})"
COLUMNS = "columns = zip(*(cast({}, penalty).terms for penalty in penalties), {})"
RECORDED = {
    ("penalties", "first = penalties[1]"): ALIKE,
    ("penalties", COLUMNS.format("Sum", "strict=None")): ALIKE,
    ("penalties", COLUMNS.format("Sum", "strict=False")): ALIKE,
    ("penalties", COLUMNS.format("Sum", "")): ALIKE,
    ("penalties", COLUMNS.format("None", "strict=True")): CAST,
    ("penalties", "moved = [cast(None, penalty) for penalty in penalties]"): CAST,
    ("penalties", LOG_T.format("device=None")): ON_CPU,
    ("penalties", LOG_T.format("")): ON_CPU,
    (
        "penalties",
        "return Around(inner, torch.stack([penalty.center.to(None) for penalty in moved]))",
    ): "the center goes to the weights' device and dtype once more where it is used",
    ("penalties", "y = y.clamp_min(-1001.0)"): UNDERFLOW,
    ("penalties", "log_u = torch.where(y >= 1, y.clamp_min(1).log(), y)"): START,
    ("penalties", "log_u = torch.where(y > 2, y.clamp_min(1).log(), y)"): START,
    ("penalties", "log_u = torch.where(y > 1, y.clamp_min(2).log(), y)"): START,
    (
        "penalties",
        "for _ in range(9):  # Newton on e^s + s = y, started at its right, where it is monotone",
    ): START,
    ("penalties", SPLIT.format("strict=None")): PAIRS,
    ("penalties", SPLIT.format("strict=False")): PAIRS,
    ("penalties", SPLIT.format("")): PAIRS,
    ("penalties", "return (0.0, 1.0), term"): NOTHING,
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
    (
        "statistics",
        "exact = (round(number, digits + 7) for number in (self.mean, self.low, self.high))",
    ): "where between the printed digits and the last bits it is rounded makes no difference",
    (
        "ensemble",
        'groups = [list(group.index) for _, group in rows.groupby(["data", "seed"], sort=None)]',
    ): "pandas takes None for False",
    ("ensemble", "if width >= size:"): "a group that just fills a chunk is a chunk either way",
    ("stacked", ORDERS.format("strict=None")): PAIRS,
    ("stacked", ORDERS.format("strict=False")): PAIRS,
    ("stacked", ORDERS.format("")): PAIRS,
    ("stacked", "steps = chain.from_iterable(epoch.to(None) for epoch in epochs)"): ON_CPU,
    ("stacked", LOWEST.format("device=None")): ON_CPU,
    ("stacked", LOWEST.format("")): ON_CPU,
    ("stacked", "steps = torch.tensor(self.steps, device=None).unsqueeze(1)"): ON_CPU,
    ("stacked", "steps = torch.tensor(self.steps, ).unsqueeze(1)"): ON_CPU,
    ("stacked", "if len(self.unseen) != 100:"): LOOKS,
    ("stacked", "if len(self.unseen) == 101:"): LOOKS,
    ("stacked", "shared = None"): COPIES,
    (
        "stacked",
        'self.run = self._call if getattr(self.template, "takes_stacks", None) else self._map',
    ): "None is as false as False",
    ("stacked", ".to(None)"): ON_CPU,
    ("stacked", "training, data = chunk.training, _StackedData(chunk, None)"): ON_CPU,
    ("stacked", "network = _Stack(chunk, data, None)"): ON_CPU,
    (
        "stacked",
        "return torch.stack([getattr(parts[name], field) for parts in each]).to(None)",
    ): ON_CPU,
    ("stacked", OPTIMIZER.format("fused=None")): FUSED,
    ("stacked", OPTIMIZER.format("")): FUSED,
    ("stacked", OPTIMIZER.format('fused=place.type == "mps"')): FUSED,
    ("stacked", OPTIMIZER.format('fused=place.type != "XXmpsXX"')): FUSED,
    ("stacked", OPTIMIZER.format('fused=place.type != "MPS"')): FUSED,
    ("stacked", "self.skeleton = copy.deepcopy(self.template).to(None).train()"): UNUSED,
    ("stacked", SHARES.format("device=None")): ON_CPU,
    ("stacked", SHARES.format("")): ON_CPU,
    ("backprop", "with torch.autograd.set_multithreading_enabled(True):"): ON_CPU,
    ("backprop", "self.input_gradient = None"): MEMORY,
    ("backprop", INPUT_GRADIENT.format("and False")): MEMORY,
    ("backprop", INPUT_GRADIENT.format("or True")): MEMORY,
    ("backprop", "return torch.bmm(self.weight_t, gradient, out=None)"): MEMORY,
    ("backprop", "return torch.bmm(self.weight_t, gradient, )"): MEMORY,
}

# Only a fork server goes with torch: a process that has computed gradients cannot be forked. It
# has imported these libraries but no tests, so that what a test file makes is the mutant's too.
PRELOADED = (
    "pytest",
    "hypothesis.extra.numpy",
    "scipy.stats",
    "sklearn.datasets",
    "torch._dynamo",  # the first optimizer imports it, which takes longer than most mutants live
    "smallweights",
)
SETTINGS = """\
[mutmut]
source_paths = src
only_mutate = src/smallweights/{module}.py
pytest_add_cli_args_test_selection =
    {tests}
pytest_add_cli_args =
    -pno:nbval
    -pno:anyio
    -pno:unraisableexception
    -Wignore::pytest.PytestAssertRewriteWarning
process_isolation = forkserver
forkserver_warmup = import
preload_modules_file = preloaded
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
    (folder / "preloaded").write_text("\n".join(PRELOADED))


def mutmut(module: str, *arguments: str) -> str:
    """What this command of mutmut prints in the folder of the module."""
    # Processes that are forked after OpenMP has started its threads hang.
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    command = [str(Path(sys.executable).parent / "mutmut"), *arguments]
    run = subprocess.run(command, cwd=STAGE / module, env=env, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return run.stdout


def exit_codes(module: str) -> dict[str, int]:
    """Make and try the module's mutants: how pytest ended on each, by name."""
    stage(module)
    mutmut(module, "run", "--max-children", os.environ.get("JOBS", str(os.cpu_count())))
    kept = STAGE / module / "mutants" / "src" / "smallweights" / f"{module}.py.meta"
    return json.loads(kept.read_text())["exit_code_by_key"]


def changed_line(module: str, mutant: str) -> str:
    """The lines that this mutant has in place of the original's, as one."""
    return " ".join(re.findall(r"^\+(?!\+\+)\s*(.*)$", mutmut(module, "show", mutant), flags=re.M))


def report(module: str) -> bool:
    """Print the module's numbers and unexplained survivors; whether it passes."""
    found = exit_codes(module)
    if FAILED not in found.values():
        sys.exit(f"No test fails on any mutant of {module}: its tests do not run. See mutants/.")
    lines = {name: changed_line(module, name) for name in found if found[name] not in NOTICED}
    killed, total = len(found) - len(lines), len(found)
    open_ones = {name: line for name, line in lines.items() if (module, line) not in RECORDED}
    stale = [line for of, line in RECORDED if of == module and line not in lines.values()]
    print(
        f"{module:10} {killed:3} of {total:3} killed ({killed / total:.1%},"
        f" {list(found.values()).count(-signal.SIGXCPU)} by timeout);"
        f" of {len(lines)} survivors {len(lines) - len(open_ones)} are recorded"
    )
    for name, line in open_ones.items():
        how = "survived" if found[name] == SURVIVED else f"pytest ended with {found[name]}:"
        print(f"    {how} {name.removeprefix('smallweights.')}\n        {line}")
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
