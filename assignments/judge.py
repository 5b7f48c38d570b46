"""Judge answers in the grader's own process, which no student's code ever enters.

A chapter's source notebook is run here, with its solutions. What follows is read from its test
cells: the visible last line is the expression that is asked for; the hidden tests define

    cases(rng)       the arguments that the expression is called with, drawn for a student, or
    constants(rng)   the constants that a student has in place of those in the source
    accepts(answer)  whether an answer is right, where more than one is
    parts = True     credit for each part of an answer by itself

Without ``accepts``, right is what the solution gives for the same arguments or constants.
"""

from __future__ import annotations

import asyncio
import copy
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

import nbformat
import numpy as np
import numpy.typing as npt
from IPython.core.interactiveshell import InteractiveShell
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade
from traitlets import Bool, Unicode

from inside import numbers, packed
from kernel import STOPPED, Ran, nursery, run

HIDDEN = ("cases", "constants", "accepts", "parts")
HEADING = "# These are yours alone.\n"
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What a test cell asks: an expression, and how its answer is judged.

    ``cells`` are the sources from the constants to the test cell; run again with a student's
    constants, they make the right answer.
    """

    name: str
    points: float
    expression: str
    cells: tuple[str, ...] = ()
    cases: Callable | None = None
    constants: Callable | None = None
    accepts: Callable | None = None
    parts: bool = False


@dataclass(frozen=True)
class Verdict:
    """How many points an answer has, and a sentence to its author."""

    points: float
    sentence: str


class Reference:
    """A source notebook that was run with its solutions, and the questions in it."""

    def __init__(self, path: Path) -> None:
        self.shell = InteractiveShell()
        self.shell.history_manager.enabled = False
        self.questions: dict[str, Question] = {}
        cells: list[str] = []
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code":
                continue
            self._run(cell.source)
            cells = [cell.source] if is_constants(cell) else [*cells, cell.source]
            if is_grade(cell):
                self._add(cell, tuple(cells))

    def _run(self, source: str) -> None:
        self.shell.run_cell(source, silent=True, store_history=False).raise_error()

    def _add(self, cell: NotebookNode, cells: tuple[str, ...]) -> None:
        names = self.shell.user_ns
        hidden = {name: names.pop(name) for name in HIDDEN if name in names}
        self.questions[cell.metadata.nbgrader.grade_id] = Question(
            cell.metadata.nbgrader.grade_id,
            cell.metadata.nbgrader.points,
            visible(cell).splitlines()[-1],
            cells if "constants" in hidden else (),
            **hidden,
        )

    def expected(self, question: Question, drawn: list | dict) -> Array:
        """What the solution answers to these cases, or with these constants."""
        if question.cases:
            answer = self.shell.ev(question.expression)
            return np.array([numbers(answer(*copy.deepcopy(case))) for case in drawn], float)
        stated, *others = question.cells
        self._run(stated)
        self.shell.push(drawn)
        for source in others:
            self._run(source)
        return np.array(numbers(self.shell.ev(question.expression)), float)


def is_constants(cell: NotebookNode) -> bool:
    """Whether a cell has the constants that another student has otherwise."""
    return "constants" in cell.metadata.get("tags", [])


def visible(cell: NotebookNode) -> str:
    """What students see of a test cell."""
    return cell.source.split("# BEGIN HIDDEN TESTS")[0].strip()


def stated(constants: dict[str, object]) -> str:
    """The cell that states a student's constants."""
    return HEADING + "\n".join(f"{name} = {value!r}" for name, value in constants.items())


@dataclass(frozen=True)
class Draw:
    """What is drawn for a student, from a seed that only the instructor knows."""

    seed: str
    student: str
    assignment: str
    personal: bool = True

    def __call__(self, question: Question) -> list | dict:
        """The cases of a question, or the constants; none where all have those of the source."""
        place = "/".join((self.assignment, question.name, self.student))
        digest = hmac.digest(self.seed.encode(), place.encode(), "sha256")
        rng = np.random.default_rng(int.from_bytes(digest))
        if question.cases:
            return list(question.cases(rng))
        return question.constants(rng) if question.constants and self.personal else {}


def judged(question: Question, expected: Array, drawn: list | dict, reply: dict) -> Verdict:
    """The verdict on what a kernel has handed out."""
    if "error" in reply:
        return Verdict(0, f"{str(reply['error'])[:300]}.")
    try:
        found = np.array(reply.get("found"), float)
    except (TypeError, ValueError):
        return Verdict(0, "numbers are expected, in a regular shape.")
    if reply.get("found") is None or np.isnan(found).any():
        return Verdict(0, "not answered yet, or not a number.")
    if found.shape != expected.shape:
        first = int(bool(question.cases))
        sizes = (shape[first:] or "one number" for shape in (expected.shape, found.shape))
        return Verdict(0, "the shape expected is {}, and this has {}.".format(*sizes))
    if question.accepts:
        right = np.asarray(question.accepts(found))
    else:
        right = np.isclose(found, expected, rtol=1e-4, atol=1e-7)
    return _marked(question, right, found, drawn)


