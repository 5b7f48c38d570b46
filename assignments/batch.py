"""Grade all that was handed in: run it in parallel, judge it with nbgrader, write the marks."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry, Student
from nbgrader.converters import Autograde, GenerateFeedback, NbGraderException
from tqdm import tqdm

from judge import Judge, asked
from kernel import Limits, Nursery, nursery, run
from setting import assignments, convert, converter, quietly

FORMULA = ("=", "+", "-", "@", "\t", "\r")
# The columns by which each system knows a student, and what stands in them.
SYSTEMS: dict[str, dict[str, Callable[[Student], str | None]]] = {
    "moodle": {
        "ID number": lambda student: student.id,
        "First name": lambda student: student.first_name,
        "Last name": lambda student: student.last_name,
        "Email address": lambda student: student.email,
    },
    "canvas": {
        "Student": lambda student: f"{student.last_name or student.id}, {student.first_name or ''}",
        "ID": lambda student: "",
        "SIS User ID": lambda student: student.id,
        "SIS Login ID": lambda student: student.id,
        "Section": lambda student: "",
    },
    "blackboard": {
        "Last Name": lambda student: student.last_name,
        "First Name": lambda student: student.first_name,
        "Username": lambda student: student.id,
    },
}


def grade(folder: Path, jobs: int | None = None, limits: Limits | None = None) -> list[Path]:
    """Judge every submission of a course; give those that could not be read."""
    with nursery() as kernels:
        for name in filter(partial(_handed_in, folder), assignments(folder)):
            asyncio.run(
                _run_all(folder, name, kernels, jobs or os.cpu_count() or 1, limits or Limits())
            )
            with suppress(NbGraderException):  # it has gone on after what it could not read
                _all(Autograde, folder, name, "judge")
            if any(folder.glob(f"autograded/*/{name}/*.ipynb")):
                _all(GenerateFeedback, folder, name, "feedback")
    with Gradebook(f"sqlite:///{folder.resolve() / 'gradebook.db'}") as gradebook:
        for system in SYSTEMS:
            write_marks(gradebook, folder / f"marks_{system}.csv", system)
    graded = folder / "autograded"
    handed_in = _handed_in(folder, "*")
    return [p for p in handed_in if not (graded / p.relative_to(folder / "submitted")).exists()]


def _handed_in(folder: Path, assignment: str) -> list[Path]:
    return sorted(folder.glob(f"submitted/*/{assignment}/*.ipynb"))


async def _run_all(folder: Path, name: str, kernels: Nursery, jobs: int, limits: Limits) -> None:
    """Run the submissions of an assignment side by side, and keep for the judge what came."""
    grader = converter(Autograde, folder, name)
    judge = Judge(config=grader.config)
    prepared = dict(_sanitized(grader, _handed_in(folder, name)))
    free = asyncio.Semaphore(jobs)

    async def work(student: str) -> None:
        async with free:
            questions = asked(judge.reference(name), judge.draw(name, student))
            Judge.ran[name, student] = await run(prepared[student], questions, kernels, limits)
            bar.update()

    with tqdm(total=len(prepared), desc=f"{name}: run") as bar:
        await asyncio.gather(*map(work, prepared))


def _sanitized(grader: Autograde, paths: list[Path]) -> Iterator[tuple[str, NotebookNode]]:
    """What is handed in, with nbgrader's cells as they should be; without what has no cells."""
    for path in paths:
        assignment, student = path.parent.name, path.parent.parent.name
        place = {"student": student, "assignment": assignment, "notebook": path.stem}
        resources = {"nbgrader": {**place, "db_url": grader.coursedir.db_url}}
        try:
            with quietly():
                notebook = nbformat.read(path, as_version=4)
                for step in grader.sanitize_preprocessors:
                    notebook, resources = step(config=grader.config)(notebook, resources)
        except Exception:  # whatever a student hands in, the others are graded
            continue
        yield student, notebook


def _all(kind: type, folder: Path, name: str, what: str) -> None:
    """Run a converter over all submissions."""
    with tqdm(total=len(_handed_in(folder, name)), desc=f"{name}: {what}") as bar:
        convert(kind, folder, name, post_convert_hook=lambda **_: bar.update())


# The marks


def write_marks(gradebook: Gradebook, path: Path, system: str) -> None:
    """Write a CSV file that a course system imports: a row for each student, by name.

    A text that a spreadsheet would take for a formula gets an apostrophe in front. What was not
    handed in has no mark.
    """
    given = sorted(gradebook.assignments, key=lambda assignment: assignment.name)
    about = SYSTEMS[system]
    rows = [[*about, *(assignment.name for assignment in given)]]
    if system == "canvas":
        rows.append(["Points Possible", *[""] * 4, *(f"{a.max_score:g}" for a in given)])
    for student in gradebook.students:
        marks = [_mark(gradebook, assignment.name, student.id) for assignment in given]
        rows.append([*(_plain(tell(student)) for tell in about.values()), *marks])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _mark(gradebook: Gradebook, assignment: str, student: str) -> str:
    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:
        return ""
    return f"{max(0, submission.score - (submission.late_submission_penalty or 0)):.4g}"


def _plain(text: str | None) -> str:
    return f"'{text}" if text and text.startswith(FORMULA) else text or ""
