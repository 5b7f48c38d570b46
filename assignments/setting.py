"""How nbgrader is set up for the course in a folder, and how its converters are run there."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbgrader
from nbgrader.converters import Autograde, BaseConverter, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute
from traitlets.config import Config

from feedback import Feedback
from judge import Judge

SETTINGS = "course.json"
TEMPLATES = str(Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates")
# nbgrader calls its helper alembic by name, wherever it is installed.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# Nothing replaces a solution: the blank that the page shows stands above it.
NO_STUB = Config({"ClearSolutions": {"code_stub": {"python": ""}}})


def configure(c: Config, folder: Path) -> Config:
    """Set nbgrader up for the course in a folder, with the judge in place of its Execute."""
    settings = json.loads((folder / SETTINGS).read_text())
    c.CourseDirectory.root = str(folder.resolve())
    c.CourseDirectory.course_id = "small_weights"
    c.merge(NO_STUB)
    c.OverwriteCells.add_missing_cells = True
    steps = Autograde.autograde_preprocessors.default_args[0]
    c.Autograde.autograde_preprocessors = [Judge if s is Execute else s for s in steps]
    c.GenerateFeedback.preprocessors = [*GenerateFeedback.preprocessors.default_args[0], Feedback]
    c.HTMLExporter.update(template_name="marks", template_file="marks.html.j2")
    c.HTMLExporter.extra_template_basedirs = [str(folder.resolve() / "templates"), TEMPLATES]
    c.Judge.update(course=str(folder.resolve()), **settings)
    return c


def assignments(folder: Path) -> list[str]:
    """The names of a course's assignments."""
    return sorted(path.parent.name for path in folder.glob("source/*/*.ipynb"))


def converter(
    kind: type[BaseConverter], folder: Path, assignment: str, **how: object
) -> BaseConverter:
    """One of nbgrader's converters, for what all students have of an assignment."""
    config = configure(Config(), folder)
    config.CourseDirectory.update(assignment_id=assignment, student_id="*")
    config[kind.__name__].force = True
    return kind(coursedir=CourseDirectory(config=config), config=config, **how)


def convert(kind: type[BaseConverter], folder: Path, assignment: str, **how: object) -> None:
    """Run one of nbgrader's converters."""
    with quietly():
        converter(kind, folder, assignment, **how).start()


@contextmanager
def quietly() -> Iterator[None]:
    """Without warnings: those of nbgrader's database and of its notebooks are its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