def _marked(question: Question, right: Array, found: Array, drawn: list | dict) -> Verdict:
    rows = right if question.cases else right[None]
    rows = rows.reshape(len(rows), *(rows.shape[1:2] or (1,)), -1).all(axis=2)  # (cases, parts)
    if rows.all():
        return Verdict(question.points, "right.")
    fine, good = rows.all(axis=1), rows.all(axis=0)
    if question.cases:
        case = int(np.argmin(fine))
        why = f"right in {fine.sum()} of {len(fine)} cases. {_told(drawn[case], found[case])}"
    else:
        known = ", ".join(f"{name} = {value!r}" for name, value in drawn.items())
        why = f"not the answer for {known or 'these constants'}."
    if not (question.parts and good.any()):
        return Verdict(0, why)
    wrong = ", ".join(str(number) for number, well in enumerate(good, start=1) if not well)
    share = float(question.points * good.mean())
    return Verdict(share, f"{good.sum()} of {len(good)} parts right, and not part {wrong}: {why}")


def _told(case: object, answer: object) -> str:
    """What was answered in a case, if both are short."""
    texts = [str(packed(case)), str(np.round(answer, 6).tolist())]
    if max(map(len, texts)) > 90:
        return "See what differs from case to case: signs, zeros, sizes."
    return "For {} your answer is {}.".format(*texts)


def shown(question: Question, verdict: Verdict) -> NotebookNode:
    """The output that gives nbgrader the points, and the student the sentence."""
    state = {0: "wrong", question.points: "right"}.get(verdict.points, "part")
    points = f"{verdict.points:.3g} of {question.points:g} points"
    html = f'<p class="verdict {state}"><strong>{points}:</strong> {escape(verdict.sentence)}</p>'
    data = {"text/plain": repr(float(verdict.points)), "text/html": html}
    told = {"sentence": verdict.sentence}
    return new_output("execute_result", data=data, metadata=told, execution_count=None)


@lru_cache
def reference(path: Path) -> Reference:
    """The reference of a source notebook; kept for the submissions to come."""
    return Reference(path)


def asked(reference: Reference, draw: Draw) -> dict[str, tuple[str, object]]:
    """What the kernel is told: expressions and arguments, and no answer."""
    return {
        name: (question.expression, packed(draw(question)) if question.cases else None)
        for name, question in reference.questions.items()
    }


class Judge(NbGraderPreprocessor):
    """Takes the place of nbgrader's Execute: runs a submission, and judges it from outside."""

    course = Unicode(help="The folder of the course, with its sources.").tag(config=True)
    seed = Unicode(help="The secret that cases and constants are drawn from.").tag(config=True)
    personal = Bool(help="Whether each student has constants of their own.").tag(config=True)
    ran: dict[tuple[str, str], Ran] = {}  # noqa: RUF012  # submissions that were run beforehand

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        place = resources["nbgrader"]
        assignment, student = place["assignment"], place["student"]
        truth, draw = self.reference(assignment), self.draw(assignment, student)
        ran = self.ran.pop((assignment, student), None) or self.run(nb, truth, draw)
        for index, cell in enumerate(nb.cells):
            if cell.cell_type == "code":
                cell.outputs = ran.outputs.get(index, [])
                if is_grade(cell) and cell.metadata.nbgrader.grade_id in truth.questions:
                    cell.outputs = [self.verdict(cell, truth, draw, ran)]
                    cell.source = visible(cell)  # students see this notebook, as feedback
        return nb, resources

    def reference(self, assignment: str) -> Reference:
        """The source of an assignment, run with its solutions."""
        return reference(Path(self.course, "source", assignment, f"{assignment}.ipynb"))

    def draw(self, assignment: str, student: str) -> Draw:
        """What is drawn for a student."""
        return Draw(self.seed, student, assignment, self.personal)

    def run(self, nb: NotebookNode, truth: Reference, draw: Draw) -> Ran:
        """Run a single submission, as ``nbgrader autograde`` has them, one after the other."""
        with nursery() as kernels:
            return asyncio.run(run(nb, asked(truth, draw), kernels))

    def verdict(self, cell: NotebookNode, truth: Reference, draw: Draw, ran: Ran) -> NotebookNode:
        """The output of a test cell."""
        question = truth.questions[cell.metadata.nbgrader.grade_id]
        reply = ran.answers.get(question.name, {"error": STOPPED})
        drawn = draw(question)
        return shown(question, judged(question, truth.expected(question, drawn), drawn, reply))
