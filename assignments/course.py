"""A course for nbgrader from the book's exercises, and the marks of what is handed in.

    python assignments/course.py pages      write the blank pages of the book from the sources
    python assignments/course.py release    a course in _build/assignments, ready for nbgrader;
                                            with --students roster.csv, a variant for each student
    python assignments/course.py grade      judge what lies in its folder submitted/

Each command tells more with --help.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import ClearMarkScheme, ClearSolutions
from tqdm import tqdm
from traitlets.config import Config

from batch import grade
from inside import landlock
from judge import Judge, is_constants, stated
from kernel import Limits
from setting import NO_STUB, SETTINGS, assignments, configure, convert

HERE = Path(__file__).resolve().parent
COURSE = Path("_build", "assignments")
CONFIG = """\
# Written by course.py; nbgrader reads it where the course lies.
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from setting import configure

configure(get_config(), Path(__file__).parent)  # noqa: F821
"""
UNGUARDED = (
    "This system has no Landlock (Linux 5.13 or newer has it), so nothing keeps what students"
    " hand in from your files: grade in a container that holds nothing but the course."
)
STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


# The pages and the variants


def is_page(cell: NotebookNode) -> bool:
    """Whether a cell of a source is on the page in the book, too."""
    return "assignment" not in cell.metadata.get("tags", [])


def page(source: NotebookNode) -> list[NotebookNode]:
    """The cells of the book's page: the source's without solutions, tests and constants."""
    resources = {"nbgrader": {}}
    for clear in (ClearSolutions(config=NO_STUB), ClearMarkScheme()):
        source, resources = clear.preprocess(source, resources)
    return [cell for cell in source.cells if is_page(cell)]


def write_page(source: Path, target: Path) -> None:
    """Bring a page's cells in line with its source; a cell that agrees keeps its outputs."""
    book = nbformat.read(target, as_version=4)
    kept = {(cell.cell_type, cell.source): cell for cell in book.cells}
    book.cells = [
        kept.get((cell.cell_type, cell.source), _bare(cell))
        for cell in page(nbformat.read(source, as_version=4))
    ]
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number:02d}"
    nbformat.write(book, target)


def _bare(cell: NotebookNode) -> NotebookNode:
    cell.metadata = {}
    return cell


def variant(release: NotebookNode, constants: Iterator[dict[str, object]]) -> NotebookNode:
    """The release version with a student's constants, in the order in which they stand."""
    made = nbformat.from_dict(release)
    for cell in filter(is_constants, made.cells):
        cell.source = stated(next(constants))
    return made


# The course


def students(roster: Path) -> list[dict[str, str]]:
    """The rows of a roster: a CSV file with a column ``id``, as ``nbgrader db`` takes it.

    Raises ``ValueError`` for a file without that column, and for ids that are missing, repeated,
    or unfit to name a folder.
    """
    with roster.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    ids = [(row.get("id") or "").strip() for row in rows]
    if not rows or "id" not in rows[0]:
        raise ValueError(
            f"{roster}: a CSV file with a column 'id' and a row for each student is"
            f" expected; this has the columns {list(rows[0]) if rows else 'of no row'}."
        )
    for number, student in enumerate(ids):
        if not STUDENT.fullmatch(student) or student in ids[:number]:
            raise ValueError(
                f"{roster}, row {number + 1}: an id of its own is expected, of letters, digits"
                f" and . _ @ -; this one is {student!r}. Mend the row."
            )
    return [{**row, "id": student} for row, student in zip(rows, ids, strict=True)]


def release(
    folder: Path,
    roster: Path | None = None,
    seed: str | None = None,
    sources: Path = HERE / "source",
) -> None:
    """Write a course: sources, release versions, gradebook, and a variant for each student."""
    listed = students(roster) if roster else []
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / SETTINGS
    old = json.loads(known.read_text())["seed"] if known.exists() else secrets.token_hex(8)
    known.write_text(json.dumps({"seed": seed or old, "personal": bool(roster)}))
    if folder.resolve() != HERE:  # a course takes along what it is graded by
        for module in HERE.glob("*.py"):
            shutil.copy(module, folder)
        shutil.copytree(HERE / "templates", folder / "templates", dirs_exist_ok=True)
        shutil.copytree(sources, folder / "source", dirs_exist_ok=True)
    (folder / "nbgrader_config.py").write_text(CONFIG)
    names = assignments(folder)
    for name in tqdm(names, desc="release versions"):
        convert(GenerateAssignment, folder, name)
    if listed:
        hand_out(folder, listed, names)


def hand_out(folder: Path, roster: list[dict[str, str]], names: list[str]) -> None:
    """Write what each student gets into ``personal/``, and the students into the gradebook."""
    with Gradebook(f"sqlite:///{folder.resolve() / 'gradebook.db'}") as gradebook:
        for row in roster:
            known = {key: row[key] for key in ("first_name", "last_name", "email") if row.get(key)}
            gradebook.update_or_create_student(row["id"], **known)
    for name in names:
        judge = Judge(config=configure(Config(), folder))
        blank = nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)
        questions = [q for q in judge.reference(name).questions.values() if q.constants]
        for row in tqdm(roster, desc=f"{name}: variants"):
            draw = judge.draw(name, row["id"])
            target = folder / "personal" / row["id"] / name / f"{name}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(variant(blank, map(draw, questions)), target)


# The commands


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="course.py", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pages", help="write the blank pages of the book from the sources")
    command = commands.add_parser("release", help="write a course that is ready for nbgrader")
    command.add_argument(
        "--students",
        type=Path,
        metavar="CSV",
        help="a roster: a column 'id', and"
        " first_name, last_name, email if you like; each student gets a variant",
    )
    command.add_argument("--seed", help="your secret; the same one gives the same variants")
    command.add_argument("--out", type=Path, default=COURSE, help="the folder (%(default)s)")
    command = commands.add_parser("grade", help="grade submitted/STUDENT/ASSIGNMENT/*.ipynb")
    command.add_argument("folder", type=Path, nargs="?", default=COURSE, help="(%(default)s)")
    command.add_argument("--jobs", type=int, help="submissions that run at the same time")
    command.add_argument("--seconds", type=int, default=60, help="time for a cell (%(default)s)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status is 1 if something could not be graded."""
    parser = _parser()
    known = parser.parse_args(arguments)
    if known.command == "pages":
        for source in sorted(HERE.glob("source/*/*.ipynb")):
            write_page(source, HERE.parent / "book" / source.stem / "exercises.ipynb")
        return 0
    folder = known.out if known.command == "release" else known.folder
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=folder / "nbgrader.log", level=logging.WARNING)
    if known.command == "release":
        try:
            release(known.out, known.students, known.seed)
        except (OSError, ValueError) as problem:
            parser.error(str(problem))
        print(
            f"The course is in {known.out}: hand out what is in its folder release/"
            + (" or, for each student, in personal/." if known.students else ".")
        )
        return 0
    if not landlock():
        print(UNGUARDED, file=sys.stderr)
    unread = grade(known.folder, known.jobs, Limits(cell_seconds=known.seconds))
    for path in unread:
        print(f"Not graded, because it is no notebook of the course: {path}")
    print(f"The marks are in {known.folder}/marks_*.csv, what to tell students in feedback/.")
    return bool(unread)


if __name__ == "__main__":
    sys.exit(main())
