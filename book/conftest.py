"""How pytest runs the book's notebooks: once, under nbval, with everything compared.

nbval compares text and tables as exact strings. Three things are added: cells that were never run
(or whose source changed since) fail, figures and the frames of explorers are compared within the
tolerance of ``tests/figures.py``, and each notebook has a budget of time and memory on one thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from nbformat import NotebookNode
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

from figures import difference
from frames import split_frames
from notebooks import is_stale

SECONDS, MEGABYTES = 30, 1000
YARDSTICK = 0.35  # seconds that a core at its best takes for the loop in ``MEASURE``
LONGEST = 300  # seconds of a cell on a busy machine; a kernel that died never answers
FIGURES = ("image/png", "image/jpeg")
IGNORING = ("skip", "check_exception")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}
MEASURE = """
def measure():
    import pathlib, re, resource
    def used():
        return resource.getrusage(resource.RUSAGE_SELF)
    def seconds():
        return used().ru_utime + used().ru_stime
    before = seconds()
    sum(i * i for i in range(5_000_000))
    taken, status = seconds() - before, pathlib.Path("/proc/self/status")
    if not status.exists():
        return before, taken, used().ru_maxrss / 1e6
    # Linux's ru_maxrss starts at what the parent had, and a worker of the tests has a lot.
    return before, taken, int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1e3
print(*measure())
del measure
"""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".ipynb" or parent.config.option.nbval:
        return None
    return StrictNotebook.from_parent(parent, path=file_path)


class StrictNotebook(IPyNbFile):
    """A notebook whose every output is compared; its last item checks the budget."""

    def collect(self) -> Iterator[pytest.Item]:
        for item in super().collect():
            yield StrictCell.from_parent(
                self, name=item.name, cell_num=item.cell_num, cell=item.cell, options=item.options
            )
        yield Budget.from_parent(self, name="budget")

    def setup(self) -> None:
        for name, value in ONE_THREAD.items():  # unless the caller asks for more threads
            os.environ.setdefault(name, value)
        self.config.option.nbval_cell_timeout = LONGEST
        self.config.option.cov_source = None  # the package's tests alone must cover it
        super().setup()
        self.yardstick = _used(self.kernel)[1]


class StrictCell(IPyNbCell):
    """A code cell: it was run, nothing of it is exempt, and its figures are compared."""

    @property
    def place(self) -> str:
        """Which notebook, which cell."""
        return f"{self.parent.path.name}, {self.name}"

    def runtest(self) -> None:
        if is_stale(self.cell):
            self.raise_cell_error(
                f"{self.place}: this cell was never run, or its source changed since;"
                " run 'make notebooks'"
            )
        if any(self.options[name] for name in IGNORING) or not self.options["check"]:
            self.raise_cell_error(
                f"{self.place}: no output of the book is exempt from comparison;"
                " take the nbval marker off this cell"
            )
        self.cell.execution_count = 1  # the normal form drops the count that nbval looks for
        super().runtest()

    def format_output_compare(self, key: str, left: object, right: object) -> None:
        """Show both outputs around the place where they part; nbval would show their ends."""
        expected, received = _in_order(left), _in_order(right)
        pairs = enumerate(zip_longest(expected, received))
        at = next(place for place, (one, other) in pairs if one != other)
        window = slice(max(0, at - 60), at + 60)
        self.comparison_traceback.append(
            f"{key} differs from character {at} on:\n"
            f"  expected …{expected[window]!r}…\n  received …{received[window]!r}…"
        )

    def compare_outputs(
        self, test: list[NotebookNode], ref: list[NotebookNode], skip_compare: object = None
    ) -> bool:
        expected, received = _take_figures(ref), _take_figures(test)
        if not super().compare_outputs(test, ref, skip_compare):
            self.comparison_traceback.insert(0, f"{self.place}:")
            return False
        problem = _compare_figures(expected, received)
        if problem:
            self.comparison_traceback.append(f"{self.place}: {problem}")
        return problem is None


def _in_order(output: object) -> str:
    """The output as text; what differs in the order of its keys alone reads the same."""
    return json.dumps(output, sort_keys=True) if isinstance(output, dict) else str(output)


def _take_figures(outputs: list[NotebookNode]) -> list[tuple[str, str]]:
    """The figures and the explorers' frames, which are left out of the text that nbval compares."""
    figures = []
    for data in (output.data for output in outputs if "data" in output):
        figures += [(mime, data[mime]) for mime in FIGURES if mime in data]
        if "text/html" in data:
            data["text/html"], frames = split_frames(data["text/html"])
            figures += [("frame", frame) for frame in frames]
    return figures


def _compare_figures(
    expected: list[tuple[str, str]], received: list[tuple[str, str]]
) -> str | None:
    kinds, new_kinds = [mime for mime, _ in expected], [mime for mime, _ in received]
    if kinds != new_kinds:
        return f"figures: expected {kinds or 'none'}, received {new_kinds or 'none'}"
    for number, ((_, one), (_, other)) in enumerate(zip(expected, received, strict=True)):
        problem = difference(one, other)
        if problem:
            return f"figure {number}: {problem}"
    return None


class Budget(pytest.Item):
    """The notebook's time and peak memory stay within what a small machine has.

    The time is the kernel's processor time on one thread, imports included. A core that is shared
    or slow takes longer for the same work: by how much a yardstick tells, a loop timed in the same
    kernel before and after the notebook. The time is that of a core at its best.
    """

    def runtest(self) -> None:
        taken, yardstick, megabytes = _used(self.parent.kernel)
        slower = max(1.0, self.parent.yardstick / YARDSTICK, yardstick / YARDSTICK)
        seconds = (taken - self.parent.yardstick) / slower
        self.user_properties.append(("budget", (self.parent.path.name, seconds, megabytes)))
        if seconds > SECONDS or megabytes > MEGABYTES:
            raise AssertionError(
                f"{self.parent.path.name} took {seconds:.0f} s and {megabytes:.0f} MB; a notebook"
                f" has {SECONDS} s and {MEGABYTES} MB."
            )


def _used(kernel: RunningKernel) -> tuple[float, ...]:
    """The kernel's processor seconds, those of the yardstick, and its peak memory in megabytes."""
    message = kernel.execute_cell_input(MEASURE, allow_stdin=False)
    while True:
        reply = kernel.get_message("iopub", timeout=30)
        if reply["parent_header"].get("msg_id") == message and reply["msg_type"] == "stream":
            return tuple(float(number) for number in reply["content"]["text"].split())


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    rows = {
        tuple(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == "budget"
    }
    if rows:
        terminalreporter.section(f"notebooks: at most {SECONDS} s and {MEGABYTES} MB each")
    for name, seconds, megabytes in sorted(rows):
        terminalreporter.write_line(f"{name:32} {seconds:6.1f} s {megabytes:6.0f} MB")
