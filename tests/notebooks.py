"""Execute the book's notebooks and keep them in one normal form, so that a diff shows a change.

    python tests/notebooks.py execute [NOTEBOOK ...]   run, and write outputs and normal form
    python tests/notebooks.py check [NOTEBOOK ...]     fail on a notebook not in normal form
    python tests/notebooks.py first [NOTEBOOK ...]     write the first cell anew, run nothing

A notebook of the book starts with a cell that does nothing but on Colab, where it fetches the
files and the package of this version from the repository that `_config.yml` names; the published
page leaves it out.

The normal form: no execution counts, no timestamps, no widget state, cell ids ``cell-00``,
``cell-01``, … after the cell for Colab, keys sorted, and in each code cell's metadata a digest of
the source that its outputs were made from. Without notebooks named, all of the book's are taken,
and the tests' own sample.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from functools import cache
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbformat import NotebookNode

from figures import difference

BOOK = Path(__file__).resolve().parent.parent / "book"
SAMPLE = Path(__file__).resolve().with_name("sample.ipynb")
DIGEST = "source_digest"
ON_COLAB = '"google.colab" in sys.modules'
# Colab has all that the notebooks need but these two, and its PyTorch knows its graphics card.
FIRST = """import sys

if {condition}:
    ![ -d {place} ] || git clone -q --depth 1 --branch v{version} \\
        {repository} {place}
    %pip install --quiet --no-deps {place} skorch
    %cd -q {place}/{folder}"""


def notebooks() -> list[Path]:
    """All notebooks of the book."""
    return sorted(p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def digest(cell: NotebookNode) -> str:
    """A short digest of a cell's source."""
    return hashlib.sha256(cell.source.encode()).hexdigest()[:12]


def is_stale(cell: NotebookNode) -> bool:
    """Whether a code cell was never run, or changed since it was."""
    return bool(cell.source.strip()) and cell.metadata.get(DIGEST) != digest(cell)


@cache
def _released() -> dict[str, str]:
    """The repository and the version that Colab takes the book from."""
    settings = yaml.safe_load((BOOK.parent / "_config.yml").read_text())
    project = tomllib.loads((BOOK.parent / "pyproject.toml").read_text())["project"]
    return {"repository": settings["repository"]["url"], "version": project["version"]}


def with_first_cell(path: Path, notebook: NotebookNode) -> NotebookNode:
    """A notebook of the book with the cell for Colab in front; any other as it is."""
    if not path.is_relative_to(BOOK):
        return notebook
    folder = path.parent.relative_to(BOOK.parent)
    source = FIRST.format(condition=ON_COLAB, place="/content/book", folder=folder, **_released())
    hidden = {"tags": ["remove-cell"], "jupyter": {"source_hidden": True}}
    cell = nbformat.v4.new_code_cell(source, metadata=hidden)
    cell.metadata[DIGEST] = digest(cell)  # it prints nothing where the outputs are made
    rest = notebook.cells[_for_colab(notebook) :]
    return NotebookNode(notebook, cells=[cell, *rest])


def _for_colab(notebook: NotebookNode) -> int:
    """How many cells for Colab a notebook starts with, one or none."""
    return int(any(ON_COLAB in cell.source for cell in notebook.cells[:1]))


def write_first_cell(path: Path) -> None:
    """Put the cell for Colab in front of a notebook, or write it anew; all else stays."""
    notebook = nbformat.read(path, as_version=4)
    path.write_text(normal_form(with_first_cell(path, notebook)))


def execute(path: Path) -> None:
    """Run a notebook in its own folder and write it back in normal form, outputs and all."""
    notebook = with_first_cell(path, nbformat.read(path, as_version=4))
    before = {cell.source: cell.get("outputs", []) for cell in notebook.cells}
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata[DIGEST] = digest(cell)
            _keep_figures(before[cell.source], cell.outputs)
    path.write_text(normal_form(notebook))


def _keep_figures(old: list[NotebookNode], new: list[NotebookNode]) -> None:
    """Figures that the tests take for the same stay: with some libraries no two runs' bits are."""
    for one, other in zip(old, new, strict=False):
        figures = [output.get("data", {}).get("image/png") for output in (one, other)]
        if all(figures) and difference(*figures) is None:
            other.data["image/png"] = one.data["image/png"]


def normal_form(notebook: NotebookNode) -> str:
    """The notebook's text in normal form."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=-_for_colab(notebook)):
        cell.id = f"cell-{number:02d}" if number >= 0 else "colab"
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [_normal_output(output) for output in _joined(cell.outputs)]
            cell.metadata.pop("execution", None)
        cell.metadata.pop("collapsed", None)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _normal_output(output: NotebookNode) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = None
    for mime, content in output.get("data", {}).items():
        if mime.startswith("image/") and isinstance(content, str):
            output.data[mime] = content.strip()
    return output


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one piece: how they are cut depends on the timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def problems(path: Path) -> list[str]:
    """What keeps a notebook from being in normal form, a sentence each."""
    text = path.read_text()
    notebook = nbformat.reads(text, as_version=4)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = [
        f"code cell {number} was never run, or changed since: {cell.source.splitlines()[0]!r}"
        for number, cell in enumerate(codes)
        if is_stale(cell)
    ]
    if normal_form(notebook) != text:
        found.append("is not in normal form")
    elif normal_form(with_first_cell(path, notebook)) != text:
        found.append("does not start with the cell for Colab of this version and repository")
    return [f"{path.name}: {problem}; run 'make notebooks'." for problem in found]


def main(command: str, *names: str) -> int:
    """Run one of the commands; the exit status tells whether all is well."""
    paths = [Path(name).resolve() for name in names] or [*notebooks(), SAMPLE]
    writers = {"execute": execute, "first": write_first_cell}
    if command in writers:
        for path in paths:
            print(f"{command}: {path.name}", flush=True)
            writers[command](path)
        return 0
    if command != "check":
        sys.exit(__doc__)
    found = [problem for path in paths for problem in problems(path)]
    print("\n".join(found) or f"{len(paths)} notebooks in normal form")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["help"]))
