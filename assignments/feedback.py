"""What a student gets back: a table of the marks on top, and formulas that need no script."""

from __future__ import annotations

import re
from html import escape

from latex2mathml.converter import convert
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_task

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
HEADING = re.compile(r"^#{2,3} (.*)", re.MULTILINE)
ROW = '<tr><td><a href="#{}">{}</a></td><td class="points">{:.3g} of {:g}</td><td>{}</td></tr>'


class Feedback(NbGraderPreprocessor):
    """Follows nbgrader's GetGrades, which has put the scores into the cells."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        rows, heading = [], ""
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                titles = HEADING.findall(cell.source)
                heading = f"{heading} (yours)" if titles == ["Yours"] else (titles or [heading])[-1]
                cell.source = FORMULA.sub(_mathml, cell.source)
            if is_grade(cell) or is_task(cell):
                rows.append(_row(heading, cell))
        head = "<tr><th>Exercise</th><th>Points</th><th>What the grader says</th></tr>"
        nb.cells.insert(0, new_markdown_cell(f'<table class="marks">{head}{"".join(rows)}</table>'))
        return nb, resources


def _row(heading: str, cell: NotebookNode) -> str:
    about = cell.metadata.nbgrader
    said = about.get("comment") or "to be marked by hand" if is_task(cell) else ""
    for output in cell.get("outputs", []):
        said = output.metadata.get("sentence", said)
    return ROW.format(about.grade_id, escape(heading), about.score, about.points, escape(said))


def _mathml(found: re.Match) -> str:
    block, inline = found.groups()
    return convert(block, display="block") if block else convert(inline)
